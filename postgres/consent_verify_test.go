package postgres

import (
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/proof"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// TestErasureLeavesAProvenLedger: before, after an erasure, after it was swept up and while
// rows of others are there, the ledger is what the log says; and nothing of the person is
// left in it.
func TestErasureLeavesAProvenLedger(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	store := NewConsentStore(e.db, e.log)
	whole := func(when string, rows, gone uint64) {
		t.Helper()
		report, err := e.db.VerifyConsents(t.Context(), nil)
		if err != nil || !report.Whole() || report.Rows != rows || report.Gone != gone {
			t.Fatalf("%s: %+v, %v", when, report, err)
		}
	}
	ayse, jana := e.person(t, "ayşe"), e.person(t, "jana")
	before, err := e.db.VerifyConsents(t.Context(), nil)
	if err != nil || before.Bare != 2 || before.Whole() {
		t.Fatal(before, err)
	}
	// What the room made without the store goes; it is not what this is about.
	if _, err := e.database.OwnerPool(t).Exec(t.Context(), `delete from consent.record where commitment is null`); err != nil {
		t.Fatal(err)
	}
	for n, p := range []heldPerson{ayse, ayse, jana} {
		record, event := granted(p.id, byte(100+n))
		if _, err := store.Add(t.Context(), record, event); err != nil {
			t.Fatal(err)
		}
	}
	one, event := granted(ayse.id, 120)
	two, _ := granted(jana.id, 121)
	if _, err := store.AddBatch(t.Context(), []consent.Record{one, two}, audit.Event{Principal: event.Principal}); err != nil {
		t.Fatal(err)
	}
	whole("before", 5, 0)
	e.erase(t, ayse)
	whole("after", 2, 3)
	e.erase(t, jana)
	whole("when both are gone", 0, 5)
}

// TestNoRowIsOverlooked: whoever may do everything in the database may also undo constraints,
// and still no row, whatever it looks like, gets past the comparison.
func TestNoRowIsOverlooked(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	store := NewConsentStore(db, newAuditLog(t, db, auditConfig()))
	id := privacy.DataSubjectID{1}
	newPerson(t, db, id)
	record, event := granted(id, 1)
	if _, err := store.Add(t.Context(), record, event); err != nil {
		t.Fatal(err)
	}
	record, event = granted(id, 2)
	if _, err := store.AddBatch(t.Context(), []consent.Record{record}, audit.Event{Principal: event.Principal}); err != nil {
		t.Fatal(err)
	}
	owner := database.OwnerPool(t)
	if _, err := owner.Exec(t.Context(), `
		alter table consent.record disable trigger all, drop constraint record_commitment_has_a_length,
			drop constraint record_end_is_after_start, drop constraint record_batch_has_a_position;
		alter table consent.gone disable trigger all, drop constraint gone_digests_have_their_length;
		alter table consent.batch disable trigger all, drop constraint batch_digest_has_its_length`); err != nil {
		t.Fatal(err)
	}
	if report, err := db.VerifyConsents(t.Context(), nil); err != nil || !report.Whole() || report.Rows != 2 {
		t.Fatalf("untouched: %+v, %v", report, err)
	}
	const forge = `
		insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit,
			notice_version, source, effective_at, recorded_at, salt, commitment, batch_id, batch_position)
		select data_subject_id, gen_random_uuid(), purpose, channel, action, legal_basis, explicit,
			notice_version, source, effective_at, recorded_at, salt, `
	for name, forged := range map[string]string{
		"empty commitment":   forge + `''::bytea, null, null from consent.record where batch_id is null`,
		"short commitment":   forge + `'\x00'::bytea, null, null from consent.record where batch_id is null`,
		"before the batch":   forge + `'\x00', batch_id, -1 from consent.record where batch_id is not null`,
		"no end is an end":   `update consent.record set valid_until = '0001-01-01 00:00:00+00' where batch_id is null`,
		"an end before time": `update consent.record set valid_until = '-infinity' where batch_id is null`,
		"an end after it":    `update consent.record set valid_until = 'infinity' where batch_id is null`,
		"empty remains":      `insert into consent.gone (commitment, erasure_digest) values ('', '')`,
		"empty batch":        `insert into consent.batch (batch_id, digest, row_count) values (gen_random_uuid(), '', 1)`,
	} {
		tx, err := owner.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), forged); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		report, err := proof.Check(t.Context(), &consentSource{tx}, nil)
		if err != nil || report.Whole() {
			t.Errorf("%s is not noticed: %+v, %v", name, report, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
