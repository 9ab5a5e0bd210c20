package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar/outbox/webhook"
	"github.com/mahrem/mahrem/privacy"
)

// refusedBy returns the check that an error names.
func refusedBy(err error) string {
	if refusal, ok := errors.AsType[*webhook.Refusal](err); ok {
		return refusal.Check
	}
	return fmt.Sprint("no refusal: ", err)
}

// TestVerifyNamesTheCheck: whoever is refused learns by which check, and nothing that is
// refused is believed.
func TestVerifyNamesTheCheck(t *testing.T) {
	t.Parallel()
	const at = "1772366400"
	id := delivery.ID.String()
	twice := func(h http.Header, name string) http.Header {
		h[name] = append(h[name], h[name]...)
		return h
	}
	other, err := webhook.ParseSecret("whsec_" + strings.Repeat("QUFB", 11))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		want   string
		header http.Header
		body   string
		now    time.Time
	}{
		"forged body":         {webhook.CheckSignature, headers(id, at, knownSignature), knownBody + " ", knownTime},
		"forged id":           {webhook.CheckSignature, headers("other", at, knownSignature), knownBody, knownTime},
		"forged time":         {webhook.CheckSignature, headers(id, "1772366401", knownSignature), knownBody, knownTime},
		"no signature":        {webhook.CheckSignature, headers(id, at, ""), knownBody, knownTime},
		"signature cut":       {webhook.CheckSignature, headers(id, at, knownSignature[:20]), knownBody, knownTime},
		"asymmetric version":  {webhook.CheckSignature, headers(id, at, "v1a,"+knownSignature[3:]), knownBody, knownTime},
		"two signatures":      {webhook.CheckSignature, twice(headers(id, at, knownSignature), "Webhook-Signature"), knownBody, knownTime},
		"late":                {webhook.CheckTime, headers(id, at, knownSignature), knownBody, knownTime.Add(5*time.Minute + time.Second)},
		"early":               {webhook.CheckTime, headers(id, at, knownSignature), knownBody, knownTime.Add(-5*time.Minute - time.Second)},
		"no time":             {webhook.CheckTimestamp, headers(id, "", knownSignature), knownBody, knownTime},
		"time with a zero":    {webhook.CheckTimestamp, headers(id, "0"+at, knownSignature), knownBody, knownTime},
		"two times":           {webhook.CheckTimestamp, twice(headers(id, at, knownSignature), "Webhook-Timestamp"), knownBody, knownTime},
		"no id":               {webhook.CheckID, headers("", at, knownSignature), knownBody, knownTime},
		"long id":             {webhook.CheckID, headers(strings.Repeat("x", 129), at, knownSignature), knownBody, knownTime},
		"two ids":             {webhook.CheckID, twice(headers(id, at, knownSignature), "Webhook-Id"), knownBody, knownTime},
		"large":               {webhook.CheckSize, headers(id, at, knownSignature), strings.Repeat(" ", 1<<20+1), knownTime},
		"nothing":             {webhook.CheckID, http.Header{}, "", knownTime},
		"all well, for proof": {"no refusal: <nil>", headers(id, at, knownSignature), knownBody, knownTime.Add(5 * time.Minute)},
	} {
		got, err := webhook.Verify(c.header, []byte(c.body), c.now, other, secret(t))
		if refusedBy(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if err != nil && (got != "" || !errors.Is(err, privacy.ErrUnauthenticated)) {
			t.Errorf("%s: refused with %v, and id %q", name, err, got)
		}
	}
	if _, err := webhook.Verify(headers(id, at, knownSignature), []byte(knownBody), knownTime, other); refusedBy(err) != webhook.CheckSignature {
		t.Errorf("another secret: %v", err)
	}
	if _, err := webhook.Verify(headers(id, at, knownSignature), []byte(knownBody), knownTime); refusedBy(err) != webhook.CheckSignature {
		t.Errorf("no secret: %v", err)
	}
}

// TestReceiverActsOnce: a replay is refused by name, whoever comes at the same time; what
// failed may come again; a forged call never reaches the memory.
func TestReceiverActsOnce(t *testing.T) {
	t.Parallel()
	now := knownTime
	memory := webhook.NewRecent(time.Hour, func() time.Time { return now })
	receiver, err := webhook.NewReceiver(memory, func() time.Time { return now }, secret(t))
	if err != nil {
		t.Fatal(err)
	}
	header := func() http.Header { return webhook.Sign(secret(t), "msg_1", now, []byte("{}")) }
	acted := 0
	act := func(id string, body []byte) error {
		if id != "msg_1" || string(body) != "{}" {
			t.Errorf("acts on %q %q", id, body)
		}
		acted++
		return nil
	}
	if err := receiver.Receive(t.Context(), header(), []byte("{ }"), act); refusedBy(err) != webhook.CheckSignature {
		t.Errorf("forged: %v", err)
	}
	broken := errors.New("disk full")
	if err := receiver.Receive(t.Context(), header(), []byte("{}"), func(string, []byte) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("failing: %v", err)
	}
	if err := receiver.Receive(t.Context(), header(), []byte("{}"), act); err != nil || acted != 1 {
		t.Errorf("after a failure: %v, %d times", err, acted)
	}
	err = receiver.Receive(t.Context(), header(), []byte("{}"), act)
	if refusedBy(err) != webhook.CheckReplay || !errors.Is(err, privacy.ErrConflict) || errors.Is(err, privacy.ErrUnauthenticated) || acted != 1 {
		t.Errorf("replayed: %v, %d times", err, acted)
	}
	now = now.Add(time.Hour) // it is forgotten, and the time of the old signature is over
	old := webhook.Sign(secret(t), "msg_1", knownTime, []byte("{}"))
	if err := receiver.Receive(t.Context(), old, []byte("{}"), act); refusedBy(err) != webhook.CheckTime {
		t.Errorf("replayed late: %v", err)
	}

	var many atomic.Int64
	var refused atomic.Int64
	var callers sync.WaitGroup
	for range 16 {
		signed := webhook.Sign(secret(t), "msg_2", now, []byte("{}"))
		callers.Go(func() {
			err := receiver.Receive(t.Context(), signed, []byte("{}"),
				func(string, []byte) error { many.Add(1); return nil })
			if refusedBy(err) == webhook.CheckReplay {
				refused.Add(1)
			}
		})
	}
	callers.Wait()
	if many.Load() != 1 || refused.Load() != 15 {
		t.Errorf("of 16 at the same time %d acted and %d were refused", many.Load(), refused.Load())
	}
}

func TestNewReceiverNeedsItsParts(t *testing.T) {
	t.Parallel()
	memory := webhook.NewRecent(0, nil)
	for name, make := range map[string]func() (*webhook.Receiver, error){
		"memory":       func() (*webhook.Receiver, error) { return webhook.NewReceiver(nil, nil, secret(t)) },
		"secret":       func() (*webhook.Receiver, error) { return webhook.NewReceiver(memory, nil) },
		"empty secret": func() (*webhook.Receiver, error) { return webhook.NewReceiver(memory, nil, webhook.Secret{}) },
	} {
		if _, err := make(); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// TestPosterDoesNotGoInside: a name that leads inside is refused when it is connected to.
func TestPosterDoesNotGoInside(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	inside := newReceiver(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	client := webhook.NewClient(func(string) error { return fmt.Errorf("not public: %w", privacy.ErrForbidden) })
	err := webhook.NewPoster(client, nil).Post(t.Context(), inside, knownSecret, "msg_1", []byte("{}"))
	if err == nil || !strings.Contains(err.Error(), webhook.FailureNotPublic) || reached.Load() {
		t.Errorf("%v, reached %v", err, reached.Load())
	}
	if err := webhook.NewPoster(webhook.NewClient(nil), nil).Post(t.Context(), inside, knownSecret, "msg_1", []byte("{}")); err != nil || !reached.Load() {
		t.Errorf("without the check: %v, reached %v", err, reached.Load())
	}
}

func TestNewSecretReadsBack(t *testing.T) {
	t.Parallel()
	text, err := webhook.NewSecret(strings.NewReader(strings.Repeat("\x07", 32)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := webhook.ParseSecret(text.RevealPersonalData()); err != nil {
		t.Error(err)
	}
	if _, err := webhook.NewSecret(strings.NewReader("short")); err == nil {
		t.Error("a short draw is a secret")
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("msg_1", "1772366400", knownSignature, []byte(knownBody))
	f.Add("", "-1", "v1,", []byte{})
	key, err := webhook.ParseSecret(knownSecret)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, at, signature string, body []byte) {
		got, err := webhook.Verify(headers(id, at, signature), body, knownTime, key)
		if err != nil && (got != "" || strings.HasPrefix(refusedBy(err), "no refusal")) {
			t.Fatalf("%q and %v", got, err)
		}
		// Only the known one can be valid: nothing else was ever signed.
		if err == nil && (string(body) != knownBody || id != delivery.ID.String() || at != "1772366400") {
			t.Fatal("something is believed that was never signed")
		}
	})
}

// A recipient takes what Mahrem sends: verified first, acted on once.
func ExampleReceiver() {
	key, err := webhook.ParseSecret(knownSecret)
	if err != nil {
		panic(err)
	}
	clock := func() time.Time { return knownTime }
	receiver, err := webhook.NewReceiver(webhook.NewRecent(0, clock), clock, key)
	if err != nil {
		panic(err)
	}
	body := []byte(`{"type":"consent.changed"}`)
	header := webhook.Sign(key, "msg_1", knownTime, body) // what a sender does
	act := func(id string, body []byte) error { fmt.Println("acting on", id); return nil }
	fmt.Println(receiver.Receive(context.Background(), header, body, act))
	fmt.Println(receiver.Receive(context.Background(), header, body, act))
	fmt.Println(receiver.Receive(context.Background(), header, []byte(`{"type":"forged"}`), act))
	// Output:
	// acting on msg_1
	// <nil>
	// refusing webhook: webhook.replay: a call of this id was taken already
	// refusing webhook: webhook.signature: no signature of the header Webhook-Signature is of a secret that is known here
}

// newReceiver returns the address of a server.
func newReceiver(t testing.TB, handle http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server.URL
}
