package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/gate"
)

// evidence is a log that counts, and that fails when it is used after its end.
type evidence struct {
	mu      sync.Mutex
	entries map[uint64]bool
	closed  bool
	late    atomic.Int64
}

func (e *evidence) append() (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		e.late.Add(1)
		return 0, errors.New("the log is closed")
	}
	index := uint64(len(e.entries))
	e.entries[index] = true
	return index, nil
}

func (e *evidence) close(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return nil
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestShutdownLosesNothing stops a server under load: every request that reached it
// gets a whole answer, every 200 has its entry, and nothing appends to a closed log.
func TestShutdownLosesNothing(t *testing.T) {
	t.Parallel()
	kept := &evidence{entries: map[uint64]bool{}}
	var entered atomic.Int64
	f := &fake{ask: func(context.Context, gate.Query) (gate.Answer, error) {
		entered.Add(1)
		time.Sleep(2 * time.Millisecond)
		index, err := kept.append()
		time.Sleep(2 * time.Millisecond)
		return gate.Answer{DecisionID: "x", Decision: "deny", Receipt: receipt(index)}, err
	}}
	s := newServer(f, Config{RequestTimeout: time.Hour})
	listener := listen(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, listener, ServeConfig{Grace: time.Hour, CloseLog: kept.close}) }()

	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	var answered, other atomic.Int64
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			for {
				r, _ := http.NewRequest("POST", "http://"+listener.Addr().String()+"/v1/query", strings.NewReader(queryBody))
				r.Header.Set("Authorization", "Bearer service")
				r.Header.Set("Content-Type", "application/json")
				resp, err := client.Do(r)
				if err != nil {
					return // no connection any more: nothing was asked, nothing is lost
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				var got struct{ Log struct{ Index uint64 } }
				if err != nil || json.Unmarshal(body, &got) != nil {
					t.Errorf("half an answer: %q, %v", body, err)
				}
				if resp.StatusCode != http.StatusOK {
					other.Add(1)
					continue
				}
				answered.Add(1)
				kept.mu.Lock()
				if !kept.entries[got.Log.Index] {
					t.Errorf("answer without entry %d", got.Log.Index)
				}
				kept.mu.Unlock()
			}
		})
	}
	for until := time.Now().Add(5 * time.Minute); answered.Load() < 100 && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	clients.Wait()
	if answered.Load() == 0 || other.Load() != 0 {
		t.Errorf("%d answers, %d others", answered.Load(), other.Load())
	}
	if answered.Load() != entered.Load() {
		t.Errorf("%d requests entered, %d were answered", entered.Load(), answered.Load())
	}
	if !kept.closed || kept.late.Load() != 0 {
		t.Errorf("log closed %v, %d appends after that", kept.closed, kept.late.Load())
	}
	// Its port may be somebody else's by now.
	if err := listener.(*net.TCPListener).SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener still takes connections: %v", err)
	}
}

// pipes is a listener whose connections do not leave the process, so that time can stand still
// while somebody works.
type pipes struct {
	conns chan net.Conn
	end   chan struct{}
	close func()
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn), end: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.end) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.end:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.close(); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	p.conns <- there
	return here, nil
}

// TestShutdownCancelsWhatOverstaysItsGrace: the request is cancelled and the log is
// closed only after its handler has returned.
func TestShutdownCancelsWhatOverstaysItsGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var closed, returned bool
		entered := make(chan struct{})
		f := &fake{ask: func(ctx context.Context, _ gate.Query) (gate.Answer, error) {
			close(entered)
			<-ctx.Done()
			// What is charged in a room goes on when its asker goes, but not now.
			working, cancel := (&cleanroom.Clock{Limit: time.Hour}).Work(context.WithoutCancel(ctx))
			defer cancel()
			<-working.Done()
			time.Sleep(4 * time.Second)
			if closed {
				t.Error("the log was closed under a running request")
			}
			returned = true
			return gate.Answer{}, ctx.Err()
		}}
		s, listener := newServer(f, Config{}), newPipes()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- s.Serve(ctx, listener, ServeConfig{Grace: 10 * time.Second, CloseLog: func(context.Context) error {
				closed = true
				return nil
			}})
		}()
		go func() {
			r, _ := http.NewRequest("POST", "http://house/v1/query", strings.NewReader(queryBody))
			r.Header.Set("Authorization", "Bearer service")
			r.Header.Set("Content-Type", "application/json")
			client := &http.Client{Transport: &http.Transport{DialContext: listener.dial, DisableKeepAlives: true}}
			if resp, err := client.Do(r); err == nil {
				_ = resp.Body.Close()
			}
		}()
		<-entered
		begun := time.Now()
		stop()
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Serve: %v, want a deadline", err)
		}
		if took := time.Since(begun); !returned || !closed || took != 14*time.Second {
			t.Errorf("returned %v, closed %v after %v, want 14 s", returned, closed, took)
		}
	})
}

func TestServeSaysWhyItFails(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	_ = listener.Close()
	closed := false
	err := newServer(&fake{}, Config{}).Serve(context.Background(), listener, ServeConfig{CloseLog: func(context.Context) error {
		closed = true
		return errors.New("cannot drain")
	}})
	if err == nil || !strings.Contains(err.Error(), "serving: ") || !strings.Contains(err.Error(), "closing the log: cannot drain") || !closed {
		t.Errorf("got %v", err)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := &fake{checks: []Check{{Name: "database", Err: errSecret}, {Name: "policies", Detail: "2f7d"}}}
	s := newServer(f, Config{Now: func() time.Time { return now }})
	get := request{method: "GET", target: "/readyz"}
	for range 5 {
		w := do(s, get)
		mustStatus(t, w, http.StatusServiceUnavailable)
		want := `{"status":"not_ready","checks":[{"name":"database","status":"failing"},{"name":"policies","status":"ok","detail":"2f7d"}]}`
		if got := w.Body.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if f.checked.Load() != 1 {
		t.Errorf("five questions in one moment made %d checks", f.checked.Load())
	}
	mustStatus(t, do(s, request{method: "GET", target: "/healthz"}), http.StatusOK)
	f.checks, now = nil, now.Add(time.Second)
	mustStatus(t, do(s, get), http.StatusOK)
	s.health.drain()
	mustStatus(t, do(s, get), http.StatusServiceUnavailable)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{Gauges: []Gauge{{Name: "mahrem_log_queue_depth", Help: "Entries that wait.", Read: func() float64 { return 7 }}}})
	for range 3 {
		do(s, good(&routes[0]))
	}
	do(s, request{target: "/" + secret})
	do(s, request{body: "{", token: "service", contentType: "application/json"})
	text := do(s, request{method: "GET", target: "/metrics"}).Body.String()
	for _, line := range []string{
		`mahrem_http_requests_total{method="POST",route="/v1/query",code="200"} 3`,
		`mahrem_http_requests_total{method="POST",route="/v1/query",code="400"} 1`,
		`mahrem_http_requests_total{route="other",code="404"} 1`,
		`mahrem_http_request_seconds_bucket{method="POST",route="/v1/query",le="+Inf"} 4`,
		`mahrem_http_request_seconds_count{method="POST",route="/v1/query"} 4`,
		`mahrem_decisions_total{purpose="greeting",outcome="allow"} 3`,
		"# TYPE mahrem_log_queue_depth gauge",
		"mahrem_log_queue_depth 7",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("metrics lack %q", line)
		}
	}
	if strings.Contains(text, secret) {
		t.Error("personal data in the metrics")
	}
	for i := range 2 * maxDecisions {
		s.metrics.decided(fmt.Sprintf("purpose%d", i), "deny")
	}
	if got := len(s.metrics.decisions); got > maxDecisions+1 {
		t.Errorf("%d decision series", got)
	}
}
