package gate

import (
	"context"
	"fmt"
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
	crowdAge = time.Minute
	// crowdLife is how long a count is good for at most. A label for which there is none
	// is not told.
	crowdLife = 10 * time.Minute
	// crowdTimeout bounds one count, for which at most one query at a time waits.
	crowdTimeout = 2 * time.Second
)

// crowd remembers which persona labels so many people share that a label says nothing
// about one of them. It fails closed: what was not counted is not shared.
type crowd struct {
	crowds Crowds
	vault  *vault.Vault
	now    func() time.Time

	latest   atomic.Pointer[headcount]
	counting sync.Mutex
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
	h := c.latest.Load()
	if h == nil || h.revision != s.revision || now.Sub(h.at) >= crowdLife {
		h = c.count(ctx, s)
	} else if now.Sub(h.at) >= crowdAge && c.counting.TryLock() {
		// Somebody may have counted since h was read.
		if latest := c.latest.Load(); latest == h {
			go func() {
				defer c.counting.Unlock()
				_, _ = c.countNow(context.WithoutCancel(ctx), s)
			}()
		} else {
			c.counting.Unlock()
		}
	}
	return h != nil && h.shared[label]
}

// count counts for everybody who waits; nil if people could not be counted.
func (c *crowd) count(ctx context.Context, s *sheet) *headcount {
	c.counting.Lock()
	defer c.counting.Unlock()
	if h := c.latest.Load(); h != nil && h.revision == s.revision && c.now().Sub(h.at) < crowdLife {
		return h
	}
	h, err := c.countNow(ctx, s)
	if err != nil {
		return nil
	}
	return h
}

func (c *crowd) countNow(ctx context.Context, s *sheet) (*headcount, error) {
	ctx, cancel := context.WithTimeout(ctx, crowdTimeout)
	defer cancel()
	h := &headcount{revision: s.revision, at: c.now(), shared: map[policies.PersonaID]bool{}}
	labels := s.catalogue.Personas()
	tags := make([]Tag, len(labels))
	for i, label := range labels {
		tags[i] = valueTag(c.vault, attributePersona, policies.Persona, string(label.ID))
	}
	enough, err := c.crowds.Shared(ctx, shapeTag(c.vault, s), tags, s.catalogue.PersonaMinimum())
	if err != nil {
		return nil, fmt.Errorf("counting who shares a persona: %w", err)
	}
	for i, label := range labels {
		h.shared[label.ID] = i < len(enough) && enough[i]
	}
	c.latest.Store(h)
	return h, nil
}
