package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/identity"
	"github.com/mahrem/mahrem/privacy"
)

const (
	sendCodeBody = `{"request":"` + requestNumber + `"}`
	verifyBody   = `{"request":"` + requestNumber + `","method":"code","code":"12345678"}`
)

// fakeIdentity is the desk of a [fake].
type fakeIdentity struct {
	*fake
	said    string
	reached bool
}

func (f *fakeIdentity) answer(said string) (identity.Verified, error) {
	f.said = said
	desk := fakeRequests{fake: f.fake, known: f.reached}
	return identity.Verified{Request: desk.request(), Receipt: desk.evidence(54)}, f.err
}

func (f *fakeIdentity) SendCode(_ context.Context, _ privacy.Principal, id dsar.RequestID) (identity.Sent, error) {
	f.said = "send " + id.String()
	receipt := (&fakeRequests{fake: f.fake}).evidence(53)
	return identity.Sent{ExpiresAt: time.Date(2026, 3, 5, 12, 10, 0, 0, time.UTC), Receipt: receipt, Reached: f.reached}, f.err
}

func (f *fakeIdentity) VerifyCode(_ context.Context, _ privacy.Principal, _ dsar.RequestID, code privacy.Plain) (identity.Verified, error) {
	return f.answer("code " + code.RevealPersonalData())
}

func (f *fakeIdentity) VerifySession(_ context.Context, _ privacy.Principal, _ dsar.RequestID, session identity.Session) (identity.Verified, error) {
	who := "somebody"
	if session.DataSubject == person {
		who = "the person"
	}
	return f.answer("session of " + who + " at " + session.AuthenticatedAt.Format(time.RFC3339))
}

func (f *fakeIdentity) Judge(_ context.Context, _ privacy.Principal, _ dsar.RequestID, ground identity.Ground) (identity.Verified, error) {
	return f.answer("judgement " + string(ground))
}

func newIdentityDesk() (*Server, *fakeIdentity) {
	desk := &fakeIdentity{fake: &fake{}}
	s := newServer(desk.fake, Config{})
	s.services.Identity = desk
	return s, desk
}

// TestIdentityTellsNothing: a service hears the same about people who are known and who are
// not, byte by byte.
func TestIdentityTellsNothing(t *testing.T) {
	t.Parallel()
	s, desk := newIdentityDesk()
	var answers []string
	for _, reached := range []bool{true, false} {
		desk.reached = reached
		for target, body := range map[string]string{"/v1/dsar/requests:send_code": sendCodeBody} {
			status, answer := send(s, "service", target, body)
			if status != http.StatusOK {
				t.Errorf("%s: %d %s", target, status, answer)
			}
			answers = append(answers, answer)
		}
		// What proves nothing is refused in the same words.
		desk.err = &dsar.Refusal{Check: identity.CheckCode, Article: "GDPR Article 12(6)", Reason: "the code is wrong"}
		status, answer := send(s, "service", "/v1/dsar/requests:verify", verifyBody)
		if status != http.StatusConflict || !strings.Contains(answer, identity.CheckCode) {
			t.Errorf("%d %s", status, answer)
		}
		desk.err = nil
	}
	if answers[0] != answers[1] || strings.Contains(answers[0], "known") {
		t.Errorf("a service is told\n%s\n%s", answers[0], answers[1])
	}
	if _, answer := send(s, "dpo", "/v1/dsar/requests:send_code", sendCodeBody); !strings.Contains(answer, `"address_known":false`) {
		t.Errorf("an officer is not told that nothing was sent: %s", answer)
	}
}

func TestVerifyReads(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`"method":"code","code":"1234 5678"`: "code 12345678",
		`"method":"session","pseudonym":"` + string(shopPseudonym) + `","authenticated_at":"2026-03-05T11:58:00Z"`: "session of the person at 2026-03-05T11:58:00Z",
		`"method":"session","pseudonym":"made-up","authenticated_at":"2026-03-05T11:58:00Z"`:                       "422 /pseudonym",
		`"method":"session","pseudonym":"x"`:                                                             "422 /authenticated_at",
		`"method":"session","pseudonym":"x","authenticated_at":"yesterday"`:                              "422 /authenticated_at",
		`"method":"session","pseudonym":"x","authenticated_at":"2026-03-05T11:58:00Z","code":"12345678"`: "422 /code",
		`"method":"judgement","ground":"known_in_person"`:                                                "judgement known_in_person",
		`"method":"judgement"`:           "422 /ground",
		`"method":"code"`:                "422 /code",
		`"method":"code","code":"12345"`: "422 /code",
		`"method":"code","code":"12345678","ground":"known_in_person"`: "422 /ground",
		`"method":"passport","code":"12345678"`:                        "422 /method",
		`"method":"code","code":"12345678","copy_of_document":"..."`:   "422 ",
	} {
		s, desk := newIdentityDesk()
		status, answer := send(s, "service", "/v1/dsar/requests:verify", `{"request":"`+requestNumber+`",`+body+`}`)
		if pointer, refused := strings.CutPrefix(want, "422 "); refused {
			if status != http.StatusUnprocessableEntity || !strings.Contains(answer, `"`+pointer+`"`) || desk.said != "" {
				t.Errorf("%s: %d %s, heard %q", body, status, answer, desk.said)
			}
			continue
		}
		if status != http.StatusOK || desk.said != want {
			t.Errorf("%s: %d %s, heard %q", body, status, answer, desk.said)
		}
	}
	s, _ := newIdentityDesk()
	if status, _ := send(s, "dpo", "/v1/dsar/requests:verify", `{"request":"`+requestNumber+`","method":"session","pseudonym":"x","authenticated_at":"2026-03-05T11:58:00Z"}`); status != http.StatusForbidden {
		t.Errorf("an officer's session: %d", status)
	}
	for _, target := range []string{"/v1/dsar/requests:verify", "/v1/dsar/requests:send_code"} {
		body := strings.ReplaceAll(map[bool]string{true: verifyBody, false: sendCodeBody}[strings.HasSuffix(target, "verify")], requestNumber, "05")
		if status, answer := send(s, "dpo", target, body); status != http.StatusUnprocessableEntity || !strings.Contains(answer, "/request") {
			t.Errorf("%s of no request: %d %s", target, status, answer)
		}
	}
}

func TestIdentityNeedsEvidence(t *testing.T) {
	t.Parallel()
	for target, body := range map[string]string{"/v1/dsar/requests:send_code": sendCodeBody, "/v1/dsar/requests:verify": verifyBody} {
		s, desk := newIdentityDesk()
		desk.unlogged = true
		if status, _ := send(s, "dpo", target, body); status != http.StatusInternalServerError {
			t.Errorf("%s without evidence: %d", target, status)
		}
		desk.unlogged, desk.err = false, privacy.ErrNotFound
		if status, _ := send(s, "dpo", target, body); status != http.StatusNotFound {
			t.Errorf("%s of another request to an officer: %d", target, status)
		}
		if status, _ := send(s, "service", target, body); status != http.StatusForbidden {
			t.Errorf("%s of another request to a service: %d", target, status)
		}
	}
}
