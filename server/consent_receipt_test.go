package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	receipts "github.com/mahrem/mahrem/consent/receipt"
	"github.com/mahrem/mahrem/privacy"
)

const consentNumber = "c0ffee00-0000-4a00-8b00-000000000001"

// fakeReceipts issues what cannot be checked.
type fakeReceipts struct {
	*fake
	last   receipts.Request
	notSet bool
	refuse error
}

func (f *fakeReceipts) Issue(_ context.Context, _ privacy.Principal, request receipts.Request) (receipts.Issued, error) {
	f.last = request
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	issued := receipts.Issued{
		Signed:  receipts.Signed{Token: "aa.bb.cc", ID: consentNumber, Format: request.Format, IssuedAt: at, ExpiresAt: at.Add(receipts.Lifetime)},
		Receipt: receipt(44),
	}
	if f.unlogged {
		issued.Receipt = audit.Receipt{}
	}
	if f.refuse != nil {
		return receipts.Issued{}, f.refuse
	}
	return issued, f.err
}

func (f *fakeReceipts) Ready() error {
	if f.notSet {
		return fmt.Errorf("no controller: %w", privacy.ErrUnavailable)
	}
	return nil
}

func (f *fakeReceipts) PublicKeys() ([]byte, error) {
	return []byte(`{"issuer":"https://mahrem.example.com","keys":[]}` + "\n"), f.err
}

func TestReceiptOfAChoice(t *testing.T) {
	t.Parallel()
	f := &fakeReceipts{fake: &fake{}}
	s := newServer(f.fake, Config{})
	s.services.Receipts = f
	const path = "/v1/consents/" + consentNumber + "/receipt"
	id, err := consent.ParseID(consentNumber)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		target, token string
		status        int
		want          receipts.Request
	}{
		{path, "service", 200, receipts.Request{Consent: id, Format: receipts.ISO27560}},
		{path + "?format=kantara&recipient=web_shop", "dpo", 200, receipts.Request{Consent: id, Format: receipts.Kantara, Recipient: "web_shop"}},
		{path + "?format=jpeg", "dpo", 422, receipts.Request{}},
		{path + "?format=kantara&format=iso27560", "dpo", 400, receipts.Request{}},
		{path + "?email=a", "dpo", 400, receipts.Request{}},
		{path + "?%zz", "dpo", 400, receipts.Request{}},
		{"/v1/consents/42/receipt", "dpo", 404, receipts.Request{}},
		{"/v1/consents/42/receipt", "service", 403, receipts.Request{}}, // as for somebody unknown
		{path, "auditor", 403, receipts.Request{}},
		{path, "", 401, receipts.Request{}},
	} {
		f.last = receipts.Request{}
		w := do(s, request{method: "GET", target: tt.target, token: tt.token})
		if w.Code != tt.status {
			t.Errorf("%s as %s: status %d, want %d: %s", tt.target, tt.token, w.Code, tt.status, w.Body)
		}
		if diff := cmp.Diff(tt.want, f.last); diff != "" {
			t.Errorf("%s as %s (-want +asked):\n%s", tt.target, tt.token, diff)
		}
	}
	f.unlogged = true
	if w := do(s, request{method: "GET", target: path, token: "service"}); w.Code != 500 || strings.Contains(w.Body.String(), "aa.bb.cc") {
		t.Errorf("without evidence: status %d: %s", w.Code, w.Body)
	}
	f.unlogged = false
	keys := do(s, request{method: "GET", target: pathKeys})
	if keys.Code != 200 || keys.Header().Get("Content-Type") != "application/jwk-set+json" || keys.Header().Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("keys: status %d, %v", keys.Code, keys.Header())
	}
	if w := do(s, request{method: "GET", target: pathKeys + "?a"}); w.Code != http.StatusBadRequest {
		t.Errorf("keys with a query string: status %d", w.Code)
	}
}

// TestReceiptWithTheChoice: whoever records a choice can have its receipt at once; what
// could never be had is refused before anything is recorded.
func TestReceiptWithTheChoice(t *testing.T) {
	t.Parallel()
	f := &fakeReceipts{fake: &fake{}}
	s := newServer(f.fake, Config{})
	s.services.Receipts = f
	ask := func(token, action, format string) (int, string) {
		f.lastAction = ""
		body := strings.Replace(consentOf(token, consentBody), `"withdrawn"`, `"`+action+`"`, 1)
		body = strings.TrimSuffix(body, "}") + `,"receipt":"` + format + `"}`
		w := do(s, request{target: "/v1/consents", token: token, contentType: "application/json", body: body})
		return w.Code, w.Body.String()
	}
	code, body := ask("service", "withdrawn", "iso27560")
	var answer struct {
		ID      string `json:"consent_id"`
		Receipt struct{ Receipt, Format string }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != 201 || answer.Receipt.Receipt != "aa.bb.cc" || answer.Receipt.Format != "iso27560" || answer.ID != consentNumber {
		t.Errorf("%d %s, %v", code, body, err)
	}
	if !f.last.Recorded {
		t.Error("the issuer was not told that the caller has recorded it")
	}
	for name, tt := range map[string]struct{ token, action, format string }{
		"no yes as kantara": {"service", "withdrawn", "kantara"},
		"an officer":        {"dpo", "granted", "iso27560"},
		"a format":          {"service", "granted", "pdf"},
	} {
		if code, body := ask(tt.token, tt.action, tt.format); code != 422 || !strings.Contains(body, "/receipt") || f.lastAction != "" {
			t.Errorf("%s: %d %s, recorded %q", name, code, body, f.lastAction)
		}
	}
	f.notSet = true
	if code, _ := ask("service", "granted", "kantara"); code != 503 || f.lastAction != "" {
		t.Errorf("without controller: %d, recorded %q", code, f.lastAction)
	}
	f.notSet, f.refuse = false, privacy.ErrUnavailable
	if code, body := ask("service", "granted", "kantara"); code != 201 || strings.Contains(body, `"receipt"`) {
		t.Errorf("recorded, and no receipt: %d %s, want 201 without", code, body)
	}
}
