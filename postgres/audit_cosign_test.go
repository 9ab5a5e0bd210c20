package postgres

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/internal/witnesstest"
	"github.com/mahrem/mahrem/privacy"
)

// openSigner returns a signer with the database rights of one and the key of auditConfig.
func openSigner(t *testing.T, database *pgtest.Database, memory CheckpointMemory, policy *witness.Policy) *Signer {
	t.Helper()
	db, err := Open(t.Context(), Config{URL: database.URL(), Role: SignerRole, MaxConns: 4, ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	config := auditConfig().signer()
	config.Memory, config.Witnesses, config.WitnessTimeout, config.Logger = memory, policy, time.Minute, nil
	s, err := NewSigner(db, config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustWitnesses(t *testing.T, text string) *witness.Policy {
	t.Helper()
	policy, err := witness.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func mustVerifier(t *testing.T) note.Verifier {
	t.Helper()
	v, err := audit.NewVerifier(auditConfig().Origin, auditConfig().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// newLogKey makes a key of nobody in particular.
func newLogKey(t *testing.T) (ed25519.PublicKey, func([]byte) ([]byte, error)) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return public, func(message []byte) ([]byte, error) { return ed25519.Sign(private, message), nil }
}

// TestSignerHasItsOwnRights signs as mahrem_signer, who may do nothing else.
func TestSignerHasItsOwnRights(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	l := newAuditLog(t, db, auditConfig())
	appendDenied(t, l, 300)
	memory := &testMemory{}
	s := openSigner(t, database, memory, nil)
	if err := s.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept, err := audit.OpenCheckpoint(memory.note, mustVerifier(t))
	if err != nil || kept.Size != 300 {
		t.Errorf("kept %+v, %v", kept, err)
	}
	for _, statement := range []string{
		`insert into audit.entry (seq, leaf, leaf_hash) values (300, '\x00', sha256('\x00'))`,
		`insert into audit.batch (size, root) values (301, sha256('\x00'))`,
		`update audit.checkpoint set note = note`,
		`delete from audit.cosignature`,
		`truncate audit.checkpoint`,
		`select audit.claim(300, '\x00')`,
		`select audit.add_partition(2)`,
		`select count(*) from vault.data_subject`,
		`select count(*) from keyring.person_key`,
	} {
		_, err := s.db.pool.Exec(t.Context(), statement)
		if err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func TestWitnessesCosign(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	a, b := witnesstest.New(t, "a.example/w", mustVerifier(t)), witnesstest.New(t, "b.example/w", mustVerifier(t))
	policy := mustWitnesses(t, a.Line("A")+b.Line("B")+"group both all A B\nquorum both\n")
	config := auditConfig()
	config.Witnesses = policy
	l := newAuditLog(t, db, config)
	s := openSigner(t, database, &testMemory{}, policy)
	at := time.Now().Add(time.Hour) // of what is signed, whatever the machine needs for it
	s.config.Now = func() time.Time { return at }
	status := func() CheckpointStatus {
		t.Helper()
		status, err := l.CheckpointStatus(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return status
	}
	sign := func(n int) error {
		t.Helper()
		appendDenied(t, l, n)
		if err := s.Sign(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s.Cosign(t.Context())
	}
	if got := status(); got.Signed != 0 || got.Quorum || !got.Demanded {
		t.Errorf("before: %+v", got)
	}
	if err := sign(7); err != nil {
		t.Fatal(err)
	}
	if got := status(); got.Cosigned != 7 || !got.Quorum || len(got.CosignedBy) != 2 || got.CosignedAt.IsZero() || !got.WaitingSince.IsZero() {
		t.Errorf("both: %+v", got)
	}
	published := func(want uint64, quorum bool) {
		t.Helper()
		signed, err := l.LatestCheckpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c, err := policy.Check(signed, mustVerifier(t)); err != nil || c.Checkpoint.Size != want || c.Quorum != quorum {
			t.Errorf("published %+v, %v; want %d", c, err, want)
		}
	}
	published(7, true)
	b.Break(http.StatusServiceUnavailable)
	at = at.Add(publishWithin)
	if err := sign(600); !errors.Is(err, privacy.ErrUnavailable) || !strings.Contains(err.Error(), "witness B") {
		t.Errorf("one is away: %v", err)
	}
	if got := status(); got.Signed != 607 || got.Cosigned != 7 || got.Quorum || got.WaitingSince.IsZero() {
		t.Errorf("one is away: %+v", got)
	}
	published(7, true) // rather than one that still waits
	if _, err := l.Prove(t.Context(), 606); err != nil {
		t.Errorf("proving an entry that waits: %v", err)
	}
	if s.Alarms() != nil {
		t.Errorf("alarm for a witness that is merely away: %v", s.Alarms())
	}
	at = at.Add(time.Millisecond)
	if err := sign(1); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("it is still away: %v", err)
	}
	published(608, false) // which has waited for long enough
	b.Break(0)
	if err := s.Cosign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := status(); got.Cosigned != 608 || !got.Quorum {
		t.Errorf("back: %+v", got)
	}
	published(608, true)
	b.Forge(true)
	if err := sign(1); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a forged cosignature: %v", err)
	}
	if got := status(); got.Quorum {
		t.Errorf("a forged cosignature was counted: %+v", got)
	}
	if s.Alarms() != nil {
		t.Errorf("alarm about the log for an answer that says nothing of it: %v", s.Alarms())
	}
}

// TestStoredCosignaturesAreNotBelieved: what somebody writes into the table is counted by
// nobody, and does not spoil what is published.
func TestStoredCosignaturesAreNotBelieved(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	w := witnesstest.New(t, "w.example/w", mustVerifier(t))
	policy := mustWitnesses(t, w.Policy("W"))
	config := auditConfig()
	config.Witnesses = policy
	l := newAuditLog(t, db, config)
	appendDenied(t, l, 3)
	s := openSigner(t, database, &testMemory{}, policy)
	if err := s.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	owner := database.OwnerPool(t)
	for i, line := range []string{"", "x", "— w.example/w AAAA", "— w.example/w " + strings.Repeat("A", 100)} {
		_, err := owner.Exec(t.Context(), `insert into audit.cosignature (size, key_name, line) values (3, $1, $2)`, string(rune('a'+i)), line)
		if (line == "") != (err != nil) {
			t.Fatal(err)
		}
	}
	status, err := l.CheckpointStatus(t.Context())
	if err != nil || status.Quorum || status.Cosigned != 0 {
		t.Errorf("%+v, %v", status, err)
	}
	signed, err := l.LatestCheckpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c, err := policy.Check(signed, mustVerifier(t)); err != nil || c.Quorum || c.Checkpoint.Size != 3 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestWitnessRemembersWhatTheSignerForgot: the database and the signer's memory are taken
// back together; only the witness knows.
func TestWitnessRemembersWhatTheSignerForgot(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	w := witnesstest.New(t, "w.example/w", mustVerifier(t))
	policy := mustWitnesses(t, w.Policy("W"))
	l := newAuditLog(t, db, auditConfig())
	appendDenied(t, l, 20)
	s := openSigner(t, database, &testMemory{}, policy)
	if err := errors.Join(s.Sign(t.Context()), s.Cosign(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := database.OwnerPool(t).Exec(t.Context(), disarm+`; alter table audit.cosignature disable trigger user;
		delete from audit.cosignature; delete from audit.checkpoint; delete from audit.entry where seq >= 12; delete from audit.batch where size > 12`); err != nil {
		t.Fatal(err)
	}
	if err := s.Sign(t.Context()); !errors.Is(err, privacy.ErrDamaged) || s.Refusal() == nil {
		t.Errorf("the signer that remembers: %v", err)
	}
	forgetful := openSigner(t, database, &testMemory{}, policy)
	if err := forgetful.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := forgetful.Cosign(t.Context()); !errors.Is(err, ErrRolledBack) || forgetful.Alarms() == nil {
		t.Errorf("rolled back: %v", err)
	}
	other := newAuditLog(t, db, auditConfig())
	appendDenied(t, other, 30)
	if err := forgetful.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := forgetful.Cosign(t.Context()); !errors.Is(err, witness.ErrForked) || !errors.Is(forgetful.Alarms(), witness.ErrForked) {
		t.Errorf("forked: %v", err)
	}
	if got := w.Size(auditConfig().Origin); got != 20 {
		t.Errorf("the witness was moved to %d", got)
	}
}

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
