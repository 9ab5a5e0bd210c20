package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

const eraseColumns = `e.erasure_id, e.request_id, e.plan_hash, e.key_digests, e.identifiers, e.consents, e.exposures, e.cases,
	e.records, e.chunks, e.fingerprints, e.suppressed, e.sealed, e.ledger_sequence, e.erased_at, e.swept_at, e.log_index, e.leaf_hash`

const sqlEraseErasure = `select ` + eraseColumns + ` from dsar.erasure e where e.erasure_id = $1`

const sqlEraseErasureOf = `select ` + eraseColumns + ` from dsar.erasure e where e.request_id = $1`

// Erasure is [dsar.EraseStore]'s.
func (s *EraseStore) Erasure(ctx context.Context, id dsar.ErasureID) (dsar.ErasureRecord, error) {
	return s.erasure(s.db.pool.QueryRow(ctx, sqlEraseErasure, [16]byte(id)))
}

// ErasureOf is [dsar.EraseStore]'s.
func (s *EraseStore) ErasureOf(ctx context.Context, request dsar.RequestID) (dsar.ErasureRecord, error) {
	return s.erasure(s.db.pool.QueryRow(ctx, sqlEraseErasureOf, [16]byte(request)))
}

func (s *EraseStore) erasure(row pgx.Row) (dsar.ErasureRecord, error) {
	var r dsar.ErasureRecord
	var request pgtype.UUID
	var plan, sealed, leaf []byte
	var digests [][]byte
	var sequence int64
	var index *int64
	var swept *time.Time
	c := &r.Counts
	err := row.Scan((*[16]byte)(&r.ID), &request, &plan, &digests, &c.Identifiers, &c.Consents, &c.Exposures, &c.Cases,
		&c.Records, &c.Chunks, &c.Fingerprints, &r.Suppressed, &sealed, &sequence, &r.ErasedAt, &swept, &index, &leaf)
	if err != nil {
		return dsar.ErasureRecord{}, fmt.Errorf("reading erasure: %w", translate(err))
	}
	r.Request, r.Plan, r.LedgerSequence, r.ErasedAt = request.Bytes, audit.Digest(plan), uint64(sequence), r.ErasedAt.UTC()
	for _, digest := range digests {
		r.KeyDigests = append(r.KeyDigests, audit.Digest(digest))
	}
	c.Keys = int64(len(digests))
	if index != nil {
		r.LogIndex, r.LeafHash = uint64(*index), [32]byte(leaf)
	}
	if swept != nil {
		r.SweptAt = swept.UTC()
	}
	r.Withheld, err = dsar.ParseWithheldList(s.vault, sealed)
	return r, err
}

const sqlEraseNote = `
update dsar.erasure set log_index = $2, leaf_hash = $3 where erasure_id = $1 and log_index is null`

// sqlEraseNoteLater is for a commit that does not wait for the disk: a note that a crash
// takes is found again.
const sqlEraseNoteLater = `select set_config('synchronous_commit', 'off', true)`

// NoteEntry is [dsar.EraseStore]'s.
func (s *EraseStore) NoteEntry(ctx context.Context, id dsar.ErasureID, receipt audit.Receipt) error {
	leaf := receipt.LeafHash()
	batch := &pgx.Batch{} // one transaction
	batch.Queue(sqlEraseNoteLater)
	batch.Queue(sqlEraseNote, [16]byte(id), int64(receipt.Index()), leaf[:])
	if err := s.db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("noting log entry of erasure: %w", translate(err))
	}
	return nil
}

// scanAtOnce is how many entries are read at once when one is looked for.
const scanAtOnce = 1000

// FindEntry is [dsar.EraseStore]'s. It goes back from the end of the log, where the entry
// of an erasure that was cut off mostly is.
func (s *EraseStore) FindEntry(ctx context.Context, record *dsar.ErasureRecord) (audit.Receipt, error) {
	size, _, err := readHead(ctx, s.db.pool)
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("reading log: %w", translate(err))
	}
	for end := size; end > 0; {
		first := end - min(end, scanAtOnce)
		stored, err := readEntries(ctx, s.db.pool, first, int(end-first))
		if err != nil {
			return audit.Receipt{}, fmt.Errorf("reading log: %w", translate(err))
		}
		for i := len(stored) - 1; i >= 0; i-- {
			entry, err := audit.ParseEntry(stored[i].Leaf)
			if err != nil {
				return audit.Receipt{}, fmt.Errorf("reading log: %w", err)
			}
			if (entry.Kind == audit.PersonErased || entry.Kind == audit.ErasureReplayed) && entry.List == record.Plan {
				return audit.Committed(entry.ID, audit.LeafHash(stored[i].Leaf), first+uint64(i)), nil
			}
		}
		end = first
	}
	return audit.Receipt{}, fmt.Errorf("finding log entry of erasure: %w", privacy.ErrNotFound)
}

const sqlEraseSweep = `
select rows_deleted, people from vault.sweep($1, $2)`

// Sweep is [dsar.EraseStore]'s.
func (s *EraseStore) Sweep(ctx context.Context, limit int, only dsar.ErasureID) (dsar.Swept, error) {
	var swept dsar.Swept
	if err := s.db.pool.QueryRow(ctx, sqlEraseSweep, limit, optionalID(only)).Scan(&swept.Rows, &swept.People); err != nil {
		return dsar.Swept{}, fmt.Errorf("sweeping: %w", translate(err))
	}
	return swept, nil
}

const sqlEraseSuppressed = `
select q.place - 1
from unnest($1::bytea[]) with ordinality q (tag, place)
where exists (select from dsar.suppression s where s.tag = q.tag and s.lifted_at is null)`

// Suppressions is [dsar.EraseStore]'s.
func (s *EraseStore) Suppressions(ctx context.Context, tags [][16]byte) ([]bool, error) {
	found := make([]bool, len(tags))
	rows, err := s.db.pool.Query(ctx, sqlEraseSuppressed, tagBytes(tags))
	if err == nil {
		var place int64
		_, err = pgx.ForEachRow(rows, []any{&place}, func() error {
			found[place] = true
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("looking for suppressed identifiers: %w", translate(err))
	}
	return found, nil
}

func tagBytes(tags [][16]byte) [][]byte {
	list := make([][]byte, len(tags))
	for i := range tags {
		list[i] = tags[i][:]
	}
	return list
}

const sqlEraseLift = `
update dsar.suppression set lifted_at = clock_timestamp(), lifted_by = $2
where tag = any ($1::bytea[]) and lifted_at is null`

// Lift is [dsar.EraseStore]'s.
func (s *EraseStore) Lift(ctx context.Context, tags [][16]byte, actor [16]byte, record func(context.Context) (dsar.LedgerPosition, error), event audit.Event) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlEraseLift, tagBytes(tags), actor[:])
		if err != nil {
			return translate(err)
		}
		if tag.RowsAffected() == 0 {
			return privacy.ErrNotFound
		}
		position, err := record(ctx)
		if err != nil {
			return fmt.Errorf("writing erasure ledger: %w", err)
		}
		_, err = tx.Exec(ctx, sqlEraseLedger, int64(position.Sequence), position.LineHash[:])
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("lifting suppression: %w", err)
	}
	return receipt, nil
}
