package gate

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/vault"
)

// Crowds counts who has a word in common.
type Crowds interface {
	// Shared reports for each tag whether at least k people have it in a profile of this
	// shape that still holds.
	Shared(ctx context.Context, shape Tag, tags []Tag, k int) ([]bool, error)
}

const (
	// crowdAge is after how long people are counted again, behind the queries.
	crowdAge = 2 * time.Minute
	// crowdLife is how long a count is good for at most. A label for which there is none
	// is not told.
	crowdLife = 10 * time.Minute
	// crowdTimeout bounds one count.
	crowdTimeout = 30 * time.Second
	// crowdRest is how long none is tried after one has failed: nobody waits for what does
	// not come.
	crowdRest = 5 * time.Second
)

// CrowdWait is how long a query waits for the first count of who shares a label, unless it is
// said otherwise.
const CrowdWait = time.Second

// crowd remembers which persona labels so many people share that a label says nothing
// about one of them. It fails closed: what was not counted is not shared.
type crowd struct {
	crowds Crowds
	wait   time.Duration
	vault  *vault.Vault
	now    func() time.Time

	latest atomic.Pointer[headcount]

	mu sync.Mutex
	// running is closed when the count that began at started has ended; nil without one.
	running         chan struct{}
	started, failed time.Time
}

// headcount is one count of all labels of a catalogue.
type headcount struct {
	revision *policies.Revision
	at       time.Time
	shared   map[policies.PersonaID]bool
}

// everybody shares every label; it is for what is no answer to anybody.
func everybody(policies.PersonaID) bool { return true }

// shared reports whether enough people share a label of the sheet's catalogue.
func (c *crowd) shared(ctx context.Context, s *sheet, label policies.PersonaID) bool {
	if c.crowds == nil {
		return false
	}
	now := c.now()
	h := c.good(s, now)
	if h == nil {
		c.await(ctx, s, now)
		h = c.good(s, now)
	} else if now.Sub(h.at) >= crowdAge {
		c.begin(s, now)
	}
	return h != nil && h.shared[label]
}

// good returns the latest count if it is one of this revision and not too old.
func (c *crowd) good(s *sheet, now time.Time) *headcount {
	if h := c.latest.Load(); h != nil && h.revision == s.revision && now.Sub(h.at) < crowdLife {
		return h
	}
	return nil
}

// await begins a count, if none is under way, and waits for it, but not for long.
func (c *crowd) await(ctx context.Context, s *sheet, now time.Time) {
	running, started := c.begin(s, now)
	if running == nil {
		return
	}
	timer := time.NewTimer(c.wait - now.Sub(started))
	defer timer.Stop()
	select {
	case <-running:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// begin begins a count, unless one is under way or has just failed. It returns the one
// that is under way, and since when.
func (c *crowd) begin(s *sheet, now time.Time) (running chan struct{}, started time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil && (c.failed.IsZero() || now.Sub(c.failed) >= crowdRest) {
		c.running, c.started = make(chan struct{}), now
		go c.run(s, now, c.running)
	}
	return c.running, c.started
}

// run counts. It is nobody's own: many wait for it, or none.
func (c *crowd) run(s *sheet, now time.Time, done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), crowdTimeout)
	defer cancel()
	labels := s.catalogue.Personas()
	tags := make([]Tag, len(labels))
	for i, label := range labels {
		tags[i] = valueTag(c.vault, attributePersona, policies.Persona, string(label.ID))
	}
	enough, err := c.crowds.Shared(ctx, shapeTag(c.vault, s), tags, s.catalogue.PersonaMinimum())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = nil
	defer close(done)
	if c.failed = (time.Time{}); err != nil || len(enough) != len(labels) {
		c.failed = c.now()
		return
	}
	h := &headcount{revision: s.revision, at: now, shared: map[policies.PersonaID]bool{}}
	for i, label := range labels {
		h.shared[label.ID] = enough[i]
	}
	c.latest.Store(h)
}
