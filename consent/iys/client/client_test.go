package client_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/consent/iys/client"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/internal/iystest"
	"github.com/mahrem/mahrem/privacy"
)

var noon = time.Date(2026, time.November, 18, 12, 0, 0, 0, iys.Place)

func account() client.Account {
	return client.Account{Code: 100, Brand: 200, User: privacy.NewPlain("user"), Password: privacy.NewPlain("secret")}
}

// newClient serves registry and returns a client of it that never waits, with what it
// waited for.
func newClient(t *testing.T, registry *iystest.Registry) (*client.Client, *[]time.Duration) {
	t.Helper()
	if registry.Now == nil {
		registry.Now = func() time.Time { return noon }
	}
	server := httptest.NewServer(registry.Handler())
	t.Cleanup(server.Close)
	var waited []time.Duration
	c, err := client.New(account(), client.Config{
		Address: server.URL, Now: registry.Now,
		Wait: func(_ context.Context, d time.Duration) error { waited = append(waited, d); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, &waited
}

func said(n int, status, at, created string) iystest.Record {
	return iystest.Record{
		Recipient: fmt.Sprintf("+9053211%05d", n), RecipientType: "BIREYSEL", Type: "MESAJ", Status: status,
		ConsentDate: at, CreationDate: created, Source: "IYS_WEB",
	}
}

// TestChangesArePaged: pages are followed to the end, without the last hour and what is
// older than seven days, and what comes later begins where the last page ended.
func TestChangesArePaged(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	registry := &iystest.Registry{PageSize: 3, Now: func() time.Time { return noon.Add(time.Duration(later.Load())) }}
	registry.Say(said(0, "RET", "2026-11-01 10:00:00", "2026-11-01 10:00:01"))
	for n := 1; n <= 7; n++ {
		registry.Say(said(n, "RET", "2026-11-17 10:00:00", "2026-11-17 10:00:01"))
	}
	registry.Put(iystest.Record{Recipient: "+905321100099", RecipientType: "BIREYSEL", Type: "MESAJ", Status: "ONAY", Source: "HS_WEB", ConsentDate: "2026-11-17 10:00:00", CreationDate: "2026-11-17 10:00:02"})
	registry.Say(said(8, "RET", "2026-11-18 11:30:00", "2026-11-18 11:30:01"))
	c, _ := newClient(t, registry)
	read := func(after string) (string, []string) {
		var got []string
		for {
			page, err := c.Changes(t.Context(), client.ByRecipient, after)
			if err != nil {
				t.Fatal(err)
			}
			after = page.After
			if len(page.Movements) == 0 {
				return after, got
			}
			for _, m := range page.Movements {
				got = append(got, m.Recipient.RevealPersonalData()[9:])
			}
		}
	}
	after, got := read("")
	if strings.Join(got, " ") != "0001 0002 0003 0004 0005 0006 0007" {
		t.Errorf("got %v", got)
	}
	if _, again := read(after); len(again) != 0 {
		t.Errorf("asked again: %v", again)
	}
	later.Store(int64(time.Hour))
	if _, later := read(after); strings.Join(later, " ") != "0008" {
		t.Errorf("an hour later: %v", later)
	}
	if page, err := c.Changes(t.Context(), client.BySender, ""); err != nil || len(page.Movements) != 1 || page.Movements[0].Source != iys.Web {
		t.Errorf("our own: %d, %v", len(page.Movements), err)
	}
}

func TestFileOfADay(t *testing.T) {
	t.Parallel()
	registry := &iystest.Registry{}
	registry.Now = func() time.Time { return noon }
	registry.Say(said(1, "RET", "2026-11-17 10:00:00", "2026-11-17 10:00:01"))
	registry.Say(said(2, "RET", "2026-11-16 10:00:00", "2026-11-16 10:00:01"))
	c, _ := newClient(t, registry)
	file, err := c.File(t.Context(), clock.Date{Year: 2026, Month: 11, Day: 17})
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	for _, day := range []clock.Date{{Year: 2026, Month: 11, Day: 18}, {Year: 2026, Month: 11, Day: 10}} {
		_, err := c.File(t.Context(), day)
		refusal, ok := client.IsRefusal(err)
		if !ok || refusal.Errors[0] != (iys.Failure{Code: "H501", Field: "reportDate"}) || !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v, want H501", day, err)
		}
	}
}

func TestTokenIsRenewed(t *testing.T) {
	t.Parallel()
	registry := &iystest.Registry{}
	var later atomic.Int64
	registry.Now = func() time.Time { return noon.Add(time.Duration(later.Load())) }
	c, _ := newClient(t, registry)
	ask := func() {
		t.Helper()
		if _, err := c.Changes(t.Context(), client.ByRecipient, ""); err != nil {
			t.Fatal(err)
		}
	}
	logins := func() (n int) {
		for _, call := range registry.Calls() {
			if call == "POST /oauth2/token" {
				n++
			}
		}
		return n
	}
	ask()
	ask()
	if n := logins(); n != 1 {
		t.Errorf("%d logins for two questions", n)
	}
	later.Store(int64(2*time.Hour - 30*time.Second))
	ask()
	if n := logins(); n != 2 {
		t.Errorf("%d logins when the token ends", n)
	}
	registry.Forget()
	ask()
	if n := logins(); n != 3 {
		t.Errorf("%d logins when the registry forgot the token", n)
	}
	registry.Password = "another"
	registry.Forget()
	_, err := c.Changes(t.Context(), client.ByRecipient, "")
	if !errors.Is(err, privacy.ErrUnauthenticated) || strings.Contains(err.Error(), "secret") {
		t.Errorf("with a wrong password: %v", err)
	}
}

func TestPassingFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	var left atomic.Int64
	left.Store(2)
	registry := &iystest.Registry{Fail: func(_, path string) (int, string) {
		if path == "/oauth2/token" || left.Load() == 0 {
			return 0, ""
		}
		left.Add(-1)
		return http.StatusTooManyRequests, "7"
	}}
	c, waited := newClient(t, registry)
	if _, err := c.Changes(t.Context(), client.ByRecipient, ""); err != nil {
		t.Fatal(err)
	}
	if len(*waited) != 2 || (*waited)[0] != 7*time.Second {
		t.Errorf("waited %v", *waited)
	}
	left.Store(100)
	if _, err := c.Changes(t.Context(), client.ByRecipient, ""); !errors.Is(err, privacy.ErrUnavailable) || left.Load() != 96 {
		t.Errorf("with %d failures left: %v", left.Load(), err)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	registry := &iystest.Registry{}
	registry.Now = func() time.Time { return noon }
	registry.Say(said(1, "RET", "2026-11-17 10:00:00", "2026-11-17 10:00:01"))
	c, _ := newClient(t, registry)
	m, err := c.Status(t.Context(), privacy.NewPlain("+905321100001"), iys.Individual, iys.Message)
	if err != nil || m.Status != iys.Refused || m.At.Format(time.DateTime) != "2026-11-17 10:00:00" {
		t.Errorf("%v, %v", m.Status, err)
	}
	if _, err := c.Status(t.Context(), privacy.NewPlain("+905321100002"), iys.Individual, iys.Message); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("somebody who is not there: %v", err)
	}
}

// TestNobodyIsSentElsewhere: no redirect is followed, and a public name must not lead
// inside the house.
func TestNobodyIsSentElsewhere(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(elsewhere.Close)
	for _, path := range []string{"/oauth2/token", "/sps/"} {
		registry := &iystest.Registry{Now: func() time.Time { return noon }}
		handler := registry.Handler()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if strings.HasPrefix(q.URL.Path, path) {
				http.Redirect(w, q, elsewhere.URL+q.URL.Path, http.StatusTemporaryRedirect)
				return
			}
			handler.ServeHTTP(w, q)
		}))
		t.Cleanup(server.Close)
		c, err := client.New(account(), client.Config{Address: server.URL, Now: registry.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Submit(t.Context(), []iys.Consent{{Recipient: privacy.NewPlain("+905321100001"), Type: iys.Call}}); err == nil || reached.Load() {
			t.Errorf("redirected at %s: %v, followed: %t", path, err, reached.Load())
		}
	}
	for _, address := range []string{"https://127.0.0.1:1", "http://127.0.0.1:1"} {
		c, err := client.New(account(), client.Config{Address: address, Attempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Changes(t.Context(), client.BySender, ""); !errors.Is(err, privacy.ErrUnavailable) || strings.Contains(err.Error(), "127") {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"http://api.iys.org.tr", "https://u:p@api.iys.org.tr", "ftp://x", "https://", "https://h?x=1"} {
		if _, err := client.New(account(), client.Config{Address: address}); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s is taken: %v", address, err)
		}
	}
	if _, err := client.New(client.Account{}, client.Config{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("no account: %v", err)
	}
}

// A batch goes out; how it fared is asked for later.
func ExampleClient_Submit() {
	registry := &iystest.Registry{Now: func() time.Time { return noon }}
	server := httptest.NewServer(registry.Handler())
	defer server.Close()
	c, err := client.New(account(), client.Config{Address: server.URL})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	request, err := c.Submit(ctx, []iys.Consent{
		{Type: iys.Email, Recipient: privacy.NewPlain("ayse@example.com"), RecipientType: iys.Individual, Status: iys.Approved, Source: iys.Web, At: noon},
		{Type: iys.Call, Recipient: privacy.NewPlain("+905321112233"), RecipientType: iys.Individual, Status: iys.Refused, Source: iys.Web, At: noon},
	})
	if err != nil {
		panic(err)
	}
	results, err := c.Results(ctx, request, 2)
	for _, r := range results {
		fmt.Println(r.Index, r.Taken, r.Failure)
	}
	fmt.Println(err)
	// Output:
	// 0 true <nil>
	// 1 false H000 (status)
	// <nil>
}
