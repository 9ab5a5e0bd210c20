package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// Audience makes fake an [AudienceFinder].
func (f *fake) Audience(_ context.Context, _ privacy.Principal, q gate.AudienceQuery) (gate.Audience, error) {
	f.asked.Add(1)
	f.lastAudience = q
	if q.Purpose == "pricing" {
		return gate.Audience{
			DecisionID: "6f1d", Decision: gate.Deny, Reasons: []policies.Reason{{Check: gate.CheckAudience, Laws: []string{"GDPR-5-1-c"}}},
			PolicyRevision: "2f7d", Receipt: receipt(49),
		}, f.err
	}
	return gate.Audience{
		DecisionID: "6f1c", Decision: gate.Allow, Size: 2, At: time.Date(2026, 3, 1, 14, 0, 0, 0, time.FixedZone("", 7200)),
		Pseudonyms:  slices.Values([]pseudonym.Pseudonym{"AXJ0", "AXJ1"}),
		Obligations: []gate.Obligation{{ID: policies.NoSourceReference}},
		Reasons:     []policies.Reason{{Check: "basis.consent", Laws: []string{"GDPR-6-1-a"}}}, PolicyRevision: "2f7d", Receipt: receipt(48),
	}, f.err
}

const audienceLines = `{"decision_id":"6f1c","decision":"allow","members":2,"as_of":"2026-03-01T12:00:00Z",` +
	`"obligations":[{"id":"no_source_reference","type":"no_source_reference","properties":{}}],` +
	`"reasons":[{"code":"basis.consent","laws":["GDPR-6-1-a"]}],"policy_revision":"2f7d",` +
	`"log":{"index":48,"leaf_hash":"ab00cd0000000000000000000000000000000000000000000000000000000000"}}` + "\n" +
	`{"pseudonym":"AXJ0"}` + "\n" + `{"pseudonym":"AXJ1"}` + "\n"

func audienceCall(body string) request {
	return request{target: "/v1/audience", token: "service", contentType: "application/json", body: body}
}

func TestAudience(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{})
	w := do(s, audienceCall(audienceBody))
	mustStatus(t, w, http.StatusOK)
	if got := w.Header().Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("media type %q", got)
	}
	if diff := cmp.Diff(audienceLines, w.Body.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want := gate.AudienceQuery{
		Purpose: "recommendations", Channel: "email",
		Conditions: []gate.AudienceCondition{{Attribute: "loyalty_tier", In: []string{"gold", "silver"}}},
	}
	if diff := cmp.Diff(want, f.lastAudience); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	w = do(s, audienceCall(`{"purpose":"pricing","channel":"web"}`))
	mustStatus(t, w, http.StatusOK)
	if got := w.Body.String(); strings.Count(got, "\n") != 1 || strings.Contains(got, "members") || !strings.Contains(got, `"decision":"deny"`) {
		t.Errorf("a denial says %s", got)
	}
}

func TestAudienceRefuses(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{})
	condition := func(text string) string { return `{"purpose":"p","channel":"web","conditions":[` + text + `]}` }
	for name, test := range map[string]struct {
		body, pointer string
		status        int
	}{
		"no purpose":       {`{"channel":"web"}`, "/purpose", 422},
		"no words":         {condition(`{"attribute":"a","in":[]}`), "/conditions/0/in", 422},
		"no attribute":     {condition(`{"in":["x"]}`), "/conditions/0/attribute", 422},
		"an empty word":    {condition(`{"attribute":"a","in":[""]}`), "/conditions/0/in/0", 422},
		"a word twice":     {condition(`{"attribute":"a","in":["x","x"]}`), "/conditions/0/in", 422},
		"a long word":      {condition(`{"attribute":"a","in":["` + strings.Repeat("x", 129) + `"]}`), "/conditions/0/in/0", 422},
		"nine conditions":  {condition(strings.Repeat(`{"attribute":"a","in":["x"]},`, 8) + `{"attribute":"a","in":["x"]}`), "/conditions", 422},
		"an unknown field": {`{"purpose":"p","channel":"web","minimum":1}`, "", 422},
		"not JSON":         {`{"purpose":`, "", 400},
	} {
		w := do(s, audienceCall(test.body))
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.pointer) {
			t.Errorf("%s: status %d, %s", name, w.Code, w.Body)
		}
	}
	if f.asked.Load() != 0 {
		t.Error("the gate was asked")
	}
	query := audienceCall(audienceBody)
	query.target += "?minimum=1"
	mustStatus(t, do(s, query), http.StatusBadRequest)
	mustStatus(t, do(newServer(&fake{err: privacy.ErrUnavailable}, Config{}), audienceCall(audienceBody)), http.StatusServiceUnavailable)
	mustStatus(t, do(New(Services{Tokens: f}, Config{}), audienceCall(audienceBody)), http.StatusServiceUnavailable)
}

// many answers with a long audience, and remembers how far anybody read it.
type many struct {
	*fake
	size, read int
}

func (m *many) Audience(context.Context, privacy.Principal, gate.AudienceQuery) (gate.Audience, error) {
	return gate.Audience{Decision: gate.Allow, Size: m.size, Receipt: receipt(1), Pseudonyms: func(yield func(pseudonym.Pseudonym) bool) {
		for m.read = range m.size {
			if !yield(pseudonym.Pseudonym(fmt.Sprintf("%050d", m.read))) {
				return
			}
		}
	}}, nil
}

// TestAudienceIsStreamed: a long answer arrives whole, and a caller who goes away ends it.
func TestAudienceIsStreamed(t *testing.T) {
	t.Parallel()
	m := &many{fake: &fake{}, size: 200_000}
	s := New(Services{Tokens: m.fake, Audiences: m}, Config{})
	ended := make(chan struct{}, 2)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		s.ServeHTTP(w, r)
	}))
	defer web.Close()
	ask := func() *http.Response {
		r, _ := http.NewRequest("POST", web.URL+"/v1/audience", strings.NewReader(audienceBody))
		r.Header = http.Header{"Authorization": {"Bearer service"}, "Content-Type": {"application/json"}}
		answer, err := web.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	whole := ask()
	lines := 0
	for scan := bufio.NewScanner(whole.Body); scan.Scan(); lines++ {
		if len(scan.Text()) != 66 && lines > 0 {
			t.Fatalf("line %d is %q", lines, scan.Text())
		}
	}
	<-ended
	if lines != m.size+1 {
		t.Errorf("%d lines, want %d", lines, m.size+1)
	}
	m.size *= 10 // more than fits between a sender and whoever does not read
	part := ask()
	if _, err := io.CopyN(io.Discard, part.Body, 100); err != nil {
		t.Fatal(err)
	}
	_ = part.Body.Close()
	<-ended
	if m.read >= m.size-1 {
		t.Error("an audience was read to its end for a caller who had gone")
	}
}

// held answers only when it is let go, and says when it was asked.
type held struct {
	*fake
	asked, free chan struct{}
}

func (h *held) Audience(ctx context.Context, by privacy.Principal, q gate.AudienceQuery) (gate.Audience, error) {
	found, err := h.fake.Audience(ctx, by, q)
	found.Pseudonyms = func(func(pseudonym.Pseudonym) bool) {
		h.asked <- struct{}{}
		<-h.free
	}
	return found, err
}

// TestAudiencesAtOnceAreBounded: what is being sent counts, however slowly it is read.
func TestAudiencesAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	h := &held{&fake{}, make(chan struct{}), make(chan struct{})}
	s := New(Services{Tokens: h.fake, Audiences: h}, Config{AudienceSlots: 1})
	first := make(chan int)
	go func() { first <- do(s, audienceCall(audienceBody)).Code }()
	<-h.asked
	mustStatus(t, do(s, audienceCall(audienceBody)), http.StatusServiceUnavailable)
	close(h.free)
	if code := <-first; code != http.StatusOK {
		t.Errorf("the first one: status %d", code)
	}
	go func() { <-h.asked }()
	mustStatus(t, do(s, audienceCall(audienceBody)), http.StatusOK)
}
