package postgres

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

// cutLog makes the log what it was at that size, as a restore does.
func cutLog(t *testing.T, database *pgtest.Database, size int) {
	t.Helper()
	pool := database.OwnerPool(t)
	for _, statement := range []string{
		"delete from audit.checkpoint where size > $1", "delete from audit.entry where seq >= $1", "delete from audit.batch where size > $1",
	} {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), disarm); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), statement, size); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRestoredLogGoesOnAndSaysSo(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	memory := &testMemory{}
	config := auditConfig()
	config.Memory, config.Logger = memory, slog.New(slog.DiscardHandler)
	l := newAuditLog(t, db, config)
	appendDenied(t, l, 12)
	if err := l.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendDenied(t, l, 1)
	if err := l.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost := memory.note
	by := audit.Event{Principal: privacy.Principal{ID: "operator", Role: privacy.RoleDPO}}
	if _, err := RestoreAuditLog(t.Context(), db, config, lost, by); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("a log that lost nothing: %v, want ErrConflict", err)
	}
	cutLog(t, database, 12)
	if _, err := OpenAuditLog(t.Context(), db, config); !errors.Is(err, privacy.ErrDamaged) {
		t.Fatalf("a log that lost an entry was opened: %v", err)
	}
	other := config
	other.Origin = "other.example/audit"
	if _, err := RestoreAuditLog(t.Context(), db, other, lost, by); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a checkpoint of another log: %v, want ErrDamaged", err)
	}
	// Twice, as after a crash before the caller has put lost aside: with one entry lost and
	// one written the log has the size of the checkpoint, and is another one.
	for range 2 {
		signed, err := RestoreAuditLog(t.Context(), db, config, lost, by)
		if err != nil {
			t.Fatal(err)
		}
		memory.note = signed
	}
	again := newAuditLog(t, db, config)
	appendDenied(t, again, 3)
	if err := again.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err := VerifyAuditLog(t.Context(), db, config.Origin, config.PublicKey, nil, memory.note)
	if err != nil || !report.Whole() || report.Size != 16 {
		t.Fatalf("%+v, %v", report, err)
	}
	if len(report.Restored) != 1 || report.Restored[0].Index != 12 || report.Restored[0].Lost != sha256.Sum256(lost) || report.Restored[0].Time.IsZero() {
		t.Errorf("the report says %+v of the restore", report.Restored)
	}
	// Whoever kept the lost checkpoint sees that it is lost.
	report, err = VerifyAuditLog(t.Context(), db, config.Origin, config.PublicKey, nil, lost)
	if first, bad := report.FirstBad(); err != nil || !bad || first.Kind != audit.KeptForked {
		t.Errorf("compared with the lost checkpoint: %+v, %v", report.Damages, err)
	}
}

// TestChangedLogIsNotRestored: a log that is as long as before, or longer, was not restored.
func TestChangedLogIsNotRestored(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	memory := &testMemory{}
	config := auditConfig()
	config.Memory, config.Logger = memory, slog.New(slog.DiscardHandler)
	l := newAuditLog(t, db, config)
	appendDenied(t, l, 20)
	if err := l.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	cutLog(t, database, 12)
	appendDenied(t, newAuditLog(t, db, auditConfig()), 8)
	if _, err := RestoreAuditLog(t.Context(), db, config, memory.note, audit.Event{}); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("%v, want ErrConflict", err)
	}
	if size, err := l.Size(t.Context()); size != 20 || err != nil {
		t.Errorf("the log has %d entries, %v", size, err)
	}
}
