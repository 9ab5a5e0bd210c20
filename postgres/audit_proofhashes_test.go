package postgres

import (
	"context"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
)

// TestProofHashesAreTheStoredOnes reads every hash that a proof may need, in a log with
// full and unfinished tiles on three levels, by tiles and one by one; and proves entries
// at all the edges. Tiles that are gone are made up for by what is below them.
func TestProofHashesAreTheStoredOnes(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	l := newAuditLog(t, db, auditConfig())
	const size = 1<<16 + 600
	var callers sync.WaitGroup
	for range 256 {
		callers.Go(func() {
			for range size/256 + 1 {
				if _, err := l.Append(context.Background(), denied()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	check := func(t *testing.T) {
		tx, err := db.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
		var indexes []int64
		for level := range 17 {
			last := int64(size>>level) - 1
			for _, n := range []int64{0, 1, last / 2, last - 1, last} {
				if n >= 0 && n <= last {
					indexes = append(indexes, tlog.StoredHashIndex(level, n))
				}
			}
		}
		got, err := proofHashes{ctx: t.Context(), q: tx}.ReadHashes(indexes)
		if err != nil {
			t.Fatal(err)
		}
		want, err := storedHashes{t.Context(), tx}.ReadHashes(indexes)
		if err != nil {
			t.Fatal(err)
		}
		for i, index := range indexes {
			if got[i] != want[i] {
				level, n := tlog.SplitStoredHashIndex(index)
				t.Errorf("hash %d of level %d differs", n, level)
			}
		}
		for _, index := range []uint64{0, 1, 255, 256, 65535, 65536, 65791, 65792, size - 1} {
			proof, err := l.Prove(t.Context(), index)
			if err != nil {
				t.Fatalf("entry %d: %v", index, err)
			}
			if entry, err := proof.Verify(l.verifier); err != nil || entry.Kind != audit.QueryDenied {
				t.Errorf("entry %d: %v", index, err)
			}
		}
	}
	check(t)
	if _, err := database.OwnerPool(t).Exec(t.Context(), `
		alter table audit.tile0_p0 disable trigger all; alter table audit.tile_hi disable trigger all;
		delete from audit.tile0_p0 where n in (0, 255); delete from audit.tile_hi`); err != nil {
		t.Fatal(err)
	}
	check(t)
}
