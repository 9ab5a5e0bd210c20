package keyuse

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mahrem/mahrem/vault"
)

// Counter reports what a vault has counted. It is safe for concurrent use.
type Counter struct {
	vault  *vault.Vault
	store  Store
	random io.Reader
	now    func() time.Time

	mu    sync.Mutex
	since time.Time
	last  []vault.UseCount
}

// NewCounter returns a counter that begins now, with what the vault has counted so far.
// random draws the numbers of reports; nil means crypto/rand. now is the clock of the log.
func NewCounter(v *vault.Vault, store Store, random io.Reader, now func() time.Time) *Counter {
	if random == nil {
		random = rand.Reader
	}
	c := &Counter{vault: v, store: store, random: random, now: func() time.Time { return now().Truncate(time.Millisecond) }}
	c.since = c.now()
	return c
}

// Flush reports what was opened since the last report. It reports nothing if nothing was.
// What could not be stored is in the next report.
func (c *Counter) Flush(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := Report{Since: c.since, Until: c.now()}
	if r.Until.Before(r.Since) {
		r.Until = r.Since // the clock was set back
	}
	current := c.vault.Counts()
	for i, use := range current {
		if c.last != nil {
			use.Opened -= c.last[i].Opened
			// A use is abandoned after it was opened, perhaps in the next span.
			use.Abandoned -= c.last[i].Abandoned
		}
		if use.Abandoned > use.Opened {
			current[i].Abandoned -= use.Abandoned - use.Opened
			use.Abandoned = use.Opened
		}
		if use.Opened > 0 {
			r.Uses = append(r.Uses, use)
		}
	}
	if len(r.Uses) == 0 {
		return nil
	}
	if _, err := io.ReadFull(c.random, r.ID[:]); err != nil {
		return fmt.Errorf("drawing number of a report: %w", err)
	}
	if err := c.store.Add(ctx, r); err != nil {
		return fmt.Errorf("reporting key uses: %w", err)
	}
	c.since, c.last = r.Until, current
	return nil
}
