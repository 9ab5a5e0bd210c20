package postgres

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/retention"
	"github.com/mahrem/mahrem/internal/pgtest"
)

// TestRetentionBesideHoldsAndWriters: a hold that comes between looking and deleting
// stops the deletion, and what a loader writes meanwhile is not lost.
func TestRetentionBesideHoldsAndWriters(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(t *testing.T, database *pgtest.Database, holds *dsar.Holds, p heldPerson){
		"a hold": func(t *testing.T, _ *pgtest.Database, holds *dsar.Holds, p heldPerson) {
			if _, _, err := holds.Set(t.Context(), dpo, dsar.HoldRequest{Identifiers: p.identifiers[:1], Reason: dsar.HoldLitigation, Authority: "x"}); err != nil {
				t.Fatal(err)
			}
		},
		"a loader": func(t *testing.T, database *pgtest.Database, _ *dsar.Holds, p heldPerson) {
			if _, err := database.Pool(t).Exec(t.Context(), `update vault.event_chunk set record_version = record_version + 1 where data_subject_id = $1`, [16]byte(p.id)); err != nil {
				t.Fatal(err)
			}
		},
		"an erasure": func(t *testing.T, database *pgtest.Database, _ *dsar.Holds, p heldPerson) {
			if gone, err := eraseUnlessHeld(t.Context(), database.OwnerPool(t), p.id); err != nil || !gone {
				t.Fatal(gone, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, database := newDB(t)
			keys := newKeys(t)
			log := newAuditLog(t, db, auditConfig())
			p := oldPerson(t, database, keys.Vault(), "ayşe")
			holds := newHolds(t, db, keys, log, dsar.HoldConfig{})
			var happened atomic.Bool
			store := between{NewRetentionStore(db, log), func() {
				if happened.CompareAndSwap(false, true) {
					meanwhile(t, database, holds, p)
				}
			}}
			before := countEntries(t, db)
			outcome, err := newRetention(t, store, keys, retention.Config{}).Run(t.Context(), dpo, nil)
			if err != nil || !happened.Load() {
				t.Fatalf("%+v, %v", outcome, err)
			}
			var chunks int
			if err := database.OwnerPool(t).QueryRow(t.Context(), `select count(*) from vault.event_chunk where data_subject_id = $1`, [16]byte(p.id)).Scan(&chunks); err != nil {
				t.Fatal(err)
			}
			switch name {
			case "a hold":
				if chunks != 4 || outcome.Changed != 0 || countEntries(t, db) != before+1 { // the hold's
					t.Errorf("%d chunks are left, %d people changed", chunks, outcome.Changed)
				}
			case "a loader":
				// The chunks do not open any more under their new version: they stay.
				if chunks != 4 || outcome.Unreadable != 4 {
					t.Errorf("%d chunks are left, %d do not open", chunks, outcome.Unreadable)
				}
			case "an erasure":
				if chunks != 4 || outcome.Changed != 0 {
					t.Errorf("%d chunks are left, %d people changed", chunks, outcome.Changed)
				}
			}
		})
	}
}

// between does something after people were read and before anything is deleted.
type between struct {
	*RetentionStore
	do func()
}

func (b between) Apply(ctx context.Context, batch retention.Batch, event audit.Event) (audit.Receipt, error) {
	b.do()
	return b.RetentionStore.Apply(ctx, batch, event)
}

// The functions that delete refuse what they must, whoever calls them.
func TestRetentionFunctionsGuardThemselves(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	p := oldPerson(t, database, keys.Vault(), "ayşe")
	pool := database.Pool(t)
	slot := keys.Vault().Slot(p.id, "social")
	drop := func() error {
		_, err := pool.Exec(t.Context(), `select vault.drop_expired(array[$1::uuid], array[$2::bytea], array[1::bigint], '{}', '{}', '{}', '{}')`, [16]byte(p.id), slot[:])
		return err
	}
	if _, _, err := newHolds(t, db, keys, newAuditLog(t, db, auditConfig()), dsar.HoldConfig{}).Set(t.Context(), dpo,
		dsar.HoldRequest{Identifiers: p.identifiers[:1], Reason: dsar.HoldLitigation, Authority: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := drop(); err == nil {
		t.Error("somebody under a hold lost a record")
	}
	for _, statement := range []string{
		`select dsar.drop_old_rows('ended_case', now() - interval '27 days', 10)`,
		`select dsar.drop_old_rows('ended_case', now() + interval '1 day', 10)`,
		`select dsar.drop_old_rows('person', now() - interval '90 days', 10)`,
	} {
		if _, err := pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("%s went through", statement)
		}
	}
}
