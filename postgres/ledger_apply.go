package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/ledger"
)

const sqlLedgerSuppress = `
	insert into dsar.suppression (tag, erasure_id, created_at)
	select tag, $2, $3 from unnest($1::bytea[]) tag
	on conflict do nothing`

const sqlLedgerReadmit = `
	update dsar.suppression set lifted_at = $2, lifted_by = $3
	where tag = any ($1::bytea[]) and lifted_at is null`

const sqlLedgerNote = `
	insert into dsar.ledger (sequence, line_hash) values ($1, $2) on conflict do nothing`

// Apply suppresses and readmits what the records say, in order, and notes that they were
// carried out, in one transaction with an entry of the log. Whoever they erased must be
// erased already. The entry has the hash of the last line, which covers all before it, and is
// made from event, of which Principal counts; actor is its tag.
func (s *LedgerStore) Apply(ctx context.Context, log *AuditLog, records []ledger.Record, actor [16]byte, event audit.Event) error {
	event.Kind, event.Outcome = audit.ErasureReplayed, audit.Done
	event.List, event.Count = audit.Digest(records[len(records)-1].Hash), uint64(len(records))
	_, err := log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		now := time.Now()
		for i := range records {
			if err := applyLine(ctx, tx, &records[i], now, actor); err != nil {
				return translate(err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("carrying out records of the erasure ledger: %w", err)
	}
	return nil
}

func applyLine(ctx context.Context, tx pgx.Tx, r *ledger.Record, now time.Time, actor [16]byte) error {
	done, err := tx.Exec(ctx, sqlLedgerNote, int64(r.Sequence), r.Hash[:])
	if err != nil || done.RowsAffected() == 0 {
		// Somebody else has carried it out. A readmission that came again would reach what a
		// later erasure suppressed.
		return err
	}
	tags := make([][]byte, len(r.Suppressed))
	for i := range tags {
		tags[i] = r.Suppressed[i][:]
	}
	switch {
	case len(tags) == 0:
	case r.Kind == ledger.Erased:
		_, err = tx.Exec(ctx, sqlLedgerSuppress, tags, r.Erasure, r.Time)
	case r.Kind == ledger.Readmitted:
		_, err = tx.Exec(ctx, sqlLedgerReadmit, tags, now, actor[:])
	}
	return err
}
