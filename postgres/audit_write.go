package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
)

const sqlAuditBegin = `begin isolation level read committed`

const sqlAuditClaim = `select audit.claim($1, $2)`

// sqlAuditClaimChange claims for a commit that does not wait for the disk.
const sqlAuditClaimChange = `select audit.claim_change($1, $2)`

// sqlAuditInsertOne adds one entry and the head behind it.
const sqlAuditInsertOne = `
with entry as (insert into audit.entry (seq, leaf, leaf_hash) values ($1, $2, $3))
insert into audit.batch (size, root) values ($4, $5)`

const sqlAuditInsertEntries = `
insert into audit.entry (seq, leaf, leaf_hash)
select $1::bigint + e.number - 1, e.leaf, e.leaf_hash
from unnest($2::bytea[], $3::bytea[]) with ordinality as e (leaf, leaf_hash, number)`

const sqlAuditInsertTile0 = `
insert into audit.tile0 (n, hashes) values ($1, $2)`

const sqlAuditInsertTileHi = `
insert into audit.tile_hi (n, hashes, level) values ($1, $2, $3)`

const sqlAuditInsertSubtree = `
insert into audit.subtree (level, n, hash) values ($1, $2, $3)`

const sqlAuditInsertBatch = `
insert into audit.batch (size, root) values ($1, $2)`

// auditWrites are the statements that an append needs prepared, under their names.
var auditWrites = [...]struct{ name, sql string }{
	{"audit_claim", sqlAuditClaim},
	{"audit_claim_change", sqlAuditClaimChange},
	{"audit_one", sqlAuditInsertOne},
	{"audit_entries", sqlAuditInsertEntries},
	{"audit_tile0", sqlAuditInsertTile0},
	{"audit_tile_hi", sqlAuditInsertTileHi},
	{"audit_subtree", sqlAuditInsertSubtree},
	{"audit_batch", sqlAuditInsertBatch},
	{"audit_savepoint", "savepoint audit_guess"},
	{"audit_commit", "commit"},
}

// prepareAuditWrites costs nothing on a connection that has them already.
func prepareAuditWrites(ctx context.Context, conn *pgx.Conn) error {
	for _, w := range auditWrites {
		if _, err := conn.Prepare(ctx, w.name, w.sql); err != nil {
			return fmt.Errorf("preparing audit statements: %w", err)
		}
	}
	return nil
}

// logWrite is what one batch adds to the tables, in the binary form of the wire, so that
// a batch costs no allocation for each entry. It is reused from batch to batch.
type logWrite struct {
	built  [16]byte // id of the first entry
	first  uint64
	edge   audit.Edge // after the batch
	root   tlog.Hash
	tiles  []audit.FullTile
	one    *pendingEntry // the only entry; nil: there are more
	leaves []byte
	hashes []byte
}

// build prepares the write of the entries behind the edge, which it leaves as it is.
func (w *logWrite) build(edge *audit.Edge, entries []*pendingEntry) {
	w.built, w.first, w.edge, w.tiles = entries[0].id, edge.Size(), *edge, w.tiles[:0]
	if w.one = nil; len(entries) == 1 {
		w.one = entries[0]
		w.tiles = w.edge.Append(w.one.hash, w.tiles)
		w.root = w.edge.Root()
		return
	}
	w.leaves = appendArrayHeader(w.leaves[:0], len(entries))
	w.hashes = appendArrayHeader(w.hashes[:0], len(entries))
	for _, p := range entries {
		w.tiles = w.edge.Append(p.hash, w.tiles)
		w.leaves = appendArrayElement(w.leaves, p.leaf)
		w.hashes = appendArrayElement(w.hashes, p.hash[:])
	}
	w.root = w.edge.Root()
}

// byteaOID is the type of the elements of both arrays.
const byteaOID = 17

// appendArrayHeader begins a one-dimensional bytea[] in PostgreSQL's binary format
// (array_send): dimensions, no nulls, element type, length, lower bound.
func appendArrayHeader(dst []byte, n int) []byte {
	for _, v := range [...]uint32{1, 0, byteaOID, uint32(n), 1} {
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	return dst
}

func appendArrayElement(dst, element []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(element)))
	return append(dst, element...)
}

// commitClaimed writes in one round trip and one implicit transaction: claim, entries,
// tiles, batch. It fails with SQLSTATE 40001 if the log does not end at head.
func (w *logWrite) commitClaimed(ctx context.Context, conn *pgx.Conn, head *logHead) error {
	pipeline := conn.PgConn().StartPipeline(ctx)
	send(pipeline, "audit_claim", int8Of(head.edge.Size()), head.root[:])
	w.send(pipeline)
	return finish(pipeline)
}

// commitGuessed writes inside an open transaction and ends it, in one round trip, if the
// log ends at head. If not, it fails with SQLSTATE 40001 and the transaction can be
// taken back to the savepoint audit_guess. claimed is called as soon as the server says
// that the transaction has the log's lock and that the guess was right.
func (w *logWrite) commitGuessed(ctx context.Context, conn *pgx.Conn, head *logHead, claimed func()) error {
	pipeline := conn.PgConn().StartPipeline(ctx)
	send(pipeline, "audit_savepoint")
	send(pipeline, "audit_claim_change", int8Of(head.edge.Size()), head.root[:])
	pipeline.SendFlushRequest() // lest the answer wait for the rest
	w.send(pipeline)
	send(pipeline, "audit_commit")
	if err := pipeline.Sync(); err != nil {
		_ = pipeline.Close()
		return err
	}
	for range 2 {
		if err := next(pipeline); err != nil {
			_ = pipeline.Close()
			return err
		}
	}
	claimed()
	return pipeline.Close()
}

// commitLocked writes inside a transaction that holds the log's lock and ends it, in one
// round trip. Unless sync, the commit does not wait for the disk.
func (w *logWrite) commitLocked(ctx context.Context, conn *pgx.Conn, sync bool) error {
	pipeline := conn.PgConn().StartPipeline(ctx)
	if sync {
		pipeline.SendQueryParams("set local synchronous_commit = on", nil, nil, nil, nil)
	}
	w.send(pipeline)
	pipeline.SendQueryParams("commit", nil, nil, nil, nil)
	return finish(pipeline)
}

func (w *logWrite) send(pipeline *pgconn.Pipeline) {
	if w.one != nil {
		send(pipeline, "audit_one", int8Of(w.first), w.one.leaf, w.one.hash[:], int8Of(w.edge.Size()), w.root[:])
	} else {
		send(pipeline, "audit_entries", int8Of(w.first), w.leaves, w.hashes)
		send(pipeline, "audit_batch", int8Of(w.edge.Size()), w.root[:])
	}
	for i := range w.tiles {
		t := &w.tiles[i]
		if t.Level == 0 {
			send(pipeline, "audit_tile0", int8Of(t.N), t.Hashes)
		} else {
			send(pipeline, "audit_tile_hi", int8Of(t.N), t.Hashes, int2Of(t.Level))
		}
		send(pipeline, "audit_subtree", int2Of(t.Level), int8Of(t.N), t.Root[:])
	}
}

var binaryFormat = []int16{1}

func send(pipeline *pgconn.Pipeline, name string, values ...[]byte) {
	pipeline.SendQueryPrepared(name, values, binaryFormat, nil)
}

// finish sends what was queued and reads all answers. The first error is the one that
// made the rest be skipped.
func finish(pipeline *pgconn.Pipeline) error {
	if err := pipeline.Sync(); err != nil {
		_ = pipeline.Close()
		return err
	}
	return pipeline.Close()
}

// next reads the answer to the next statement to its end.
func next(pipeline *pgconn.Pipeline) error {
	answer, err := pipeline.GetResults()
	if rows, ok := answer.(*pgconn.ResultReader); ok && err == nil {
		_, err = rows.Close()
	}
	return err
}

func int8Of(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
func int2Of(n int) []byte    { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// closeQuickly closes a connection without waiting for a server that may hang.
func closeQuickly(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = conn.Close(ctx)
}
