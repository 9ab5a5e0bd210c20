package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

func testCatalogue(t testing.TB) func() *policies.Catalogue {
	t.Helper()
	c, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	return func() *policies.Catalogue { return c }
}

func newHolds(t testing.TB, db *DB, keys *keydir.Keys, log *AuditLog, config dsar.HoldConfig) *dsar.Holds {
	t.Helper()
	config.Catalogue = testCatalogue(t)
	holds, err := dsar.NewHolds(NewHoldStore(NewVaultStore(db, keys.Vault()), log), keys.Vault(), config)
	if err != nil {
		t.Fatal(err)
	}
	return holds
}

// holdsOn asks as whoever destroys something does.
func holdsOn(t testing.TB, database *pgtest.Database, id privacy.DataSubjectID) (n int) {
	t.Helper()
	if err := database.Pool(t).QueryRow(t.Context(), `select count(*) from dsar.holds_on($1)`, [16]byte(id)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestHolds(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	log := newAuditLog(t, db, auditConfig())
	ayse, jana := addPerson(t, database, keys.Vault(), "ayşe"), addPerson(t, database, keys.Vault(), "jana")
	var resumed []privacy.DataSubjectID
	holds := newHolds(t, db, keys, log, dsar.HoldConfig{Resume: func(_ context.Context, _ privacy.Principal, people []privacy.DataSubjectID) error {
		resumed = append(resumed, people...)
		return nil
	}})

	// By one identifier, and it binds the person by whichever other they come.
	hold, receipt, err := holds.Set(t.Context(), dpo, dsar.HoldRequest{
		Identifiers: ayse.identifiers[:1], Reason: dsar.HoldLitigation, Authority: "12Cm-34/2026",
		Scope: dsar.HoldScope{Category: "purchases"},
	})
	if err != nil {
		t.Fatal(err)
	}
	entry := readEntry(t, db, receipt.Index())
	if entry.Kind != audit.HoldSet || entry.Person != ayse.key.Subject().Blinding.Opening(entry.ID).Tag(ayse.id) || hold.SetAt.IsZero() {
		t.Errorf("the entry says %s", entry.Kind)
	}
	if holdsOn(t, database, ayse.id) != 1 || holdsOn(t, database, jana.id) != 0 {
		t.Error("the hold binds somebody else")
	}

	// By an identifier that nobody has, and one by id.
	later := privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("later@example.com")}
	wide, _, err := holds.Set(t.Context(), dpo, dsar.HoldRequest{
		Identifiers: []privacy.Identifier{later}, Reason: dsar.HoldRegulator, Authority: "KVKK-7",
	})
	if err != nil || wide.People != 0 {
		t.Fatalf("%d people, %v", wide.People, err)
	}
	index, err := keys.Vault().BlindIndex(later)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := database.Pool(t).Exec(t.Context(), `insert into vault.identifier (data_subject_id, kind, blind_index) values ($1, 'email', $2)`,
		[16]byte(jana.id), index); err != nil {
		t.Fatal(err)
	}
	if holdsOn(t, database, jana.id) != 1 {
		t.Error("whoever gets an identifier later is not bound")
	}
	if _, _, err := holds.Set(t.Context(), dpo, dsar.HoldRequest{
		People: []privacy.DataSubjectID{{7}}, Reason: dsar.HoldRegulator, Authority: "KVKK-7",
	}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("a hold on nobody: %v", err)
	}

	listed, err := holds.List(t.Context(), dpo, dsar.HoldFilter{})
	if err != nil || len(listed) != 2 || listed[0].ID != wide.ID || listed[0].People != 1 || listed[1].Scope != (dsar.HoldScope{Category: "purchases"}) {
		t.Errorf("listed %+v, %v", listed, err)
	}
	if listed, err := holds.List(t.Context(), dpo, dsar.HoldFilter{DataSubject: ayse.id}); err != nil || len(listed) != 1 || listed[0].ID != hold.ID {
		t.Errorf("listed of one person %+v, %v", listed, err)
	}

	// The database itself refuses to forget whom a hold in force binds.
	if _, err := database.Pool(t).Exec(t.Context(), `select dsar.forget_held($1)`, [16]byte(hold.ID)); err == nil {
		t.Error("a hold in force was forgotten")
	}
	released, receipt, err := holds.Release(t.Context(), dpo, hold.ID, dsar.HoldConcluded)
	if err != nil || released.InForce() || released.People != 1 {
		t.Fatalf("released %+v, %v", released, err)
	}
	if entry := readEntry(t, db, receipt.Index()); entry.Kind != audit.HoldReleased {
		t.Errorf("the entry says %s", entry.Kind)
	}
	if len(resumed) != 1 || resumed[0] != ayse.id || holdsOn(t, database, ayse.id) != 0 {
		t.Errorf("resumed %d erasures", len(resumed))
	}
	if _, _, err := holds.Release(t.Context(), dpo, hold.ID, dsar.HoldConcluded); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("released twice: %v", err)
	}
	var left int
	if err := database.OwnerPool(t).QueryRow(t.Context(), `select (select count(*) from dsar.hold_person where hold_id = $1)
		+ (select count(*) from dsar.hold_identifier where hold_id = $1)`, [16]byte(hold.ID)).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows still say whom the released hold bound, %v", left, err)
	}
	if listed, err := holds.List(t.Context(), dpo, dsar.HoldFilter{All: true}); err != nil || len(listed) != 2 || listed[1].ReleaseReason != dsar.HoldConcluded {
		t.Errorf("listed all %+v, %v", listed, err)
	}
}

// A line of the ledger that the database has not carried out stands in the way of a hold,
// and what is carried out while it waits does not.
func TestHoldWaitsForTheLedger(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	p := addPerson(t, database, keys.Vault(), "ayşe")
	lines := uint64(0)
	holds := newHolds(t, db, keys, newAuditLog(t, db, auditConfig()), dsar.HoldConfig{
		Ledger: func(context.Context) (uint64, error) { return lines, nil }, Patience: 100 * time.Millisecond,
	})
	request := dsar.HoldRequest{People: []privacy.DataSubjectID{p.id}, Reason: dsar.HoldTaxAudit, Authority: "x"}
	set := func() error { _, _, err := holds.Set(t.Context(), dpo, request); return err }
	if err := set(); err != nil {
		t.Errorf("with an empty ledger: %v", err)
	}
	lines = 2
	carryOut := func(line int64) {
		if _, err := database.Pool(t).Exec(t.Context(), `insert into dsar.ledger (sequence, line_hash) values ($1, sha256('x'))`, line); err != nil {
			t.Fatal(err)
		}
	}
	carryOut(2)
	before := countEntries(t, db)
	if err := set(); !errors.Is(err, dsar.ErrLedgerAhead) || countEntries(t, db) != before {
		t.Errorf("with the first of two lines missing: %v", err)
	}
	carryOut(1)
	if err := set(); err != nil {
		t.Errorf("with both lines carried out: %v", err)
	}
}

// eraseUnlessHeld destroys a person's key as the shred transaction does: row locked first,
// then holds looked up.
func eraseUnlessHeld(ctx context.Context, pool *pgxpool.Pool, id privacy.DataSubjectID) (erased bool, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select from vault.data_subject where data_subject_id = $1 for update`, [16]byte(id)); err != nil {
			return err
		}
		var holds int
		if err := tx.QueryRow(ctx, `select count(*) from dsar.holds_on($1) where scope is null`, [16]byte(id)).Scan(&holds); err != nil || holds > 0 {
			return err
		}
		for _, statement := range []string{
			`update vault.data_subject set erasing = true where data_subject_id = $1`,
			`delete from vault.identifier where data_subject_id = $1`,
			`delete from keyring.person_key where data_subject_id = $1`,
		} {
			if _, err := tx.Exec(ctx, statement, [16]byte(id)); err != nil {
				return err
			}
		}
		erased = true
		return nil
	})
	return erased && err == nil, err
}

// addName writes somebody of whom nothing is held but their key and identifiers. It needs no
// connections of its own.
func addName(t testing.TB, pool *pgxpool.Pool, v *vault.Vault, name string) heldPerson {
	t.Helper()
	id, err := privacy.NewDataSubjectID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := heldPerson{id: id, identifiers: []privacy.Identifier{
		{Kind: privacy.Email, Value: privacy.NewPlain(name + "@example.com")},
		{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("C-" + name)},
		{Kind: privacy.CookieID, Value: privacy.NewPlain("cookie-" + name)},
	}}
	if p.key, p.wrapped, err = v.NewPersonKey(id); err != nil {
		t.Fatal(err)
	}
	batch := &pgx.Batch{}
	batch.Queue(`insert into vault.data_subject (data_subject_id, jurisdiction) values ($1, 'TR')`, [16]byte(id))
	batch.Queue(`insert into keyring.person_key (data_subject_id, wrapped) values ($1, $2)`, [16]byte(id), p.wrapped)
	for _, identifier := range p.identifiers {
		index, err := v.BlindIndex(identifier)
		if err != nil {
			t.Fatal(err)
		}
		batch.Queue(`insert into vault.identifier (data_subject_id, kind, blind_index) values ($1, $2, $3)`, [16]byte(id), string(identifier.Kind), index)
	}
	if err := pool.SendBatch(t.Context(), batch).Close(); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestHoldRacesErasure: of a hold and an erasure at the same time one comes first and the
// other sees it. Nobody is erased under a hold, and nobody is told of a hold on a person
// who is gone.
func TestHoldRacesErasure(t *testing.T) {
	t.Parallel()
	races := 1000
	if testing.Short() {
		races = 60
	}
	db, database := newDB(t)
	keys := newKeys(t)
	holds := newHolds(t, db, keys, newAuditLog(t, db, auditConfig()), dsar.HoldConfig{})
	owner := database.OwnerPool(t)
	var bound, erased, late int
	for race := range races {
		p := addName(t, owner, keys.Vault(), fmt.Sprintf("p%d", race))
		request := dsar.HoldRequest{Reason: dsar.HoldLitigation, Authority: "x"}
		byID := race%2 == 0
		if byID {
			request.People = []privacy.DataSubjectID{p.id}
		} else {
			request.Identifiers = p.identifiers[race%3 : race%3+1]
		}
		var hold dsar.Hold
		var holdErr, eraseErr error
		var gone bool
		var group sync.WaitGroup
		start := make(chan struct{})
		group.Go(func() {
			<-start
			time.Sleep(time.Duration(race%7) * 100 * time.Microsecond)
			hold, _, holdErr = holds.Set(t.Context(), dpo, request)
		})
		group.Go(func() {
			<-start
			time.Sleep(time.Duration(race%5) * 300 * time.Microsecond)
			gone, eraseErr = eraseUnlessHeld(t.Context(), owner, p.id)
		})
		close(start)
		group.Wait()
		if eraseErr != nil {
			t.Fatal(eraseErr)
		}
		switch {
		case holdErr != nil && !(byID && gone && errors.Is(holdErr, privacy.ErrNotFound)):
			t.Fatalf("race %d: setting the hold: %v, erased %t", race, holdErr, gone)
		case holdErr == nil && hold.People == 1 && gone:
			t.Fatalf("race %d: erased under a hold", race)
		case holdErr == nil && hold.People == 0 && !gone:
			t.Fatalf("race %d: the hold overlooked somebody who is there", race)
		case gone:
			erased++
		default:
			bound++
		}
		if gone && holdErr == nil {
			late++
		}
	}
	t.Logf("%d races: %d held, %d erased before (%d of them with a hold that binds nobody yet)", races, bound, erased, late)
	if !testing.Short() && (bound == 0 || erased == 0) {
		t.Error("one side wins always: this is no race")
	}
}
