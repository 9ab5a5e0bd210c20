package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/fulfil"
	"github.com/mahrem/mahrem/dsar/letter"
	"github.com/mahrem/mahrem/privacy"
)

const (
	complaintBody = `{"category":"unwanted_marketing","jurisdiction":"CZ","language":"cs","identifiers":[{"kind":"email","value":"` + secret + `"}],"text":"enough"}`
	objectionBody = `{"data_subject":{"identifier":{"kind":"customer_number","value":"C-1"}},"purposes":["newsletter","support"],"jurisdiction":"CZ","language":"cs"}`
)

type fakeLetters struct{ *fake }

func (f fakeLetters) Write(kind letter.Kind, r *dsar.Request) (string, error) {
	return "Letter to " + string(kind) + " " + r.Number.String(), f.err
}

type fakeObjections struct{ *fake }

func (f fakeObjections) FileObjection(_ context.Context, _ privacy.Principal, filing fulfil.Filing) (fulfil.Filed, error) {
	if f.unlogged {
		return fulfil.Filed{}, nil
	}
	desk := fakeRequests{fake: f.fake}
	r := desk.request()
	r.Kind, r.State = dsar.Objection, dsar.Received
	filed := fulfil.Filed{Request: r, Channel: "*", Receipt: receipt(53), Token: consent.NewToken(receipt(53))}
	if filing.Channel != "" {
		filed.Channel = filing.Channel
	}
	if len(filing.Purposes) == 0 {
		filing.Purposes = []privacy.Purpose{"marketing"}
	}
	for i, p := range filing.Purposes {
		filed.Purposes = append(filed.Purposes, fulfil.FiledPurpose{Purpose: p, Effect: []fulfil.Effect{fulfil.Bound, fulfil.RestrictedUntilJudged}[i%2]})
	}
	return filed, f.err
}

// TestComplaintAnswers: a service is told the number, the category and the letter, and
// nothing that depends on whether the person is known.
func TestComplaintAnswers(t *testing.T) {
	t.Parallel()
	s, desk := newDesk()
	var answers [2]string
	for i, known := range []bool{true, false} {
		desk.known = known
		status, body := send(s, "service", "/v1/complaints", complaintBody)
		if status != http.StatusCreated {
			t.Fatal(status, body)
		}
		answers[i] = body
	}
	if answers[0] != answers[1] {
		t.Errorf("known:   %s\nunknown: %s", answers[0], answers[1])
	}
	for _, want := range []string{`"complaint":"2026-000123"`, `"category":"unwanted_marketing"`, `"category_title":"nevyžádaná reklama"`, `"acknowledge_by":"2026-03-12T22:59:59Z"`, `"acknowledgement":"Letter to acknowledge 2026-000123"`, `"status":"open"`} {
		if !strings.Contains(answers[0], want) {
			t.Errorf("%s is missing in %s", want, answers[0])
		}
	}
	if got := desk.opening; got.Kind != dsar.Complaint || got.Category != dsar.UnwantedMarketing || len(got.Identifiers) != 1 || !got.DataSubject.IsZero() || got.Via != dsar.ViaAPI || got.Text != privacy.NewPlain("enough") {
		t.Error("the desk was given something else")
	}
	status, body := send(s, "dpo", "/v1/complaints", complaintBody)
	if status != http.StatusCreated || strings.Count(body, `"complaint"`) != 2 || !strings.Contains(body, `"person":"unknown"`) { // the number and the kind
		t.Errorf("an officer is told %d %s", status, body)
	}
	status, body = send(s, "service", "/v1/complaints", strings.Replace(complaintBody, `"identifiers":[{"kind":"email","value":"`+secret+`"}]`, `"data_subject":{"pseudonym":"`+string(shopPseudonym)+`"}`, 1))
	if status != http.StatusCreated || desk.opening.DataSubject != person || len(desk.opening.Identifiers) != 0 {
		t.Errorf("by a pseudonym: %d %s", status, body)
	}
}

func TestComplaintRefusals(t *testing.T) {
	t.Parallel()
	s, desk := newDesk()
	for name, test := range map[string]struct{ from, to, pointer string }{
		"nobody":           {`"identifiers":[{"kind":"email","value":"` + secret + `"}]`, `"identifiers":[]`, "/identifiers"},
		"twice":            {`"identifiers"`, `"data_subject":{"pseudonym":"x"},"identifiers"`, "/identifiers"},
		"no category":      {`"category":"unwanted_marketing",`, ``, "/category"},
		"no language":      {`"language":"cs"`, `"language":"de"`, "/language"},
		"not a time":       {`"text"`, `"received_at":"yesterday","text"`, "/received_at"},
		"another's number": {`{"kind":"email","value":"` + secret + `"}`, `{"kind":"shoe_size","value":"43"}`, "/identifiers/0/kind"},
	} {
		status, body := send(s, "service", "/v1/complaints", strings.Replace(complaintBody, test.from, test.to, 1))
		if status != http.StatusUnprocessableEntity || !strings.Contains(body, fmt.Sprintf("%q", test.pointer)) || strings.Contains(body, secret) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	desk.unlogged = true
	if status, body := send(s, "service", "/v1/complaints", complaintBody); status != http.StatusInternalServerError || strings.Contains(body, "2026-000123") {
		t.Errorf("without evidence: %d %s", status, body)
	}
}

// TestObjectionAnswers: each purpose with what the objection does to it, and the token.
func TestObjectionAnswers(t *testing.T) {
	t.Parallel()
	s, desk := newDesk()
	status, body := send(s, "service", "/v1/objections", consentOf("service", objectionBody))
	for _, want := range []string{
		`"purposes":[{"purpose":"newsletter","effect":"bound"},{"purpose":"support","effect":"restricted_until_judged"}]`, `"channel":"*"`,
		`"consent_token":"` + consent.NewToken(receipt(53)).String() + `"`, `"status":"open"`, `"log":{"index":53`,
	} {
		if status != http.StatusCreated || !strings.Contains(body, want) {
			t.Errorf("%d: %s is missing in %s", status, want, body)
		}
	}
	for _, word := range []string{"known", "regime", "version"} {
		if strings.Contains(body, word) {
			t.Errorf("a service is told %q: %s", word, body)
		}
	}
	if status, body := send(s, "service", "/v1/objections", objectionBody); status != http.StatusUnprocessableEntity || !strings.Contains(body, "/data_subject/identifier") {
		t.Errorf("a service tries identifiers: %d %s", status, body)
	}
	if status, body := send(s, "dpo", "/v1/objections", objectionBody); status != http.StatusCreated || !strings.Contains(body, `"kind":"objection"`) {
		t.Errorf("an officer: %d %s", status, body)
	}
	desk.unlogged = true
	if status, body := send(s, "dpo", "/v1/objections", objectionBody); status != http.StatusInternalServerError {
		t.Errorf("without evidence: %d %s", status, body)
	}
}

// TestComplaintStep: a complaint is fulfilled with its outcome, and no other step has one.
func TestComplaintStep(t *testing.T) {
	t.Parallel()
	s, desk := newDesk()
	digest := strings.Repeat("ab", 32)
	if status, body := send(s, "dpo", "/v1/dsar/requests:step", `{"request":"`+requestNumber+`","step":"fulfil","evidence":"`+digest+`","outcome":"partly_upheld"}`); status != http.StatusOK || desk.move.Outcome != dsar.PartlyUpheld || desk.move.Evidence == (audit.Digest{}) {
		t.Errorf("%d %s", status, body)
	}
	for _, body := range []string{
		`{"request":"` + requestNumber + `","step":"note","note":"x","outcome":"upheld"}`,
		`{"request":"` + requestNumber + `","step":"fulfil","evidence":"` + digest + `","outcome":"won"}`,
	} {
		if status, answer := send(s, "dpo", "/v1/dsar/requests:step", body); status != http.StatusUnprocessableEntity || !strings.Contains(answer, "/outcome") {
			t.Errorf("%d %s", status, answer)
		}
	}
}
