package tamper

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

const origin = "shop.example/audit"

// logKey is the key that is stolen.
var logKey = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))

func publicKey() ed25519.PublicKey { return logKey.Public().(ed25519.PublicKey) }

func logVerifier(t testing.TB) note.Verifier {
	t.Helper()
	v, err := audit.NewVerifier(origin, publicKey())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func logSigner(t testing.TB) note.Signer {
	t.Helper()
	s, err := audit.NewSigner(origin, publicKey(), func(m []byte) ([]byte, error) { return ed25519.Sign(logKey, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func actor(p privacy.Principal) [16]byte {
	sum := sha256.Sum256([]byte("test key" + p.ID))
	return [16]byte(sum[:])
}

// logConfig is that of a log that signs when it is told to.
func logConfig(memory postgres.CheckpointMemory) postgres.AuditConfig {
	return postgres.AuditConfig{
		Origin: origin, PublicKey: publicKey(), SignEvery: -1, Memory: memory, Actor: actor,
		Sign:     func(m []byte) ([]byte, error) { return ed25519.Sign(logKey, m), nil },
		Deadline: time.Minute, // a machine that runs tests may be slow
		Logger:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// memory is what the signer keeps outside the database.
type memory struct{ note []byte }

func (m *memory) Load() ([]byte, error)  { return m.note, nil }
func (m *memory) Keep(note []byte) error { m.note = note; return nil }
func (m *memory) String() string         { return "the signer's memory" }

func denied() audit.Event {
	return audit.Event{
		Kind: audit.QueryDenied, Outcome: audit.Denied,
		Principal: privacy.Principal{ID: "recommender", Role: privacy.RoleService, Recipient: "shop"},
		Subject:   audit.Subject{ID: privacy.DataSubjectID{1}, Blinding: audit.BlindingKey{2}},
		Purpose:   "recommendations", Channel: "web", Checks: []string{"consent.given"},
		Policy: audit.Digest{3}, Facts: audit.Digest{4},
	}
}

// The sizes of the log in its life: when it was dumped, when it was last signed, and now.
const (
	dumpedSize = 2600
	signedSize = 3000
	finalSize  = 3005
)

// world is a log with a history, and all that is remembered of it.
type world struct {
	database *pgtest.Database // nobody is connected to it
	dump     string           // pg_dump's file of the log with dumpedSize entries
	early    []byte           // the checkpoint of that time
	kept     []byte           // the checkpoint of signedSize: the signer's and the auditor's
	bundle   string           // the auditor's, of that time
	receipts []audit.Receipt  // of every answer, as the callers keep them
}

// newWorld fills a log by both ways in, from several callers at once.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{database: pgtest.New(t), dump: filepath.Join(t.TempDir(), "dump"), bundle: t.TempDir()}
	db, err := postgres.Open(t.Context(), postgres.Config{URL: w.database.URL(), ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	kept := &memory{}
	l, err := postgres.OpenAuditLog(t.Context(), db, logConfig(kept))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	w.grow(t, l, dumpedSize)
	w.sign(t, l)
	w.early = kept.note
	run(t, w.database, "pg_dump", "--format=custom", "--file="+w.dump, "--dbname="+w.database.AdminURL())
	w.grow(t, l, signedSize)
	w.sign(t, l)
	w.kept = kept.note
	if err := export(t, w.bundle, l); err != nil {
		t.Fatal(err)
	}
	w.grow(t, l, finalSize)
	return w
}

func (w *world) sign(t *testing.T, l *postgres.AuditLog) {
	t.Helper()
	if err := l.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// grow appends until the log has size entries.
func (w *world) grow(t *testing.T, l *postgres.AuditLog, size int) {
	t.Helper()
	var mu sync.Mutex
	var callers sync.WaitGroup
	more := make(chan int, size)
	for i := len(w.receipts); i < size; i++ {
		more <- i
	}
	close(more)
	for range 8 {
		callers.Go(func() {
			for i := range more {
				var receipt audit.Receipt
				var err error
				if i%8 == 0 {
					receipt, err = l.AppendTx(t.Context(), denied(), func(context.Context, pgx.Tx) error { return nil })
				} else {
					receipt, err = l.Append(t.Context(), denied())
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				w.receipts = append(w.receipts, receipt)
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	if len(w.receipts) != size {
		t.Fatalf("log has %d entries, want %d", len(w.receipts), size)
	}
}

// run runs one of PostgreSQL's own programs.
func run(t *testing.T, database *pgtest.Database, program string, arguments ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), database.Programs().Path(program), arguments...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, stderr.String())
	}
}
