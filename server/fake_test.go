package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/link"
	"github.com/mahrem/mahrem/consent/signal"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault/keydir"
)

// secret stands for personal data in every test: it must never come back in an error.
const secret = "ayse.yilmaz@example.org"

const (
	queryBody = `{"data_subject":{"identifier":{"kind":"email","value":"` + secret + `"}},"purpose":"greeting","channel":"email","attributes":["first_name"]}`
	// consentBody and the other bodies are good requests that tests bend.
	consentBody  = `{"data_subject":{"identifier":{"kind":"customer_number","value":"C-1"}},"action":"withdrawn","purpose":"newsletter","channel":"*","source":"web_form"}`
	audienceBody = `{"purpose":"recommendations","channel":"email","conditions":[{"attribute":"loyalty_tier","in":["gold","silver"]}]}`
	ingestBody   = `{"identifiers":[{"kind":"customer_number","value":"C-1042"}]}` + "\n"
)

var (
	person         = privacy.DataSubjectID{7}
	shopPseudonyms = must(newPseudonyms())
	shopPseudonym  = must(shopPseudonyms.Of(person))
	reidentifyBody = `{"recipient":"shop","pseudonym":"` + string(shopPseudonym) + `","purpose":"dsar"}`
)

// newPseudonyms makes those of a recipient called shop, from real keys.
func newPseudonyms() (*pseudonym.Pseudonyms, error) {
	dir, err := os.MkdirTemp("", "mahrem-server-test-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "keys")
	if err := keydir.Create(path, keydir.Config{}); err != nil {
		return nil, err
	}
	keys, err := keydir.Open(path, keydir.Config{})
	if err != nil {
		return nil, err
	}
	if _, err := keys.EnsureRecipient("shop"); err != nil {
		return nil, err
	}
	cipher, err := keys.Recipient("shop")
	if err != nil {
		return nil, err
	}
	return pseudonym.New("shop", cipher)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// fake is every service at once: it answers well unless err is set.
type fake struct {
	err error
	// unlogged gives what was asked for without evidence.
	unlogged  bool
	ask       func(context.Context, gate.Query) (gate.Answer, error)
	checks    []Check
	given     *gate.Evaluation
	panics    bool
	asked     atomic.Int64
	evaluated atomic.Int64
	checked   atomic.Int64

	lastQuery      gate.Query
	lastQuestion   gate.Question
	lastAudience   gate.AudienceQuery
	lastIdentifier privacy.Identifier
	lastAction     consent.Action
	lastChange     consent.Change
	lastLines      string
	lastOptions    intake.StreamOptions
	lastSighting   signal.Sighting
}

func receipt(index uint64) audit.Receipt {
	return audit.Committed([16]byte{1}, [32]byte{0xab, 2: 0xcd}, index)
}

func (f *fake) Verify(token string) (privacy.Principal, error) {
	role, err := privacy.ParseRole(token)
	if err != nil {
		return privacy.Principal{}, privacy.ErrUnauthenticated
	}
	p := privacy.Principal{ID: "caller", Role: role}
	if role == privacy.RoleService {
		p.Recipient = "shop"
	}
	return p, nil
}

func (f *fake) Ask(ctx context.Context, _ privacy.Principal, q gate.Query) (gate.Answer, error) {
	f.asked.Add(1)
	if f.ask != nil {
		return f.ask(ctx, q)
	}
	f.lastQuery = q
	return gate.Answer{
		DecisionID: "6f1c", Decision: gate.Allow, Pseudonym: "AXJ0",
		Attributes: map[privacy.AttributeName]gate.Released{
			"first_name":               {Values: []privacy.Plain{privacy.NewPlain("Ayşe \"A\"\n")}, Level: policies.Exact},
			"purchases.product_groups": {Values: []privacy.Plain{privacy.NewPlain("grocery.dairy")}, List: true, Level: policies.Generalized},
			"preferences.brands":       {List: true, Level: policies.Exact},
		},
		Obligations:    []gate.Obligation{{ID: policies.NoSourceReference}, {ID: policies.UseBefore, UseBefore: time.Date(2026, 3, 1, 14, 0, 0, 0, time.FixedZone("", 7200))}},
		Reasons:        []policies.Reason{{Check: "basis.lawful", Laws: []string{"GDPR-6-1-a"}}},
		PolicyRevision: "2f7d", Receipt: receipt(42),
	}, f.err
}

func (f *fake) Evaluate(_ context.Context, _ privacy.Principal, q gate.Question) (gate.Evaluation, error) {
	if f.panics {
		panic(secret)
	}
	if f.err != nil {
		return gate.Evaluation{}, f.err
	}
	f.evaluated.Add(1)
	if f.given != nil {
		return *f.given, nil
	}
	f.lastQuestion = q
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return gate.Evaluation{
		Answer: gate.Answer{
			DecisionID: "6f1c", Decision: gate.Allow, Obligations: []gate.Obligation{{ID: policies.UseBefore, UseBefore: at}},
			Reasons: []policies.Reason{{Check: "basis.contract", Laws: []string{"GDPR-6-1-b"}}}, PolicyRevision: "2f7d", Receipt: receipt(46),
		},
		Basis: privacy.Contract,
		Effects: []gate.Effect{
			{Attribute: "city", Level: policies.Generalized, To: "region", Reasons: []string{"attribute.imprecise"}},
			{Attribute: "first_name", Level: policies.Exact},
			{Attribute: "persona", Level: policies.Persona},
			{Attribute: "x", Reasons: []string{"category.not_granted"}},
		},
		ValidUntil: at.Add(time.Minute),
	}, nil
}

func (f *fake) ResolveIdentifier(_ context.Context, identifier privacy.Identifier) (privacy.DataSubjectID, error) {
	f.lastIdentifier = identifier
	return person, nil
}

// Of makes the pseudonyms of the one recipient.
func (f *fake) Of(recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error) {
	if recipient != "shop" {
		return nil, privacy.ErrNotFound
	}
	return shopPseudonyms, nil
}

func (f *fake) Record(_ context.Context, _ privacy.Principal, action consent.Action, change consent.Change) (consent.Receipt, error) {
	// The same id again is a repetition.
	repeated := change.ID != [16]byte{} && change.ID == f.lastChange.ID
	f.lastAction, f.lastChange = action, change
	id := change.ID
	if id == ([16]byte{}) {
		id, _ = consent.ParseID(consentNumber)
	}
	return consent.Receipt{Added: consent.Added{Receipt: receipt(43), Duplicate: repeated, Record: consent.Record{ID: id}}, Token: consent.NewToken(receipt(43))}, f.err
}

func (f *fake) LoadStream(_ context.Context, in io.Reader, options intake.StreamOptions) (intake.StreamResult, error) {
	lines, err := io.ReadAll(in)
	if err != nil {
		return intake.StreamResult{}, err
	}
	f.lastLines, f.lastOptions = string(lines), options
	return intake.StreamResult{
		Summary: intake.Summary{Rows: 3, Accepted: 2, Rejected: 1}, Unchanged: 1,
		Rejects: []intake.Reject{{Row: 2, Reason: intake.BadTime, Field: "/events/0/at"}}, Receipt: receipt(44),
	}, f.err
}

func (f *fake) LatestCheckpoint(context.Context) ([]byte, error) {
	return []byte("origin\n1\nAAAA\n"), f.err
}

func (f *fake) Reidentify(_ context.Context, _ privacy.Principal, _ privacy.Purpose, of *pseudonym.Pseudonyms, text pseudonym.Pseudonym) (privacy.DataSubjectID, audit.Receipt, error) {
	if f.err != nil {
		return privacy.DataSubjectID{}, audit.Receipt{}, f.err
	}
	id, err := of.DataSubject(text)
	return id, receipt(45), err
}

func (f *fake) Checks(context.Context) []Check {
	f.checked.Add(1)
	if f.checks != nil {
		return f.checks
	}
	return []Check{{Name: "database"}, {Name: "log"}, {Name: "policies", Detail: "2f7d"}}
}

// newServer waits for minutes, unless it is said otherwise: how long a busy machine takes says
// nothing.
func newServer(f *fake, config Config) *Server {
	setDefault(&config.RequestTimeout, 10*time.Minute)
	setDefault(&config.IngestTimeout, 10*time.Minute)
	config.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	links := &withdrawals{fake: f, offer: link.Offer{Language: "en"}}
	return New(Services{Withdrawer: links, Links: links, Tokens: f, Gate: f, Evaluator: f, Audiences: f, Directory: f, Pseudonyms: f, Reidentify: f, Consent: f, Consents: fakeConsents{f}, Receipts: &fakeReceipts{fake: f}, Signals: fakeSignals{f}, Cases: &fakeCases{fake: f}, Requests: &fakeRequests{fake: f}, Objections: fakeObjections{f}, Letters: fakeLetters{f}, Identity: &fakeIdentity{fake: f}, Processor: fakeDesk{f}, Callbacks: fakeDesk{f}, Intake: f, Decisions: fakeDecisions{f}, Notices: fakeNotices{f}, Exports: &fakeExports{fake: f}, Log: f, Tiles: fakeTiles{f}, Health: f, RoomEvaluator: fakeEvaluator{f}, RoomQueries: &fakeRooms{fake: f}, RoomActivator: &fakeActivator{fake: f}, Rooms: fakeReader{}, RoomAdmitter: fakeAdmitter{f}, RoomFiler: &fakeFiler{fake: f}}, config)
}

// request describes one call; the zero fields are those of a good query.
type request struct {
	method, target, token, contentType, body string
	header                                   map[string]string
}

func do(s http.Handler, r request) *httptest.ResponseRecorder {
	if r.method == "" {
		r.method = "POST"
	}
	if r.target == "" {
		r.target = "/v1/query"
	}
	hr := httptest.NewRequest(r.method, r.target, strings.NewReader(r.body))
	if r.token != "" {
		hr.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.contentType != "" {
		hr.Header.Set("Content-Type", r.contentType)
	}
	for k, v := range r.header {
		hr.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, hr)
	return w
}

// good is a request that the fake answers, for every route.
func good(r *route) request {
	out := request{method: r.method, target: r.path, contentType: "application/json"}
	if len(r.roles) > 0 {
		out.token = string(r.roles[0])
	}
	switch r.path {
	case "/v1/notices/{version}":
		out.target = "/v1/notices/privacy-7"
	case "/v1/decisions/{decision_id}":
		out.target = "/v1/decisions/" + receipt(42).DecisionID().String()
	case pathLogTile:
		out.target = "/log/tile/0/000"
	case pathLogEntries:
		out.target = "/log/tile/entries/000"
	case pathRoom, pathRoomQueries, pathRoomPrice, pathRoomBudget:
		out.target = strings.Replace(r.path, "{room}", "spring", 1)
		if r.method == "POST" {
			out.body = roomBody
		}
	case pathContracts, pathTemplates, pathContract:
		out.target = strings.NewReplacer("{room}", "spring", "{dataset}", "shop.purchases").Replace(r.path)
		if r.method == "POST" {
			out.contentType, out.body = "text/plain; charset=utf-8", string(shopContract.Note)
		}
	case pathActivations:
		out.target, out.body = "/v1/rooms/spring/activations", activationBody
	case "/v1/query":
		out.body = queryBody
	case pathEvaluation, pathEvaluations:
		out.body = personBody
	case "/v1/query:batch":
		out.body, out.contentType = queryBody+"\n"+queryBody+"\n", "application/x-ndjson"
	case "/v1/audience":
		out.body = audienceBody
	case "/v1/consents":
		out.body = consentOf(out.token, consentBody)
	case "/v1/signals":
		out.body = consentOf(out.token, signalsBody)
	case "/v1/consents:show":
		out.body = consentOf(out.token, showBody)
	case "/v1/consents:withdraw":
		out.body = consentOf(out.token, withdrawBody)
	case "/v1/consents:link":
		out.body = consentOf(out.token, linkBody)
	case pathWithdraw:
		out.target = "/withdraw/" + linkToken
		if out.method == "POST" {
			out.contentType, out.body = "application/x-www-form-urlencoded", "List-Unsubscribe=One-Click"
		}
	case pathReceipt:
		out.target = "/v1/consents/" + consentNumber + "/receipt"
	case "/v1/cases":
		out.body = consentOf(out.token, caseBody)
	case "/v1/cases:close":
		out.body = closeBody
	case "/v1/objections":
		out.body = consentOf(out.token, objectionBody)
	case "/v1/complaints":
		out.body = complaintBody
	case "/v1/dsar/requests":
		out.body = openingBody
	case "/v1/dsar/requests:send_code":
		out.body = sendCodeBody
	case "/v1/dsar/requests:verify":
		out.body = verifyBody
	case "/v1/dsar/requests:step":
		out.body = stepBody
	case "/v1/dsar/exports/{token}":
		out.target = "/v1/dsar/exports/" + exportToken
	case "/v1/dsar/requests/{request_id}":
		out.target = "/v1/dsar/requests/" + requestNumber
	case pathOpenDSRDiscovery:
		out.target = "/opendsr/v2/discovery"
	case pathOpenGDPRRequests:
		out.target, out.body = "/opendsr/v1/opengdpr_requests", openDSRBody
	case pathOpenGDPRRequest:
		out.target = "/opendsr/v1/opengdpr_requests/" + openDSRNumber
	case pathOpenDSRRequests:
		out.target, out.body = "/opendsr/v2/requests", openDSRBody
	case pathOpenDSRRequest:
		out.target = "/opendsr/v2/requests/" + openDSRNumber
	case pathOpenDSRCallbacks:
		out.body = openDSRCallbackBody
	case "/v1/reidentify":
		out.body = reidentifyBody
	case pathSnapshots:
		out.target, out.body, out.contentType = "/v1/rooms/snacks/snapshots", "{}\n", "application/x-ndjson"
	case pathSnapshot:
		out.target = "/v1/rooms/snacks/snapshots/" + manifestText
	case pathEvaluate:
		out.target, out.body = "/v1/rooms/snacks/oprf:evaluate", evaluateBody
	case "/v1/ingest":
		out.target, out.body, out.contentType = "/v1/ingest?map=complete-journey-transactions", ingestBody, "application/x-ndjson"
	}
	return out
}

// consentOf names the person in a consent request as the caller may: a service by its own
// pseudonym.
func consentOf(token, body string) string {
	if token != string(privacy.RoleService) {
		return body
	}
	return strings.Replace(body, `{"identifier":{"kind":"customer_number","value":"C-1"}}`, `{"pseudonym":"`+string(shopPseudonym)+`"}`, 1)
}

func mustStatus(t *testing.T, w *httptest.ResponseRecorder, want int) {
	t.Helper()
	if w.Code != want {
		t.Errorf("status %d, want %d; body %s", w.Code, want, w.Body)
	}
}

var errSecret = errors.New("reading row of " + secret)
