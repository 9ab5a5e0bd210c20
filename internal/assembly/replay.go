package assembly

import (
	"context"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/ledger"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// OpenLedger opens the erasure ledger of a house that was opened as Base, whatever the
// database knows of it.
func (h *House) OpenLedger(ctx context.Context) error {
	h.options.Replay = true
	return h.openErasures(ctx)
}

// Behind is how many records of the erasure ledger the database lacks.
func (h *House) Behind(ctx context.Context) (uint64, error) { return h.Ledger.Behind(ctx, h.erased) }

// Replay erases everybody again whom the ledger says was erased. The house is one that was
// opened for it.
func (h *House) Replay(ctx context.Context, by privacy.Principal, progress func(what string, done, total int64)) (ledger.Replayed, error) {
	store := h.replayStore(by, false)
	replayed, err := h.Ledger.Replay(ctx, store, ledger.ReplayConfig{Tag: h.erasedTag, Progress: progress})
	if err != nil {
		return replayed, fmt.Errorf("replaying erasure ledger: %w", err)
	}
	behind, err := h.Behind(ctx)
	if err == nil && behind > 0 {
		err = fmt.Errorf("the database still lacks %d records of the erasure ledger, which another process is writing: %w", behind, privacy.ErrUnavailable)
	}
	return replayed, err
}

// replayStore is the database of a house as a ledger is replayed into it, by somebody.
type replayStore struct {
	*postgres.LedgerStore
	house *House
	by    privacy.Principal
	// broken: the erasures were broken off, and not undone by a restore.
	broken bool
}

var _ ledger.Database = (*replayStore)(nil)

func (h *House) replayStore(by privacy.Principal, broken bool) *replayStore {
	return &replayStore{h.erased, h, by, broken}
}

// Erase is [ledger.Database]'s.
func (s *replayStore) Erase(ctx context.Context, id privacy.DataSubjectID, record ledger.Record) (bool, error) {
	return s.house.eraseAgain(ctx, s.by, id, record, s.broken)
}

// Apply is [ledger.Database]'s.
func (s *replayStore) Apply(ctx context.Context, records []ledger.Record) error {
	return s.LedgerStore.Apply(ctx, s.house.Log, records, s.house.Keys.ActorTag(s.by), audit.Event{Principal: s.by})
}

func (h *House) erasedTag(id privacy.DataSubjectID) ledger.Tag { return h.Keys.Vault().LedgerTag(id) }

// recovery is who finishes what a process that is no more had begun.
var recovery = privacy.Principal{ID: "recovery", Role: privacy.RoleDPO}

// finishErasures brings erasures to their end that were broken off between the line in the
// ledger and the commit. Another process may be at it: of the two one finds nobody.
func (h *House) finishErasures(ctx context.Context) error {
	if len(h.broken) == 0 || h.options.Replay {
		return nil
	}
	_, err := h.Ledger.Replay(ctx, h.replayStore(recovery, true), ledger.ReplayConfig{Tag: h.erasedTag})
	if err != nil {
		return fmt.Errorf("finishing erasures that were broken off: %w", err)
	}
	return nil
}
