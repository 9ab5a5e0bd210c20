package postgres

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Verify recomputes the whole log as it is now, in one snapshot, while appends go on.
// See [audit.Verify] for what it finds. An error means that it could not be checked.
// Progress may be nil.
func (l *AuditLog) Verify(ctx context.Context, progress func(done, total uint64)) (audit.Report, error) {
	if l.verifier == nil {
		return audit.Report{}, fmt.Errorf("verifying log without its public key: %w", privacy.ErrInvalid)
	}
	return verifyLog(ctx, l.db, l.checkpoints.keys(), progress, nil)
}

// VerifyAuditLog is [AuditLog.Verify] for a log that need not open: one that was tampered
// with so that [OpenAuditLog] refuses it still has a first bad index. Each of kept is a
// signed checkpoint from outside the database with which the log must begin; one that the
// log's key did not sign is an error that wraps [privacy.ErrDamaged].
func VerifyAuditLog(ctx context.Context, db *DB, origin string, key ed25519.PublicKey, progress func(done, total uint64), kept ...[]byte) (audit.Report, error) {
	return VerifyAuditLogByKeys(ctx, db, origin, []ed25519.PublicKey{key}, progress, kept...)
}

// VerifyAuditLogByKeys is [VerifyAuditLog] for a log whose key has changed: the first of keys
// signs now, the others did before it.
func VerifyAuditLogByKeys(ctx context.Context, db *DB, origin string, keys []ed25519.PublicKey, progress func(done, total uint64), kept ...[]byte) (audit.Report, error) {
	if len(keys) == 0 {
		return audit.Report{}, fmt.Errorf("verifying log without its public key: %w", privacy.ErrInvalid)
	}
	s, err := NewSigner(db, SignerConfig{Origin: origin, PublicKey: keys[0], Former: keys[1:]})
	if err != nil {
		return audit.Report{}, fmt.Errorf("verifying log: %w", err)
	}
	var checkpoints []audit.Checkpoint
	for _, signed := range kept {
		c, _, err := s.open(signed, true)
		if err != nil {
			return audit.Report{}, fmt.Errorf("comparing log with kept checkpoint: %w", err)
		}
		checkpoints = append(checkpoints, c)
	}
	return verifyLog(ctx, db, s.keys(), progress, checkpoints)
}

// keys are the verifiers, that of the key that signs now first.
func (s *Signer) keys() []note.Verifier { return append([]note.Verifier{s.verifier}, s.former...) }

func verifyLog(ctx context.Context, db *DB, keys []note.Verifier, progress func(done, total uint64), kept []audit.Checkpoint) (audit.Report, error) {
	tx, err := db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return audit.Report{}, fmt.Errorf("verifying log: %w", translate(err))
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	return audit.Verify(ctx, &auditSource{tx: tx}, audit.VerifyConfig{Verifier: keys[0], Former: keys[1:], Kept: kept, Progress: progress})
}

// auditSource reads the log within one transaction. Pages are reused, so that a log of
// any length passes through the same memory.
type auditSource struct {
	tx          pgx.Tx
	entries     []audit.StoredEntry
	leaves      []byte
	roots       []audit.StoredRoot
	checkpoints []audit.StoredCheckpoint
}

// Rows a page: entries have a few hundred bytes, tiles 8 kB.
const (
	entryPage = 4096
	tilePage  = 64
	smallPage = 4096
)

// Size implements [audit.Source].
func (s *auditSource) Size(ctx context.Context) (uint64, error) {
	size, _, err := readHead(ctx, s.tx)
	return size, err
}

// Begin implements [audit.Source].
func (s *auditSource) Begin(ctx context.Context) (uint64, error) { return readBegin(ctx, s.tx) }

// Entries implements [audit.Source].
func (s *auditSource) Entries(ctx context.Context, from uint64) ([]audit.StoredEntry, error) {
	s.entries, s.leaves = s.entries[:0], s.leaves[:0]
	err := s.each(ctx, "entries", func(row [][]byte) {
		start := len(s.leaves)
		s.leaves = append(s.leaves, row[1]...)
		s.entries = append(s.entries, audit.StoredEntry{
			Index: binary.BigEndian.Uint64(row[0]), Leaf: s.leaves[start:len(s.leaves):len(s.leaves)], LeafHash: hashOf(row[2]),
		})
	}, sqlAuditEntries, int64(from), entryPage)
	return s.entries, err
}

const sqlAuditRoots = `
select size, root from audit.batch where size >= $1 order by size limit $2`

// Roots implements [audit.Source].
func (s *auditSource) Roots(ctx context.Context, from uint64) ([]audit.StoredRoot, error) {
	s.roots = s.roots[:0]
	err := s.each(ctx, "roots", func(row [][]byte) {
		s.roots = append(s.roots, audit.StoredRoot{Size: binary.BigEndian.Uint64(row[0]), Root: hashOf(row[1])})
	}, sqlAuditRoots, int64(from), smallPage)
	return s.roots, err
}

// Those that were kept of dropped entries come before all others.
const sqlAuditTiles0 = `
select n, hashes from audit.tile0 where n >= $1
union all
select n, hashes from audit.kept_tile where n >= $1
order by n limit $2`

const sqlAuditTilesHi = `
select n, hashes from audit.tile_hi where level = $1 and n >= $2 order by n limit $3`

// Tiles implements [audit.Source].
func (s *auditSource) Tiles(ctx context.Context, level int, from uint64) (page []audit.StoredTile, err error) {
	take := func(row [][]byte) {
		page = append(page, audit.StoredTile{N: binary.BigEndian.Uint64(row[0]), Hashes: append([]byte(nil), row[1]...)})
	}
	if level == 0 {
		err = s.each(ctx, "tiles", take, sqlAuditTiles0, int64(from), tilePage)
	} else {
		err = s.each(ctx, "tiles", take, sqlAuditTilesHi, int16(level), int64(from), tilePage)
	}
	return page, err
}

const sqlAuditSubtrees = `
select n, hash from audit.subtree where level = $1 and n >= $2 order by n limit $3`

// Subtrees implements [audit.Source].
func (s *auditSource) Subtrees(ctx context.Context, level int, from uint64) (page []audit.StoredSubtree, err error) {
	err = s.each(ctx, "subtree hashes", func(row [][]byte) {
		page = append(page, audit.StoredSubtree{N: binary.BigEndian.Uint64(row[0]), Root: hashOf(row[1])})
	}, sqlAuditSubtrees, int16(level), int64(from), tilePage)
	return page, err
}

const sqlAuditCheckpoints = `
select size, root, note from audit.checkpoint where size >= $1 order by size limit $2`

// Checkpoints implements [audit.Source].
func (s *auditSource) Checkpoints(ctx context.Context, from uint64) ([]audit.StoredCheckpoint, error) {
	s.checkpoints = s.checkpoints[:0]
	err := s.each(ctx, "checkpoints", func(row [][]byte) {
		s.checkpoints = append(s.checkpoints, audit.StoredCheckpoint{
			Size: binary.BigEndian.Uint64(row[0]), Root: hashOf(row[1]), Note: append([]byte(nil), row[2]...),
		})
	}, sqlAuditCheckpoints, int64(from), smallPage)
	return s.checkpoints, err
}

// each calls take with the binary form of each row, which is gone afterwards.
func (s *auditSource) each(ctx context.Context, what string, take func(row [][]byte), sql string, args ...any) error {
	rows, err := s.tx.Query(ctx, sql, append([]any{pgx.QueryResultFormats{pgx.BinaryFormatCode}}, args...)...)
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, translate(err))
	}
	defer rows.Close()
	for rows.Next() {
		take(rows.RawValues())
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading %s: %w", what, translate(err))
	}
	return nil
}

// hashOf reads a stored hash. The tables keep out those of another length; should the
// tables have been changed, such a hash becomes one that fits nothing.
func hashOf(stored []byte) (hash tlog.Hash) {
	if len(stored) == len(hash) {
		copy(hash[:], stored)
	}
	return hash
}
