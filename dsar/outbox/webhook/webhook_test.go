package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/dsar/outbox/webhook"
	"github.com/mahrem/mahrem/privacy"
)

// The known answer of docs/spec/webhook.md, computed by another implementation.
const (
	knownSecret    = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	knownLetter    = `{"to_kind":"email","to":"ayse@example.com","language":"tr","subject":"Kod","text":"12345678","code":"12345678"}`
	knownBody      = `{"id":"abababab-abab-4bab-abab-abababababab","type":"dsar.code","request":"07000000-0000-4000-8000-000000000000","sealed":"ERERERERERERERERqZyqqYSWexjkElFIee1EZu/wyqrKg5jiJ28tahMEG0InBacb36qYywQzv6JKeBXPO6f480iy9bVYJm+GtKaj/nKTosWPnqWzqw4eq3NIIO9TcLn3b4Ln+Jv4gyrEBoFI3KnkAMMPWEKjpP7S0z9FliSTjuWk/Li5RUi8l64Pyw=="}`
	knownSignature = "v1,9yMnCvKrwx4kqFCXTlj3KQZrffcucmNajef9l82Euag="
)

var (
	knownTime = time.Unix(1772366400, 0)
	delivery  = outbox.Delivery{
		ID: mustID("abababab-abab-4bab-abab-abababababab"), Kind: outbox.Webhook, Destination: "person", Topic: "code",
		Request: mustID("07000000-0000-4000-8000-000000000000"),
	}
)

func mustID(text string) outbox.ID {
	id, err := outbox.ParseID(text)
	if err != nil {
		panic(err)
	}
	return id
}

func secret(t testing.TB) webhook.Secret {
	t.Helper()
	s, err := webhook.ParseSecret(knownSecret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func headers(id, at, signature string) http.Header {
	return http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {at}, "Webhook-Signature": {signature}}
}

func TestKnownAnswer(t *testing.T) {
	t.Parallel()
	type call struct {
		header http.Header
		body   string
	}
	calls := make(chan call, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case calls <- call{r.Header, string(body)}:
		default:
			t.Error("it was called twice")
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer receiver.Close()
	sender, err := webhook.New(receiver.URL, secret(t), webhook.Config{
		Now: func() time.Time { return knownTime }, Random: bytes.NewReader(bytes.Repeat([]byte{0x11}, 12)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sender.Send(t.Context(), delivery, []byte(knownLetter)); err != nil {
		t.Fatal(err)
	}
	got := <-calls
	if got.body != knownBody {
		t.Errorf("sent %s", got.body)
	}
	if h := got.header; h.Get("webhook-id") != delivery.ID.String() || h.Get("webhook-timestamp") != "1772366400" ||
		h.Get("webhook-signature") != knownSignature || h.Get("content-type") != "application/json" {
		t.Errorf("sent %v", h)
	}
	for _, personal := range []string{"ayse", "12345678", "example.com"} {
		if strings.Contains(got.body, personal) {
			t.Errorf("the body says %q", personal)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	id := delivery.ID.String()
	call, err := webhook.Open(secret(t), headers(id, "1772366400", "v1,AAAA "+knownSignature), []byte(knownBody), knownTime.Add(4*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if call.ID != delivery.ID || call.Type != "dsar.code" || call.Request != outbox.ID(delivery.Request).String() ||
		call.Letter.To.Value.RevealPersonalData() != "ayse@example.com" || call.Letter.Code.RevealPersonalData() != "12345678" {
		t.Errorf("read %+v", call)
	}
	other, err := webhook.ParseSecret("whsec_" + strings.Repeat("QUFB", 11))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		secret webhook.Secret
		header http.Header
		body   string
		at     time.Time
	}{
		"another secret":    {other, headers(id, "1772366400", knownSignature), knownBody, knownTime},
		"no secret":         {webhook.Secret{}, headers(id, "1772366400", knownSignature), knownBody, knownTime},
		"too old":           {secret(t), headers(id, "1772366400", knownSignature), knownBody, knownTime.Add(6 * time.Minute)},
		"from the future":   {secret(t), headers(id, "1772366400", knownSignature), knownBody, knownTime.Add(-6 * time.Minute)},
		"another time":      {secret(t), headers(id, "1772366401", knownSignature), knownBody, knownTime},
		"no time":           {secret(t), headers(id, "soon", knownSignature), knownBody, knownTime},
		"another id":        {secret(t), headers("x"+id, "1772366400", knownSignature), knownBody, knownTime},
		"no signature":      {secret(t), headers(id, "1772366400", ""), knownBody, knownTime},
		"another version":   {secret(t), headers(id, "1772366400", "v2"+knownSignature[2:]), knownBody, knownTime},
		"body changed":      {secret(t), headers(id, "1772366400", knownSignature), strings.Replace(knownBody, "dsar.code", "dsar.done", 1), knownTime},
		"body with a space": {secret(t), headers(id, "1772366400", knownSignature), knownBody + " ", knownTime},
	} {
		if _, err := webhook.Open(c.secret, c.header, []byte(c.body), c.at); !errors.Is(err, privacy.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseSecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "whsec_", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "whsec_AAECAwQ=", "whsec_!!!!", "whsec_" + strings.Repeat("QUFB", 30)} {
		if s, err := webhook.ParseSecret(text); !errors.Is(err, privacy.ErrInvalid) || !s.IsZero() || len(text) > 20 && strings.Contains(err.Error(), text[6:20]) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if s := secret(t); s.String() != privacy.Redacted {
		t.Errorf("a secret prints %s", s)
	}
}

func TestSendSaysWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close) // when those that run beside one another have ended
	for name, c := range map[string]struct {
		status int
		header string
		want   outbox.Failure
	}{
		"taken":           {204, "", outbox.Failure{}},
		"gone":            {410, "", outbox.Failure{Word: "status_410", Final: true}},
		"redirect":        {302, "", outbox.Failure{Word: "status_302"}},
		"misconfigured":   {401, "", outbox.Failure{Word: "status_401"}},
		"busy":            {429, "120", outbox.Failure{Word: "status_429", After: 2 * time.Minute}},
		"busy for ever":   {503, "99999999", outbox.Failure{Word: "status_503", After: 24 * time.Hour}},
		"busy until then": {503, knownTime.Add(time.Hour).UTC().Format(http.TimeFormat), outbox.Failure{Word: "status_503", After: time.Hour}},
		"busy, it says":   {503, "soon", outbox.Failure{Word: "status_503"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", c.header)
				w.Header().Set("Location", elsewhere.URL)
				w.WriteHeader(c.status)
			}))
			defer receiver.Close()
			sender, err := webhook.New(receiver.URL, secret(t), webhook.Config{Now: func() time.Time { return knownTime }})
			if err != nil {
				t.Fatal(err)
			}
			_, err = sender.Send(t.Context(), delivery, []byte(knownLetter))
			failure, failed := errors.AsType[*outbox.Failure](err)
			if c.want.Word == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !failed || failure.Word != c.want.Word || failure.Final != c.want.Final || failure.After != c.want.After {
				t.Errorf("got %+v, %v", failure, err)
			}
		})
	}
}

func TestSendRefusesWhatIsNoLetter(t *testing.T) {
	t.Parallel()
	sender, err := webhook.New("http://127.0.0.1:1", secret(t), webhook.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sender.Send(t.Context(), delivery, []byte("no letter")); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := sender.Send(ctx, delivery, []byte(knownLetter)); err == nil || errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("nobody listens, got %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "example.com", "http://example.com/x", "ftp://example.com", "https://u:p@example.com", "https://example.com/#x", "https://"} {
		if _, err := webhook.New(address, secret(t), webhook.Config{}); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := webhook.New("https://example.com", webhook.Secret{}, webhook.Config{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("without secret: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(knownBody, knownSignature, "1772366400")
	f.Add(`{"id":""}`, "v1,", "0")
	s, err := webhook.ParseSecret(knownSecret)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body, signature, at string) {
		call, err := webhook.Open(s, headers(delivery.ID.String(), at, signature), []byte(body), knownTime)
		if err == nil && body != knownBody {
			t.Errorf("%q was believed: %+v", body, call)
		}
		if err != nil && !errors.Is(err, privacy.ErrUnauthenticated) && !errors.Is(err, privacy.ErrDamaged) {
			t.Error(err)
		}
	})
}
