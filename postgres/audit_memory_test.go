package postgres

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// testMemory is a [CheckpointMemory] that can fail.
type testMemory struct {
	note []byte
	err  error
}

func (m *testMemory) Load() ([]byte, error) { return m.note, nil }
func (m *testMemory) String() string        { return "the test's memory" }
func (m *testMemory) Keep(note []byte) error {
	if m.err == nil {
		m.note = note
	}
	return m.err
}

func appendDenied(t *testing.T, l *AuditLog, n int) {
	t.Helper()
	for range n {
		if _, err := l.Append(t.Context(), denied()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRewrittenHistoryIsNotSigned: a superuser takes the signed checkpoints and the tail
// away, and then writes another tail in which everything fits.
func TestRewrittenHistoryIsNotSigned(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	memory := &testMemory{}
	config := auditConfig()
	config.Memory = memory
	l := newAuditLog(t, db, config)
	appendDenied(t, l, 20)
	if err := l.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if report, err := VerifyAuditLog(t.Context(), db, config.Origin, config.PublicKey, nil, memory.note); err != nil ||
		!report.Whole() || report.Kept.Size != 20 || report.Signed.Size != 20 {
		t.Fatalf("before: %+v, %v", report, err)
	}
	if _, err := database.OwnerPool(t).Exec(t.Context(), disarm+`;
		delete from audit.checkpoint; delete from audit.entry where seq >= 12; delete from audit.batch where size > 12`); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, kind audit.DamageKind, index uint64) {
		t.Helper()
		if _, err := OpenAuditLog(t.Context(), db, config); !errors.Is(err, privacy.ErrDamaged) || !strings.Contains(err.Error(), "copy both as evidence") {
			t.Errorf("%s: opened: %v", what, err)
		}
		if err := l.SignCheckpoint(t.Context()); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: signed: %v", what, err)
		}
		report, err := VerifyAuditLog(t.Context(), db, config.Origin, config.PublicKey, nil, memory.note)
		if err != nil {
			t.Fatal(err)
		}
		if first, _ := report.FirstBad(); report.Kept.Size != 0 || first.Kind != kind || first.Index != index {
			t.Errorf("%s: found %v, want %q at %d", what, report.Damages, kind, index)
		}
	}
	refused("cut off", audit.EntriesCut, 12)

	other := newAuditLog(t, db, auditConfig())
	appendDenied(t, other, 8)
	if report, err := other.Verify(t.Context(), nil); err != nil || !report.Whole() || report.Size != 20 {
		t.Fatalf("the false history should fit itself: %+v, %v", report, err)
	}
	refused("rewritten to the same size", audit.KeptForked, 0)
	appendDenied(t, other, 5)
	refused("rewritten and longer", audit.KeptForked, 0)
	if _, err := other.LatestCheckpoint(t.Context()); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("something was signed: %v", err)
	}
}

// TestCheckpointIsKeptBeforeItIsPublished also shows how the two come together again.
func TestCheckpointIsKeptBeforeItIsPublished(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	memory := &testMemory{err: errors.New("disk is full")}
	var said bytes.Buffer
	config := auditConfig()
	config.Memory, config.Logger = memory, slog.New(slog.NewTextHandler(&said, nil))
	l := newAuditLog(t, db, config)
	appendDenied(t, l, 3)
	if err := l.SignCheckpoint(t.Context()); !errors.Is(err, memory.err) {
		t.Fatalf("signed without keeping: %v", err)
	}
	if _, err := l.LatestCheckpoint(t.Context()); !errors.Is(err, privacy.ErrNotFound) {
		t.Fatalf("published without keeping: %v", err)
	}
	memory.err = nil
	if err := l.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept := memory.note
	if stored, err := l.LatestCheckpoint(t.Context()); err != nil || !bytes.Equal(stored, kept) {
		t.Fatalf("kept %q, published %q, %v", kept, stored, err)
	}
	// Lost while the log is open: kept again. Lost while it is not: likewise, and said.
	memory.note = nil
	if err := l.SignCheckpoint(t.Context()); err != nil || !bytes.Equal(memory.note, kept) {
		t.Errorf("kept again %q, %v", memory.note, err)
	}
	memory.note = nil
	newAuditLog(t, db, config)
	if !bytes.Equal(memory.note, kept) || !strings.Contains(said.String(), "level=WARN") {
		t.Errorf("kept again %q, said %q", memory.note, said.String())
	}
	// A memory that is ahead of what is stored, as after a crash between the two.
	appendDenied(t, l, 2)
	ahead, err := audit.SignCheckpoint(audit.Checkpoint{Origin: config.Origin, Size: 5, Root: l.head.root}, l.signer)
	if err != nil {
		t.Fatal(err)
	}
	memory.note = ahead
	again := newAuditLog(t, db, config)
	if err := again.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stored, err := again.LatestCheckpoint(t.Context()); err != nil || !bytes.Equal(stored, ahead) {
		t.Errorf("stored %q, %v", stored, err)
	}
	memory.note = []byte("altered")
	if _, err := OpenAuditLog(context.Background(), db, config); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("opened with a memory that does not verify: %v", err)
	}
}
