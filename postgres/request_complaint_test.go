package postgres

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

func complaintOf(identifiers ...privacy.Identifier) dsar.Opening {
	opening := openingOf(dsar.Complaint, identifiers...)
	opening.Category = dsar.UnwantedMarketing
	return opening
}

// TestComplaintLife: a complaint has a number from the moment on which it is recorded, is
// found by it, is in the queue, needs no proof, and ends with an outcome.
func TestComplaintLife(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	service, ctx := room.service, t.Context()
	opened := room.open(t, requestShop, complaintOf(room.ayse.identifiers[0]))
	if opened.Number.String() != "2026-000001" || opened.Category != dsar.UnwantedMarketing || opened.DataSubject != room.ayse.id {
		t.Errorf("opened %s about %s", opened.Number, opened.Category)
	}
	if opened.AcknowledgeBy.IsZero() || opened.DueAt.IsZero() {
		t.Errorf("acknowledge by %s, due %s", opened.AcknowledgeBy, opened.DueAt)
	}
	if by := room.open(t, requestShop, dsar.Opening{Kind: dsar.Complaint, Category: dsar.WrongData, Jurisdiction: "TR", Language: "tr", Via: dsar.ViaAPI, DataSubject: room.jana.id}); by.Number.Count != 2 || by.DataSubject != room.jana.id {
		t.Errorf("by a pseudonym: %s", by.Number)
	}
	id, err := service.FindComplaint(ctx, requestOfficer, opened.Number)
	if err != nil || id != opened.ID {
		t.Errorf("found %s, %v", id, err)
	}
	if _, err := service.FindComplaint(ctx, requestOfficer, dsar.ComplaintNumber{Year: 2026, Count: 9}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("one that is not there: %v", err)
	}
	if _, err := service.FindComplaint(ctx, requestShop, opened.Number); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("a service looks for numbers: %v", err)
	}
	for name, filter := range map[string]dsar.Filter{
		"queue": {Kind: dsar.Complaint, Category: dsar.UnwantedMarketing}, "all": {All: true, Category: dsar.UnwantedMarketing},
	} {
		page, err := service.Queue(ctx, requestOfficer, filter, 10)
		if err != nil || len(page.Requests) != 1 || page.Requests[0].ID != opened.ID || page.Requests[0].Number != opened.Number {
			t.Errorf("%s: %d, %v", name, len(page.Requests), err)
		}
	}
	if _, _, err := service.Start(ctx, requestOfficer, opened.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := service.Answer(ctx, requestOfficer, opened.ID, "won", privacy.NewPlain("kanárek")); err == nil {
		t.Error("an outcome that is on no list")
	}
	told := privacy.NewPlain("You were right, kanárek.")
	answered, receipt, err := service.Answer(ctx, requestOfficer, opened.ID, dsar.Upheld, told)
	if err != nil || answered.State != dsar.Fulfilled || answered.Outcome != dsar.Upheld {
		t.Fatalf("answered: %s, %v", answered.State, err)
	}
	entry := readEntry(t, room.db, receipt.Index())
	if entry.Kind != audit.RequestFulfilled || entry.List != dsar.StepDigest(opened.ID, answered.Version, dsar.ActionFulfil, dsar.OutcomeDigest(dsar.Upheld, told)) {
		t.Errorf("the log says %s", entry.Kind)
	}
	found, err := service.Find(ctx, opened.ID)
	if err != nil || found.Outcome != dsar.Upheld || found.Number != opened.Number || found.Category != opened.Category {
		t.Errorf("stored: %+v, %v", found.Outcome, err)
	}
}

// TestComplaintNumbers: however many complaints come at once, each has a number of its own,
// none is left out, and a year begins with one.
func TestComplaintNumbers(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	const many = 24
	numbers := make([]dsar.ComplaintNumber, many)
	var group sync.WaitGroup
	for i := range numbers {
		group.Go(func() {
			// Half of them are about the same person, who waits for the turn of the others.
			opening := complaintOf(room.ayse.identifiers[0])
			if i%2 == 0 {
				opening = complaintOf(byNumber(string(rune('A' + i)))...)
			}
			opened, err := room.service.Open(t.Context(), requestShop, opening)
			if err != nil {
				t.Error(err)
			}
			numbers[i] = opened.Number
		})
	}
	group.Wait()
	seen := map[int64]bool{}
	for _, n := range numbers {
		if n.Year != 2026 || n.Count < 1 || n.Count > many || seen[n.Count] {
			t.Errorf("number %s", n)
		}
		seen[n.Count] = true
	}
	room.mu.Lock()
	room.now = time.Date(2026, 12, 31, 23, 59, 0, 0, time.UTC)
	room.mu.Unlock()
	if n := room.open(t, requestShop, complaintOf(room.jana.identifiers[0])).Number; n.String() != "2026-000025" {
		t.Errorf("the last of the year is %s", n)
	}
	room.mu.Lock()
	room.now = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	room.mu.Unlock()
	if n := room.open(t, requestShop, complaintOf(room.jana.identifiers[0])).Number; n.String() != "2027-000001" {
		t.Errorf("the first of the year is %s", n)
	}
}

// TestComplaintRows: the database keeps what is no complaint from looking like one.
func TestComplaintRows(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	complaint := room.open(t, requestShop, complaintOf(room.ayse.identifiers[0]))
	access := room.open(t, requestShop, openingOf(dsar.Access, room.ayse.identifiers[0]))
	owner := room.database.OwnerPool(t)
	for statement, id := range map[string]dsar.RequestID{
		`update dsar.request set category = 'other' where request_id = $1`:     access.ID,
		`update dsar.request set outcome = 'upheld' where request_id = $1`:     complaint.ID,
		`update dsar.request set complaint_count = null where request_id = $1`: complaint.ID,
		`update dsar.request set category = 'health' where request_id = $1`:    complaint.ID,
		`update dsar.request set complaint_count = 0 where request_id = $1`:    complaint.ID,
		`update dsar.request set kind = 'access' where request_id = $1`:        complaint.ID,
	} {
		if _, err := owner.Exec(t.Context(), statement, [16]byte(id)); err == nil {
			t.Errorf("%s was done", statement)
		}
	}
}
