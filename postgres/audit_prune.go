package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// ErrMayNotPrune is wrapped by the refusal to drop old entries, whose text says what is
// missing: a policy, an archive, a checkpoint above them, their age.
var ErrMayNotPrune = fmt.Errorf("old entries must stay: %w", privacy.ErrForbidden)

const sqlAuditRetention = `
select policy, set_at from audit.retention order by number desc limit 1`

// Retention returns the written policy on old entries, and since when it stands in the log.
// The error wraps [privacy.ErrNotFound] if there is none: then nothing is ever dropped.
func (l *AuditLog) Retention(ctx context.Context) (audit.RetentionPolicy, time.Time, error) {
	var text string
	var at time.Time
	if err := l.db.pool.QueryRow(ctx, sqlAuditRetention).Scan(&text, &at); err != nil {
		return audit.RetentionPolicy{}, time.Time{}, fmt.Errorf("reading policy on old entries: %w", translate(err))
	}
	policy, err := audit.ParseRetentionPolicy(text)
	if err != nil {
		return audit.RetentionPolicy{}, time.Time{}, fmt.Errorf("reading stored policy: %w: %w", privacy.ErrDamaged, err)
	}
	return policy, at, nil
}

const sqlAuditSetRetention = `
insert into audit.retention (digest, number, keep, cosignatures, policy)
select $1, coalesce(max(number), 0) + 1, $2::text::interval, $3, $4 from audit.retention`

// SetRetention puts a policy in force, with an entry that has its digest. Of the event
// Principal counts.
func (l *AuditLog) SetRetention(ctx context.Context, event audit.Event, policy audit.RetentionPolicy) (audit.Receipt, error) {
	digest := policy.Digest()
	event.Kind, event.Outcome, event.List = audit.LogRetentionSet, audit.Done, digest
	receipt, err := l.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlAuditSetRetention, digest[:], policy.Keep.String(), policy.Cosignatures, policy.Text)
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("setting policy on old entries: %w", err)
	}
	return receipt, nil
}

// Archived is a copy of old entries outside the database, verified from the copy.
type Archived struct {
	// End is the index behind the last entry: a multiple of [audit.PartitionSize].
	End uint64
	// Manifest is the digest of the manifest of the bundle that has them.
	Manifest audit.Digest
	// Size is that of the checkpoint in the bundle.
	Size uint64
	// At is when the log learned of it.
	At time.Time
}

// There is a row for each partition in the archive.
const sqlAuditRecordArchived = `
insert into audit.archived (end_index, manifest, checkpoint_size)
select p.ending, $3, $4 from generate_series($1::bigint + 1048576, $2::bigint, 1048576) as p (ending)
on conflict do nothing`

// RecordArchived notes an archive of everything up to End that is still there, with an entry
// that has the digest of its manifest. Of the event Principal counts.
func (l *AuditLog) RecordArchived(ctx context.Context, event audit.Event, archived Archived) (audit.Receipt, error) {
	begin, err := l.Begin(ctx)
	if err != nil {
		return audit.Receipt{}, err
	}
	event.Kind, event.Outcome = audit.LogArchived, audit.Done
	if archived.End <= begin || archived.End%audit.PartitionSize != 0 {
		return audit.Receipt{}, fmt.Errorf("noting archive up to %d of a log that begins with %d: %w", archived.End, begin, privacy.ErrInvalid)
	}
	event.List, event.Count = archived.Manifest, archived.End-begin
	receipt, err := l.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlAuditRecordArchived, int64(begin), int64(archived.End), archived.Manifest[:], int64(archived.Size))
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("noting archive of old entries: %w", err)
	}
	return receipt, nil
}

const sqlAuditArchived = `
select end_index, manifest, checkpoint_size, archived_at from audit.archived order by end_index, archived_at`

// Archives lists what was archived, the oldest entries first.
func (l *AuditLog) Archives(ctx context.Context) ([]Archived, error) {
	rows, err := l.db.pool.Query(ctx, sqlAuditArchived)
	if err != nil {
		return nil, fmt.Errorf("reading archives of old entries: %w", translate(err))
	}
	archives, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a Archived, err error) {
		var end, size int64
		var manifest []byte
		err = row.Scan(&end, &manifest, &size, &a.At)
		a.End, a.Manifest, a.Size = uint64(end), audit.Digest(hashOf(manifest)), uint64(size)
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading archives of old entries: %w", translate(err))
	}
	return archives, nil
}

// Prunable returns up to which index entries are older than the policy requires, in whole
// partitions and covered by a checkpoint; that of [AuditLog.Begin] if none are. It goes by
// the time of the last entry of each partition; [AuditLog.Prune] looks at all.
func (l *AuditLog) Prunable(ctx context.Context, policy audit.RetentionPolicy, now time.Time) (uint64, error) {
	begin, err := l.Begin(ctx)
	if err != nil {
		return 0, err
	}
	signed, err := l.LatestCheckpoint(ctx)
	if errors.Is(err, privacy.ErrNotFound) {
		return begin, nil
	}
	if err != nil {
		return 0, err
	}
	checkpoint, err := audit.OpenCheckpoint(signed, l.verifier)
	if err != nil {
		return 0, err
	}
	for end := begin + audit.PartitionSize; end <= checkpoint.Size; end += audit.PartitionSize {
		last, err := l.EntriesAt(ctx, []uint64{end - 1})
		if err != nil {
			return 0, err
		}
		if len(last) != 1 {
			return 0, fmt.Errorf("entry %d is missing: %w", end-1, privacy.ErrDamaged)
		}
		entry, err := audit.ParseEntry(last[0].Leaf)
		if err != nil {
			return 0, fmt.Errorf("reading entry %d: %w", end-1, err)
		}
		if policy.Keep.After(entry.Time).After(now) {
			break
		}
		begin = end
	}
	return begin, nil
}

const sqlAuditNextArchived = `
select manifest from audit.archived where end_index = $1 order by archived_at desc limit 1`

const sqlAuditPrune = `select begin_index from audit.prune()`

// Prune drops the oldest partition, with an entry that has the digest of the manifest of the
// newest archive that has it, and returns where the log begins then. The database refuses, with an
// error that wraps [ErrMayNotPrune], without a policy in force, such an archive, a checkpoint
// above with enough cosignatures, or if any of the entries is too young. While somebody reads the log for
// a long time the error wraps [privacy.ErrUnavailable]: it is to be tried again. Of the event
// Principal counts.
//
// Tiles that the proof of a checkpoint needs stay, and so do the tags of erased people.
func (l *AuditLog) Prune(ctx context.Context, event audit.Event) (begin uint64, receipt audit.Receipt, err error) {
	if begin, err = l.Begin(ctx); err != nil {
		return 0, audit.Receipt{}, err
	}
	var manifest []byte
	err = l.db.pool.QueryRow(ctx, sqlAuditNextArchived, int64(begin+audit.PartitionSize)).Scan(&manifest)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, audit.Receipt{}, fmt.Errorf("dropping old entries: %w", translate(err))
	}
	event.Kind, event.Outcome = audit.LogPruned, audit.Done
	event.List, event.Count = audit.Digest(hashOf(manifest)), audit.PartitionSize
	receipt, err = l.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		var at int64
		err := tx.QueryRow(ctx, sqlAuditPrune).Scan(&at)
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "55000" {
			return fmt.Errorf("%s: %w", refused.Message, ErrMayNotPrune)
		}
		begin = uint64(at)
		return translate(err)
	})
	if err != nil {
		return 0, audit.Receipt{}, fmt.Errorf("dropping old entries: %w", err)
	}
	return begin, receipt, nil
}
