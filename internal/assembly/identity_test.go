package assembly

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
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/outbox/webhook"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

const webhookSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// newHouseOf opens a house over a database of its own with these settings of delivery.
func newHouseOf(t *testing.T, delivery config.Delivery) *House {
	t.Helper()
	settings, err := config.Load(t.TempDir(), func(string) string { return "" }, config.Config{Patience: 30, DatabaseURL: pgtest.NewEmpty(t).URL()})
	if err != nil {
		t.Fatal(err)
	}
	settings.Delivery = delivery
	house, err := Init(t.Context(), settings, Options{Logger: slog.New(slog.DiscardHandler)}, Operator("tester"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := house.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return house
}

func secretFile(t *testing.T, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(webhookSecret+"\n"), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestACodeReachesOnlyWhoIsKnown: the code goes to the address that is on record, which
// the request did not name, and not to one that it brought.
func TestACodeReachesOnlyWhoIsKnown(t *testing.T) {
	t.Parallel()
	secret, err := webhook.ParseSecret(webhookSecret)
	if err != nil {
		t.Fatal(err)
	}
	calls := make(chan webhook.Call, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		call, err := webhook.Open(secret, r.Header, body, time.Now())
		if err != nil {
			t.Error(err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		calls <- call
	}))
	defer receiver.Close()
	house := newHouseOf(t, config.Delivery{Webhook: receiver.URL, WebhookSecret: secretFile(t, 0o600)})
	by := Operator("tester")
	lines := `{"identifiers":[{"kind":"customer_number","value":"K-1"},{"kind":"email","value":"jana@example.cz"}],"jurisdiction":"CZ","attributes":{"first_name":"Jana","email":"jana@example.cz"}}
{"identifiers":[{"kind":"customer_number","value":"K-2"}],"jurisdiction":"CZ","attributes":{"first_name":"Eva","email":"never-joined@example.cz"}}
{"identifiers":[{"kind":"customer_number","value":"K-3"},{"kind":"phone","value":"+420601123456"}],"jurisdiction":"CZ","attributes":{"first_name":"Petr"}}
`
	result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(lines), intake.StreamOptions{Principal: by})
	if err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	number := func(value string) privacy.Identifier {
		return privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(value)}
	}
	email := func(value string) privacy.Identifier {
		return privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain(value)}
	}
	phone := privacy.Identifier{Kind: privacy.Phone, Value: privacy.NewPlain("+420 601 123 456")}
	ctx, stop := context.WithCancel(t.Context())
	delivering := house.Delivering(ctx, time.Millisecond)
	defer func() { stop(); <-delivering }()
	for name, c := range map[string]struct {
		identifiers []privacy.Identifier
		contact     string
		to          string
	}{
		"on record":                    {[]privacy.Identifier{number("K-1")}, "thief@example.com", "jana@example.cz"},
		"named and known":              {[]privacy.Identifier{email("JANA@example.cz")}, "", "JANA@example.cz"},
		"named and of nobody":          {[]privacy.Identifier{number("K-1"), email("thief@example.com")}, "", "jana@example.cz"},
		"on record, and nobody's mark": {[]privacy.Identifier{number("K-2")}, "", ""},
		"by phone":                     {[]privacy.Identifier{number("K-3"), phone}, "", "+420 601 123 456"},
		"unknown":                      {[]privacy.Identifier{email("nobody@example.cz")}, "nobody@example.cz", ""},
	} {
		opened, err := house.Requests.Open(t.Context(), by, dsar.Opening{
			Kind: dsar.Access, Jurisdiction: "CZ", Language: "cs", Via: dsar.ViaCLI, Identifiers: c.identifiers, Contact: privacy.NewPlain(c.contact),
		})
		if err != nil {
			t.Fatal(err)
		}
		sent, err := house.Identity.SendCode(t.Context(), by, opened.ID)
		if err != nil || sent.Reached != (c.to != "") {
			t.Fatalf("%s: %+v, %v", name, sent, err)
		}
		if c.to == "" {
			continue
		}
		call := <-calls
		if got := call.Letter.To.Value.RevealPersonalData(); got != c.to || call.Request != opened.ID.String() || call.Letter.Language != "cs" {
			t.Errorf("%s: a letter went to %q", name, got)
		}
		if verified, err := house.Identity.VerifyCode(t.Context(), by, opened.ID, call.Letter.Code); err != nil || verified.Request.State != dsar.InProgress {
			t.Errorf("%s: %v", name, err)
		}
	}
	stop()
	<-delivering
	if len(calls) != 0 {
		t.Errorf("%d letters more than there are people", len(calls))
	}
}

// TestSecretsAreNobodyElses: a house does not open with a secret that others can read.
func TestSecretsAreNobodyElses(t *testing.T) {
	t.Parallel()
	settings, err := config.Load(t.TempDir(), func(string) string { return "" }, config.Config{Patience: 30, DatabaseURL: pgtest.NewEmpty(t).URL()})
	if err != nil {
		t.Fatal(err)
	}
	mustInit(t, settings)
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		delivery config.Delivery
		want     error
	}{
		"webhook, readable":    {config.Delivery{Webhook: "https://m.example.com", WebhookSecret: secretFile(t, 0o644)}, privacy.ErrForbidden},
		"webhook, no secret":   {config.Delivery{Webhook: "https://m.example.com", WebhookSecret: garbage}, privacy.ErrInvalid},
		"webhook in clear":     {config.Delivery{Webhook: "http://m.example.com", WebhookSecret: secretFile(t, 0o600)}, privacy.ErrInvalid},
		"mail, readable":       {config.Delivery{SMTP: "mail.example:587", SMTPFrom: "a@shop.example", SMTPUser: "u", SMTPPassword: secretFile(t, 0o640)}, privacy.ErrForbidden},
		"mail from two people": {config.Delivery{SMTP: "mail.example:587", SMTPFrom: "a@shop.example, b@shop.example"}, privacy.ErrInvalid},
	} {
		settings.Delivery = c.delivery
		house, err := Open(t.Context(), settings, Options{Logger: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_ = house.Close(t.Context())
		}
	}
}
