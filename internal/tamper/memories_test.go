package tamper

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// target is a copy of the world that somebody attacks, with those who remember it.
type target struct {
	world    *world
	database *pgtest.Database
	signer   *memory
	kept     []byte // the auditor's checkpoint
	witness  audit.Checkpoint
	refusals []error // by the witness
	// resisted is whether the database itself refused all that was tried.
	resisted bool
}

func newTarget(t *testing.T, w *world) *target {
	t.Helper()
	cosigned, err := audit.OpenCheckpoint(w.kept, logVerifier(t))
	if err != nil {
		t.Fatal(err)
	}
	return &target{world: w, database: w.database.Clone(t), signer: &memory{w.kept}, kept: w.kept, witness: cosigned}
}

// open opens the database as a server does. It is opened anew after an attack.
func (g *target) open(t *testing.T) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: g.database.URL(), MaxConns: 6})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// submit asks the witness to cosign a checkpoint of the tree.
func (g *target) submit(t *testing.T, signed []byte, tree tlog.HashReader) {
	t.Helper()
	if err := g.cosign(t, signed, tree); err != nil {
		g.refusals = append(g.refusals, err)
	}
}

// cosign is what a witness does: it goes on from what it has cosigned, or not at all.
func (g *target) cosign(t *testing.T, signed []byte, tree tlog.HashReader) error {
	t.Helper()
	next, err := audit.OpenCheckpoint(signed, logVerifier(t))
	if err != nil {
		return err
	}
	switch {
	case next.Size < g.witness.Size:
		return fmt.Errorf("size %d after %d", next.Size, g.witness.Size)
	case next.Size == g.witness.Size && next.Root != g.witness.Root:
		return fmt.Errorf("two roots of size %d", next.Size)
	case next.Size > g.witness.Size:
		proof, err := tlog.ProveTree(int64(next.Size), int64(g.witness.Size), tree)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, int64(next.Size), next.Root, int64(g.witness.Size), g.witness.Root); err != nil {
			return err
		}
	}
	g.witness = next
	return nil
}

// A memory is somebody who might notice.
type remembers struct {
	name, title string
	// noticed reports whether something is found. An error of the test's own ends it.
	noticed func(t *testing.T, g *target, db *postgres.DB) (bool, error)
}

// memories are asked in this order. Those behind the signer see what it signs.
var memories = []remembers{
	{"refused", "refused by the database", func(_ *testing.T, g *target, _ *postgres.DB) (bool, error) { return g.resisted, nil }},
	{"doctor", "`audit doctor`", func(t *testing.T, _ *target, db *postgres.DB) (bool, error) {
		differences, err := db.AuditSchema(t.Context())
		for _, d := range differences {
			if d.Object != "settings" { // those of the server that tests use
				t.Logf("doctor: %v", d)
				return true, err
			}
		}
		return false, err
	}},
	{"start", "next start", func(t *testing.T, _ *target, db *postgres.DB) (bool, error) {
		l, err := postgres.OpenAuditLog(t.Context(), db, logConfig(nil))
		if err == nil {
			return false, l.Close(context.WithoutCancel(t.Context()))
		}
		return damaged(t, "start", err)
	}},
	{"verify", "`audit verify`", func(t *testing.T, _ *target, db *postgres.DB) (bool, error) {
		report, err := postgres.VerifyAuditLog(t.Context(), db, origin, publicKey(), nil)
		if first, bad := report.FirstBad(); bad {
			t.Logf("verify: %v", first)
		}
		return !report.Whole(), err
	}},
	{"kept", "kept checkpoint", func(t *testing.T, g *target, db *postgres.DB) (bool, error) {
		report, err := postgres.VerifyAuditLog(t.Context(), db, origin, publicKey(), nil, g.kept)
		if err == nil && !report.Whole() {
			t.Logf("with the kept checkpoint: begins with %d of it; %v", report.Kept.Size, report.Damages[0])
		}
		return report.Kept.Size == 0, err
	}},
	{"receipts", "callers' receipts", func(t *testing.T, g *target, _ *postgres.DB) (bool, error) {
		wrong, err := wrongReceipts(t, g)
		if len(wrong) > 0 {
			t.Logf("receipts: %d do not fit, the first is for %d", len(wrong), wrong[0])
		}
		return len(wrong) > 0, err
	}},
	{"signer", "signer", func(t *testing.T, g *target, db *postgres.DB) (bool, error) {
		l, err := postgres.OpenAuditLog(t.Context(), db, logConfig(g.signer))
		if err != nil {
			return damaged(t, "signer", err)
		}
		before := g.signer.note
		err = errors.Join(l.SignCheckpoint(t.Context()), l.Close(context.WithoutCancel(t.Context())))
		if err != nil {
			return damaged(t, "signer", err)
		}
		if string(g.signer.note) != string(before) {
			g.submit(t, g.signer.note, &storedHashes{t, g.database.Pool(t)})
		}
		return false, nil
	}},
	{"witness", "witness", func(t *testing.T, g *target, _ *postgres.DB) (bool, error) {
		for _, err := range g.refusals {
			t.Logf("witness: %v", err)
		}
		return len(g.refusals) > 0, nil
	}},
}

// damaged tells a finding from something that went wrong otherwise.
func damaged(t *testing.T, who string, err error) (bool, error) {
	t.Helper()
	if errors.Is(err, privacy.ErrDamaged) {
		t.Logf("%s: %v", who, err)
		return true, nil
	}
	return false, err
}

// storedHashes is what the signer proves growth from: the hashes in the tables, not the
// leaves.
type storedHashes struct {
	t    *testing.T
	pool *pgxpool.Pool
}

func (s *storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		query, height := `select leaf_hash from audit.entry where seq >= $1 and seq < $2 order by seq`, level
		if level >= 8 {
			query, height = `select hash from audit.subtree where level = 0 and n >= $1 and n < $2 order by n`, level-8
		}
		rows, err := s.pool.Query(s.t.Context(), query, n<<height, (n+1)<<height)
		if err != nil {
			return nil, err
		}
		below, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil || len(below) != 1<<height {
			return nil, fmt.Errorf("%d of %d hashes, %w", len(below), 1<<height, err)
		}
		for ; len(below) > 1; below = below[:len(below)/2] {
			for j := range len(below) / 2 {
				hash := tlog.NodeHash(tlog.Hash(below[2*j]), tlog.Hash(below[2*j+1]))
				below[j] = hash[:]
			}
		}
		hashes[i] = tlog.Hash(below[0])
	}
	return hashes, nil
}

// wrongReceipts returns the indexes whose entry is not the one that was acknowledged.
func wrongReceipts(t *testing.T, g *target) ([]uint64, error) {
	t.Helper()
	rows, err := g.database.Pool(t).Query(t.Context(), `select seq, leaf from audit.entry order by seq`)
	if err != nil {
		return nil, err
	}
	there := map[uint64][32]byte{}
	var index uint64
	var leaf []byte
	if _, err := pgx.ForEachRow(rows, []any{&index, &leaf}, func() error {
		there[index] = audit.LeafHash(leaf)
		return nil
	}); err != nil {
		return nil, err
	}
	var wrong []uint64
	for _, r := range g.world.receipts {
		if hash, ok := there[r.Index()]; !ok || hash != r.LeafHash() {
			wrong = append(wrong, r.Index())
		}
	}
	return wrong, nil
}
