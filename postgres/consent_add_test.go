package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// TestConsentAddsTogether: of many who add at the same time each gets their own entry, which
// commits to their own row; one who is nobody, one with another's id and one whose event is
// none are told so, and nobody else notices. A person whom somebody holds makes nobody wait
// but those who add to them.
func TestConsentAddsTogether(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	store := NewConsentStore(db, log)
	people := make([]privacy.DataSubjectID, 20)
	for i := range people {
		people[i] = privacy.DataSubjectID{byte(i + 1)}
		newPerson(t, db, people[i])
	}
	held := privacy.DataSubjectID{200}
	newPerson(t, db, held)
	tx, err := database.OwnerPool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `select from vault.data_subject where data_subject_id = $1 for update`, [16]byte(held)); err != nil {
		t.Fatal(err)
	}
	waits := make(chan error, 1)
	go func() {
		record, event := granted(held, 201)
		_, err := store.Add(t.Context(), record, event)
		waits <- err
	}()

	type result struct {
		added consent.Added
		err   error
	}
	results := make([]result, 400)
	var callers sync.WaitGroup
	for i := range results {
		callers.Go(func() {
			record, event := granted(people[i%len(people)], 0)
			binary.BigEndian.PutUint32(record.ID[:], uint32(i+1000))
			switch i % 100 {
			case 7:
				record.DataSubject = privacy.DataSubjectID{99}
			case 8:
				binary.BigEndian.PutUint32(record.ID[:], 1)
				record.Source = []string{"web_form", "call_centre", "shop", "app"}[i/100]
			case 9:
				event.Kind = "no.such"
			case 10:
				record.Purpose = "No Key"
			}
			results[i].added, results[i].err = store.Add(t.Context(), record, event)
		})
	}
	callers.Wait()
	conflicts := 0
	for i, r := range results {
		want := error(nil)
		switch i % 100 {
		case 7:
			want = privacy.ErrNotFound
		case 8:
			if errors.Is(r.err, privacy.ErrConflict) {
				conflicts++
				continue
			}
		case 9:
			want = privacy.ErrInvalid
		case 10:
			if r.err == nil {
				t.Error("a purpose that is no key was recorded")
			}
			continue
		}
		if !errors.Is(r.err, want) {
			t.Fatalf("change %d: %v, want %v", i, r.err, want)
		}
		if want != nil {
			continue
		}
		entry := readEntry(t, db, r.added.Index())
		if got := r.added.Record.Commitment(); entry.List != audit.Digest(got) || entry.Kind != audit.ConsentGranted {
			t.Fatalf("change %d has entry %s with %x, want %x", i, entry.Kind, entry.List, got)
		}
	}
	if conflicts != 3 {
		t.Errorf("%d of 4 records with one id were refused, want 3", conflicts)
	}
	select {
	case err := <-waits:
		t.Errorf("the change about somebody who is held did not wait: %v", err)
	default:
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; err != nil {
		t.Error(err)
	}
	checkConsentCommitments(t, db)
}

// checkConsentCommitments recomputes the commitment of each row from the row.
func checkConsentCommitments(t *testing.T, db *DB) {
	t.Helper()
	rows, err := db.pool.Query(t.Context(), `select data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, categories,
		notice_version, source, incentive, actor, guardian_verified, language, evidence_ref, jurisdiction,
		effective_at, recorded_at, valid_until, salt, commitment from consent.record`)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		record, commitment, err := scanConsentRow(row)
		if got := record.Commitment(); err == nil && !slices.Equal(got[:], commitment) {
			t.Errorf("row %x has commitment %x, want %x", record.ID, commitment, got)
		}
		n++
		return struct{}{}, err
	}); err != nil || n == 0 {
		t.Fatal(n, err)
	}
}

func TestConsentAddBatch(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	store := NewConsentStore(db, log)
	newPerson(t, db, privacy.DataSubjectID{1})
	newPerson(t, db, privacy.DataSubjectID{2})
	record := func(person, id byte) consent.Record {
		r, _ := granted(privacy.DataSubjectID{person}, id)
		return r
	}
	_, event := granted(privacy.DataSubjectID{1}, 1)
	event = audit.Event{Principal: event.Principal}
	first, err := store.AddBatch(t.Context(), []consent.Record{record(1, 1), record(2, 2), record(9, 3), record(1, 1)}, event)
	if err != nil {
		t.Fatal(err)
	}
	want := []consent.BatchOutcome{consent.BatchAdded, consent.BatchAdded, consent.BatchNobody, consent.BatchDuplicate}
	if !slices.Equal(first.Outcomes, want) || first.Added != 2 {
		t.Errorf("outcomes %v, %d added", first.Outcomes, first.Added)
	}
	entry := readEntry(t, db, first.Index())
	if entry.Kind != audit.ConsentImported || entry.List != first.Digest || entry.Count != audit.BucketOf(2) {
		t.Errorf("the entry says %s of %s, %x", entry.Kind, entry.Count, entry.List)
	}
	size, err := log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := record(2, 2)
	other.Purpose = "support"
	again, err := store.AddBatch(t.Context(), []consent.Record{record(1, 1), other}, event)
	if err != nil || again.Added != 0 || !again.Receipt.IsZero() || !slices.Equal(again.Outcomes, []consent.BatchOutcome{consent.BatchDuplicate, consent.BatchConflict}) {
		t.Errorf("again: %+v, %v", again, err)
	}
	if after, err := log.Size(t.Context()); err != nil || after != size {
		t.Errorf("nothing was added, and the log grew from %d to %d (%v)", size, after, err)
	}
	if _, err := store.AddBatch(t.Context(), make([]consent.Record, MaxConsentBatch+1), event); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("too many: %v", err)
	}
	checkConsentCommitments(t, db)
}
