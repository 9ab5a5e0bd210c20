package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// question is a line about the person with this pseudonym.
func question(pseudonym string) string {
	return `{"data_subject":{"pseudonym":"` + pseudonym + `"},"purpose":"greeting","channel":"email","attributes":["first_name"]}`
}

func batchOf(lines ...string) request {
	return request{target: "/v1/query:batch", token: "service", contentType: "application/x-ndjson", body: strings.Join(lines, "\n") + "\n"}
}

// echo answers with the pseudonym that was asked about.
func echo(_ context.Context, q gate.Query) (gate.Answer, error) {
	return gate.Answer{Decision: gate.Allow, Pseudonym: q.DataSubject.Pseudonym, PolicyRevision: "2f7d", Receipt: receipt(1)}, nil
}

// answered are the pseudonyms of the answers, and the types of the problems, in order.
func answered(t *testing.T, w *httptest.ResponseRecorder) []string {
	t.Helper()
	mustStatus(t, w, http.StatusOK)
	if got := w.Header().Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("content type %q", got)
	}
	if !strings.HasSuffix(w.Body.String(), "\n") {
		t.Error("the last line has no end")
	}
	var list []string
	for line := range strings.Lines(w.Body.String()) {
		var item struct{ Type, Pseudonym, Decision string }
		if err := json.Unmarshal([]byte(line), &item); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if (item.Type == "") == (item.Decision == "") {
			t.Errorf("neither an answer nor a problem: %s", line)
		}
		list = append(list, item.Pseudonym+strings.TrimPrefix(item.Type, "urn:mahrem:problem:"))
	}
	return list
}

func TestBatchKeepsTheOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var under, most atomic.Int64
		f := &fake{ask: func(ctx context.Context, q gate.Query) (gate.Answer, error) {
			for now := under.Add(1); ; {
				if seen := most.Load(); now <= seen || most.CompareAndSwap(seen, now) {
					break
				}
			}
			defer under.Add(-1)
			// Later ones are quicker.
			var n int
			_, _ = fmt.Sscanf(q.DataSubject.Pseudonym, "p%d", &n)
			time.Sleep(time.Duration(5-n%5) * 100 * time.Microsecond)
			return echo(ctx, q)
		}}
		var lines, want []string
		for i := range MaxBatch {
			name := fmt.Sprintf("p%d", i)
			lines, want = append(lines, question(name)), append(want, name)
		}
		s := newServer(f, Config{})
		if diff := cmp.Diff(want, answered(t, do(s, batchOf(lines...)))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if f.asked.Load() != MaxBatch || most.Load() != batchWidth {
			t.Errorf("asked %d times, %d at once", f.asked.Load(), most.Load())
		}
		if len(s.batches) != 0 {
			t.Error("the batch still holds its slot")
		}
	})
}

// TestBatchItemIsAQuery: an item's answer is that of the same question asked alone.
func TestBatchItemIsAQuery(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	alone, together := do(s, good(&routes[0])), do(s, batchOf(queryBody))
	if diff := cmp.Diff(alone.Body.String()+"\n", together.Body.String()); diff != "" {
		t.Errorf("(-alone +in a batch):\n%s", diff)
	}
}

func TestBatchItemsFailAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{ask: func(ctx context.Context, q gate.Query) (gate.Answer, error) {
			switch q.DataSubject.Pseudonym {
			case "down":
				return gate.Answer{}, fmt.Errorf("asking about %s: %w", secret, privacy.ErrUnavailable)
			case "odd":
				return gate.Answer{}, &privacy.FieldError{Pointer: "/purpose", Reason: "is not in the catalogue"}
			case "boom":
				panic(secret)
			case "slow":
				<-ctx.Done()
				return gate.Answer{}, ctx.Err()
			case "unlogged":
				return gate.Answer{Decision: gate.Allow, Pseudonym: secret}, nil
			}
			return echo(ctx, q)
		}}
		s := newServer(f, Config{QueryLimit: 1 << 10, RequestTimeout: 50 * time.Millisecond})
		w := do(s, batchOf(
			question("a"), question("down"), "", "{", question("odd"), question("boom"), question("unlogged"),
			`{"data_subject":{"pseudonym":"x"},"purpose":"p","channel":"c","attributes":["a","a"]}`, question(strings.Repeat("l", 1<<10)),
			question("slow"), question("boom"), question("z")+"\r",
		))
		want := []string{
			"a", "unavailable", "malformed-request", "malformed-request", "invalid-request", "internal-error", "internal-error",
			"invalid-request", "request-too-large", "unavailable", "internal-error", "z",
		}
		if diff := cmp.Diff(want, answered(t, w)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if strings.Contains(w.Body.String(), secret) {
			t.Error("personal data in a batch of problems")
		}
		if !strings.Contains(w.Body.String(), `"errors":[{"pointer":"/attributes/1"`) {
			t.Errorf("no pointer into the line: %s", w.Body)
		}
		if s.metrics.panics.Load() != 2 {
			t.Errorf("%d panics were counted", s.metrics.panics.Load())
		}
	})
}

func TestBatchRefusals(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{BatchLimit: 1 << 20})
	for name, c := range map[string]struct {
		change func(*request)
		status int
	}{
		"nothing":          {func(r *request) { r.body = "" }, 400},
		"an empty line":    {func(r *request) { r.body = "\n" }, 400},
		"one too many":     {func(r *request) { r.body = strings.Repeat(queryBody+"\n", MaxBatch+1) }, 422},
		"too long":         {func(r *request) { r.body = strings.Repeat(" ", 1<<20+1) }, 413},
		"JSON":             {func(r *request) { r.contentType = "application/json" }, 415},
		"a query string":   {func(r *request) { r.target += "?a=b" }, 400},
		"without token":    {func(r *request) { r.token = "" }, 401},
		"an officer":       {func(r *request) { r.token = "dpo" }, 403},
		"another method":   {func(r *request) { r.method = "GET" }, 405},
		"as many as there": {func(r *request) { r.body = strings.Repeat(queryBody+"\n", MaxBatch) }, 200},
	} {
		call := batchOf(queryBody)
		c.change(&call)
		before := f.asked.Load()
		w := do(s, call)
		if w.Code != c.status || (f.asked.Load() != before) != (c.status == 200) {
			t.Errorf("%s: status %d, want %d; asked %d times", name, w.Code, c.status, f.asked.Load()-before)
		}
	}
}

// TestBatchAsksAboutOnePersonInTurn: at the same time the questions would only be in one
// another's way, and what the first is told would not count for the second.
func TestBatchAsksAboutOnePersonInTurn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	busy := map[string]bool{}
	order := map[string][]string{}
	f := &fake{ask: func(ctx context.Context, q gate.Query) (gate.Answer, error) {
		who := q.DataSubject.Pseudonym + q.DataSubject.Identifier.Value.RevealPersonalData()
		mu.Lock()
		if busy[who] {
			t.Errorf("two questions about %s at once", who)
		}
		busy[who] = true
		order[who] = append(order[who], string(q.Channel))
		mu.Unlock()
		time.Sleep(200 * time.Microsecond)
		mu.Lock()
		busy[who] = false
		mu.Unlock()
		return echo(ctx, q)
	}}
	var lines []string
	want := map[string][]string{}
	for i := range 300 {
		who, channel := fmt.Sprintf("p%d", i%7), fmt.Sprint("c", i)
		ref := `{"pseudonym":"` + who + `"}`
		if i%7 == 3 {
			ref = `{"identifier":{"kind":"email","value":"` + who + `"}}`
		}
		lines = append(lines, `{"data_subject":`+ref+`,"purpose":"greeting","channel":"`+channel+`","attributes":["first_name"]}`)
		want[who] = append(want[who], channel)
	}
	answered(t, do(newServer(f, Config{}), batchOf(lines...)))
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// goneWriter is a caller that hangs up after the first bytes.
type goneWriter struct {
	*httptest.ResponseRecorder
	writes int
}

func (w *goneWriter) Write(p []byte) (int, error) {
	if w.writes++; w.writes > 1 {
		return 0, http.ErrHandlerTimeout
	}
	return w.ResponseRecorder.Write(p)
}

// TestBatchEndsWithTheCaller: when nobody listens any more, nothing more is asked, and
// nobody works on after the handler has returned.
func TestBatchEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		f.ask = func(ctx context.Context, q gate.Query) (gate.Answer, error) {
			select {
			case <-time.After(time.Second):
				return echo(ctx, q)
			case <-ctx.Done():
				return gate.Answer{}, ctx.Err()
			}
		}
		s := newServer(f, Config{})
		var body bytes.Buffer
		for i := range MaxBatch {
			body.WriteString(question(fmt.Sprint("p", i)) + "\n")
		}
		r := httptest.NewRequest("POST", "/v1/query:batch", &body)
		r.Header.Set("Authorization", "Bearer service")
		r.Header.Set("Content-Type", "application/x-ndjson")
		begin := time.Now()
		s.ServeHTTP(&goneWriter{ResponseRecorder: httptest.NewRecorder()}, r)
		if asked := f.asked.Load(); asked > 4*batchWidth {
			t.Errorf("%d questions were asked for nobody", asked)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("it took %v to notice", took)
		}
	})
}

// TestBatchEndsWithItsTime: what is left when the time is over is answered by saying so.
func TestBatchEndsWithItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{ask: func(ctx context.Context, q gate.Query) (gate.Answer, error) {
			time.Sleep(time.Second)
			return echo(ctx, q)
		}}
		s := newServer(f, Config{IngestTimeout: 2500 * time.Millisecond})
		var lines []string
		for i := range MaxBatch {
			lines = append(lines, question(fmt.Sprint("p", i)))
		}
		got := answered(t, do(s, batchOf(lines...)))
		if len(got) != MaxBatch || got[0] != "p0" || got[MaxBatch-1] != "unavailable" {
			t.Errorf("%d answers, from %q to %q", len(got), got[0], got[len(got)-1])
		}
	})
}

func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	running, end := make(chan struct{}), make(chan struct{})
	f := &fake{ask: func(ctx context.Context, q gate.Query) (gate.Answer, error) {
		running <- struct{}{}
		<-end
		return echo(ctx, q)
	}}
	s := newServer(f, Config{BatchSlots: 1})
	first := make(chan *httptest.ResponseRecorder, 1)
	go func() { first <- do(s, batchOf(question("a"))) }()
	<-running
	w := do(s, batchOf(question("b")))
	mustStatus(t, w, http.StatusServiceUnavailable)
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	close(end)
	answered(t, <-first)
}
