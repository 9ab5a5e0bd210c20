package postgres

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// An entry begins with its version and its id (docs/spec/entry.md), so that one can be found
// by its first bytes. There is no index over ids: nothing but a person at a terminal asks.
const sqlAuditFindEntry = `
select seq from audit.entry where seq >= $1 and seq < $2 and substring(leaf from 1 for 36) = $3 order by seq limit 1`

// FindEntry returns the index of the entry with a random id. It looks at the newest entries
// first, a partition in each statement so that no snapshot is held for long, and tells
// progress how many it has been through; progress may be nil. The error wraps
// [privacy.ErrNotFound].
func (l *AuditLog) FindEntry(ctx context.Context, id [16]byte, progress func(done, total uint64)) (uint64, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return 0, fmt.Errorf("finding entry: %w", err)
	}
	begin, err := l.Begin(ctx)
	if err != nil {
		return 0, fmt.Errorf("finding entry: %w", err)
	}
	head := []byte(`{"v":1,"id":"` + base64.RawURLEncoding.EncodeToString(id[:]) + `"`)
	for end := size; end > begin; {
		from := max(begin, (end-1)/partitionSize*partitionSize)
		var index int64
		err := l.db.pool.QueryRow(ctx, sqlAuditFindEntry, int64(from), int64(end), head).Scan(&index)
		if err == nil {
			return uint64(index), nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return 0, fmt.Errorf("finding entry: %w", translate(err))
		}
		end = from
		if progress != nil {
			progress(size-end, size-begin)
		}
	}
	if begin > 0 {
		return 0, fmt.Errorf("finding entry in a log that begins with %d: %w", begin, audit.ErrArchived)
	}
	return 0, fmt.Errorf("finding entry: %w", privacy.ErrNotFound)
}
