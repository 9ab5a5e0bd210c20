package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/privacy"
)

const (
	caseBody  = `{"data_subject":{"identifier":{"kind":"customer_number","value":"C-1"}},"kind":"complaint","recipient":"shop"}`
	closeBody = `{"case":"` + caseNumber + `"}`
	// caseNumber is a case's id as text.
	caseNumber = "05000000000000000000000000000000"
)

// fakeCases is the registry of a [fake].
type fakeCases struct {
	*fake
	request casework.Request
	closed  casework.ID
}

func (f *fakeCases) Open(_ context.Context, _ privacy.Principal, request casework.Request) (casework.Opened, error) {
	f.request = request
	opened := casework.Opened{Case: casework.Case{ID: casework.ID{5}, Kind: request.Kind, Recipient: "shop"}, Receipt: receipt(46)}
	opened.EndsAt = time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	return opened, f.err
}

func (f *fakeCases) Close(_ context.Context, _ privacy.Principal, id casework.ID) (audit.Receipt, error) {
	f.closed = id
	return receipt(47), f.err
}

func TestCasesReachTheRegistry(t *testing.T) {
	t.Parallel()
	cases := &fakeCases{fake: &fake{}}
	s := newServer(cases.fake, Config{})
	s.services.Cases = cases
	own := strings.Replace(consentOf("service", caseBody), `,"recipient":"shop"`, "", 1)
	mustStatus(t, do(s, request{target: "/v1/cases", token: "service", contentType: "application/json", body: own}), http.StatusCreated)
	if want := (casework.Request{DataSubject: person, Kind: casework.Complaint}); cases.request != want {
		t.Error("the registry was asked for another case")
	}
	mustStatus(t, do(s, request{target: "/v1/cases", token: "dpo", contentType: "application/json", body: caseBody}), http.StatusCreated)
	if cases.request.Recipient != "shop" || cases.request.DataSubject != person {
		t.Error("an officer's case is for somebody else")
	}
	mustStatus(t, do(s, request{target: "/v1/cases:close", token: "service", contentType: "application/json", body: closeBody}), http.StatusOK)
	if cases.closed != (casework.ID{5}) {
		t.Error("another case was closed")
	}
	for body, pointer := range map[string]string{
		strings.Replace(caseBody, "complaint", "gossip", 1):                   "/kind",
		strings.Replace(caseBody, `"kind":"complaint",`, "", 1):               "/kind",
		strings.Replace(caseBody, `"recipient"`, `"text":"x","recipient"`, 1): "",
		`{"kind":"support"}`: "/data_subject",
		strings.Replace(caseBody, "shop", strings.Repeat("x", 65), 1):    "/recipient",
		strings.Replace(caseBody, "customer_number", "shoe_size_eu", 1):  "/data_subject/identifier/kind",
		strings.Replace(caseBody, `"value":"C-1"`, `"value":["C-1"]`, 1): "/data_subject/identifier/value",
	} {
		w := do(s, request{target: "/v1/cases", token: "dpo", contentType: "application/json", body: body})
		mustStatus(t, w, http.StatusUnprocessableEntity)
		if !strings.Contains(w.Body.String(), `"pointer":"`+pointer+`"`) {
			t.Errorf("%s: %s", body, w.Body)
		}
	}
	for _, number := range []string{"", "5", strings.ToUpper("0a" + caseNumber[2:]), strings.Repeat("0", 32)} {
		w := do(s, request{target: "/v1/cases:close", token: "dpo", contentType: "application/json", body: `{"case":"` + number + `"}`})
		mustStatus(t, w, http.StatusUnprocessableEntity)
	}
	// By an identifier a service could try out who exists.
	mustStatus(t, do(s, request{target: "/v1/cases", token: "service", contentType: "application/json", body: caseBody}), http.StatusUnprocessableEntity)
	s.services.Cases = nil
	mustStatus(t, do(s, request{target: "/v1/cases", token: "dpo", contentType: "application/json", body: caseBody}), http.StatusServiceUnavailable)
}

func TestQueryNamesItsCase(t *testing.T) {
	t.Parallel()
	f := &fake{}
	body := strings.Replace(queryBody, `"purpose"`, `"case":"`+caseNumber+`","purpose"`, 1)
	mustStatus(t, do(newServer(f, Config{}), request{token: "service", contentType: "application/json", body: body}), http.StatusOK)
	if f.lastQuery.Case != caseNumber {
		t.Errorf("the gate was asked with case %q", f.lastQuery.Case)
	}
	if !strings.Contains(mustJSON(t, answer{Answer: gate.Answer{
		Attributes: map[privacy.AttributeName]gate.Released{"first_name": {Values: []privacy.Plain{privacy.NewPlain("Ece")}, Quality: "verified"}},
	}}), `"quality":"verified"`) {
		t.Error("an answer does not say how far a value can be trusted")
	}
}

func mustJSON(t *testing.T, e encoder) string {
	t.Helper()
	b, err := e.appendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
