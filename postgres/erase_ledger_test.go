package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// TestEraseIsInTheLedgerFirst: without the ledger nothing is erased.
func TestEraseIsInTheLedgerFirst(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	id := e.approved(t, p)
	before := countEntries(t, e.db)
	e.ledger.broken = fmt.Errorf("disk full: %w", privacy.ErrUnavailable)
	if _, err := e.Erase(t.Context(), dpo, id); !errors.Is(err, privacy.ErrUnavailable) {
		t.Fatalf("erasing without ledger: %v, want ErrUnavailable", err)
	}
	if err := readAll(t.Context(), e.store.VaultStore, p.id); err != nil {
		t.Errorf("the person is gone although the ledger does not say so: %v", err)
	}
	if after := countEntries(t, e.db); after != before {
		t.Error("the log has an entry for what did not happen")
	}
	e.ledger.broken = nil
	if _, err := e.Erase(t.Context(), dpo, id); err != nil {
		t.Fatal(err)
	}
}

// TestEraseInTheLedgerHappens: once the line stands, a commit that fails is made again,
// whatever holds are set in between.
func TestEraseInTheLedgerHappens(t *testing.T) {
	t.Parallel()
	for _, fails := range []int{1, 3} {
		e := newErasing(t, dsar.EraseConfig{Finish: time.Minute})
		p := e.person(t, "ayşe")
		id := e.approved(t, p)
		e.store.log = &failingLog{log: e.log, fails: fails, between: func() { e.setHold(t, p, nil) }}
		record, err := e.Erase(t.Context(), dpo, id)
		if err != nil {
			t.Fatal(err)
		}
		if e.ledger.count() != 1 || record.LedgerSequence != 1 {
			t.Errorf("the ledger has %d lines", e.ledger.count())
		}
		if _, err := e.store.PersonKey(t.Context(), p.id, vault.UseShow); !errors.Is(err, privacy.ErrNotFound) {
			t.Errorf("the key: %v, want ErrNotFound", err)
		}
		request, err := e.requests.Find(t.Context(), id)
		if err != nil || request.ErasedAt.IsZero() {
			t.Errorf("the request took no step: %v", err)
		}
		if entry := readEntry(t, e.db, record.LogIndex); entry.Kind != audit.PersonErased || entry.Person != p.key.Subject().Blinding.ErasedTag() {
			t.Errorf("it is logged as %s", entry.Kind)
		}
	}
}

// TestEraseInTheLedgerTellsProcessors: an erasure that is made again after its line tells
// those whom the first try, which was rolled back, did not reach, and happens if they cannot
// be told. One that a restore has undone tells nobody again.
func TestEraseInTheLedgerTellsProcessors(t *testing.T) {
	t.Parallel()
	for _, broken := range []bool{false, true} {
		e := newErasing(t, dsar.EraseConfig{Finish: time.Minute})
		var told []dsar.RequestID
		again := false
		e.store.config.Tell = func(ctx context.Context, tx pgx.Tx, request dsar.RequestID, person privacy.DataSubjectID) (int, error) {
			told = append(told, request)
			if broken && again {
				_, err := tx.Exec(ctx, `select 1 / 0`)
				return 0, err
			}
			return 1, nil
		}
		p := e.person(t, "ayşe")
		id := e.approved(t, p)
		e.store.log = &failingLog{log: e.log, fails: 1, between: func() { told, again = nil, true }}
		if _, err := e.Erase(t.Context(), dpo, id); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(told, []dsar.RequestID{id}) {
			t.Errorf("broken %t: told of %v, want %s once", broken, told, id)
		}
		if _, err := e.store.PersonKey(t.Context(), p.id, vault.UseShow); !errors.Is(err, privacy.ErrNotFound) {
			t.Errorf("broken %t: the key: %v, want ErrNotFound", broken, err)
		}
	}
	e := newErasing(t, dsar.EraseConfig{})
	told := 0
	e.store.config.Tell = func(context.Context, pgx.Tx, dsar.RequestID, privacy.DataSubjectID) (int, error) {
		told++
		return 1, nil
	}
	p := e.person(t, "ayşe")
	line := dsar.LedgerRecord{Kind: dsar.LedgerErased, Erasure: dsar.ErasureID{1, 6: 0x40, 8: 0x80}, Person: e.vault.LedgerTag(p.id), At: time.Now()}
	if _, erased, err := e.Replay(t.Context(), dpo, p.id, line, e.ledger.position(1)); !erased || err != nil || told != 0 {
		t.Errorf("replayed %t and told %d, %v", erased, told, err)
	}
}

// failingLog fails after changes have been made, inside their transactions.
type failingLog struct {
	log     *AuditLog
	fails   int
	between func()
}

func (f *failingLog) AppendTx(ctx context.Context, event audit.Event, change func(ctx context.Context, tx pgx.Tx) error) (audit.Receipt, error) {
	if f.fails == 0 {
		return f.log.AppendTx(ctx, event, change)
	}
	f.fails--
	receipt, err := f.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		if err := change(ctx, tx); err != nil {
			return err
		}
		return fmt.Errorf("appending entry: %w", privacy.ErrUnavailable)
	})
	f.between()
	return receipt, err
}

func (f *failingLog) AppendAllTx(ctx context.Context, change func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error)) ([]audit.Receipt, error) {
	if f.fails == 0 {
		return f.log.AppendAllTx(ctx, change)
	}
	f.fails--
	receipts, err := f.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		if _, err := change(ctx, tx); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("appending entry: %w", privacy.ErrUnavailable)
	})
	f.between()
	return receipts, err
}

// TestEraseFindsItsEntry: an erasure that was cut off right after its commit is found in
// the log when somebody asks for it.
func TestEraseFindsItsEntry(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	record := e.erase(t, e.person(t, "ayşe"))
	e.erase(t, e.person(t, "jana"))
	if _, err := e.database.OwnerPool(t).Exec(t.Context(), `update dsar.erasure set log_index = null, leaf_hash = null`); err != nil {
		t.Fatal(err)
	}
	found, err := e.ErasureOf(t.Context(), record.Request)
	if err != nil || found.LogIndex != record.LogIndex || found.LeafHash != record.LeafHash {
		t.Errorf("found entry %d, %v, want %d", found.LogIndex, err, record.LogIndex)
	}
}

func TestEraseAtOnceHappensOnce(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	id := e.approved(t, p)
	before := countEntries(t, e.db)
	var mu sync.Mutex
	found := map[dsar.ErasureID]int{}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			record, err := e.Erase(t.Context(), dpo, id)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("erasing at once: %v", err)
			}
			found[record.ID]++
		})
	}
	group.Wait()
	entries := map[audit.Kind]int{}
	for index := before; index < countEntries(t, e.db); index++ {
		entries[readEntry(t, e.db, index).Kind]++
	}
	if len(found) != 1 || entries[audit.PersonErased] != 1 || e.ledger.count() != 1 {
		t.Errorf("%d erasures, %d entries, %d lines of the ledger, want one each", len(found), entries[audit.PersonErased], e.ledger.count())
	}
}

// TestReplay: a restored person is erased again under the erasure's own id, whatever holds
// there are, and nobody else is.
func TestReplay(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p, other := e.person(t, "ayşe"), e.person(t, "jana")
	e.setHold(t, p, nil)
	line := dsar.LedgerRecord{
		Kind: dsar.LedgerErased, Erasure: dsar.ErasureID{7}, Person: e.vault.LedgerTag(p.id), Request: dsar.RequestID{9}, Plan: audit.Digest{1},
	}
	if _, _, err := e.Replay(t.Context(), dpo, other.id, line, e.ledger.position(1)); !errors.Is(err, privacy.ErrInvalid) {
		t.Fatalf("somebody whom the ledger does not name: %v", err)
	}
	record, erased, err := e.Replay(t.Context(), dpo, p.id, line, e.ledger.position(1))
	if err != nil || !erased || record.ID != line.Erasure || record.Counts.Keys != 1 {
		t.Fatalf("%+v, %t, %v", record, erased, err)
	}
	if entry := readEntry(t, e.db, record.LogIndex); entry.Kind != audit.ErasureReplayed || entry.List != line.Plan {
		t.Errorf("it is logged as %s", entry.Kind)
	}
	if e.ledger.count() != 0 {
		t.Error("the ledger was written again")
	}
	before := countEntries(t, e.db)
	if _, erased, err := e.Replay(t.Context(), dpo, p.id, line, e.ledger.position(1)); err != nil || erased {
		t.Errorf("again: %t, %v", erased, err)
	}
	if _, erased, err := e.Replay(t.Context(), dpo, privacy.DataSubjectID{5}, dsar.LedgerRecord{
		Kind: dsar.LedgerErased, Erasure: dsar.ErasureID{8}, Person: e.vault.LedgerTag(privacy.DataSubjectID{5}),
	}, e.ledger.position(2)); err != nil || erased {
		t.Errorf("nobody: %t, %v", erased, err)
	}
	if after := countEntries(t, e.db); after != before {
		t.Errorf("nothing was done and %d entries written", after-before)
	}
	if err := readAll(t.Context(), e.store.VaultStore, other.id); err != nil {
		t.Error(err)
	}
}

// TestResumeGoesOnBehindOneThatFails: what stands in the way of one erasure stands in the way
// of no other.
func TestResumeGoesOnBehindOneThatFails(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	var ids []dsar.RequestID
	var holds [][16]byte
	for _, name := range []string{"ayşe", "jana", "petra"} {
		p := e.person(t, name)
		id := e.approved(t, p)
		holds = append(holds, e.setHold(t, p, nil))
		_, err := e.Erase(t.Context(), dpo, id)
		mustBeRefused(t, err, dsar.CheckNoHold)
		ids = append(ids, id)
	}
	for _, hold := range holds {
		e.releaseHold(t, hold)
	}
	e.store.log = &failingLog{log: e.log, fails: 1, between: func() {}}
	e.ledger.broken = nil
	e.config.Finish = time.Nanosecond
	e.rebuild(t)
	resumed, err := e.Resume(t.Context(), dpo)
	if !errors.Is(err, privacy.ErrUnavailable) || len(resumed.Erased) != 2 {
		t.Errorf("%d of %d were erased, %v", len(resumed.Erased), len(ids), err)
	}
}
