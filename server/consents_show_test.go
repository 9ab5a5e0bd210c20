package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

const showBody = `{"data_subject":{"identifier":{"kind":"customer_number","value":"C-1"}},"time":"2026-03-06T00:00:00Z","known_at":"2026-03-05T00:00:00Z"}`

// fakeConsents knows one grant, and tells back by its times what it was asked for.
type fakeConsents struct{ *fake }

func (f fakeConsents) ShowConsents(_ context.Context, _ privacy.Principal, _ privacy.DataSubjectID, moment consent.Moment) (consent.Statement, audit.Receipt, error) {
	if f.err != nil || f.unlogged {
		return consent.Statement{}, audit.Receipt{}, f.err
	}
	yes := consent.Record{
		ID: [16]byte{1}, Purpose: "newsletter", Channel: "email", Action: consent.Granted, Basis: privacy.Consent, NoticeVersion: "n1", Source: "web_form",
		Actor: consent.ByDataSubject, EvidenceRef: "form/1", EffectiveAt: moment.Known, RecordedAt: moment.Known, ValidUntil: moment.At.Add(time.Hour),
	}
	return consent.NewStatement([]consent.Record{yes}, moment.At), receipt(42), nil
}

func TestConsentsAreShown(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	ask := func(role string, body string) (int, string) {
		w := do(s, request{method: "POST", target: "/v1/consents:show", token: role, contentType: "application/json", body: consentOf(role, body)})
		return w.Code, w.Body.String()
	}
	for role, all := range map[string]bool{"dpo": true, "service": false} {
		code, body := ask(role, showBody)
		if code != http.StatusOK || !strings.Contains(body, `"state":"granted","since":"2026-03-05T00:00:00Z"`) || !strings.Contains(body, `"valid_until":"2026-03-06T01:00:00Z"`) {
			t.Errorf("%s: %d %s", role, code, body)
		}
		if strings.Contains(body, `"until":`) != all || strings.Contains(body, "form/1") != all {
			t.Errorf("%s is told too much or too little: %s", role, body)
		}
	}
	for body, pointer := range map[string]string{
		strings.Replace(showBody, "2026-03-06T00:00:00Z", "yesterday", 1): "/time",
		strings.Replace(showBody, "2026-03-05T00:00:00Z", "yesterday", 1): "/known_at",
		`{"data_subject":{}}`: "/data_subject",
	} {
		if code, answer := ask("dpo", body); code != http.StatusUnprocessableEntity || !strings.Contains(answer, `"`+pointer+`"`) {
			t.Errorf("%s: %d %s", pointer, code, answer)
		}
	}
	if code, _ := ask("auditor", showBody); code != http.StatusForbidden {
		t.Errorf("an auditor: %d", code)
	}
	s = newServer(&fake{unlogged: true}, Config{})
	if code, _ := ask("dpo", showBody); code != http.StatusInternalServerError {
		t.Errorf("without evidence: %d", code)
	}
}
