package postgres

import (
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
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
