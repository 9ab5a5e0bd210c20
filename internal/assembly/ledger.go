package assembly

import (
	"context"
	"errors"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/ledger"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault/keydir"
)

// OpenErasures opens the file of the erasure ledger, or one that is a copy of it, with the
// keys that sealed it.
func OpenErasures(path string, keys *keydir.Keys) (*ledger.Ledger, error) {
	return ledger.Open(path, erasuresConfig(keys))
}

func erasuresConfig(keys *keydir.Keys) ledger.Config {
	return ledger.Config{Seal: func(hash ledger.Hash) ledger.Tag { return keys.Vault().LedgerSeal(hash) }}
}

// createErasures makes the ledger of a new house.
func createErasures(settings config.Config, keys *keydir.Keys) error {
	err := ledger.Create(settings.Ledger, erasuresConfig(keys))
	if errors.Is(err, privacy.ErrConflict) {
		return nil // another process was quicker, or Init is run again
	}
	return err
}

// openErasures opens the ledger, and refuses a database that is older, unless it is opened
// in order to replay. A database that never erased anybody begins a ledger.
func (h *House) openErasures(ctx context.Context) (err error) {
	h.erased = postgres.NewLedgerStore(h.DB)
	count, last, err := h.erased.Extent(ctx)
	if err != nil {
		return err
	}
	h.Ledger, err = OpenErasures(h.Settings.Ledger, h.Keys)
	if errors.Is(err, privacy.ErrNotFound) {
		if count > 0 {
			return fmt.Errorf("the database knows %d records of the erasure ledger, but %s is not there; without it nobody knows who must "+
				"stay erased after a restore: bring it back from a copy: %w", last.Sequence, h.Settings.Ledger, privacy.ErrDamaged)
		}
		if err := createErasures(h.Settings, h.Keys); err != nil {
			return err
		}
		h.Ledger, err = OpenErasures(h.Settings.Ledger, h.Keys)
	}
	if err != nil {
		return err
	}
	h.onClose(func(context.Context) error { return h.Ledger.Close() })
	if h.options.Replay {
		return nil
	}
	return h.checkErasures(ctx)
}

// checkErasures refuses a database that lacks records of the ledger, except those of
// erasures that were broken off, which [House.finishErasures] brings to their end.
func (h *House) checkErasures(ctx context.Context) error {
	behind, err := h.Ledger.Behind(ctx, h.erased)
	if err != nil || behind == 0 {
		return err
	}
	older := func() error {
		head, err := h.Ledger.Head(ctx)
		if err != nil {
			return err
		}
		return fmt.Errorf("the database is older than the erasure ledger %s: it lacks %d of %d records, and people who were erased are in it again; "+
			"run: mahrem erasure replay: %w", h.Ledger.Path(), behind, head.Sequence, errOlder)
	}
	if behind > maxBroken {
		return older()
	}
	var broken []ledger.Record
	err = h.Ledger.Missing(ctx, h.erased, func(r ledger.Record) error {
		if r.Kind == ledger.Erased {
			planned, err := h.erased.Planned(ctx, dsar.RequestID(r.Request), audit.Digest(r.Plan))
			if err != nil {
				return err
			}
			if !planned {
				return errOlder
			}
		}
		broken = append(broken, r)
		return nil
	}, nil)
	if errors.Is(err, errOlder) {
		return older()
	}
	h.broken = broken
	return err
}

// errOlder says that a database was restored.
var errOlder = fmt.Errorf("database older than the erasure ledger: %w", privacy.ErrConflict)

// maxBroken is more than how many erasures can be under way at once. With more missing it
// was a restore.
const maxBroken = 4096

// lastErasure is the sequence of the last record in the ledger. Before the database has
// carried it out no legal hold is set: between the two an erasure cannot be stopped any more.
func (h *House) lastErasure(ctx context.Context) (uint64, error) {
	head, err := h.Ledger.Head(ctx)
	return head.Sequence, err
}
