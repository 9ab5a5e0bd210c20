package postgres

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

func TestHoldDefersErasure(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	id := e.approved(t, p)
	hold := e.setHold(t, p, nil)
	_, err := e.Erase(t.Context(), dpo, id)
	mustBeRefused(t, err, dsar.CheckNoHold)
	if entry := e.lastEntry(t); entry.Kind != audit.ErasureDeferred {
		t.Errorf("it is logged as %s", entry.Kind)
	}
	person, err := e.store.Person(t.Context(), p.id)
	if err != nil || !person.Restricted {
		t.Errorf("restricted: %t, %v", person.Restricted, err)
	}
	before := countEntries(t, e.db)
	resumed, err := e.Resume(t.Context(), dpo)
	if err != nil || !slices.Equal(resumed.Held, []dsar.RequestID{id}) || len(resumed.Erased) != 0 {
		t.Errorf("%+v, %v", resumed, err)
	}
	if after := countEntries(t, e.db); after != before || e.ledger.count() != 0 {
		t.Errorf("a second try wrote %d entries and %d lines", after-before, e.ledger.count())
	}
	if planned, err := e.Plan(t.Context(), dpo, id); err != nil || !planned.Held || planned.Approvals != 2 || planned.DeferredAt.IsZero() {
		t.Errorf("the plan says held: %t, %d approvals, %v", planned.Held, planned.Approvals, err)
	}
	e.releaseHold(t, hold)
	resumed, err = e.Resume(t.Context(), dpo)
	if err != nil || !slices.Equal(resumed.Erased, []dsar.RequestID{id}) {
		t.Errorf("%+v, %v", resumed, err)
	}
	if _, err := e.store.PersonKey(t.Context(), p.id, vault.UseShow); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("the key: %v", err)
	}
}

// TestReleaseReplans: what has changed while a hold was in force needs a new approval.
func TestReleaseReplans(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	id := e.approved(t, p)
	hold := e.setHold(t, p, nil)
	_, err := e.Erase(t.Context(), dpo, id)
	mustBeRefused(t, err, dsar.CheckNoHold)
	if _, err := e.db.pool.Exec(t.Context(), `update vault.sealed_record set record_version = 2 where data_subject_id = $1`, [16]byte(p.id)); err != nil {
		t.Fatal(err)
	}
	e.releaseHold(t, hold)
	resumed, err := e.Resume(t.Context(), dpo)
	if err != nil || !slices.Equal(resumed.Replanned, []dsar.RequestID{id}) {
		t.Fatalf("%+v, %v", resumed, err)
	}
	before := countEntries(t, e.db)
	if resumed, err = e.Resume(t.Context(), dpo); err != nil || countEntries(t, e.db) != before {
		t.Errorf("while the new plan waits for its approval %d entries come, %v", countEntries(t, e.db)-before, err)
	}
	e.approve(t, id)
	if _, err := e.Erase(t.Context(), dpo, id); err != nil {
		t.Fatal(err)
	}
}

// TestHoldOnWhatNobodyKnows: data of a category that the catalogue has lost may be what a
// hold on a part is about, so they are not destroyed while there is one.
func TestHoldOnWhatNobodyKnows(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	p := e.person(t, "ayşe")
	slot, scope := e.vault.Slot(p.id, "lost"), e.vault.WordTag("hold", "lost")
	if _, err := e.db.pool.Exec(t.Context(), `insert into vault.sealed_record (data_subject_id, slot, record_version, sealed) values ($1, $2, 1, $3)`,
		[16]byte(p.id), slot[:], make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	hold := e.setHold(t, p, &scope)
	id := e.approved(t, p)
	_, err := e.Erase(t.Context(), dpo, id)
	mustBeRefused(t, err, dsar.CheckNoHold)
	if _, err := e.store.PersonKey(t.Context(), p.id, vault.UseShow); err != nil {
		t.Errorf("erased under a hold: %v", err)
	}
	e.releaseHold(t, hold)
	if _, err := e.Erase(t.Context(), dpo, id); err != nil {
		t.Error(err)
	}
}

// TestHoldAgainstErasure: of a hold and an erasure that come at once one is first. Nobody is
// erased under a hold, and no hold is set on somebody who is gone.
func TestHoldAgainstErasure(t *testing.T) {
	t.Parallel()
	races := 1000
	if testing.Short() {
		races = 60
	}
	e := newErasing(t, dsar.EraseConfig{OneApprover: true})
	erasedFirst, heldFirst := 0, 0
	for i := range races {
		p := e.person(t, fmt.Sprintf("person-%d", i))
		id := e.approved(t, p)
		var group sync.WaitGroup
		var eraseErr error
		var held bool
		start := make(chan struct{})
		group.Go(func() {
			<-start
			_, eraseErr = e.Erase(t.Context(), dpo, id)
		})
		group.Go(func() {
			<-start
			// As the service of holds does: lock the row, see whether there is anybody.
			err := pgx.BeginFunc(t.Context(), e.db.pool, func(tx pgx.Tx) error {
				var one int
				if err := tx.QueryRow(t.Context(), sqlEraseLock, [16]byte(p.id)).Scan(&one); err != nil {
					return err
				}
				hold := [16]byte{byte(i), byte(i >> 8), 1}
				if _, err := tx.Exec(t.Context(), `insert into dsar.hold (hold_id, reason, authority, set_by, set_at) values ($1, 'litigation', 'test/1', $2, now())`, hold, make([]byte, 16)); err != nil {
					return err
				}
				_, err := tx.Exec(t.Context(), `insert into dsar.hold_person (hold_id, data_subject_id) values ($1, $2)`, hold, [16]byte(p.id))
				return err
			})
			held = err == nil
			if err != nil && !errors.Is(err, pgx.ErrNoRows) {
				t.Errorf("setting hold: %v", err)
			}
		})
		close(start)
		group.Wait()
		_, keyErr := e.store.PersonKey(t.Context(), p.id, vault.UseShow)
		switch {
		case held && (eraseErr == nil || keyErr != nil):
			t.Fatalf("race %d: erased under a hold: %v, %v", i, eraseErr, keyErr)
		case held:
			mustBeRefused(t, eraseErr, dsar.CheckNoHold)
			heldFirst++
		case eraseErr != nil || !errors.Is(keyErr, privacy.ErrNotFound):
			t.Fatalf("race %d: neither held nor erased: %v, %v", i, eraseErr, keyErr)
		default:
			erasedFirst++
		}
	}
	if e.ledger.count() != erasedFirst {
		t.Errorf("the ledger has %d lines of %d erasures", e.ledger.count(), erasedFirst)
	}
	t.Logf("%d races: %d erased, %d held", races, erasedFirst, heldFirst)
}
