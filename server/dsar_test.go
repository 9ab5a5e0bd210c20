package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

const (
	// requestNumber is a request's id as text.
	requestNumber = "05000000-0000-4000-8000-000000000000"
	openingBody   = `{"kind":"erasure","jurisdiction":"CZ","language":"cs","identifiers":[{"kind":"email","value":"` + secret + `"}],"text":"forget me"}`
	stepBody      = `{"request":"` + requestNumber + `","step":"withdraw"}`
)

// fakeRequests is the desk of a [fake].
type fakeRequests struct {
	*fake
	opening dsar.Opening
	move    dsar.Move
	filter  dsar.Filter
	limit   int
	known   bool
	polled  bool
}

func (f *fakeRequests) request() dsar.Request {
	id, _ := dsar.ParseRequestID(requestNumber)
	r := dsar.Request{
		ID: id, Kind: dsar.Erasure, State: dsar.InProgress, Regime: "gdpr_cz", Jurisdiction: "CZ", Language: "cs", Via: dsar.ViaAPI,
		ReceivedAt: time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC), DueAt: time.Date(2026, 4, 7, 21, 59, 59, 0, time.UTC), Version: 2,
	}
	if f.known {
		r.DataSubject, r.DuplicateOf = person, dsar.RequestID{9}
	}
	return r
}

func (f *fakeRequests) evidence(index uint64) audit.Receipt {
	if f.unlogged {
		return audit.Receipt{}
	}
	return receipt(index)
}

func (f *fakeRequests) Open(_ context.Context, _ privacy.Principal, opening dsar.Opening) (dsar.Opened, error) {
	f.opening = opening
	r := f.request()
	if opening.Kind == dsar.Complaint {
		r.Kind, r.State, r.Category, r.Number = dsar.Complaint, dsar.Received, opening.Category, dsar.ComplaintNumber{Year: 2026, Count: 123}
		r.Language, r.AcknowledgeBy = opening.Language, time.Date(2026, 3, 12, 22, 59, 59, 0, time.UTC)
	}
	return dsar.Opened{Request: r, Receipt: f.evidence(51)}, f.err
}

func (f *fakeRequests) Take(_ context.Context, _ privacy.Principal, _ dsar.RequestID, move dsar.Move) (dsar.Request, audit.Receipt, error) {
	f.move = move
	return f.request(), f.evidence(52), f.err
}

func (f *fakeRequests) Queue(_ context.Context, _ privacy.Principal, filter dsar.Filter, limit int) (dsar.Page, error) {
	f.filter, f.limit = filter, limit
	return dsar.Page{Requests: []dsar.Request{f.request()}, Totals: dsar.Totals{Open: 7, Overdue: 1, Waiting: 2}, More: true}, f.err
}

func (f *fakeRequests) Show(_ context.Context, by privacy.Principal, _ dsar.RequestID) (dsar.Shown, error) {
	shown := dsar.Shown{
		Request: f.request(), Duplicates: []dsar.RequestID{{9}},
		Steps: []dsar.ShownStep{{Step: dsar.Step{Number: 1, Action: dsar.ActionOpen, To: dsar.Received, At: time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)}}},
	}
	if by.Role == privacy.RoleDPO {
		shown.Opened, shown.Receipt = true, f.evidence(53)
		shown.Contents = dsar.Contents{Text: privacy.NewPlain("forget me"), Identifiers: []privacy.Identifier{{Kind: privacy.Email, Value: privacy.NewPlain("a@example.org")}}}
		shown.Steps[0].Detail = dsar.Detail{Note: privacy.NewPlain("called")}
	}
	return shown, f.err
}

func (f *fakeRequests) Poll(_ context.Context, _ privacy.Principal, id dsar.RequestID) (dsar.Status, error) {
	f.polled = true
	return dsar.Status{ID: id, Kind: dsar.Erasure, ReceivedAt: time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)}, f.err
}

// newDesk returns a server and the desk behind it.
func newDesk() (*Server, *fakeRequests) {
	desk := &fakeRequests{fake: &fake{}}
	s := newServer(desk.fake, Config{})
	s.services.Requests = desk
	s.services.Objections, s.services.Letters = fakeObjections{desk.fake}, fakeLetters{desk.fake}
	return s, desk
}

func send(s http.Handler, token, target, body string) (int, string) {
	w := do(s, request{target: target, token: token, contentType: "application/json", body: body})
	return w.Code, w.Body.String()
}

// TestOpeningTellsNothing: what a service is told does not depend on whether the person
// is known, byte by byte.
func TestOpeningTellsNothing(t *testing.T) {
	t.Parallel()
	s, desk := newDesk()
	var answers []string
	for _, known := range []bool{true, false} {
		desk.known = known
		for _, call := range []struct{ target, body string }{{"/v1/dsar/requests", openingBody}, {"/v1/dsar/requests:step", stepBody}} {
			status, body := send(s, "service", call.target, call.body)
			if status/100 != 2 {
				t.Errorf("%s: %d %s", call.target, status, body)
			}
			answers = append(answers, body)
		}
		w := do(s, request{method: "GET", target: "/v1/dsar/requests/" + requestNumber, token: "service"})
		mustStatus(t, w, http.StatusOK)
		answers = append(answers, w.Body.String())
	}
	for i := range 3 {
		if answers[i] != answers[i+3] {
			t.Errorf("known:   %s\nunknown: %s", answers[i], answers[i+3])
		}
		for _, word := range []string{"known", "erased", "duplicate", "in_progress", "regime", "version"} {
			if strings.Contains(answers[i], word) {
				t.Errorf("a service is told %q: %s", word, answers[i])
			}
		}
	}
	want := dsar.Opening{
		Kind: dsar.Erasure, Jurisdiction: "CZ", Language: "cs", Via: dsar.ViaAPI, Text: privacy.NewPlain("forget me"),
		Identifiers: []privacy.Identifier{{Kind: privacy.Email, Value: privacy.NewPlain(secret)}},
	}
	if got := desk.opening; len(got.Identifiers) != 1 || got.Identifiers[0] != want.Identifiers[0] || got.Text != want.Text ||
		got.Kind != want.Kind || got.Jurisdiction != want.Jurisdiction || got.Language != want.Language || got.Via != want.Via || !got.ReceivedAt.IsZero() {
		t.Error("the desk was given another request")
	}
	desk.known = true
	status, body := send(s, "dpo", "/v1/dsar/requests", openingBody)
	if status != http.StatusCreated || !strings.Contains(body, `"person":"known"`) || !strings.Contains(body, `"duplicate_of":"09`) {
		t.Errorf("an officer is told %d %s", status, body)
	}
}

func TestStepsOverHTTP(t *testing.T) {
	t.Parallel()
	s, desk := newDesk()
	digest := strings.Repeat("ab", 32)
	for body, want := range map[string]dsar.Move{
		`"step":"start","version":3`:                        {Action: dsar.ActionStart, Version: 3},
		`"step":"pause","ground":"identity","note":"asked"`: {Action: dsar.ActionPause, Ground: clock.Identity, Note: privacy.NewPlain("asked")},
		`"step":"extend","reason":"complexity"`:             {Action: dsar.ActionExtend, Extension: clock.Complexity},
		`"step":"deny","reason":"no_match"`:                 {Action: dsar.ActionDeny, Denial: dsar.NoMatch},
		`"step":"fulfil","evidence":"` + digest + `"`:       {Action: dsar.ActionFulfil, Evidence: audit.Digest([]byte(strings.Repeat("\xab", 32)))},
		`"step":"note","note":"x"`:                          {Action: dsar.ActionNote, Note: privacy.NewPlain("x")},
		`"step":"withdraw"`:                                 {Action: dsar.ActionWithdraw},
		`"step":"resume"`:                                   {Action: dsar.ActionResume},
	} {
		status, answer := send(s, "dpo", "/v1/dsar/requests:step", `{"request":"`+requestNumber+`",`+body+`}`)
		if status != http.StatusOK || desk.move != want {
			t.Errorf("%s: %d %s, %+v", body, status, answer, desk.move)
		}
	}
	for body, pointer := range map[string]string{
		`"step":"erase"`:                       "/step",
		`"step":"approve"`:                     "/step",
		`"step":"verify"`:                      "/step",
		`"step":"open"`:                        "/step",
		`"step":"start","reason":"complexity"`: "/reason",
		`"step":"extend","ground":"identity"`:  "/ground",
		`"step":"deny","evidence":"ab"`:        "/evidence",
		`"step":"fulfil"`:                      "/evidence",
		`"step":"fulfil","evidence":"zz"`:      "/evidence",
		`"step":"withdraw","version":-1`:       "/version",
		`"step":"withdraw","request":"05"`:     "",
	} {
		status, answer := send(s, "dpo", "/v1/dsar/requests:step", `{"request":"`+requestNumber+`",`+body+`}`)
		if status != http.StatusUnprocessableEntity && pointer != "" || status/100 != 4 || pointer != "" && !strings.Contains(answer, `"pointer":"`+pointer+`"`) {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	if status, answer := send(s, "dpo", "/v1/dsar/requests:step", `{"request":"05","step":"start"}`); status != 422 || !strings.Contains(answer, "/request") {
		t.Errorf("%d %s", status, answer)
	}
}

// TestRefusalNamesItsArticle: what the law does not allow says which check and article.
func TestRefusalNamesItsArticle(t *testing.T) {
	t.Parallel()
	s, desk := newDesk()
	desk.err = &dsar.Refusal{Check: "extension.in_time", Article: "GDPR Article 12(3)", Reason: "the first period is over"}
	status, body := send(s, "dpo", "/v1/dsar/requests:step", stepBody)
	if status != http.StatusConflict || !strings.Contains(body, `"type":"urn:mahrem:problem:request-refused"`) ||
		!strings.Contains(body, `"check":"extension.in_time","detail":"the first period is over","article":"GDPR Article 12(3)"`) {
		t.Errorf("%d %s", status, body)
	}
	holdAgainstContract(t, loadContract(t), s, request{method: "POST", target: "/v1/dsar/requests:step", token: "dpo", contentType: "application/json", body: stepBody}, "refused", false)
	desk.err = privacy.ErrNotFound
	for token, want := range map[string]int{"service": http.StatusForbidden, "dpo": http.StatusNotFound, "auditor": http.StatusNotFound} {
		mustStatus(t, do(s, request{method: "GET", target: "/v1/dsar/requests/" + requestNumber, token: token}), want)
		mustStatus(t, do(s, request{method: "GET", target: "/v1/dsar/requests/nonsense", token: token}), want)
	}
}

func TestQueueOverHTTP(t *testing.T) {
	t.Parallel()
	s, desk := newDesk()
	w := do(s, request{method: "GET", target: "/v1/dsar/queue?kind=erasure&state=received&overdue=true&all=true&limit=7&after=" + requestNumber, token: "auditor"})
	mustStatus(t, w, http.StatusOK)
	if f := desk.filter; f.Kind != dsar.Erasure || f.State != dsar.Received || f.Overdue.IsZero() || !f.All || f.After == (dsar.RequestID{}) || desk.limit != 7 {
		t.Errorf("asked for %+v, %d", f, desk.limit)
	}
	if body := w.Body.String(); !strings.Contains(body, `"totals":{"open":7,"overdue":1,"waiting":2}`) || !strings.Contains(body, `"next":"`+requestNumber+`"`) {
		t.Errorf("got %s", body)
	}
	for _, query := range []string{"?kind=a&kind=b", "?who=me", "?overdue=false", "?limit=many", "?after=5", "?%zz"} {
		mustStatus(t, do(s, request{method: "GET", target: "/v1/dsar/queue" + query, token: "dpo"}), http.StatusBadRequest)
	}
}

func TestShownRequest(t *testing.T) {
	t.Parallel()
	s, desk := newDesk()
	document := loadContract(t)
	get := request{method: "GET", target: "/v1/dsar/requests/" + requestNumber, token: "dpo"}
	holdAgainstContract(t, document, s, get, "shown to an officer", true)
	if body := do(s, get).Body.String(); !strings.Contains(body, "forget me") || !strings.Contains(body, "a@example.org") || !strings.Contains(body, "called") {
		t.Errorf("an officer sees %s", body)
	}
	get.token = "auditor"
	holdAgainstContract(t, document, s, get, "shown to an auditor", true)
	if body := do(s, get).Body.String(); strings.Contains(body, "contents") || strings.Contains(body, "forget me") || desk.polled {
		t.Errorf("an auditor sees %s", body)
	}
	desk.unlogged = true
	get.token = "dpo"
	mustStatus(t, do(s, get), http.StatusInternalServerError)
	for _, call := range []struct{ target, body string }{{"/v1/dsar/requests", openingBody}, {"/v1/dsar/requests:step", stepBody}} {
		if status, body := send(s, "dpo", call.target, call.body); status != http.StatusInternalServerError {
			t.Errorf("without evidence: %d %s", status, body)
		}
	}
}
