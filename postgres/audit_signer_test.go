package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// TestFollow: the server checks and remembers what a signer of its own has signed.
func TestFollow(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	config, memory := auditConfig(), &testMemory{}
	config.Sign, config.Memory = nil, memory
	l := newAuditLog(t, db, config)
	appendDenied(t, l, 5)
	s := openSigner(t, database, &testMemory{}, nil)
	if err := s.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.checkpoints.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if kept, err := audit.OpenCheckpoint(memory.note, mustVerifier(t)); err != nil || kept.Size != 5 {
		t.Errorf("kept %+v, %v", kept, err)
	}
	// An entry behind the checkpoint waits for the next.
	appendDenied(t, l, 1)
	proved := make(chan error, 1)
	go func() { _, err := l.Prove(t.Context(), 5); proved <- err }()
	if err := s.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-proved; err != nil {
		t.Errorf("proving with a signer of its own: %v", err)
	}
	// A checkpoint that somebody else signed is refused.
	strange := auditConfig().signer()
	strange.PublicKey, strange.Sign = newLogKey(t)
	thief, err := NewSigner(db, strange)
	if err != nil {
		t.Fatal(err)
	}
	appendDenied(t, l, 1)
	if err := thief.Sign(t.Context()); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("another key signed over the log's: %v", err)
	}
	if _, err := database.OwnerPool(t).Exec(t.Context(), disarm+`; delete from audit.checkpoint`); err != nil {
		t.Fatal(err)
	}
	if err := thief.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.checkpoints.Follow(t.Context()); !errors.Is(err, privacy.ErrDamaged) || l.checkpoints.Refusal() == nil {
		t.Errorf("a checkpoint by another key was accepted: %v", err)
	}
	if _, err := l.LatestCheckpoint(t.Context()); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("and published: %v", err)
	}
}

// TestFormerKey: a new key takes over from the one before it, once.
func TestFormerKey(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	l := newAuditLog(t, db, auditConfig())
	appendDenied(t, l, 5)
	if err := l.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	config := auditConfig().signer()
	config.Former = append(config.Former, config.PublicKey)
	config.PublicKey, config.Sign = newLogKey(t)
	config.Memory = &testMemory{}
	next, err := NewSigner(db, config)
	if err != nil {
		t.Fatal(err)
	}
	appendDenied(t, l, 5)
	if err := next.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.SignCheckpoint(t.Context()); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("the former key still signs: %v", err)
	}
	// A checkpoint by the former key, put on top, is an old one replayed.
	former := auditConfig().signer()
	again, err := NewSigner(db, former)
	if err != nil {
		t.Fatal(err)
	}
	appendDenied(t, l, 5)
	head, err := again.readCheckpoint(t.Context(), db.pool)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := audit.SignCheckpoint(head, again.signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.storeCheckpoint(t.Context(), head, signed); err != nil {
		t.Fatal(err)
	}
	if err := next.Sign(t.Context()); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a checkpoint by the former key was continued: %v", err)
	}
}

// TestHold: what is held leaves no entry, and nothing else is.
func TestHold(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	config := auditConfig()
	config.Hold = func(kind audit.Kind) error {
		if kind == audit.QueryAnswered {
			return privacy.ErrUnavailable
		}
		return nil
	}
	l := newAuditLog(t, db, config)
	appendDenied(t, l, 1)
	answered := denied()
	answered.Kind, answered.Outcome, answered.Checks = audit.QueryAnswered, audit.Allowed, nil
	if _, err := l.Append(t.Context(), answered); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("answered all the same: %v", err)
	}
	if size, err := l.Size(t.Context()); err != nil || size != 1 {
		t.Errorf("the log has %d entries, %v", size, err)
	}
}

// TestUnsignedSince: a log in which nobody wrote for a long time waits for its signer only
// since the next entry.
func TestUnsignedSince(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	config := auditConfig()
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	config.Now = func() time.Time { return at }
	l := newAuditLog(t, db, config)
	s := openSigner(t, database, &testMemory{}, nil)
	since := func(want time.Time) {
		t.Helper()
		status, err := s.Status(t.Context())
		if err != nil || !status.UnsignedSince.Equal(want) {
			t.Errorf("unsigned since %v, %v, want %v", status.UnsignedSince, err, want)
		}
	}
	since(time.Time{})
	appendDenied(t, l, 3)
	since(at)
	if err := s.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	since(time.Time{})
	at = at.Add(20 * time.Hour)
	appendDenied(t, l, 1)
	since(at)
}

// TestSignersDoNotRefuseOneAnother: that another process has just signed more than was there
// a moment ago is no reason to raise an alarm.
func TestSignersDoNotRefuseOneAnother(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	l := newAuditLog(t, db, auditConfig())
	appendDenied(t, l, 3)
	slow, quick := openSigner(t, database, nil, nil), openSigner(t, database, nil, nil)
	pool := database.OwnerPool(t)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	// The slow one has read where the log ends, and waits for what was signed.
	if _, err := tx.Exec(t.Context(), `lock table audit.checkpoint in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	signed := make(chan error, 1)
	go func() { signed <- slow.Sign(t.Context()) }()
	for waits := false; !waits; time.Sleep(time.Millisecond) {
		if err := pool.QueryRow(t.Context(), `select exists (select from pg_locks
			where relation = 'audit.checkpoint'::regclass and not granted)`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	appendDenied(t, l, 4)
	next, err := quick.readCheckpoint(t.Context(), db.pool)
	if err != nil {
		t.Fatal(err)
	}
	note, err := audit.SignCheckpoint(next, quick.signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), sqlAuditInsertCheckpoint, int64(next.Size), next.Root[:], time.Now(), note); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-signed; err != nil || slow.Refusal() != nil {
		t.Errorf("the slow one refuses: %v", err)
	}
}
