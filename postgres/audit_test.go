package postgres

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

var auditKey = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))

func auditConfig() AuditConfig {
	return AuditConfig{
		Origin:    "shop.example/audit",
		PublicKey: auditKey.Public().(ed25519.PublicKey),
		Sign:      func(m []byte) ([]byte, error) { return ed25519.Sign(auditKey, m), nil },
		SignEvery: -1,
		// A machine that runs tests may be slow.
		Deadline: 5 * time.Minute, AwaitSigner: 5 * time.Minute,
		Actor: func(p privacy.Principal) [16]byte {
			sum := sha256.Sum256([]byte("test key" + p.ID))
			return [16]byte(sum[:])
		},
	}
}

// newDB opens a database of the test's own as the product does.
func newDB(t testing.TB) (*DB, *pgtest.Database) {
	t.Helper()
	database := pgtest.New(t)
	db, err := Open(t.Context(), Config{URL: database.URL(), ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db, database
}

func newAuditLog(t testing.TB, db *DB, config AuditConfig) *AuditLog {
	t.Helper()
	l, err := OpenAuditLog(t.Context(), db, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

func denied() audit.Event {
	return audit.Event{
		Kind: audit.QueryDenied, Outcome: audit.Denied,
		Principal: privacy.Principal{ID: "recommender", Role: privacy.RoleService, Recipient: "shop"},
		Subject:   audit.Subject{ID: privacy.DataSubjectID{1}, Blinding: audit.BlindingKey{2}},
		Purpose:   "recommendations", Channel: "web", Checks: []string{"consent.given"},
		Policy: audit.Digest{3}, Facts: audit.Digest{4},
	}
}

// checkLog reads the whole log and checks indexes, hashes, batches and the receipts.
func checkLog(t *testing.T, db *DB, receipts []audit.Receipt) {
	t.Helper()
	entries, err := readEntries(t.Context(), db.pool, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var edge audit.Edge
	roots := map[uint64]tlog.Hash{}
	for i, e := range entries {
		if e.Index != uint64(i) {
			t.Fatalf("entry %d has index %d: there is a gap", i, e.Index)
		}
		if _, err := audit.ParseEntry(e.Leaf); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		edge.Append(audit.LeafHash(e.Leaf), nil)
		roots[edge.Size()] = edge.Root()
	}
	size, root, err := readHead(t.Context(), db.pool)
	if err != nil {
		t.Fatal(err)
	}
	if want := edge.Root(); size != edge.Size() || size > 0 && tlog.Hash(root) != want {
		t.Fatalf("head is %d %x, want %d %x", size, root, edge.Size(), want)
	}
	seen := map[uint64]bool{}
	for _, r := range receipts {
		if r.IsZero() || r.Index() >= size || seen[r.Index()] || entries[r.Index()].LeafHash != r.LeafHash() {
			t.Fatalf("receipt for %d is not that of an entry", r.Index())
		}
		seen[r.Index()] = true
	}
	if uint64(len(receipts)) != size {
		t.Errorf("%d receipts for %d entries", len(receipts), size)
	}
}

// TestAuditLogIsGapFreeUnderConcurrency mixes both ways in, changes that fail and two
// processes: indexes have no gaps, every receipt is an entry, a failed change leaves
// neither change nor entry, the order of indexes is the order of commits.
func TestAuditLogIsGapFreeUnderConcurrency(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		logs int
	}{{"one process", 1}, {"three processes", 3}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db, database := newDB(t)
			if _, err := database.OwnerPool(t).Exec(t.Context(), `
				create table changed (n serial primary key, at bigint);
				grant select, insert on changed to mahrem_app;
				grant usage on changed_n_seq to mahrem_app`); err != nil {
				t.Fatal(err)
			}
			var logs []*AuditLog
			for range test.logs {
				logs = append(logs, newAuditLog(t, db, auditConfig()))
			}
			var mu sync.Mutex
			var receipts []audit.Receipt
			changes := 0
			errRefused := errors.New("changed my mind")
			var callers sync.WaitGroup
			for caller := range 24 {
				callers.Go(func() {
					random := rand.New(rand.NewPCG(uint64(caller), 1))
					last := int64(-1)
					for range 40 {
						l := logs[random.IntN(len(logs))]
						var r audit.Receipt
						var err error
						what := random.IntN(4)
						switch what {
						case 0, 1:
							r, err = l.Append(t.Context(), denied())
						case 2:
							r, err = l.AppendTx(t.Context(), denied(), func(ctx context.Context, tx pgx.Tx) error {
								_, err := tx.Exec(ctx, `insert into changed default values`)
								return err
							})
						case 3:
							_, err = l.AppendTx(t.Context(), denied(), func(ctx context.Context, tx pgx.Tx) error {
								_, err := tx.Exec(ctx, `insert into changed default values`)
								return errors.Join(err, errRefused)
							})
							if !errors.Is(err, errRefused) {
								t.Errorf("got error %v, want that of the change", err)
							}
							continue
						}
						if err != nil {
							t.Error(err)
							return
						}
						if int64(r.Index()) <= last {
							t.Errorf("entry %d was begun after %d was durable", r.Index(), last)
						}
						last = int64(r.Index())
						mu.Lock()
						receipts = append(receipts, r)
						if what == 2 {
							changes++
						}
						mu.Unlock()
					}
				})
			}
			callers.Wait()
			checkLog(t, db, receipts)
			// Alone, a process never has to guess twice; among others it must have.
			if n := logs[0].collisions.Load(); (n > 0) != (test.logs > 1) {
				t.Errorf("%d collisions with %d processes", n, test.logs)
			}
			var rows int
			if err := db.pool.QueryRow(t.Context(), `select count(*) from changed`).Scan(&rows); err != nil || rows != changes {
				t.Errorf("%d changes are stored, want %d (%v)", rows, changes, err)
			}
		})
	}
}

func TestAuditLogAcrossTiles(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	l := newAuditLog(t, db, auditConfig())
	var receipts []audit.Receipt
	var mu sync.Mutex
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for range 20 {
				r, err := l.Append(t.Context(), denied())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				receipts = append(receipts, r)
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	checkLog(t, db, receipts)
	var tiles, subtrees int
	if err := db.pool.QueryRow(t.Context(), `select (select count(*) from audit.tile0), (select count(*) from audit.subtree)`).Scan(&tiles, &subtrees); err != nil {
		t.Fatal(err)
	}
	if tiles != 5 || subtrees != 5 {
		t.Errorf("%d tiles and %d subtrees for 1280 entries, want 5 each", tiles, subtrees)
	}
	// Another process finds the same edge.
	again := newAuditLog(t, db, auditConfig())
	if again.head.root != l.head.root {
		t.Error("a second log found another root")
	}
	tail, err := again.Tail(t.Context(), 3)
	if err != nil || len(tail) != 3 || tail[0].Index != 1277 || tail[2].Index != 1279 {
		t.Errorf("tail is %d entries, %v", len(tail), err)
	}
}

func TestAuditLogSignsCheckpoints(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	l := newAuditLog(t, db, auditConfig())
	if _, err := l.LatestCheckpoint(t.Context()); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("checkpoint of an empty log: %v", err)
	}
	if err := l.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	var sizes []uint64
	for _, n := range []int{1, 6, 300, 0} {
		for range n {
			if _, err := l.Append(t.Context(), denied()); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.SignCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		signed, err := l.LatestCheckpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := audit.OpenCheckpoint(signed, l.verifier)
		if err != nil || c.Root != l.head.root {
			t.Fatalf("checkpoint %+v, %v", c, err)
		}
		sizes = append(sizes, c.Size)
	}
	if want := []uint64{1, 7, 307, 307}; !slices.Equal(sizes, want) {
		t.Errorf("checkpoint sizes %v, want %v", sizes, want)
	}
	// A log rolled back behind its last checkpoint is not signed again.
	if _, err := database.OwnerPool(t).Exec(t.Context(), `
		alter table audit.batch disable trigger user; alter table audit.checkpoint disable trigger user;
		delete from audit.batch where size > 200; delete from audit.checkpoint where size > 7`); err != nil {
		t.Fatal(err)
	}
	if err := l.SignCheckpoint(t.Context()); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("signing a log that was rolled back: %v", err)
	}
}

func TestAuditLogRefusesWhatDoesNotRecompute(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	l := newAuditLog(t, db, auditConfig())
	for range 10 {
		if _, err := l.Append(t.Context(), denied()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := database.OwnerPool(t).Exec(t.Context(), `
		alter table audit.batch disable trigger user;
		update audit.batch set root = sha256('other') where size = 10`); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), denied()); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("appending to a log whose root was changed: %v", err)
	}
	if _, err := OpenAuditLog(t.Context(), db, auditConfig()); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("opening a log whose root was changed: %v", err)
	}
}

func TestAuditEventThatDoesNotFitIsRefused(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	l := newAuditLog(t, db, auditConfig())
	event := denied()
	event.Purpose = "ask jana@example.org"
	if _, err := l.Append(t.Context(), event); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	checkLog(t, db, nil)
}

func TestClosedAuditLogRefuses(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	l := newAuditLog(t, db, auditConfig())
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), denied()); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// nameless tags every actor alike, for benchmarks of everything else.
func nameless(privacy.Principal) [16]byte { return [16]byte{1} }
