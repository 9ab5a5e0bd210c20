package postgres

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// TestReplayTakesKeysThatCameBack: an older backup of schema keyring was restored, and
// nothing else.
func TestReplayTakesKeysThatCameBack(t *testing.T) {
	t.Parallel()
	for name, swept := range map[string]bool{"swept": true, "not swept yet": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newErasing(t, dsar.EraseConfig{})
			p, other := e.person(t, "ayşe"), e.person(t, "jana")
			var wrapped []byte
			if err := e.db.pool.QueryRow(t.Context(), sqlVaultPersonKey, [16]byte(p.id)).Scan(&wrapped); err != nil {
				t.Fatal(err)
			}
			record, err := e.Erase(t.Context(), dpo, e.approved(t, p))
			if err != nil {
				t.Fatal(err)
			}
			if swept {
				if _, err := e.Sweep(t.Context(), record.ID, nil); err != nil {
					t.Fatal(err)
				}
			}
			e.asRestored(t, `insert into keyring.person_key (data_subject_id, wrapped) values ($1, $2)`, [16]byte(p.id), wrapped)
			line := dsar.LedgerRecord{
				Kind: dsar.LedgerErased, Erasure: record.ID, Person: e.vault.LedgerTag(p.id), Request: record.Request, Plan: record.Plan,
			}
			at := e.ledger.position(int(record.LedgerSequence))
			if _, erased, err := e.Replay(t.Context(), dpo, p.id, line, at); err != nil || !erased {
				t.Fatalf("replayed %t, %v", erased, err)
			}
			var keys int
			if err := e.db.pool.QueryRow(t.Context(), `select count(*) from keyring.person_key where data_subject_id = $1`, [16]byte(p.id)).Scan(&keys); err != nil || keys != 0 {
				t.Errorf("%d keys are there, %v", keys, err)
			}
			size := countEntries(t, e.db)
			if entry := readEntry(t, e.db, size-1); entry.Kind != audit.ErasureReplayed || entry.List != record.Plan {
				t.Errorf("it is logged as %s", entry.Kind)
			}
			if _, erased, err := e.Replay(t.Context(), dpo, p.id, line, at); err != nil || erased || countEntries(t, e.db) != size {
				t.Errorf("again: %t, %v", erased, err)
			}
			if err := readAll(t.Context(), e.store.VaultStore, other.id); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReplayOfAPartialRestore: the person is back, and so is the row that says that they
// were erased.
func TestReplayOfAPartialRestore(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	line := dsar.LedgerRecord{
		Kind: dsar.LedgerErased, Erasure: dsar.ErasureID{7, 6: 0x40, 8: 0x80}, Person: e.vault.LedgerTag(p.id), Plan: audit.Digest{1},
	}
	e.asRestored(t, `insert into dsar.erasure (erasure_id, plan_hash, key_digests, identifiers, consents, exposures, cases, suppressed, sealed,
		ledger_sequence, erased_at, swept_at, log_index, leaf_hash) values ($1, $2, '{}', 0, 0, 0, 0, 0, $3, 1, now(), now(), 0, $2)`,
		[16]byte(line.Erasure), line.Plan[:], e.emptyList(t))
	record, erased, err := e.Replay(t.Context(), dpo, p.id, line, e.ledger.position(1))
	if err != nil || !erased || record.ID == line.Erasure || record.Counts.Keys != 1 {
		t.Fatalf("%+v, %t, %v", record, erased, err)
	}
	if err := readAll(t.Context(), e.store.VaultStore, p.id); err == nil {
		t.Error("the person can still be read")
	}
}

// TestWhoIsToldOfAnErasure: one that was broken off tells the processors when it is
// completed; one that a restore has undone was told of already.
func TestWhoIsToldOfAnErasure(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	var told atomic.Int64
	e.store.config.Tell = func(_ context.Context, _ pgx.Tx, request dsar.RequestID, _ privacy.DataSubjectID) (int, error) {
		told.Add(1)
		if request == (dsar.RequestID{}) {
			t.Error("somebody was told of no request")
		}
		return 1, nil
	}
	broken, restored := e.person(t, "ayşe"), e.person(t, "jana")
	request := e.approved(t, broken)
	line := func(erasure byte, p heldPerson, request dsar.RequestID) dsar.LedgerRecord {
		return dsar.LedgerRecord{
			Kind: dsar.LedgerErased, Erasure: dsar.ErasureID{erasure, 6: 0x40, 8: 0x80}, Person: e.vault.LedgerTag(p.id), Request: request, Plan: audit.Digest{erasure},
		}
	}
	if _, err := e.Complete(t.Context(), dpo, broken.id, line(1, broken, request), e.ledger.position(1)); err != nil || told.Load() != 1 {
		t.Errorf("completed: told %d times, %v", told.Load(), err)
	}
	if _, erased, err := e.Replay(t.Context(), dpo, restored.id, line(2, restored, dsar.RequestID{9}), e.ledger.position(2)); err != nil || !erased || told.Load() != 1 {
		t.Errorf("replayed: told %d times, %v", told.Load(), err)
	}
}

// asRestored executes what pg_restore would: as the owner, without triggers.
func (e *erasing) asRestored(t testing.TB, sql string, args ...any) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), e.database.OwnerPool(t), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `alter table keyring.person_key disable trigger user`); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), sql, args...); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `alter table keyring.person_key enable trigger user`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (e *erasing) emptyList(t testing.TB) []byte {
	t.Helper()
	sealed, err := e.vault.SealHouse(dsar.WithheldLabel, []byte("[]"))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}
