package gate

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// shareAll is for tests that are about something else.
func shareAll(context.Context, policies.PersonaID) bool { return true }

// crowdsOf is a count of people by tag.
type crowdsOf struct {
	mu     sync.Mutex
	people map[Tag]int
	shape  Tag
	k      int
	err    error
	asked  atomic.Int64
	wait   chan struct{}
}

func (c *crowdsOf) Shared(ctx context.Context, shape Tag, tags []Tag, k int) ([]bool, error) {
	c.asked.Add(1)
	if c.wait != nil {
		select {
		case <-c.wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.k = k
	if c.err != nil || shape != c.shape {
		return make([]bool, len(tags)), c.err
	}
	enough := make([]bool, len(tags))
	for i, tag := range tags {
		enough[i] = c.people[tag] >= k
	}
	return enough, nil
}

// newCrowd returns a crowd. Who asks it waits for the first count, and a second at most: a test
// makes it in a bubble, where time passes when there is nothing left to do.
func newCrowd(t *testing.T) (*crowd, *crowdsOf, *sheet, *atomic.Int64) {
	s, v := newSheet(mustRevision(t)), testVault(t)
	people := &crowdsOf{shape: shapeTag(v, s), people: map[Tag]int{
		valueTag(v, attributePersona, policies.Persona, "pet_friend"):  20,
		valueTag(v, attributePersona, policies.Persona, "home_keeper"): 19,
		valueTag(v, attributePersona, policies.Exact, "fresh_cook"):    500,
	}}
	var seconds atomic.Int64
	return &crowd{crowds: people, wait: CrowdWait, vault: v, now: func() time.Time { return testTime.Add(time.Duration(seconds.Load()) * time.Second) }}, people, s, &seconds
}

func sharedLabels(t *testing.T, c *crowd, s *sheet) []policies.PersonaID {
	t.Helper()
	var labels []policies.PersonaID
	for _, label := range s.catalogue.Personas() {
		if c.shared(t.Context(), s, label.ID) {
			labels = append(labels, label.ID)
		}
	}
	return labels
}

var onlyPets = []policies.PersonaID{"pet_friend"}

// TestPersonaNeedsACrowd: twenty who share a label are enough, nineteen are not, and a
// label that the catalogue does not have is nobody's.
func TestPersonaNeedsACrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, people, s, _ := newCrowd(t)
		if got := sharedLabels(t, c, s); !slices.Equal(got, onlyPets) || people.k != 20 {
			t.Errorf("of 20, 19 and none, with k = %d: %v", people.k, got)
		}
		if c.shared(t.Context(), s, "rich_widow") {
			t.Error("a label that nobody knows is shared")
		}
		if n := people.asked.Load(); n != 1 {
			t.Errorf("people were counted %d times", n)
		}
		if (&crowd{vault: c.vault, now: c.now}).shared(t.Context(), s, "pet_friend") {
			t.Error("without anybody who counts a label is shared")
		}
	})
}

// TestCrowdIsCountedAgain: behind the queries after a while, before them when the count is
// too old, and for another revision at once.
func TestCrowdIsCountedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, people, s, seconds := newCrowd(t)
		sharedLabels(t, c, s)
		people.mu.Lock()
		clear(people.people)
		people.mu.Unlock()
		seconds.Store(119)
		if got := sharedLabels(t, c, s); !slices.Equal(got, onlyPets) || people.asked.Load() != 1 {
			t.Errorf("soon after: %v, counted %d times", got, people.asked.Load())
		}
		seconds.Store(120)
		if !c.shared(t.Context(), s, "pet_friend") {
			t.Error("a query waits for the count behind it")
		}
		settle(c)
		if got := sharedLabels(t, c, s); len(got) != 0 || people.asked.Load() != 2 {
			t.Errorf("after a while: %v, counted %d times", got, people.asked.Load())
		}
		again := newSheet(mustRevision(t))
		again.revision = new(policies.Revision)
		if c.shared(t.Context(), again, "pet_friend"); people.asked.Load() != 3 {
			t.Errorf("for another revision counted %d times", people.asked.Load())
		}
	})
}

// settle waits until no count is under way.
func settle(c *crowd) {
	for {
		c.mu.Lock()
		running := c.running
		c.mu.Unlock()
		if running == nil {
			return
		}
		<-running
	}
}

// TestCrowdFailsClosed: who cannot be counted does not share, an old count does not hold, and
// nobody waits for a count that has just failed.
func TestCrowdFailsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, people, s, seconds := newCrowd(t)
		people.err = privacy.ErrUnavailable
		if got := sharedLabels(t, c, s); len(got) != 0 || people.asked.Load() != 1 {
			t.Errorf("without a count: %v, tried %d times", got, people.asked.Load())
		}
		people.err = nil
		seconds.Store(4)
		if got := sharedLabels(t, c, s); len(got) != 0 || people.asked.Load() != 1 {
			t.Errorf("right after a failure: %v, tried %d times", got, people.asked.Load())
		}
		seconds.Store(5)
		if got := sharedLabels(t, c, s); !slices.Equal(got, onlyPets) {
			t.Errorf("with a count: %v", got)
		}
		people.mu.Lock()
		people.err = errors.New("no database")
		people.mu.Unlock()
		seconds.Store(5 + 599)
		if !c.shared(t.Context(), s, "pet_friend") {
			t.Error("a count does not hold for ten minutes while nobody can be counted")
		}
		settle(c)
		seconds.Store(5 + 600)
		if c.shared(t.Context(), s, "pet_friend") {
			t.Error("it holds for longer")
		}
	})
}

// TestCrowdKeepsNobodyWaiting: a count that takes long is waited for by nobody for long, and
// is used when it has come.
func TestCrowdKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, people, s, seconds := newCrowd(t)
		people.wait = make(chan struct{})
		begun := time.Now()
		if c.shared(t.Context(), s, "pet_friend") {
			t.Error("a label is shared before anybody was counted")
		}
		seconds.Store(1)
		for range 50 { // those who come later do not begin to wait
			c.shared(t.Context(), s, "pet_friend")
		}
		if waited := time.Since(begun); waited != CrowdWait {
			t.Errorf("waited %v", waited)
		}
		close(people.wait)
		settle(c)
		if !c.shared(t.Context(), s, "pet_friend") || people.asked.Load() != 1 {
			t.Errorf("the count that came late is not used; counted %d times", people.asked.Load())
		}
	})
}

// TestCrowdIsCountedOnce: many queries that come at once wait for one count.
func TestCrowdIsCountedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, people, s, _ := newCrowd(t)
		people.wait = make(chan struct{})
		var group sync.WaitGroup
		var shared atomic.Int64
		for range 8 {
			group.Go(func() {
				if c.shared(t.Context(), s, "pet_friend") {
					shared.Add(1)
				}
			})
		}
		synctest.Wait()
		close(people.wait)
		group.Wait()
		if shared.Load() != 8 || people.asked.Load() != 1 {
			t.Errorf("%d of 8 queries, counted %d times", shared.Load(), people.asked.Load())
		}
	})
}
