package assembly

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/anchor"
	"github.com/mahrem/mahrem/dsar/opendsr/courier"
	"github.com/mahrem/mahrem/privacy"
)

// posted is a note as it is anchored. That it is signed is not looked at here.
var posted = anchor.Anchor{At: time.Unix(1_800_000_000, 0), Note: []byte("shop.example/log\n1\nYcpZ5cXCnbb1q8ysM9zYxybXISjxEZ0H5Dp3lvvZOlY=\n\n— shop.example/log /LfhU9pb\n")}

// keeper is an https server that is told how to answer.
func keeper(t *testing.T, answer http.HandlerFunc) (address string, trust func(*tls.Config)) {
	t.Helper()
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server.URL, func(c *tls.Config) { c.RootCAs = roots }
}

func TestPostAnchor(t *testing.T) {
	t.Parallel()
	type call struct{ method, kind, body string }
	calls := make(chan call, 1)
	address, trust := keeper(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case calls <- call{r.Method, r.Header.Get("Content-Type"), string(body)}:
		default:
			t.Error("it was posted twice")
		}
		w.WriteHeader(http.StatusCreated)
	})
	if err := postAnchor(t.Context(), address+"/anchors?key=secret", posted, true, trust); err != nil {
		t.Fatal(err)
	}
	if got, want := <-calls, (call{http.MethodPost, "text/plain; charset=utf-8", string(posted.Note)}); got != want {
		t.Errorf("posted %q", got)
	}
}

// TestPostAnchorRefusesAddresses: what is not public is not connected to, whatever its name.
func TestPostAnchorRefusesAddresses(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	address, trust := keeper(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	_, port, err := net.SplitHostPort(strings.TrimPrefix(address, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{
		"127.0.0.1", "localhost", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "10.0.0.1", "172.16.0.1", "192.168.1.1",
		"169.254.169.254", "100.64.0.1", "[fe80::1]", "[fd00::1]", "224.0.0.1",
	} {
		err := postAnchor(t.Context(), "https://"+host+":"+port+"/secret", posted, false, trust)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", host, err)
		}
		// IPv6 may not be there at all, and a name may not resolve.
		if !strings.HasPrefix(host, "[") && host != "localhost" && !errors.Is(err, courier.ErrAddress) {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, address := range []string{"http://example.org/", "ftp://example.org/", "example.org", "https://%zz/", ""} {
		if err := postAnchor(t.Context(), address, posted, true, trust); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if asked.Load() != 0 {
		t.Errorf("it was asked %d times all the same", asked.Load())
	}
}

// TestPostAnchorRefusesAnswers: only a success that the place itself gives is one.
func TestPostAnchorRefusesAnswers(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other, _ := keeper(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308, 400, 401, 403, 404, 409, 429, 500, 502, 503} {
		address, trust := keeper(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other)
			w.WriteHeader(status)
		})
		err := postAnchor(t.Context(), address+"/?key=secret", posted, true, trust)
		if !errors.Is(err, privacy.ErrUnavailable) || !strings.Contains(err.Error(), fmt.Sprint("status ", status)) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d: %v", status, err)
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}
	// A certificate that nobody vouches for, and a place that hangs up.
	address, _ := keeper(t, func(http.ResponseWriter, *http.Request) { t.Error("it was told the checkpoint") })
	if err := postAnchor(t.Context(), address+"/?key=secret", posted, true, nil); !errors.Is(err, privacy.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("an unknown certificate: %v", err)
	}
	address, trust := keeper(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if err := postAnchor(t.Context(), address, posted, true, trust); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("no answer: %v", err)
	}
}

// TestPostAnchorReadsNoBody: a place cannot keep the house busy with what it says.
func TestPostAnchorReadsNoBody(t *testing.T) {
	t.Parallel()
	hung := make(chan error, 1)
	address, trust := keeper(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		chunk := make([]byte, 64<<10)
		for range 16 << 10 { // a gibibyte
			if _, err := w.Write(chunk); err != nil {
				hung <- err
				return
			}
		}
		hung <- nil
	})
	if err := postAnchor(t.Context(), address, posted, true, trust); err != nil {
		t.Fatal(err)
	}
	if err := <-hung; err == nil {
		t.Error("a body of a gibibyte was read to its end")
	}
	// Nor with what it says before.
	address, trust = keeper(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("x", 128<<10)) })
	if err := postAnchor(t.Context(), address, posted, true, trust); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("a header of 128 KiB: %v", err)
	}
}

// TestAnchoringIsRare: however often it is asked for, a checkpoint is anchored at most once
// in the time that the settings name, if the log has grown, and the log has an entry for each.
func TestAnchoringIsRare(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	var mu sync.Mutex
	clock := time.Now()
	pass := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); clock = clock.Add(d) }
	house.options.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	house.Settings.Anchoring.AnchorFile = t.TempDir() + "/anchors"
	house.Settings.Anchoring.AnchorEvery = 10 * time.Minute
	grow := func() {
		t.Helper()
		for range 3 {
			if _, err := house.Log.Append(t.Context(), audit.Event{Kind: audit.ServerStarted, Outcome: audit.Done}); err != nil {
				t.Fatal(err)
			}
		}
		if err := house.Log.SignCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name  string
		grow  bool
		after time.Duration
		now   bool
		want  int
	}{
		{"the first", true, 0, false, 1},
		{"at once", true, 0, false, 0},
		{"a second early", true, 10*time.Minute - time.Second, false, 0},
		{"in time", false, time.Second, false, 1},
		{"not grown", false, time.Hour, false, 0},
		{"grown", true, 0, false, 1},
		{"somebody insists", true, 0, true, 1},
		{"that counts, too", true, 9 * time.Minute, false, 0},
		{"and is over", false, time.Minute, false, 1},
		{"the clock is set back", true, -time.Hour, false, 0},
	} {
		pass(step.after)
		if step.grow {
			grow()
		}
		before, err := house.Log.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done, err := house.Anchor(t.Context(), privacy.Principal{}, step.now)
		if err != nil || len(done) != step.want {
			t.Fatalf("%s: anchored %d times, want %d: %v", step.name, len(done), step.want, err)
		}
		after, err := house.Log.Size(t.Context())
		if err != nil || after-before != uint64(step.want) {
			t.Fatalf("%s: the log grew by %d: %v", step.name, after-before, err)
		}
		if entry, _ := last(t, house); step.want > 0 && (entry.Kind != audit.LogAnchored || entry.Channel != AnchorFile) {
			t.Errorf("%s: the last entry is %s %s", step.name, entry.Kind, entry.Channel)
		}
	}
}
