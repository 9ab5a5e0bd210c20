package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/signal/gpc"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

var allRoles = []privacy.Role{privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor, privacy.RoleIngest}

func TestEveryRoleOnEveryRoute(t *testing.T) {
	t.Parallel()
	// Written down a second time on purpose: who may do what is not to change by
	// accident.
	want := map[string][]privacy.Role{
		"/v1/query":                      {privacy.RoleService},
		"/v1/query:batch":                {privacy.RoleService},
		pathEvaluation:                   {privacy.RoleService},
		pathEvaluations:                  {privacy.RoleService},
		pathMetadata:                     allRoles,
		"/v1/audience":                   {privacy.RoleService},
		"/v1/consents":                   {privacy.RoleService, privacy.RoleDPO},
		"/v1/signals":                    {privacy.RoleService, privacy.RoleDPO},
		gpc.WellKnown:                    allRoles,
		"/v1/consents:show":              {privacy.RoleService, privacy.RoleDPO},
		"/v1/consents:withdraw":          {privacy.RoleService, privacy.RoleDPO},
		"/v1/consents:link":              {privacy.RoleService, privacy.RoleDPO},
		pathWithdraw:                     allRoles,
		pathReceipt:                      {privacy.RoleService, privacy.RoleDPO},
		pathKeys:                         allRoles,
		"/v1/cases":                      {privacy.RoleService, privacy.RoleDPO},
		"/v1/cases:close":                {privacy.RoleService, privacy.RoleDPO},
		"/v1/objections":                 {privacy.RoleService, privacy.RoleDPO},
		"/v1/complaints":                 {privacy.RoleService, privacy.RoleDPO},
		"/v1/dsar/requests":              {privacy.RoleService, privacy.RoleDPO},
		"/v1/dsar/requests:step":         {privacy.RoleService, privacy.RoleDPO},
		"/v1/dsar/requests:send_code":    {privacy.RoleService, privacy.RoleDPO},
		"/v1/dsar/requests:verify":       {privacy.RoleService, privacy.RoleDPO},
		"/v1/dsar/requests/{request_id}": {privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor},
		"/v1/dsar/queue":                 {privacy.RoleDPO, privacy.RoleAuditor},
		pathOpenDSRDiscovery:             allRoles,
		pathOpenDSRCertificate:           allRoles,
		pathOpenDSRRequests:              {privacy.RoleService},
		pathOpenDSRRequest:               {privacy.RoleService},
		pathOpenGDPRRequests:             {privacy.RoleService},
		pathOpenGDPRRequest:              {privacy.RoleService},
		pathOpenDSRCallbacks:             allRoles,
		pathRooms:                        {privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor},
		pathRoom:                         {privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor},
		"POST " + pathContracts:          {privacy.RoleService},
		"GET " + pathContracts:           {privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor},
		pathContract:                     {privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor},
		"POST " + pathTemplates:          {privacy.RoleService},
		"GET " + pathTemplates:           {privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor},
		pathRoomQueries:                  {privacy.RoleService},
		pathRoomPrice:                    {privacy.RoleService},
		pathRoomBudget:                   {privacy.RoleService},
		pathActivations:                  {privacy.RoleService},
		"/v1/ingest":                     {privacy.RoleIngest},
		pathSnapshots:                    {privacy.RoleService},
		pathSnapshot:                     {privacy.RoleService},
		pathEvaluate:                     {privacy.RoleService},
		"/v1/reidentify":                 {privacy.RoleDPO},
		"/v1/audit/checkpoint":           {privacy.RoleDPO, privacy.RoleAuditor},
		pathLogCheckpoint:                {privacy.RoleDPO, privacy.RoleAuditor},
		pathLogTile:                      {privacy.RoleDPO, privacy.RoleAuditor},
		pathLogEntries:                   {privacy.RoleDPO, privacy.RoleAuditor},
		"/v1/dsar/exports/{token}":       allRoles,
		"/v1/decisions/{decision_id}":    {privacy.RoleDPO, privacy.RoleAuditor},
		"/v1/notices/{version}":          {privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor},
		"/healthz":                       allRoles, "/readyz": allRoles, "/metrics": allRoles, "/openapi.yaml": allRoles,
	}
	// place is where a route is in there: a path whose methods are for different roles has
	// a line for each.
	place := func(r *route) string {
		if _, divided := want[r.method+" "+r.path]; divided {
			return r.method + " " + r.path
		}
		return r.path
	}
	f := &fake{}
	s := newServer(f, Config{})
	for i := range routes {
		r := &routes[i]
		open := slices.Equal(want[place(r)], allRoles)
		for _, role := range allRoles {
			call := good(r)
			call.token = string(role)
			if r.path == "/v1/consents" {
				call.body = consentOf(call.token, consentBody)
			}
			if r.path == "/v1/signals" {
				call.body = consentOf(call.token, signalsBody)
			}
			if r.path == "/v1/consents:show" {
				call.body = consentOf(call.token, showBody)
			}
			if r.path == "/v1/consents:withdraw" {
				call.body = consentOf(call.token, withdrawBody)
			}
			if r.path == "/v1/consents:link" {
				call.body = consentOf(call.token, linkBody)
			}
			if r.path == "/v1/cases" {
				call.body = consentOf(call.token, caseBody)
			}
			if r.path == "/v1/objections" {
				call.body = consentOf(call.token, objectionBody)
			}
			status := http.StatusForbidden
			if slices.Contains(want[place(r)], role) {
				status = statusOf(r)
			}
			if got := do(s, call); got.Code != status {
				t.Errorf("%s %s as %s: status %d, want %d", r.method, r.path, role, got.Code, status)
			}
		}
		for _, token := range []string{"", "nobody"} {
			call := good(r)
			call.token = token
			got := do(s, call)
			if open {
				mustStatus(t, got, statusOf(r))
				continue
			}
			mustStatus(t, got, http.StatusUnauthorized)
			if !strings.HasPrefix(got.Header().Get("WWW-Authenticate"), `Bearer realm="mahrem"`) {
				t.Errorf("%s without a challenge", r.path)
			}
		}
	}
	paths := map[string]bool{}
	for i := range routes {
		paths[place(&routes[i])] = true
	}
	if len(want) != len(paths) {
		t.Errorf("%d paths, want %d", len(paths), len(want))
	}
}

// statusOf is what a good call gets.
func statusOf(r *route) int {
	switch {
	case r.method == http.MethodPost && (r.path == pathContracts || r.path == pathTemplates):
		return http.StatusCreated
	case r.path == pathOpenDSRCallbacks, r.method == http.MethodDelete:
		return http.StatusAccepted
	case r.path == "/v1/consents", r.path == "/v1/consents:withdraw", r.path == "/v1/consents:link", r.path == "/v1/cases", r.path == "/v1/objections", r.path == "/v1/complaints", r.path == "/v1/dsar/requests", r.path == pathOpenDSRRequests, r.path == pathOpenGDPRRequests, r.path == pathSnapshots:
		return http.StatusCreated
	}
	return http.StatusOK
}

func TestNoWorkBeforeAuthentication(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{})
	for _, header := range []map[string]string{
		nil,
		{"Authorization": "Basic c2VydmljZTo="},
		{"Authorization": "Bearer"},
		{"Authorization": "Bearer "},
		{"Authorization": "service"},
		{"Authorization": "Bearer service extra"},
	} {
		mustStatus(t, do(s, request{body: queryBody, contentType: "application/json", header: header}), http.StatusUnauthorized)
	}
	if f.asked.Load() != 0 {
		t.Error("the gate was asked")
	}
	two := good(&routes[0])
	w := do(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Add("Authorization", "Bearer dpo")
		s.ServeHTTP(w, r)
	}), two)
	mustStatus(t, w, http.StatusUnauthorized)
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{})
	leaf := "ab00cd" + strings.Repeat("0", 58)
	for path, want := range map[string]string{
		"/v1/query": `{"decision_id":"6f1c","decision":"allow","pseudonym":"AXJ0","attributes":{` +
			`"first_name":{"value":"Ayşe \"A\"\n","level":"exact"},"preferences.brands":{"value":[],"level":"exact"},` +
			`"purchases.product_groups":{"value":["grocery.dairy"],"level":"generalized"}},` +
			`"obligations":[{"id":"no_source_reference","type":"no_source_reference","properties":{}},{"id":"use_before","type":"use_before","properties":{"use_before":"2026-03-01T12:00:00Z"}}],` +
			`"reasons":[{"code":"basis.lawful","laws":["GDPR-6-1-a"]}],"policy_revision":"2f7d","log":{"index":42,"leaf_hash":"` + leaf + `"}}`,
		"/v1/consents":          `{"consent_id":"` + consentNumber + `","consent_token":"AQAAAAAAAAAr","log":{"index":43,"leaf_hash":"` + leaf + `"}}`,
		"/v1/consents:withdraw": `{"consent_token":"AQAAAAAAAAAr","log":{"index":43,"leaf_hash":"` + leaf + `"}}`,
		"/v1/consents:link":     `{"url":"https://m.example/withdraw/` + linkToken + `","expires_at":"2028-02-29T12:00:00Z","headers":{"List-Unsubscribe":"<https://m.example/withdraw/` + linkToken + `>","List-Unsubscribe-Post":"List-Unsubscribe=One-Click"}}`,
		"/v1/cases":             `{"case":"` + caseNumber + `","kind":"complaint","recipient":"shop","ends_at":"2026-03-31T12:00:00Z","log":{"index":46,"leaf_hash":"` + leaf + `"}}`,
		"/v1/cases:close":       `{"case":"` + caseNumber + `","log":{"index":47,"leaf_hash":"` + leaf + `"}}`,
		"/v1/ingest":            `{"lines":3,"accepted":2,"unchanged":1,"rejected":1,"rejects":[{"line":2,"reason":"bad_time","pointer":"/events/0/at"}],"log":{"index":44,"leaf_hash":"` + leaf + `"}}`,
		"/v1/reidentify":        `{"data_subject_id":"07000000-0000-0000-0000-000000000000","log":{"index":45,"leaf_hash":"` + leaf + `"}}`,
		"/v1/audit/checkpoint":  "origin\n1\nAAAA\n",
		"/healthz":              `{"status":"alive"}`,
		"/readyz":               `{"status":"ready","checks":[{"name":"database","status":"ok"},{"name":"log","status":"ok"},{"name":"policies","status":"ok","detail":"2f7d"}]}`,
		"/openapi.yaml":         string(openAPI),
	} {
		i := slices.IndexFunc(routes, func(r route) bool { return r.path == path })
		w := do(s, good(&routes[i]))
		if diff := cmp.Diff(want, w.Body.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		if strings.Contains(w.Header().Get("Content-Type"), "json") && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s is not JSON", path)
		}
		for name, value := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer",
		} {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", path, name, got, value)
			}
		}
	}
	wantQuery := gate.Query{
		DataSubject: gate.Ref{Identifier: privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain(secret)}},
		Purpose:     "greeting", Channel: "email", Attributes: []privacy.AttributeName{"first_name"},
	}
	if diff := cmp.Diff(wantQuery, f.lastQuery, cmp.Comparer(func(a, b privacy.Plain) bool { return a == b })); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if f.lastLines != ingestBody || f.lastOptions.Mapping == nil || f.lastOptions.Mapping.Source != "complete-journey" ||
		f.lastOptions.Principal.Role != privacy.RoleIngest {
		t.Errorf("delivery %q with %+v", f.lastLines, f.lastOptions)
	}
}

func TestConsentChangeArrivesWhole(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{})
	w := do(s, request{target: "/v1/consents", token: "dpo", contentType: "application/json; charset=UTF-8", body: `{
		"data_subject":{"identifier":{"kind":"customer_number","value":"C-1"}},"action":"granted","purpose":"newsletter","channel":"email",
		"legal_basis":"consent","explicit":true,"categories":["health"],"notice_version":"2026-01","source":"web_form","incentive":true,
		"id":"6f1c2d3e-4f50-6172-8394-a5b6c7d8e9f0","actor":"guardian","guardian_verified":true,"language":"tr-TR",
		"evidence_ref":"form/4711","jurisdiction":"TR",
		"effective_at":"2026-03-01T14:00:00+02:00","valid_until":"2027-03-01T12:00:00Z"}`})
	mustStatus(t, w, http.StatusCreated)
	want := consent.Change{
		ID:    [16]byte{0x6f, 0x1c, 0x2d, 0x3e, 0x4f, 0x50, 0x61, 0x72, 0x83, 0x94, 0xa5, 0xb6, 0xc7, 0xd8, 0xe9, 0xf0},
		Actor: consent.ByGuardian, GuardianVerified: true, Language: "tr-TR", EvidenceRef: "form/4711", Jurisdiction: "TR",
		DataSubject: person, Purpose: "newsletter", Channel: "email", Basis: privacy.Consent, Explicit: true,
		Categories: []privacy.DataCategory{"health"}, NoticeVersion: "2026-01", Source: "web_form", Incentive: true,
		EffectiveAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), ValidUntil: time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	if !reflect.DeepEqual(f.lastChange, want) {
		t.Errorf("got %+v, want %+v", f.lastChange, want)
	}
	if f.lastIdentifier != (privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("C-1")}) {
		t.Error("somebody else was looked for")
	}
	for _, action := range []consent.Action{
		consent.Granted, consent.Renewed, consent.Refused, consent.Withdrawn, consent.Objected, consent.GuardianGranted, consent.GuardianWithdrawn,
	} {
		body := consentOf("service", strings.Replace(consentBody, "withdrawn", string(action), 1))
		mustStatus(t, do(s, request{target: "/v1/consents", token: "service", contentType: "application/json", body: body}), http.StatusCreated)
		if f.lastAction != action {
			t.Errorf("%s was recorded as %s", action, f.lastAction)
		}
	}
	named := consentOf("service", strings.Replace(consentBody, `"action"`, `"id":"6f1c2d3e-4f50-6172-8394-a5b6c7d8e9f0","action"`, 1))
	for _, status := range []int{http.StatusCreated, http.StatusOK, http.StatusOK} {
		mustStatus(t, do(s, request{target: "/v1/consents", token: "service", contentType: "application/json", body: named}), status)
	}
	for pointer, field := range map[string]string{
		"/action": `"action":"expired"`, "/id": `"action":"refused","id":"6f1c"`, "/actor": `"action":"refused","actor":"registry"`,
	} {
		body := consentOf("service", strings.Replace(consentBody, `"action":"withdrawn"`, field, 1))
		w := do(s, request{target: "/v1/consents", token: "service", contentType: "application/json", body: body})
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `"pointer":"`+pointer+`"`) {
			t.Errorf("%s: %d %s", field, w.Code, w.Body)
		}
	}
}

func TestWhoIsMeant(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{})
	for name, test := range map[string]struct {
		token, pseudonym string
		status           int
	}{
		"own pseudonym":   {"service", string(shopPseudonym), 201},
		"made up":         {"service", "AXJ0", 422},
		"dpo has none":    {"dpo", string(shopPseudonym), 422},
		"cut off":         {"service", string(shopPseudonym)[:20], 422},
		"somebody else's": {"service", "_" + string(shopPseudonym), 422},
	} {
		f.lastChange = consent.Change{}
		body := strings.Replace(consentBody, `{"identifier":{"kind":"customer_number","value":"C-1"}}`, `{"pseudonym":"`+test.pseudonym+`"}`, 1)
		w := do(s, request{target: "/v1/consents", token: test.token, contentType: "application/json", body: body})
		if w.Code != test.status {
			t.Errorf("%s: status %d, want %d: %s", name, w.Code, test.status, w.Body)
		}
		if (f.lastChange.DataSubject == person) != (test.status == 201) {
			t.Errorf("%s: consent of %v", name, f.lastChange.DataSubject)
		}
	}
	// By an identifier a service could try out who exists.
	f.lastIdentifier = privacy.Identifier{}
	w := do(s, request{target: "/v1/consents", token: "service", contentType: "application/json", body: consentBody})
	mustStatus(t, w, http.StatusUnprocessableEntity)
	if f.lastIdentifier != (privacy.Identifier{}) || !strings.Contains(w.Body.String(), `"pointer":"/data_subject/identifier"`) {
		t.Errorf("a service named a person by an identifier: %s", w.Body)
	}
	w = do(s, request{target: "/v1/reidentify", token: "dpo", contentType: "application/json", body: strings.Replace(reidentifyBody, "shop", "mailer", 1)})
	mustStatus(t, w, http.StatusUnprocessableEntity)
	if !strings.Contains(w.Body.String(), `"pointer":"/recipient"`) {
		t.Errorf("got %s", w.Body)
	}
}

func TestErrorsBecomeProblems(t *testing.T) {
	t.Parallel()
	wrap := func(err error) error { return fmt.Errorf("opening record of %s: %w", secret, err) }
	tests := []struct {
		err     error
		role    string
		status  int
		problem string
	}{
		{wrap(privacy.ErrUnavailable), "service", 503, "unavailable"},
		{wrap(privacy.ErrInvalid), "service", 422, "invalid-request"},
		{wrap(&privacy.FieldError{Pointer: "/purpose", Reason: "is not in the catalogue"}), "service", 422, "invalid-request"},
		{wrap(privacy.ErrUnauthenticated), "service", 401, "unauthenticated"},
		{wrap(privacy.ErrForbidden), "service", 403, "forbidden"},
		{wrap(privacy.ErrNotFound), "service", 403, "forbidden"},
		{wrap(privacy.ErrNotFound), "dpo", 404, "not-found"},
		{wrap(privacy.ErrConflict), "service", 409, "conflict"},
		{wrap(privacy.ErrDamaged), "service", 500, "internal-error"},
		{wrap(errors.Join(privacy.ErrDamaged, privacy.ErrInvalid)), "service", 500, "internal-error"},
		{errSecret, "service", 500, "internal-error"},
	}
	for _, test := range tests {
		s := newServer(&fake{err: test.err}, Config{})
		w := do(s, request{target: "/v1/consents", token: test.role, contentType: "application/json", body: consentOf(test.role, consentBody)})
		mustStatus(t, w, test.status)
		var document struct {
			Type, Title, Instance string
			Status                int
			Errors                []struct{ Pointer, Reason string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil {
			t.Fatal(err)
		}
		if document.Type != "urn:mahrem:problem:"+test.problem || document.Status != test.status || document.Title == "" {
			t.Errorf("%v: %s", test.err, w.Body)
		}
		if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("content type %q", got)
		}
		if document.Instance != "urn:mahrem:request:"+w.Header().Get("X-Request-ID") {
			t.Errorf("instance %q", document.Instance)
		}
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("%v: personal data in %s", test.err, w.Body)
		}
		if field, ok := errors.AsType[*privacy.FieldError](test.err); ok && (len(document.Errors) != 1 || document.Errors[0].Pointer != field.Pointer) {
			t.Errorf("errors %v", document.Errors)
		}
		if (test.status == 503) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("status %d with Retry-After %q", test.status, w.Header().Get("Retry-After"))
		}
	}
}

func TestNoEvidenceNoAnswer(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{ask: func(_ context.Context, _ gate.Query) (gate.Answer, error) {
		return gate.Answer{Decision: gate.Allow, Attributes: map[privacy.AttributeName]gate.Released{"first_name": {Values: []privacy.Plain{privacy.NewPlain(secret)}}}}, nil
	}}, Config{})
	w := do(s, good(&routes[0]))
	mustStatus(t, w, http.StatusInternalServerError)
	if strings.Contains(w.Body.String(), secret) {
		t.Error("the answer left without evidence")
	}
}

func TestMissingServicesAnswer503(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := New(Services{Tokens: f}, Config{Log: newServer(f, Config{}).config.Log})
	for i := range routes {
		if len(routes[i].roles) > 0 || routes[i].path == "/readyz" {
			mustStatus(t, do(s, good(&routes[i])), http.StatusServiceUnavailable)
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	for target, status := range map[string]int{
		"/": 404, "/v1": 404, "/v1/query/": 404, "/v1//query": 404, "/v1/../v1/query": 404, "/v2/" + secret: 404, "/v1/./query": 404,
		"/.well-known": 404, "/.well-known/": 404, "/.well-known/../v1/query": 404, "/.well-known/./authzen-configuration": 404, "/.git/config": 404,
		"/.well-knownx/": 404, "/.well-known/authzen-configuration/tenant": 404,
	} {
		w := do(s, request{target: target, token: "service", body: queryBody, contentType: "application/json"})
		mustStatus(t, w, status)
		if strings.Contains(w.Body.String(), secret) || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", target, w.Body)
		}
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "TRACE", "QUERY"} {
		w := do(s, request{method: method, token: "service"})
		mustStatus(t, w, http.StatusMethodNotAllowed)
		if w.Header().Get("Allow") != "POST" {
			t.Errorf("%s: Allow is %q", method, w.Header().Get("Allow"))
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	for given, kept := range map[string]bool{
		"abcd-1234_X": true, strings.Repeat("a", 64): true,
		"short": false, strings.Repeat("a", 65): false, "with space": false, secret: false, "": false,
	} {
		w := do(s, request{method: "GET", target: "/healthz", header: map[string]string{"X-Request-ID": given}})
		got := w.Header().Get("X-Request-ID")
		if (got == given) != kept || !isRequestID(got) {
			t.Errorf("given %q, got %q", given, got)
		}
	}
}
