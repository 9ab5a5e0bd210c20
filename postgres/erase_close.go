package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/dsar"
)

// An erasure that is under way just now notes its entry itself.
const sqlEraseWithoutEntry = `
select erasure_id
from dsar.erasure
where log_index is null and erased_at < clock_timestamp() - interval '1 minute'
order by erased_at
limit $1`

// WithoutEntry lists erasures that were cut off between their commit and the note of where
// the log has them, the oldest first.
func (s *EraseStore) WithoutEntry(ctx context.Context, limit int) ([]dsar.ErasureID, error) {
	rows, err := s.db.pool.Query(ctx, sqlEraseWithoutEntry, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for erasures without entry: %w", translate(err))
	}
	ids, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id dsar.ErasureID, err error) {
		return id, row.Scan((*[16]byte)(&id))
	})
	if err != nil {
		return nil, fmt.Errorf("looking for erasures without entry: %w", translate(err))
	}
	return ids, nil
}
