package assembly

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent/link"
	"github.com/mahrem/mahrem/consent/notice"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/internal/evidence"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

// routeCall is one call of one operation.
type routeCall struct {
	// route is the name in the table of evidence, path where it is called: $NAME is replaced.
	route, path string
	// as is the token, body what is sent.
	as, body string
	status   int
	// refused is whether nothing was done, whatever the status.
	refused bool
	// kept are values of the answer that later calls need, by the name of a member.
	kept map[string]string
	// left is what the log must have grown by, in order.
	left []audit.Kind
	// do is called in place of an ordinary call.
	do func() int
}

// stillSender takes letters and sends none.
type stillSender struct{}

func (stillSender) Send(context.Context, outbox.Delivery, []byte) (outbox.Result, error) {
	return outbox.Result{}, nil
}

// routesTested is a house that is served, and what was learnt from its answers.
type routesTested struct {
	t      *testing.T
	web    *httptest.Server
	tokens map[string]string
	values map[string]string
}

var placeholder = regexp.MustCompile(`\$[A-Z_0-9]+`)

func (r *routesTested) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string {
		value, known := r.values[name[1:]]
		if !known {
			r.t.Fatalf("nothing is known as %s", name)
		}
		return value
	})
}

func (r *routesTested) call(c *routeCall) (int, []byte) {
	r.t.Helper()
	if c.do != nil {
		return c.do(), nil
	}
	method, path, _ := strings.Cut(c.route, " ")
	if c.path != "" {
		path = r.fill(c.path)
	}
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.web.URL+path, strings.NewReader(r.fill(c.body)))
	if err != nil {
		r.t.Fatal(err)
	}
	if c.as != "" {
		request.Header.Set("Authorization", "Bearer "+r.tokens[c.as])
	}
	if c.body != "" {
		request.Header.Set("Content-Type", "application/json")
		if strings.HasPrefix(c.body, "List-Unsubscribe=") {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if path == "/v1/query:batch" || path == "/v1/ingest" || strings.HasSuffix(path, "/snapshots") {
			request.Header.Set("Content-Type", "application/x-ndjson")
		}
		if strings.HasPrefix(c.body, "mahrem ") {
			request.Header.Set("Content-Type", "text/plain; charset=utf-8") // a signed note
		}
	}
	response, err := r.web.Client().Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, body
}

// keep finds the members of an answer, wherever they are in it.
func (r *routesTested) keep(c *routeCall, body []byte) {
	r.t.Helper()
	for name, member := range c.kept {
		found := regexp.MustCompile(`"` + member + `":"?([^",}]+)`).FindSubmatch(body)
		if found == nil {
			r.t.Fatalf("%s: there is no %s in %s", c.route, member, body)
		}
		r.values[name] = string(found[1])
		if _, token, ok := strings.Cut(string(found[1]), link.Path); ok {
			r.values[name+"_TOKEN"] = token
		}
	}
}

// kindsAfter are the kinds of the entries from an index on.
func kindsAfter(t *testing.T, house *House, size uint64) (kinds []audit.Kind) {
	t.Helper()
	end, err := house.Log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if end == size {
		return nil
	}
	return kindsSince(t, house, size)
}

// TestEveryRouteLeavesWhatTheTableSays calls each operation of the API on a real server over
// PostgreSQL, and compares what the log grew by with the table of evidence. A route that is not
// called here fails the test.
func TestEveryRouteLeavesWhatTheTableSays(t *testing.T) {
	t.Parallel()
	shop, house, _ := pair(t, opendsr.V3)
	house.addSender(outbox.Webhook, stillSender{})
	if err := house.openIdentity(); err != nil { // with a way to send codes
		t.Fatal(err)
	}
	house.Settings.Controller = receiptController
	if err := house.openReceipts(); err != nil { // with somebody who answers
		t.Fatal(err)
	}
	api, err := house.Server(server.Config{Log: slog.New(slog.DiscardHandler), PublicURL: house.address, RequestTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r := &routesTested{t: t, web: httptest.NewServer(api), tokens: map[string]string{}, values: map[string]string{"CALLBACK": shop.address + callbackPath}}
	t.Cleanup(r.web.Close)
	for name, principal := range map[string]privacy.Principal{
		"shop":        {ID: "shop", Role: privacy.RoleService, Recipient: "web_shop"},
		"recommender": {ID: "recommender", Role: privacy.RoleService, Recipient: "recommender"},
		"brand":       loyalty,
		"media":       {ID: "media", Role: privacy.RoleService, Recipient: "retail_media"},
		"dpo":         {ID: "officer", Role: privacy.RoleDPO},
		"auditor":     {ID: "auditor", Role: privacy.RoleAuditor},
		"ingest":      {ID: "till", Role: privacy.RoleIngest},
	} {
		minted, err := house.Tokens.Mint(principal, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		r.tokens[name] = minted.Token
	}
	// What the calls need and do not make themselves: pseudonyms, and an export that waits.
	for _, recipient := range []privacy.RecipientID{"web_shop", "recommender"} {
		names, err := house.Pseudonyms.Of(recipient)
		if err != nil {
			t.Fatal(err)
		}
		id, err := house.People.ResolveIdentifier(t.Context(), privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("P-77")})
		if err != nil {
			t.Fatal(err)
		}
		pseudonymous, err := names.Of(id)
		if err != nil {
			t.Fatal(err)
		}
		r.values["PSEUDONYM_"+strings.ToUpper(string(recipient))] = string(pseudonymous)
	}
	access := house.open(dsar.Access)
	house.take(access.ID, dsar.Move{Action: dsar.ActionVerify, Proof: dsar.ProofJudgement})
	_, lock, err := export.DrawPassphrase(house.random())
	if err != nil {
		t.Fatal(err)
	}
	exported, err := house.ExportRequests(t.Context(), Operator("tester"), []ExportOrder{{Request: access.ID, Lock: lock, Life: time.Hour}}, nil)
	if err != nil || len(exported) != 1 || exported[0].Err != nil || exported[0].Link == nil {
		t.Fatalf("%+v, %v", exported, err)
	}
	r.values["EXPORT"] = exported[0].Link.Token.RevealPersonalData()
	if _, err := house.Notices.Publish(t.Context(), Operator("tester"), notice.Notice{
		Version: "2026-03", Purposes: []privacy.Purpose{"newsletter"}, EffectiveFrom: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		Texts: []notice.Text{{Language: "en", Body: "We write to you on Fridays."}},
	}); err != nil {
		t.Fatal(err)
	}

	mustMatchedRoom(t, house.House)
	signers := mustRoom(t, house.House, "web_shop", "retail_media")
	delivery := mustDelivery(t, house.House, signers["retail_media"])
	mustHomes(t, house.House, signers["retail_media"])
	contract, template := mustSignAudience(t, signers["retail_media"])

	person := `"data_subject":{"identifier":{"kind":"customer_number","value":"P-77"}}`
	question := `{` + person + `,"purpose":"greeting","channel":"web","attributes":["first_name"]}`
	theirs := func(id string) string {
		return `{"regulation":"gdpr","subject_request_id":"` + id + `","subject_request_type":"access","submitted_time":"` + time.Now().UTC().Add(-time.Minute).Format(time.RFC3339) +
			`","subject_identities":{"email":{"value":"ayse@example.org","encoding":"raw"}},"status_callback_urls":["$CALLBACK"]}`
	}
	const first, second = "a7551968-d5d6-44b2-9831-815ac9017798", "b7551968-d5d6-44b2-9831-815ac9017798"
	calls := []routeCall{
		{route: "POST /v1/query", as: "shop", body: question, status: 200, kept: map[string]string{"DECISION": "decision_id"}, left: []audit.Kind{audit.QueryAnswered}},
		{route: "POST /v1/query", as: "shop", body: strings.Replace(question, "P-77", "nobody", 1), status: 200, left: []audit.Kind{audit.QueryDenied}},
		{route: "POST /v1/query", as: "shop", body: strings.TrimSuffix(question, "}") + `,"signals":{"tcf":"CO+++"}}`, status: 200, left: []audit.Kind{audit.SignalRejected, audit.QueryAnswered}},
		{route: "POST /v1/query:batch", as: "shop", body: question + "\n" + question + "\n", status: 200, left: []audit.Kind{audit.QueryAnswered, audit.QueryAnswered}},
		{route: "POST /access/v1/evaluation", as: "shop", body: `{"subject":{"type":"service","id":"web_shop"},"action":{"name":"personalize","properties":{"purpose":"greeting"}},` +
			`"resource":{"type":"profile","id":"$PSEUDONYM_WEB_SHOP"},"context":{"channel":"web"}}`, status: 200, left: []audit.Kind{audit.QueryAnswered}},
		{route: "POST /access/v1/evaluations", as: "shop", body: `{"subject":{"type":"service","id":"web_shop"},"resource":{"type":"profile","id":"$PSEUDONYM_WEB_SHOP"},"context":{"channel":"web"},` +
			`"evaluations":[{"action":{"name":"personalize","properties":{"purpose":"greeting"}}}]}`, status: 200, left: []audit.Kind{audit.QueryAnswered}},
		{ // a refusal in the form of the protocol: nobody was looked up
			route: "POST /access/v1/evaluation", as: "shop", body: `{"subject":{"type":"service","id":"somebody"},"action":{"name":"personalize","properties":{"purpose":"greeting"}},` +
				`"resource":{"type":"profile","id":"$PSEUDONYM_WEB_SHOP"},"context":{"channel":"web"}}`, status: 200, refused: true,
		},
		{route: "GET /.well-known/authzen-configuration", status: 200},
		{route: "POST /v1/audience", as: "recommender", body: `{"purpose":"recommendations","channel":"email"}`, status: 200, left: []audit.Kind{audit.AudienceDenied}},
		{route: "POST /v1/signals", as: "dpo", body: `{` + person + `,"signals":{"sec_gpc":["1"],"tcf":"CO+++"}}`, status: 200, left: []audit.Kind{audit.SignalRejected, audit.ConsentObjected, audit.ConsentObjected}},
		{route: "POST /v1/signals", as: "dpo", body: `{` + person + `,"signals":{"sec_gpc":["1"]}}`, status: 200},
		{route: "GET /.well-known/gpc.json", status: 200},
		{route: "POST /v1/consents", as: "dpo", body: `{` + person + `,"action":"withdrawn","purpose":"newsletter","channel":"*","source":"unsubscribe_link"}`, status: 201, kept: map[string]string{"CONSENT": "consent_id"}, left: []audit.Kind{audit.ConsentWithdrawn}},
		{route: "GET /v1/consents/{consent_id}/receipt", path: "/v1/consents/$CONSENT/receipt?recipient=web_shop", as: "dpo", status: 200, left: []audit.Kind{audit.KeyCreated, audit.ReceiptIssued}},
		{route: "GET /v1/consents/{consent_id}/receipt", path: "/v1/consents/$CONSENT/receipt?format=iso27560", as: "shop", status: 200, left: []audit.Kind{audit.ReceiptIssued}},
		{route: "GET /v1/consents/{consent_id}/receipt", path: "/v1/consents/$CONSENT/receipt", as: "recommender", status: 403}, // the newsletter is not its business
		{route: "POST /v1/consents", as: "recommender", body: `{"data_subject":{"pseudonym":"$PSEUDONYM_RECOMMENDER"},"action":"refused","purpose":"recommendations","channel":"web","source":"web_form",` +
			`"receipt":"iso27560"}`, status: 201, left: []audit.Kind{audit.ConsentRefused, audit.ReceiptIssued}},
		{route: "GET /.well-known/jwks.json", status: 200},
		{route: "POST /v1/consents:show", as: "dpo", body: `{` + person + `,"time":"2026-03-06T00:00:00Z","known_at":"2026-03-06T00:00:00Z"}`, status: 200, left: []audit.Kind{audit.PersonShown}},
		{route: "POST /v1/consents:show", as: "shop", body: `{"data_subject":{"pseudonym":"$PSEUDONYM_WEB_SHOP"}}`, status: 200, left: []audit.Kind{audit.PersonShown}},
		{route: "POST /v1/consents:withdraw", as: "dpo", body: `{` + person + `,"purposes":["newsletter","content"],"channels":["*"],"source":"preference_page"}`, status: 201, left: []audit.Kind{audit.ConsentWithdrawn, audit.ConsentWithdrawn}},
		{route: "POST /v1/consents:withdraw", as: "shop", body: `{"data_subject":{"pseudonym":"$PSEUDONYM_WEB_SHOP"},"purposes":["loyalty"],"channels":["*"],"source":"preference_page","actor":"guardian"}`, status: 201, left: []audit.Kind{audit.ConsentGuardianWithdrawn}},
		{route: "POST /v1/consents:link", as: "dpo", body: `{` + person + `,"purposes":["newsletter"],"channels":["email"],"language":"tr"}`, status: 201, kept: map[string]string{"LINK": "url"}, left: []audit.Kind{audit.KeyCreated}},
		{route: "POST /v1/consents:link", as: "dpo", body: `{` + person + `,"purposes":["newsletter"],"channels":["email"]}`, status: 201},
		{route: "GET /withdraw/{token}", path: "/withdraw/$LINK_TOKEN", status: 200},
		{route: "POST /withdraw/{token}", path: "/withdraw/$LINK_TOKEN", body: "List-Unsubscribe=One-Click", status: 200, left: []audit.Kind{audit.ConsentWithdrawn}},
		{route: "POST /withdraw/{token}", path: "/withdraw/forged", body: "List-Unsubscribe=One-Click", status: 404},
		{route: "POST /v1/cases", as: "dpo", body: `{` + person + `,"kind":"complaint","recipient":"web_shop"}`, status: 201, kept: map[string]string{"CASE": "case"}, left: []audit.Kind{audit.CaseOpened}},
		{route: "POST /v1/cases:close", as: "dpo", body: `{"case":"$CASE"}`, status: 200, left: []audit.Kind{audit.CaseClosed}},
		{
			route: "POST /v1/objections", as: "dpo", body: `{` + person + `,"purposes":["newsletter","loyalty"],"jurisdiction":"CZ","language":"cs"}`, status: 201,
			left: []audit.Kind{audit.RequestOpened, audit.ConsentObjected, audit.ConsentObjected},
		},
		{
			route: "POST /v1/objections", as: "shop", body: `{"data_subject":{"pseudonym":"$PSEUDONYM_WEB_SHOP"},"jurisdiction":"TR","language":"tr"}`, status: 201,
			left: []audit.Kind{audit.RequestOpened, audit.ConsentObjected},
		},
		{
			route: "POST /v1/complaints", as: "shop", body: `{"category":"unwanted_marketing","jurisdiction":"UK","language":"en","identifiers":[{"kind":"email","value":"ayse@example.org"}]}`, status: 201,
			left: []audit.Kind{audit.RequestOpened},
		},
		{
			route: "POST /v1/complaints", as: "shop", body: `{"category":"other","jurisdiction":"CZ","language":"cs","data_subject":{"pseudonym":"$PSEUDONYM_WEB_SHOP"}}`, status: 201,
			left: []audit.Kind{audit.RequestOpened},
		},
		{
			route: "POST /v1/dsar/requests", as: "dpo", body: `{"kind":"access","jurisdiction":"CZ","language":"cs","identifiers":[{"kind":"email","value":"ayse@example.org"}]}`,
			status: 201, kept: map[string]string{"REQUEST": "request"}, left: []audit.Kind{audit.RequestOpened},
		},
		{route: "POST /v1/dsar/requests:send_code", as: "dpo", body: `{"request":"$REQUEST"}`, status: 200, left: []audit.Kind{audit.RequestNotified}},
		{route: "POST /v1/dsar/requests:verify", as: "dpo", body: `{"request":"$REQUEST","method":"code","code":"0000 0000"}`, status: 409, left: []audit.Kind{audit.RequestUnverified}},
		{route: "POST /v1/dsar/requests:verify", as: "dpo", body: `{"request":"$REQUEST","method":"judgement","ground":"known_in_person"}`, status: 200, left: []audit.Kind{audit.RequestVerified}},
		{route: "GET /v1/dsar/requests/{request_id}", path: "/v1/dsar/requests/$REQUEST", as: "dpo", status: 200, left: []audit.Kind{audit.PersonShown}},
		{route: "POST /v1/dsar/requests:step", as: "dpo", body: `{"request":"$REQUEST","step":"withdraw"}`, status: 200, left: []audit.Kind{audit.RequestWithdrawn}},
		{route: "POST /v1/dsar/requests:step", as: "dpo", body: `{"request":"$REQUEST","step":"withdraw"}`, status: 409, left: []audit.Kind{audit.RequestRefused}},
		{route: "GET /v1/dsar/queue", as: "auditor", status: 200},
		{route: "GET /opendsr/{version}/discovery", path: "/opendsr/v3/discovery", status: 200},
		{route: "GET /opendsr/certificate.pem", status: 200},
		{route: "POST /opendsr/{version}/requests", path: "/opendsr/v3/requests", as: "shop", body: theirs(first), status: 201, left: []audit.Kind{audit.RequestOpened}},
		{route: "POST /opendsr/{version}/requests", path: "/opendsr/v3/requests", as: "shop", body: theirs(first), status: 400, left: []audit.Kind{audit.RequestRefused}}, // its id was used
		{route: "GET /opendsr/{version}/requests/{subject_request_id}", path: "/opendsr/v3/requests/" + first, as: "shop", status: 200},
		{route: "DELETE /opendsr/{version}/requests/{subject_request_id}", path: "/opendsr/v3/requests/" + first, as: "shop", status: 202, left: []audit.Kind{audit.RequestWithdrawn}},
		{
			route: "POST /opendsr/{version}/opengdpr_requests", path: "/opendsr/v1/opengdpr_requests", as: "shop", status: 201, left: []audit.Kind{audit.RequestOpened},
			body: `{"subject_request_id":"` + second + `","subject_request_type":"access","submitted_time":"2026-03-01T12:00:00Z","api_version":"1.0",` +
				`"subject_identities":[{"identity_type":"email","identity_value":"ayse@example.org","identity_format":"raw"}],"status_callback_urls":["$CALLBACK"]}`,
		},
		{route: "GET /opendsr/{version}/opengdpr_requests/{subject_request_id}", path: "/opendsr/v1/opengdpr_requests/" + second, as: "shop", status: 200},
		{route: "DELETE /opendsr/{version}/opengdpr_requests/{subject_request_id}", path: "/opendsr/v1/opengdpr_requests/" + second, as: "shop", status: 202, left: []audit.Kind{audit.RequestWithdrawn}},
		{route: "POST /v1/rooms/{room}/contracts", path: "/v1/rooms/snacks/contracts", as: "media", body: contract, status: 201, left: []audit.Kind{audit.ContractSigned}},
		{route: "POST /v1/rooms/{room}/contracts", path: "/v1/rooms/snacks/contracts", as: "media", body: contract, status: 200},
		{route: "POST /v1/rooms/{room}/contracts", path: "/v1/rooms/snacks/contracts", as: "shop", body: contract, status: 403, left: []audit.Kind{audit.RoomDenied}},
		{route: "POST /v1/rooms/{room}/contracts", path: "/v1/rooms/snacks/contracts", as: "media", body: strings.Replace(contract, "\u2014 retail_media ", "\u2014 retail_media A", 1), status: 422, left: []audit.Kind{audit.RoomDenied}},
		{route: "GET /v1/rooms/{room}/contracts", path: "/v1/rooms/snacks/contracts", as: "shop", status: 200},
		{route: "GET /v1/rooms/{room}/contracts/{dataset}", path: "/v1/rooms/snacks/contracts/retail_media.audience", as: "auditor", status: 200},
		{route: "POST /v1/rooms/{room}/templates", path: "/v1/rooms/snacks/templates", as: "media", body: template, status: 201, left: []audit.Kind{audit.TemplateSigned}},
		{route: "POST /v1/rooms/{room}/templates", path: "/v1/rooms/snacks/templates", as: "media", body: template, status: 200},
		{route: "POST /v1/rooms/{room}/templates", path: "/v1/rooms/snacks/templates", as: "shop", body: template, status: 403, left: []audit.Kind{audit.RoomDenied}},
		{route: "GET /v1/rooms/{room}/templates", path: "/v1/rooms/snacks/templates", as: "shop", status: 200},
		{route: "POST /v1/rooms/{room}/queries:price", path: "/v1/rooms/loyalty/queries:price", as: "brand", body: loyaltyQuery, status: 200, left: []audit.Kind{audit.RoomPriced}},
		{route: "POST /v1/rooms/{room}/queries", path: "/v1/rooms/loyalty/queries", as: "brand", body: loyaltyQuery, status: 200, left: []audit.Kind{audit.RoomCharged, audit.RoomReleased}},
		{route: "POST /v1/rooms/{room}/queries", path: "/v1/rooms/loyalty/queries", as: "brand", body: loyaltyQuery, status: 200, left: []audit.Kind{audit.RoomReleased}},
		{route: "POST /v1/rooms/{room}/queries", path: "/v1/rooms/loyalty/queries", as: "shop", body: loyaltyQuery, status: 403, left: []audit.Kind{audit.RoomDenied}},
		{route: "GET /v1/rooms/{room}/budget", path: "/v1/rooms/loyalty/budget", as: "brand", status: 200},
		{route: "GET /v1/rooms/{room}/budget", path: "/v1/rooms/loyalty/budget", as: "shop", status: 403, left: []audit.Kind{audit.RoomDenied}},
		{route: "POST /v1/rooms/{room}/activations", path: "/v1/rooms/homes/activations", as: "brand", body: homesQuery, status: 200, left: []audit.Kind{audit.RoomCharged, audit.KeyCreated, audit.RoomActivated}},
		{route: "POST /v1/rooms/{room}/activations", path: "/v1/rooms/homes/activations", as: "brand", body: strings.Replace(homesQuery, "gold", "silver", 1), status: 403, left: []audit.Kind{audit.RoomCharged, audit.RoomDenied}},
		{route: "POST /v1/rooms/{room}/activations", path: "/v1/rooms/homes/activations", as: "media", body: homesQuery, status: 403, left: []audit.Kind{audit.RoomDenied}},
		{route: "POST /v1/rooms/{room}/snapshots", path: "/v1/rooms/spring/snapshots", as: "media", body: delivery, status: 201, left: []audit.Kind{audit.SnapshotAdmitted}},
		{route: "POST /v1/rooms/{room}/snapshots", path: "/v1/rooms/spring/snapshots", as: "media", body: delivery, status: 200}, // once is enough
		{route: "POST /v1/rooms/{room}/snapshots", path: "/v1/rooms/spring/snapshots", as: "media", body: "{}\n", status: 422, refused: true},
		{route: "GET /v1/rooms/{room}/snapshots/{manifest}", path: "/v1/rooms/spring/snapshots/" + manifestOf(t, delivery), as: "media", status: 200},
		{route: "GET /v1/rooms/{room}/snapshots/{manifest}", path: "/v1/rooms/spring/snapshots/" + manifestOf(t, delivery), as: "brand", status: 404},
		{route: "POST /v1/rooms/{room}/oprf:evaluate", path: "/v1/rooms/snacks/oprf:evaluate", as: "shop", body: `{"dataset":"audience","members":1,"epoch":1,"elements":["4vKuCmq8TnGohKlhxQBRX1jjC2qlgt2NtqZZReCNLXY="]}`, status: 200, left: []audit.Kind{audit.RoomEvaluated}},
		{route: "POST /v1/rooms/{room}/oprf:evaluate", path: "/v1/rooms/snacks/oprf:evaluate", as: "brand", body: `{"dataset":"audience","members":1,"epoch":1,"elements":["4vKuCmq8TnGohKlhxQBRX1jjC2qlgt2NtqZZReCNLXY="]}`, status: 403, left: []audit.Kind{audit.RoomDenied}},
		{route: "POST /v1/rooms/{room}/oprf:evaluate", path: "/v1/rooms/snacks/oprf:evaluate", as: "shop", body: `{"dataset":"audience","members":1,"epoch":1,"elements":["4vKuCmq8TnGohKlhxQBRX1jjC2qlgt2NtqZZReCNLXY=","4vKuCmq8TnGohKlhxQBRX1jjC2qlgt2NtqZZReCNLXY="]}`, status: 409, left: []audit.Kind{audit.RoomDenied}},
		{route: "POST /v1/ingest", as: "ingest", body: `{"identifiers":[{"kind":"customer_number","value":"P-78"}],"jurisdiction":"CZ","attributes":{"first_name":"Jana"}}` + "\n", status: 200, left: []audit.Kind{audit.BatchIngested}},
		{route: "POST /v1/reidentify", as: "dpo", body: `{"recipient":"recommender","pseudonym":"$PSEUDONYM_RECOMMENDER","purpose":"data_subject_request"}`, status: 200, left: []audit.Kind{audit.PersonReidentified}},
		{route: "GET /v1/dsar/exports/{token}", path: "/v1/dsar/exports/$EXPORT", status: 200, left: []audit.Kind{audit.ExportFetched}},
		{route: "GET /v1/notices/{version}", path: "/v1/notices/2026-03", as: "shop", status: 200},
		{route: "GET /v1/decisions/{decision_id}", path: "/v1/decisions/$DECISION", as: "auditor", status: 200, left: []audit.Kind{audit.DecisionShown}},
		{route: "GET /v1/rooms", as: "auditor", status: 200},
		{route: "GET /v1/rooms/{room}", path: "/v1/rooms/snacks", as: "auditor", status: 200},
		{route: "GET /v1/audit/checkpoint", as: "auditor", status: 200},
		{route: "GET /log/checkpoint", as: "auditor", status: 200},
		{route: "GET /log/tile/{level}/{number...}", path: "/log/tile/0/000.p/1", as: "auditor", status: 200},
		{route: "GET /log/tile/entries/{number...}", path: "/log/tile/entries/000.p/1", as: "auditor", status: 200, left: []audit.Kind{audit.LogRead}},
		{route: "GET /log/tile/entries/{number...}", path: "/log/tile/entries/000.p/1", as: "auditor", status: 200}, // once an hour
		{route: "GET /healthz", status: 200},
		{route: "GET /readyz", status: 200},
		{route: "GET /metrics", status: 200},
		{route: "GET /openapi.yaml", status: 200},
	}
	operations := map[string]evidence.Operation{}
	for _, o := range evidence.Routes() {
		operations[o.Name] = o
	}
	called := map[string]bool{}
	for i := range calls {
		c := &calls[i]
		if err := house.Log.SignCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		before, err := house.Log.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		status, body := r.call(c)
		left := kindsAfter(t, house.House, before)
		if status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.route, status, c.status, body)
			continue
		}
		if !slices.Equal(left, c.left) {
			t.Errorf("%s: the log grew by %v, want %v: %.600s", c.route, left, c.left, body)
		}
		o, known := operations[c.route]
		if !known {
			t.Errorf("%s is no operation of the table", c.route)
		}
		if wrong := o.Check(status < 300 && !c.refused, left); wrong != "" {
			t.Error(wrong)
		}
		called[c.route] = called[c.route] || status < 300 && !c.refused
		r.keep(c, body)
	}
	callbackLeaves(t, shop, house, operations["POST /opendsr/callbacks"])
	called["POST /opendsr/callbacks"] = true
	var missing []string
	for _, o := range evidence.Routes() {
		if !called[o.Name] {
			missing = append(missing, o.Name)
		}
	}
	if diff := cmp.Diff([]string(nil), missing); diff != "" {
		t.Errorf("no call succeeded of (+):\n%s", diff)
	}
}

// callbackLeaves has a processor answer a shop, over the address at which the shop is served.
func callbackLeaves(t *testing.T, shop, processor *party, o evidence.Operation) {
	t.Helper()
	request := shop.open(dsar.Access)
	shop.take(request.ID, dsar.Move{Action: dsar.ActionVerify, Proof: dsar.ProofJudgement})
	shop.tell(request, nil)
	if arrived, _ := shop.send(); arrived != 1 {
		t.Fatal("the request did not arrive")
	}
	page, err := processor.Requests.Queue(t.Context(), Operator("tester"), dsar.Filter{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, theirs := range page.Requests {
		if theirs.Via == dsar.ViaOpenDSR && theirs.State == dsar.Received {
			processor.take(theirs.ID, dsar.Move{Action: dsar.ActionVerify, Proof: dsar.ProofAttested})
			processor.take(theirs.ID, dsar.Move{Action: dsar.ActionFulfil, Evidence: audit.Digest{1}})
		}
	}
	if _, err := processor.OpenDSR.Desk.Tell(t.Context(), processor.Keys.Vault(), processor.random()); err != nil {
		t.Fatal(err)
	}
	before, err := shop.Log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		processor.send()
	}
	left := kindsAfter(t, shop.House, before)
	if !slices.Contains(left, audit.ProcessorAnswered) {
		t.Errorf("%s left %v", o.Name, left)
	}
	if wrong := o.Check(true, left); wrong != "" {
		t.Error(wrong)
	}
}
