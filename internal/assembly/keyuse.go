package assembly

import (
	"context"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/server"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keyuse"
)

// countEvery is how often a server reports what it opened keys for.
const countEvery = time.Hour

// openKeyUse has the uses of keys reported: by a server every hour, by everybody at the
// end. What was reported is in the log at the server's next hour.
func (h *House) openKeyUse() error {
	h.keyUses = postgres.NewKeyUseStore(h.DB, h.Log)
	counter := keyuse.NewCounter(h.Keys.Vault(), h.keyUses, h.options.Random, h.options.Now)
	h.flushKeyUses = counter.Flush
	h.onClose(counter.Flush)
	h.tend(chore{
		every:   countEvery,
		warning: "uses of keys were not counted; they are in the next count",
		do:      h.countKeyUses,
	})
	return nil
}

// countKeyUses reports and has the log cover what was reported, by whomever.
func (h *House) countKeyUses(ctx context.Context) error {
	if err := h.flushKeyUses(ctx); err != nil {
		return err
	}
	_, err := keyuse.Count(ctx, h.keyUses)
	return err
}

// Reconcile compares the uses of keys with the entries of the log, between two moments,
// widened to whole reports, as far as its entries were not archived. What this and other processes have reported so far is covered
// by the log first. progress is told how many of how many entries are read.
func (h *House) Reconcile(ctx context.Context, from, to time.Time, progress func(done, total int64)) (keyuse.Result, *keyuse.Tally, error) {
	var none keyuse.Result
	if err := h.countKeyUses(ctx); err != nil {
		return none, nil, err
	}
	reports, err := h.keyUses.Reports(ctx)
	if err != nil {
		return none, nil, err
	}
	size, err := h.Log.Size(ctx)
	if err != nil {
		return none, nil, err
	}
	begin, begins, err := h.logBegins(ctx)
	if err != nil {
		return none, nil, err
	}
	tally := &keyuse.Tally{Begins: begins}
	tally.From, tally.To = keyuse.Span(reports, begins, from, to)
	for next := begin; next < size; {
		entries, err := h.Log.Entries(ctx, next, 4096)
		if err != nil {
			return none, nil, err
		}
		if len(entries) == 0 {
			break
		}
		for _, stored := range entries {
			entry, err := audit.ParseEntry(stored.Leaf)
			if err != nil {
				return none, nil, fmt.Errorf("reading entry %d; run: mahrem audit verify: %w", stored.Index, err)
			}
			tally.Add(&entry)
		}
		next = entries[len(entries)-1].Index + 1
		progress(int64(next-begin), int64(size-begin))
	}
	return keyuse.Reconcile(reports, tally), tally, nil
}

// logBegins is the first entry that is still there and, if older ones were archived, when it
// was written.
func (h *House) logBegins(ctx context.Context) (index uint64, at time.Time, err error) {
	if index, err = h.Log.Begin(ctx); err != nil || index == 0 {
		return 0, at, err
	}
	stored, err := h.Log.EntriesAt(ctx, []uint64{index})
	if err != nil || len(stored) == 0 {
		return index, at, err // nothing came since
	}
	entry, err := audit.ParseEntry(stored[0].Leaf)
	if err != nil {
		return 0, at, fmt.Errorf("reading entry %d; run: mahrem audit verify: %w", index, err)
	}
	return index, entry.Time, nil
}

func (h *House) keyUseGauges() []server.Gauge {
	return []server.Gauge{{
		Name: "mahrem_vault_keys_opened_total", Help: "Keys that the KEK has opened, but for clean rooms and audiences, in hundreds.", Counter: true,
		// In hundreds: whether one was opened for a single question says whether somebody is known.
		// Of an audience as many are opened as people pass its question, which is what its list
		// does not say: whoever looks before and after would have the number, and with questions
		// of their own to fill the hundreds up, to one.
		Read: func() float64 {
			var n uint64
			for _, use := range h.Keys.Vault().Counts() {
				if use.Use != vault.UseProfile && use.Use != vault.UseRoom {
					n += use.Opened
				}
			}
			return float64(inHundreds(n))
		},
	}}
}
