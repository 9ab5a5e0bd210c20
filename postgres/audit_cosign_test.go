package postgres

import (
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
