package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
)

// BundleSource is the log as [bundle.Export] reads it: one short statement after another, so
// that an export of hours keeps no snapshot open.
type BundleSource struct {
	*LogTiles
	log *AuditLog
}

var _ bundle.Log = (*BundleSource)(nil)

// NewBundleSource reads log.
func NewBundleSource(log *AuditLog) *BundleSource { return &BundleSource{NewLogTiles(log), log} }

// Entries implements [bundle.Log].
func (s *BundleSource) Entries(ctx context.Context, from uint64, limit int) ([]audit.StoredEntry, error) {
	return s.log.Entries(ctx, from, limit)
}

// LatestCheckpoint implements [bundle.Log].
func (s *BundleSource) LatestCheckpoint(ctx context.Context) ([]byte, error) {
	return s.Checkpoint(ctx)
}

const sqlAuditCosigned = `
select c.size, c.root, c.note || convert_to(coalesce(
    (select string_agg(rtrim(w.line, E'\n') || E'\n', '' order by w.key_name) from audit.cosignature w where w.size = c.size), ''), 'UTF8')
from audit.checkpoint c where c.size >= $1 order by c.size limit $2`

// Checkpoints implements [bundle.Log].
func (s *BundleSource) Checkpoints(ctx context.Context, from uint64, limit int) ([]audit.StoredCheckpoint, error) {
	rows, err := s.log.db.pool.Query(ctx, sqlAuditCosigned, int64(from), limit)
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", translate(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c audit.StoredCheckpoint, err error) {
		var size int64
		var root []byte
		err = row.Scan(&size, &root, &c.Note)
		c.Size, c.Root = uint64(size), hashOf(root)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading checkpoints: %w", translate(err))
	}
	return list, nil
}
