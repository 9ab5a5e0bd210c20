package tamper

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/postgres"
)

// attacker is somebody with every right in the database. What they take from elsewhere,
// the log's key and the memory of the signer, an attack takes openly.
type attacker struct {
	*testing.T
	target *target
	pool   *pgxpool.Pool // the superuser's
}

func (a *attacker) exec(sql string, args ...any) {
	a.Helper()
	if _, err := a.pool.Exec(a.Context(), sql, args...); err != nil {
		a.Fatalf("tampering: %v", err)
	}
}

// one changes exactly one row.
func (a *attacker) one(sql string, args ...any) {
	a.Helper()
	if tag, err := a.pool.Exec(a.Context(), sql, args...); err != nil || tag.RowsAffected() != 1 {
		a.Fatalf("tampering: %s, %v", tag, err)
	}
}

// switchTriggers does to each trigger of the log what the words say.
func (a *attacker) switchTriggers(words string) {
	a.Helper()
	a.exec(`do $$ declare it record; begin
		for it in select t.tgrelid::regclass as name, t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid
			where c.relnamespace = 'audit'::regnamespace and not t.tgisinternal
		loop execute format('alter table %s ` + words + ` trigger %I', it.name, it.tgname); end loop;
	end $$`)
}

// unseen does something with the triggers switched off, and leaves them as they were.
func (a *attacker) unseen(do func()) {
	a.Helper()
	a.switchTriggers("disable")
	do()
	a.switchTriggers("enable always")
}

// leaves reads the log.
func (a *attacker) leaves() [][]byte {
	a.Helper()
	rows, err := a.pool.Query(a.Context(), `select leaf from audit.entry where seq < (select max(size) from audit.batch) order by seq`)
	if err != nil {
		a.Fatal(err)
	}
	leaves, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		a.Fatal(err)
	}
	return leaves
}

// rewrite makes another log of the leaves, in which every hash, tile and root fits.
func (a *attacker) rewrite(leaves [][]byte) {
	a.Helper()
	rows, err := a.pool.Query(a.Context(), `select size from audit.batch where size < $1 order by size`, len(leaves))
	if err != nil {
		a.Fatal(err)
	}
	sizes, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		a.Fatal(err)
	}
	sizes = append(sizes, int64(len(leaves)))
	a.unseen(func() {
		a.exec(`delete from audit.entry; delete from audit.tile0; delete from audit.tile_hi; delete from audit.subtree; delete from audit.batch`)
		if len(leaves) > 0 {
			a.write(leaves, sizes)
		}
	})
}

func (a *attacker) write(leaves [][]byte, sizes []int64) {
	a.Helper()
	var edge audit.Edge
	var entries, tiles, upper, subtrees, batches [][]any
	var full []audit.FullTile
	for i, leaf := range leaves {
		hash := audit.LeafHash(leaf)
		entries = append(entries, []any{int64(i), leaf, hash[:]})
		full = edge.Append(hash, full[:0])
		for _, tile := range full {
			if tile.Level == 0 {
				tiles = append(tiles, []any{int64(tile.N), tile.Hashes})
			} else {
				upper = append(upper, []any{int16(tile.Level), int64(tile.N), tile.Hashes})
			}
			subtrees = append(subtrees, []any{int16(tile.Level), int64(tile.N), tile.Root[:]})
		}
		if _, end := slices.BinarySearch(sizes, int64(i+1)); end {
			root := edge.Root()
			batches = append(batches, []any{int64(i + 1), root[:]})
		}
	}
	for _, table := range []struct {
		name    string
		columns []string
		rows    [][]any
	}{
		{"entry", []string{"seq", "leaf", "leaf_hash"}, entries},
		{"tile0", []string{"n", "hashes"}, tiles},
		{"tile_hi", []string{"level", "n", "hashes"}, upper},
		{"subtree", []string{"level", "n", "hash"}, subtrees},
		{"batch", []string{"size", "root"}, batches},
	} {
		if _, err := a.pool.CopyFrom(a.Context(), pgx.Identifier{"audit", table.name}, table.columns, pgx.CopyFromRows(table.rows)); err != nil {
			a.Fatal(err)
		}
	}
}

// forget takes the stored checkpoints above a size away.
func (a *attacker) forget(size int) {
	a.Helper()
	a.unseen(func() {
		a.exec(`delete from audit.cosignature where size > $1`, size)
		a.exec(`delete from audit.checkpoint where size > $1`, size)
	})
}

// forge signs the log as it is now with the stolen key, stores the checkpoint and asks
// the witness for its cosignature.
func (a *attacker) forge() []byte {
	a.Helper()
	tree := newTree(a.T, a.leaves())
	checkpoint := tree.checkpoint(tree.size())
	signed, err := audit.SignCheckpoint(checkpoint, logSigner(a.T))
	if err != nil {
		a.Fatal(err)
	}
	a.unseen(func() {
		a.exec(`delete from audit.cosignature`)
		a.exec(`delete from audit.checkpoint`)
		a.one(`insert into audit.checkpoint (size, root, signed_at, note) values ($1, $2, $3, $4)`,
			int64(checkpoint.Size), checkpoint.Root[:], time.Now(), signed)
	})
	a.target.submit(a.T, signed, tree)
	return signed
}

// grow goes on with the log as an unsuspecting server would, without the signer's memory.
func (a *attacker) grow(n int) {
	a.Helper()
	l, err := postgres.OpenAuditLog(a.Context(), a.target.open(a.T), logConfig(nil))
	if err != nil {
		a.Fatal(err)
	}
	for range n {
		if _, err := l.Append(a.Context(), denied()); err != nil {
			a.Fatal(err)
		}
	}
	if err := l.Close(context.WithoutCancel(a.Context())); err != nil {
		a.Fatal(err)
	}
}

// swell makes the log so long that it has tiles above the lowest: by honest entries, put
// there in a faster way.
func (a *attacker) swell() {
	a.Helper()
	encoder, err := audit.NewEncoder(audit.EncoderConfig{Actor: actor})
	if err != nil {
		a.Fatal(err)
	}
	leaves := a.leaves()
	for event := denied(); len(leaves) < audit.TileWidth*audit.TileWidth+100; {
		leaf, _, err := encoder.AppendLeaf(nil, &event)
		if err != nil {
			a.Fatal(err)
		}
		leaves = append(leaves, leaf)
	}
	a.rewrite(leaves)
}

// restore puts the dump in the place of the database.
func (a *attacker) restore() {
	a.Helper()
	a.target.database.Recreate(a.T)
	a.pool.Reset()
	run(a.T, a.target.database, "pg_restore", "--exit-on-error", "--dbname="+a.target.database.AdminURL(), a.target.world.dump)
}

// falsified is a valid entry that says something else.
func falsified(leaf []byte) []byte {
	return bytes.Replace(leaf, []byte(`"recommendations"`), []byte(`"newsletter"`), 1)
}

// withFalse is the log with another entry at an index.
func (a *attacker) withFalse(index int) [][]byte {
	a.Helper()
	leaves := a.leaves()
	other := falsified(leaves[index])
	if _, err := audit.ParseEntry(other); err != nil || bytes.Equal(other, leaves[index]) {
		a.Fatalf("an attacker would do better: %v", err)
	}
	leaves[index] = other
	return leaves
}

// tree is a log in memory, to prove from.
type tree struct {
	t      *testing.T
	hashes []tlog.Hash
	leaves int
}

func newTree(t *testing.T, leaves [][]byte) *tree {
	t.Helper()
	tree := &tree{t: t, leaves: len(leaves)}
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), tlog.Hash(audit.LeafHash(leaf)), tree)
		if err != nil {
			t.Fatal(err)
		}
		tree.hashes = append(tree.hashes, hashes...)
	}
	return tree
}

func (tr *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = tr.hashes[index]
	}
	return hashes, nil
}

func (tr *tree) size() uint64 { return uint64(tr.leaves) }

func (tr *tree) checkpoint(size uint64) audit.Checkpoint {
	tr.t.Helper()
	root, err := tlog.TreeHash(int64(size), tr)
	if err != nil {
		tr.t.Fatal(err)
	}
	return audit.Checkpoint{Origin: origin, Size: size, Root: root}
}
