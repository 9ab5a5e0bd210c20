package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

var conformance = sync.OnceValues(func() (*policies.Conformance, error) { return policies.OpenConformance(context.Background()) })

// newConformanceServer answers AuthZEN from the fixture of the certification.
func newConformanceServer(t *testing.T) *Server {
	t.Helper()
	decider, err := conformance()
	if err != nil {
		t.Fatal(err)
	}
	return New(Services{Tokens: &fake{}, Access: decider}, Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

func ofAuthZEN(path, body string) request {
	return request{target: path, token: "service", contentType: "application/json", body: body}
}

// Parts of certification requests.
const (
	alice   = `{"type":"user","id":"alice"}`
	bob     = `{"type":"user","id":"bob"}`
	record1 = `{"type":"record","id":"record-1"}`
	reading = `{"name":"read"}`
	writing = `{"name":"write"}`
)

func single(subject, action, resource string, more ...string) string {
	return `{"subject":` + subject + `,"action":` + action + `,"resource":` + resource + strings.Join(more, "") + `}`
}

// TestCertificationBasic plays the certification scenario of the Authorization API 1.0,
// levels Basic Core and Basic Properties. Names are its section numbers.
func TestCertificationBasic(t *testing.T) {
	t.Parallel()
	s := newConformanceServer(t)
	for name, c := range map[string]struct {
		body string
		want string // "true", "false", "?" for either, or "400"
	}{
		"2.2.1 permit":          {single(alice, reading, record1), "true"},
		"1.4 rule 2":            {single(alice, writing, record1), "true"},
		"1.4 rule 3":            {single(bob, reading, record1), "true"},
		"2.2.2 deny":            {single(bob, writing, record1), "false"},
		"2.2.3 context":         {single(alice, reading, record1, `,"context":{"time":"2025-06-27T18:03-07:00","ip":"192.168.1.1"}`), "true"},
		"2.2.4 archived":        {single(alice, writing, `{"type":"record","id":"record-2","properties":{"status":"archived"}}`), "false"},
		"2.2.5 admin":           {single(`{"type":"user","id":"bob","properties":{"role":"admin"}}`, writing, `{"type":"record","id":"record-2","properties":{"status":"archived"}}`), "true"},
		"2.2.6 soft delete":     {single(alice, `{"name":"delete","properties":{"soft":true}}`, record1), "true"},
		"2.2.7 hard delete":     {single(alice, `{"name":"delete","properties":{"soft":false}}`, record1), "false"},
		"2.2.8 more properties": {single(`{"type":"user","id":"alice","properties":{"department":"Sales","role":"manager"}}`, `{"name":"read","properties":{"method":"GET"}}`, `{"type":"record","id":"record-1","properties":{"status":"active","owner":"bob"}}`), "true"},
		"2.2.9 unknown fields":  {single(alice, reading, record1, `,"foo":"bar","futureField":{"nested":true}`), "true"},

		"2.4.1 without subject":   {`{"action":` + reading + `,"resource":` + record1 + `}`, "400"},
		"2.4.1 without action":    {`{"subject":` + alice + `,"resource":` + record1 + `}`, "400"},
		"2.4.1 without resource":  {`{"subject":` + alice + `,"action":` + reading + `}`, "400"},
		"2.4.2 subject type":      {single(`{"id":"alice"}`, reading, record1), "400"},
		"2.4.2 subject id":        {single(`{"type":"user"}`, reading, record1), "400"},
		"2.4.2 action name":       {single(alice, `{}`, record1), "400"},
		"2.4.2 resource type":     {single(alice, reading, `{"id":"record-1"}`), "400"},
		"2.4.2 resource id":       {single(alice, reading, `{"type":"record"}`), "400"},
		"2.4.4 malformed":         {`{"subject":`, "400"},
		"2.4.5 empty":             {``, "400"},
		"2.4.6 subject a string":  {single(`"alice"`, reading, record1), "400"},
		"2.4.6 name a number":     {single(alice, `{"name":123}`, record1), "400"},
		"id a number":             {single(`{"type":"user","id":7}`, reading, record1), "400"},
		"properties a list":       {single(`{"type":"user","id":"alice","properties":[]}`, reading, record1), "400"},
		"context a string":        {single(alice, reading, record1, `,"context":"here"`), "400"},
		"an array":                {`[]`, "400"},
		"null":                    {`null`, "400"},
		"subject null":            {single(`null`, reading, record1), "400"},
		"type null":               {single(`{"type":null,"id":"alice"}`, reading, record1), "400"},
		"optional parts null":     {single(`{"type":"user","id":"alice","properties":null}`, reading, record1, `,"context":null`), "true"},
		"key twice":               {single(alice, reading, record1, `,"subject":`+bob), "400"},
		"key twice, escaped":      {single(alice, reading, record1, `,"subj\u0065ct":`+bob), "400"},
		"key twice, deep":         {single(alice, reading, record1, `,"context":{"a":[{"b":1,"b":2}]}`), "400"},
		"escaped keys are read":   {`{"subj\u0065ct":` + alice + `,"action":` + reading + `,"resource":` + record1 + `}`, "true"},
		"no UTF-8":                {single("{\"type\":\"user\",\"id\":\"al\xffice\"}", reading, record1), "400"},
		"half a surrogate":        {single(`{"type":"user","id":"\ud800"}`, reading, record1), "400"},
		"a number out of range":   {single(alice, reading, record1, `,"context":{"n":1e999}`), "400"},
		"a number of all sorts":   {single(alice, reading, record1, `,"context":{"n":[-0.5e+10,0,1E2,-7]}`), "true"},
		"a number with zeros":     {single(alice, reading, record1, `,"context":{"n":01}`), "400"},
		"something behind":        {single(alice, reading, record1) + `{}`, "400"},
		"as deep as it may be":    {single(alice, reading, record1, `,"x":`+strings.Repeat("[", maxDepth-1)+strings.Repeat("]", maxDepth-1)), "true"},
		"too deep":                {single(alice, reading, record1, `,"x":`+strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth)), "400"},
		"evaluations are unknown": {single(alice, reading, record1, `,"evaluations":[{}]`), "true"},
		"another case":            {`{"Subject":` + alice + `,"action":` + reading + `,"resource":` + record1 + `}`, "400"},
	} {
		w := do(s, ofAuthZEN(pathEvaluation, c.body))
		if c.want == "400" {
			if w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "alice") {
				t.Errorf("%s: status %d, want 400: %s", name, w.Code, w.Body)
			}
			continue
		}
		if got := decisionsOf(t, name, w.Code, w.Header(), w.Body.Bytes()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for range 5 { // 2.6
		if w := do(s, ofAuthZEN(pathEvaluation, single(alice, reading, record1))); w.Body.String() != `{"decision":true}` {
			t.Errorf("asked again: %s", w.Body)
		}
	}
}

// decisionsOf checks the form of an answer (2.3, 3.3) and returns its decisions.
func decisionsOf(t *testing.T, name string, status int, header http.Header, body []byte) string {
	t.Helper()
	type decision struct {
		Decision *bool
		Context  *json.RawMessage
	}
	var answer struct {
		Decision    *bool
		Evaluations []decision
	}
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: status %d, %s, %v: %s", name, status, header.Get("Content-Type"), err, body)
	}
	if (answer.Decision == nil) == (answer.Evaluations == nil) {
		t.Fatalf("%s: %s", name, body)
	}
	if answer.Decision != nil {
		return fmt.Sprint(*answer.Decision)
	}
	var list []string
	for _, e := range answer.Evaluations {
		if e.Decision == nil || e.Context != nil && (*e.Context)[0] != '{' {
			t.Fatalf("%s: %s", name, body)
		}
		list = append(list, fmt.Sprint(*e.Decision))
	}
	return strings.Join(list, " ")
}

// TestCertificationBatch plays the levels Batch Core and Batch Properties.
func TestCertificationBatch(t *testing.T) {
	t.Parallel()
	s := newConformanceServer(t)
	many := func(top string, items ...string) string {
		return `{` + top + `"evaluations":[` + strings.Join(items, ",") + `]}`
	}
	const (
		aliceReads = `"subject":` + alice + `,"action":` + reading + `,`
		archived   = `{"type":"record","id":"record-2","properties":{"status":"archived"}}`
		active     = `{"type":"record","id":"record-1","properties":{"status":"active"}}`
		r1         = `{"resource":` + record1 + `}`
		r3         = `{"resource":{"type":"record","id":"record-3"}}`
	)
	semantic := func(name string) string { return `"options":{"evaluations_semantic":"` + name + `","other":1},` }
	for name, c := range map[string]struct{ body, want string }{
		"3.2.1":                        {many(aliceReads, r1, `{"resource":{"type":"record","id":"record-2"}}`), "true true"},
		"3.2.2 order":                  {many(`"subject":`+bob+`,"resource":`+record1+`,`, `{"action":`+reading+`}`, `{"action":`+writing+`}`), "true false"},
		"3.2.3 resource properties":    {many(`"subject":`+alice+`,"action":`+writing+`,`, `{"resource":`+active+`}`, `{"resource":`+archived+`}`), "true false"},
		"3.2.4 subject properties":     {many(`"action":`+writing+`,"resource":`+archived+`,`, `{"subject":`+alice+`}`, `{"subject":{"type":"user","id":"bob","properties":{"role":"admin"}}}`), "false true"},
		"3.2.5 no defaults":            {many(``, single(alice, reading, record1), single(bob, writing, record1)), "true false"},
		"3.2.6 context":                {many(aliceReads+`"context":{"time":"2025-06-27T18:03-07:00"},`, r1, `{"resource":`+record1+`,"context":{"time":"2025-06-27T19:00-07:00","source":"batch-override"}}`), "true true"},
		"3.2.7 defaults":               {many(`"subject":`+alice+`,"action":`+writing+`,"resource":`+active+`,`, `{}`, `{"resource":`+archived+`}`), "true false"},
		"3.4.1 one lacks a resource":   {many(aliceReads+semantic("execute_all"), r1, `{}`), "true false"},
		"3.4.2 no evaluations":         {single(alice, reading, record1), "true"},
		"3.4.3 empty evaluations":      {single(alice, reading, record1, `,"evaluations":[]`), "true"},
		"evaluations null":             {single(alice, reading, record1, `,"evaluations":null,"options":null`), "true"},
		"an item replaces the whole":   {many(aliceReads, `{"resource":`+record1+`,"subject":{"id":"alice"}}`, r1), "false true"},
		"items of a wrong type":        {many(aliceReads, `7`, `null`, `{"resource":"record-1"}`, `{"resource":null}`, `{"resource":`+record1+`,"action":{"name":1}}`, r1), "false false false false false true"},
		"defaults behind":              {`{"evaluations":[` + r1 + `],"action":` + reading + `,"subject":` + alice + `}`, "true"},
		"deny on first deny":           {many(aliceReads+semantic("deny_on_first_deny"), r1, r3, r1), "true false"},
		"deny on first failure":        {many(aliceReads+semantic("deny_on_first_deny"), r1, `{}`, r1), "true false"},
		"deny on first deny, none":     {many(aliceReads+semantic("deny_on_first_deny"), r1, r1), "true true"},
		"permit on first permit":       {many(aliceReads+semantic("permit_on_first_permit"), r3, `{}`, r1, r3), "false false true"},
		"permit on first permit, none": {many(aliceReads+semantic("permit_on_first_permit"), r3, r3), "false false"},
		"a thousand":                   {many(aliceReads, strings.TrimSuffix(strings.Repeat(r1+",", MaxBatch), ",")), strings.TrimSuffix(strings.Repeat("true ", MaxBatch), " ")},
		"one more":                     {many(aliceReads, strings.TrimSuffix(strings.Repeat(r1+",", MaxBatch+1), ",")), "400"},
		"an unknown semantic":          {many(aliceReads+semantic("guess"), r1), "400"},
		"a semantic that is no word":   {many(aliceReads+`"options":{"evaluations_semantic":1},`, r1), "400"},
		"options of a wrong type":      {many(aliceReads+`"options":[],`, r1), "400"},
		"evaluations of a wrong type":  {`{` + aliceReads + `"evaluations":{}}`, "400"},
		"defaults of a wrong type":     {many(`"subject":"alice",`, single(alice, reading, record1)), "400"},
		"malformed inside":             {many(aliceReads, r1, `{"resource":}`), "400"},
		"nothing":                      {`{}`, "400"},
	} {
		w := do(s, ofAuthZEN(pathEvaluations, c.body))
		if c.want == "400" {
			mustStatus(t, w, http.StatusBadRequest)
			continue
		}
		got := decisionsOf(t, name, w.Code, w.Header(), w.Body.Bytes())
		if many := strings.Contains(w.Body.String(), `"evaluations"`); got != c.want || many != (strings.Contains(c.body, `"evaluations":[{`) || strings.Contains(c.body, `"evaluations":[7`)) {
			t.Errorf("%s: %.200s, want %.200s: %.500s", name, got, c.want, w.Body)
		}
	}
	w := do(s, ofAuthZEN(pathEvaluations, many(aliceReads, `{}`)))
	if want := `{"evaluations":[{"decision":false,"context":{"schema":"mahrem.decision/v1","errors":[{"pointer":"/resource","reason":"must be there"}]}}]}`; w.Body.String() != want {
		t.Errorf("got %s, want %s", w.Body, want)
	}
}

// TestCertificationTransport plays what holds for all levels (2.4.3, 2.5, 5).
func TestCertificationTransport(t *testing.T) {
	t.Parallel()
	s := newConformanceServer(t)
	for _, path := range []string{pathEvaluation, pathEvaluations} {
		good := ofAuthZEN(path, single(alice, reading, record1))
		for contentType, status := range map[string]int{
			"application/json": 200, "application/json; charset=utf-8": 200,
			"": 400, "text/plain": 400, "application/xml": 400, "application/x-www-form-urlencoded": 400,
		} {
			call := good
			call.contentType = contentType
			mustStatus(t, do(s, call), status)
		}
		for _, id := range []string{"bfe9eb29-ab87-4ca3-be83-a1d5d8305716", "x", "with spaces: and {signs}", strings.Repeat("i", maxEcho)} {
			call := good
			call.header = map[string]string{"X-Request-ID": id}
			if got := do(s, call).Header().Get("X-Request-ID"); got != id {
				t.Errorf("sent %q, got %q back", id, got)
			}
			call.body = "{"
			if w := do(s, call); w.Header().Get("X-Request-ID") != id || w.Code != 400 || strings.Contains(w.Body.String(), "with spaces") {
				t.Errorf("sent %q with a bad body, got %q back: %s", id, w.Header().Get("X-Request-ID"), w.Body)
			}
		}
		call := good
		call.header = map[string]string{"X-Request-ID": strings.Repeat("i", maxEcho+1)}
		if got := do(s, call).Header().Get("X-Request-ID"); !isRequestID(got) {
			t.Errorf("got %q back", got)
		}
		if w := do(s, good); !isRequestID(w.Header().Get("X-Request-ID")) {
			t.Error("no request id of our own")
		}
		call = good
		call.token = ""
		mustStatus(t, do(s, call), http.StatusUnauthorized)
		call.token = "dpo"
		mustStatus(t, do(s, call), http.StatusForbidden)
		call = good
		call.target += "?a=b"
		mustStatus(t, do(s, call), http.StatusBadRequest)
	}
	mustStatus(t, do(s, ofAuthZEN(pathEvaluation, single(alice, reading, record1, `,"x":"`+strings.Repeat("x", 64<<10)+`"`))), http.StatusRequestEntityTooLarge)
}

// TestCertificationDiscovery plays the level Discovery.
func TestCertificationDiscovery(t *testing.T) {
	t.Parallel()
	f := &fake{}
	obligations := func() []string { return []string{"no_source_reference", "use_before"} }
	s := New(Services{Tokens: f, Evaluator: f, Obligations: obligations}, Config{PublicURL: "https://pdp.example.com"})
	const want = `{"policy_decision_point":"https://pdp.example.com","access_evaluation_endpoint":"https://pdp.example.com/access/v1/evaluation",` +
		`"access_evaluations_endpoint":"https://pdp.example.com/access/v1/evaluations","supported_obligations":["custom"],` +
		`"supported_custom_obligations":["no_source_reference","use_before"]}`
	w := do(s, request{method: "GET", target: pathMetadata})
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" || w.Body.String() != want {
		t.Errorf("status %d, %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	// Nothing was said about the name: it is the one by which the caller came.
	s = New(Services{Tokens: f, Evaluator: f}, Config{})
	w = do(s, request{method: "GET", target: pathMetadata})
	if want := `{"policy_decision_point":"https://example.com","access_evaluation_endpoint":"https://example.com/access/v1/evaluation","access_evaluations_endpoint":"https://example.com/access/v1/evaluations"}`; w.Body.String() != want {
		t.Errorf("got %s", w.Body)
	}
	for host, ok := range map[string]bool{
		"pdp.example.com:8443": true, "[::1]:8443": true, "127.0.0.1": true,
		"": false, `a"b`: false, "a/b": false, "a b": false, "a@b": false, strings.Repeat("a", 256): false,
	} {
		if isHost(host) != ok {
			t.Errorf("host %q: %t", host, !ok)
		}
	}
}

// personBody is an evaluation about a person.
const personBody = `{"subject":{"type":"service","id":"shop"},"action":{"name":"personalize","properties":{"purpose":"greeting"}},` +
	`"resource":{"type":"profile","id":"AXJ0","properties":{"attributes":["first_name","city"]}},` +
	`"context":{"channel":"web","case":"0123","consent_token":"AQAAAAAAAAAq","require_all":true,"trigger":{"occurred_at":"2026-03-01T12:00:00Z"},` +
	`"supported_obligations":["custom","step-up"],"supported_custom_obligations":["use_before","something"],"time":"2026"}}`

func TestEvaluationAboutAPerson(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{})
	w := do(s, ofAuthZEN(pathEvaluation, personBody))
	want := `{"decision":true,"context":{"schema":"mahrem.decision/v1","decision_id":"6f1c","policy_revision":"2f7d","basis":"contract",` +
		`"reasons":[{"code":"basis.contract","laws":["GDPR-6-1-b"]}],` +
		`"attributes":{"city":{"effect":"generalize","to":"region","reasons":["attribute.imprecise"]},"first_name":{"effect":"allow"},"persona":{"effect":"persona"},"x":{"effect":"deny","reasons":["category.not_granted"]}},` +
		`"obligations":[{"id":"use_before","type":"custom","properties":{"vendor":"mahrem","action":"use_before","use_before":"2026-03-01T12:00:00Z"}}],` +
		`"valid_until":"2026-03-01T12:01:00Z","consent_token":"AQAAAAAAAAAq","log":{"index":46,"leaf_hash":"ab00cd` + strings.Repeat("0", 58) + `"}}}`
	if diff := cmp.Diff(want, w.Body.String()); diff != "" || w.Code != http.StatusOK {
		t.Errorf("status %d (-want +got):\n%s", w.Code, diff)
	}
	wantQuestion := gate.Question{
		Query: gate.Query{
			DataSubject: gate.Ref{Pseudonym: "AXJ0"}, Purpose: "greeting", Channel: "web", Attributes: []privacy.AttributeName{"first_name", "city"},
			ConsentToken: "AQAAAAAAAAAq", Case: "0123", Trigger: &gate.Trigger{OccurredAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		},
		RequireAll: true, Negotiated: true, Observes: []policies.ObligationID{"use_before", "something"},
	}
	if diff := cmp.Diff(wantQuestion, f.lastQuestion, cmp.Comparer(func(a, b privacy.Plain) bool { return a == b })); diff != "" {
		t.Errorf("question (-want +got):\n%s", diff)
	}

	f.given = &gate.Evaluation{Answer: gate.Answer{
		DecisionID: "6f1d", Decision: gate.Deny, Reasons: []policies.Reason{{Check: gate.CheckPerson, Laws: []string{"GDPR-6-1"}}}, PolicyRevision: "2f7d", Receipt: receipt(47),
	}}
	w = do(s, ofAuthZEN(pathEvaluation, personBody))
	want = `{"decision":false,"context":{"schema":"mahrem.decision/v1","decision_id":"6f1d","policy_revision":"2f7d","reasons":[{"code":"person.not_available","laws":["GDPR-6-1"]}],` +
		`"consent_token":"AQAAAAAAAAAq","log":{"index":47,"leaf_hash":"ab00cd` + strings.Repeat("0", 58) + `"}}}`
	if diff := cmp.Diff(want, w.Body.String()); diff != "" || w.Code != http.StatusOK {
		t.Errorf("denied: status %d (-want +got):\n%s", w.Code, diff)
	}

	// An allowance without evidence does not leave.
	f.given = &gate.Evaluation{Answer: gate.Answer{Decision: gate.Allow}}
	mustStatus(t, do(s, ofAuthZEN(pathEvaluation, personBody)), http.StatusInternalServerError)
}

// TestEvaluationThatIsNotUnderstood: it is denied and says where, and nobody is asked about.
func TestEvaluationThatIsNotUnderstood(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{})
	for old, c := range map[string]struct{ now, pointer string }{
		`"type":"service"`:               {`"type":"user"`, "/subject/type"},
		`"id":"shop"`:                    {`"id":"another"`, "/subject/id"},
		`"name":"personalize"`:           {`"name":"audience"`, "/action/name"},
		`"type":"profile"`:               {`"type":"email"`, "/resource/type"},
		`{"purpose":"greeting"}`:         {`{}`, "/action/properties/purpose"},
		`"purpose":"greeting"`:           {`"purpose":["greeting"]`, "/action/properties/purpose"},
		`"greeting"`:                     {`""`, "/action/properties/purpose"},
		`"channel":"web"`:                {`"channels":"web"`, "/context/channel"},
		`"web"`:                          {`"` + strings.Repeat("w", 65) + `"`, "/context/channel"},
		`["first_name","city"]`:          {`[]`, "/resource/properties/attributes"},
		`"first_name","city"`:            {`"first_name",1`, "/resource/properties/attributes"},
		`"require_all":true`:             {`"require_all":"yes"`, "/context/require_all"},
		`{"occurred_at"`:                 {`["occurred_at"],"x":{"occurred_at"`, "/context/trigger"},
		`"2026-03-01T12:00:00Z"`:         {`"yesterday"`, "/context/trigger/occurred_at"},
		`"AQAAAAAAAAAq"`:                 {`7`, "/context/consent_token"},
		`["custom","step-up"]`:           {`"custom"`, "/context/supported_obligations"},
		`["use_before","something"]`:     {`{}`, "/context/supported_custom_obligations"},
		`["first_name","city"]}},"conte`: {`["` + strings.Repeat(`a","`, gate.MaxAttributes) + `b"]}},"conte`, "/resource/properties/attributes"},
	} {
		body := strings.Replace(personBody, old, c.now, 1)
		if body == personBody {
			t.Fatalf("%s is not there", old)
		}
		w := do(s, ofAuthZEN(pathEvaluation, body))
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), `{"decision":false,"context":{"schema":"mahrem.decision/v1","errors":[{"pointer":"`+c.pointer+`"`) {
			t.Errorf("%s: status %d, want a denial at %s: %s", c.now, w.Code, c.pointer, w.Body)
		}
	}
	if f.evaluated.Load() != 0 {
		t.Error("the gate was asked")
	}
	for pointer, want := range map[string]string{
		"/purpose": "/action/properties/purpose", "/channel": "/context/channel", "/attributes/2": "/resource/properties/attributes/2",
		"/data_subject/pseudonym": "/resource/id", "/consent_token": "/context/consent_token", "/trigger/occurred_at": "/context/trigger/occurred_at", "/case": "/context/case", "/other": "",
	} {
		f.err = fmt.Errorf("evaluating: %w", &privacy.FieldError{Pointer: pointer, Reason: "is not in the catalogue"})
		w := do(s, ofAuthZEN(pathEvaluation, personBody))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"decision":false`) || !strings.Contains(w.Body.String(), `"pointer":"`+want+`"`) {
			t.Errorf("%s: status %d, want a denial at %s: %s", pointer, w.Code, want, w.Body)
		}
	}
}

func TestObligationsAreNegotiated(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]struct {
		negotiated bool
		observes   []policies.ObligationID
	}{
		``:                                      {false, nil},
		`,"supported_obligations":[]`:           {true, nil},
		`,"supported_obligations":["step-up"]`:  {true, nil},
		`,"supported_obligations":["custom"]`:   {false, nil},
		`,"supported_custom_obligations":[]`:    {true, []policies.ObligationID{}},
		`,"supported_custom_obligations":["a"]`: {true, []policies.ObligationID{"a"}},
		`,"supported_custom_obligations":["a"],"supported_obligations":[]`:         {true, nil},
		`,"supported_obligations":["custom"],"supported_custom_obligations":["a"]`: {true, []policies.ObligationID{"a"}},
	} {
		f := &fake{}
		body := `{"subject":{"type":"service","id":"shop"},"action":{"name":"personalize","properties":{"purpose":"greeting"}},"resource":{"type":"profile","id":"AXJ0"},"context":{"channel":"web"` + said + `}}`
		mustStatus(t, do(newServer(f, Config{}), ofAuthZEN(pathEvaluation, body)), http.StatusOK)
		if f.lastQuestion.Negotiated != want.negotiated || !cmp.Equal(f.lastQuestion.Observes, want.observes) {
			t.Errorf("%s: %t %v", said, f.lastQuestion.Negotiated, f.lastQuestion.Observes)
		}
	}
}

// TestEvaluationsFailClosed: what goes wrong is an error for one and a denial among many.
func TestEvaluationsFailClosed(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]struct {
		status  int
		problem string
	}{
		fmt.Errorf("evaluating about %s: %w", secret, privacy.ErrUnavailable): {503, "unavailable"},
		errSecret:                         {500, "internal-error"},
		context.DeadlineExceeded:          {503, "unavailable"},
		errors.Join(privacy.ErrForbidden): {403, "forbidden"},
	} {
		s := newServer(&fake{err: err}, Config{})
		w := do(s, ofAuthZEN(pathEvaluation, personBody))
		mustStatus(t, w, want.status)
		many := do(s, ofAuthZEN(pathEvaluations, strings.TrimSuffix(personBody, "}")+`,"evaluations":[{},{}]}`))
		item := fmt.Sprintf(`{"decision":false,"context":{"schema":"mahrem.decision/v1","error":{"status":%d,"type":"urn:mahrem:problem:%s"}}}`, want.status, want.problem)
		if many.Code != http.StatusOK || many.Body.String() != `{"evaluations":[`+item+`,`+item+`]}` {
			t.Errorf("%v: status %d: %s", err, many.Code, many.Body)
		}
		if strings.Contains(w.Body.String()+many.Body.String(), secret) {
			t.Error("personal data in an error")
		}
	}
	s := newServer(&fake{panics: true}, Config{BatchSlots: 1})
	mustStatus(t, do(s, ofAuthZEN(pathEvaluation, personBody)), http.StatusInternalServerError)
	many := do(s, ofAuthZEN(pathEvaluations, strings.TrimSuffix(personBody, "}")+`,"evaluations":[{},{}]}`))
	if many.Code != http.StatusOK || strings.Count(many.Body.String(), `"decision":false`) != 2 || s.metrics.panics.Load() != 3 {
		t.Errorf("after panics: status %d: %s", many.Code, many.Body)
	}
	s.batches <- struct{}{}
	mustStatus(t, do(s, ofAuthZEN(pathEvaluations, strings.TrimSuffix(personBody, "}")+`,"evaluations":[{}]}`)), http.StatusServiceUnavailable)
}
