package postgres

import (
	"context"
	"fmt"
	"time"
)

const sqlClock = `select clock_timestamp()`

// Clock asks the database for its time, which is the one clock of consent.
func (db *DB) Clock(ctx context.Context) (time.Time, error) {
	var at time.Time
	if err := db.pool.QueryRow(ctx, sqlClock).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("asking database for its time: %w", translate(err))
	}
	return at, nil
}
