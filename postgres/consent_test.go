package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// newPerson puts a person without data into the database.
func newPerson(t testing.TB, db *DB, id privacy.DataSubjectID) {
	t.Helper()
	if _, err := db.pool.Exec(context.Background(), `insert into vault.data_subject (data_subject_id, jurisdiction) values ($1, 'CZ')`, [16]byte(id)); err != nil {
		t.Fatal(err)
	}
}

func granted(id privacy.DataSubjectID, n byte) (consent.Record, audit.Event) {
	record := consent.Record{
		ID: [16]byte{n}, DataSubject: id, Purpose: "newsletter", Channel: "email", Action: consent.Granted,
		Basis: privacy.Consent, NoticeVersion: "v1", Source: "web_form",
	}
	event := audit.Event{
		Kind: audit.ConsentGranted, Outcome: audit.Done, Purpose: "newsletter", Channel: "email",
		Principal: privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "shop"},
		Subject:   audit.Subject{ID: id, Blinding: audit.BlindingKey{1}},
	}
	return record, event
}

func TestConsentRecordsComeBack(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	store := NewConsentStore(db, newAuditLog(t, db, auditConfig()))
	id := privacy.DataSubjectID{1, 2, 3}
	newPerson(t, db, id)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	want, event := granted(id, 1)
	want.Explicit, want.Categories, want.Incentive = true, []privacy.DataCategory{"health", "religion"}, true
	want.EffectiveAt, want.ValidUntil = noon, noon.AddDate(1, 0, 0)
	want.Actor, want.GuardianVerified, want.Language = consent.ByGuardian, true, "cs-CZ"
	want.EvidenceRef, want.Jurisdiction = "form/4711", "CZ"
	receipt, err := store.Add(t.Context(), want, event)
	if err != nil || receipt.IsZero() {
		t.Fatalf("%v, %v", receipt, err)
	}
	got, err := store.List(t.Context(), id)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d records, %v", len(got), err)
	}
	if time.Since(got[0].RecordedAt) > time.Hour {
		t.Errorf("recorded at %v", got[0].RecordedAt)
	}
	if got[0].Salt == [16]byte{} {
		t.Error("no salt")
	}
	want.RecordedAt, want.Salt = got[0].RecordedAt, got[0].Salt
	if diff := cmp.Diff(want, got[0], cmp.Comparer(func(a, b privacy.DataSubjectID) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	again, err := store.Add(t.Context(), want, event)
	if err != nil || !again.Duplicate || again.Index() != receipt.Index() || again.Record.RecordedAt != want.RecordedAt {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	want.Purpose = "support"
	if _, err := store.Add(t.Context(), want, event); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("the same ID for something else: %v", err)
	}
	if others, err := store.List(t.Context(), privacy.DataSubjectID{9}); err != nil || len(others) != 0 {
		t.Errorf("somebody else has %d records, %v", len(others), err)
	}
}

func TestConsentOfNobodyIsNotRecorded(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	before, err := log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	record, event := granted(privacy.DataSubjectID{4}, 1)
	if _, err := NewConsentStore(db, log).Add(t.Context(), record, event); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if after, err := log.Size(t.Context()); err != nil || after != before {
		t.Errorf("the log grew from %d to %d (%v)", before, after, err)
	}
}

// TestConsentIsDatedByOneClock: whatever the callers' clocks say, a later choice decides
// over an earlier one, and none is dated after the moment at which a query would read it.
func TestConsentIsDatedByOneClock(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	store := NewConsentStore(db, newAuditLog(t, db, auditConfig()))
	id := privacy.DataSubjectID{5}
	newPerson(t, db, id)
	ahead, event := granted(id, 1)
	ahead.EffectiveAt = time.Now().Add(time.Hour)
	if _, err := store.Add(t.Context(), ahead, event); err != nil {
		t.Fatal(err)
	}
	for n := byte(2); n < 40; n++ {
		record, event := granted(id, n)
		if n%2 == 0 {
			record.Action, event.Kind = consent.Withdrawn, audit.ConsentWithdrawn
		}
		if _, err := store.Add(t.Context(), record, event); err != nil {
			t.Fatal(err)
		}
		records, err := store.List(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var now time.Time
		if err := db.pool.QueryRow(t.Context(), `select clock_timestamp()`).Scan(&now); err != nil {
			t.Fatal(err)
		}
		want := consent.StateGranted
		if n%2 == 0 {
			want = consent.StateWithdrawn
		}
		if got := consent.Fold(records, "email", now); got.State != want || got.Record != record.ID {
			t.Fatalf("after choice %d: %+v, want %s", n, got, want)
		}
	}
}
