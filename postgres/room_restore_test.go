package postgres

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// TestNothingIsLeftAfterARestore: what was spent since the dump is not known any more, so
// nothing of any budget is left until its owner signs how much may be spent in all.
func TestNothingIsLeftAfterARestore(t *testing.T) {
	t.Parallel()
	r, refs := newLedgerTest(t, 100, 60)
	memory := &testMemory{}
	config := auditConfig()
	config.Memory, config.Logger = memory, slog.New(slog.DiscardHandler)
	log := newAuditLog(t, r.db, config)
	ledger := NewRoomLedger(r.db, log, RoomLedgerConfig{})
	if _, err := ledger.Begin(t.Context(), charge("campaign", "agency", 1, 10, refs...), roomEvent(audit.RoomCharged)); err != nil {
		t.Fatal(err)
	}
	dumped, err := log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	appendDenied(t, log, 3)
	if err := log.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	cutLog(t, r.database, int(dumped))
	by := audit.Event{Principal: privacy.Principal{ID: "operator", Role: privacy.RoleDPO}}
	if memory.note, err = RestoreAuditLog(t.Context(), r.db, config, memory.note, by); err != nil {
		t.Fatal(err)
	}

	ledger = NewRoomLedger(r.db, newAuditLog(t, r.db, config), RoomLedgerConfig{})
	var exhausted *cleanroom.Exhausted
	_, err = ledger.Begin(t.Context(), charge("campaign", "brand", 2, 1, refs...), roomEvent(audit.RoomCharged))
	if !errors.As(err, &exhausted) {
		t.Fatalf("a question after the restore: %v, want ErrExhausted", err)
	}
	for _, left := range exhausted.Left {
		if left.Rho() != 0 || left.Spent != 10 || left.Cap != 10 {
			t.Errorf("%+v is left of %s, want nothing and what the dump knows", left, left.Dataset)
		}
	}

	r.log = newAuditLog(t, r.db, config)
	r.rooms = NewRoomStore(r.db, r.log)
	r.file(t, r.contract(t, refs[0], 2, 40, 20))
	if _, err := ledger.Begin(t.Context(), charge("campaign", "brand", 2, 1, refs...), roomEvent(audit.RoomCharged)); !errors.Is(err, cleanroom.ErrExhausted) {
		t.Errorf("one of two owners has signed: %v, want ErrExhausted", err)
	}
	r.file(t, r.contract(t, refs[1], 2, 40, 20))
	if _, err := ledger.Begin(t.Context(), charge("campaign", "brand", 2, 1, refs...), roomEvent(audit.RoomCharged)); err != nil {
		t.Errorf("both owners have signed: %v", err)
	}
	left, err := ledger.Left(t.Context(), "brand", refs[:1])
	if err != nil || left[0].Cap != 40 || left[0].Spent != 11 {
		t.Errorf("then %+v is left, %v", left, err)
	}
}
