package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// RoomExecutorConfig tunes a [RoomExecutor].
type RoomExecutorConfig struct {
	// Timeout bounds one question in the database; zero means a minute.
	Timeout time.Duration
}

// RoomExecutor computes plans over the facts of a room, in a transaction that sees nothing
// else and changes nothing.
type RoomExecutor struct {
	db     *DB
	config RoomExecutorConfig
}

var _ cleanroom.Executor = (*RoomExecutor)(nil)

// NewRoomExecutor computes in db.
func NewRoomExecutor(db *DB, config RoomExecutorConfig) *RoomExecutor {
	if config.Timeout <= 0 {
		config.Timeout = time.Minute
	}
	return &RoomExecutor{db, config}
}

// The snapshots of the room's epoch, before the role is given up that may know of them.
const sqlRoomComputed = `
select count(*)
from cleanroom.snapshot s join cleanroom.room r on r.room_id = s.room_id and r.epoch = s.epoch
where s.snapshot_id = any ($1::bigint[]) and s.room_id = $2 and s.state = 'matched'`

// Facts are walked as a whole, unlike what the pool is set up for; the last of the settings is
// that of the role.
const sqlRoomBegin = `
select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'on', true),
    set_config('work_mem', $3, true), set_config('statement_timeout', $2, true),
    set_config('mahrem.room', $1, true), set_config('role', 'mahrem_room', true)`

// Facts lie in the order of people, and everything is grouped and joined by person first. So
// a table of all of them in memory is never needed: walking them in their order is faster.
const sqlRoomOrdered = `
select set_config('enable_nestloop', 'off', true), set_config('enable_hashjoin', 'off', true),
    set_config('hash_mem_multiplier', '1', true), set_config('max_parallel_workers_per_gather', '0', true)`

// How much memory a step of a statement may take: so little that PostgreSQL keeps to the
// order of people, or enough for a table of them.
const (
	roomOrdered = "4MB"
	roomHashed  = "64MB"
	// manyGroups are too many to be counted in the former.
	manyGroups = 10_000
)

// begin runs f as mahrem_room in the room.
func (e *RoomExecutor) begin(ctx context.Context, room cleanroom.RoomID, plan *cleanroom.Plan, memory string, f func(tx pgx.Tx) error) error {
	snapshots := make([]int64, len(plan.Sources))
	for i := range plan.Sources {
		snapshots[i] = int64(plan.Sources[i].Snapshot)
	}
	timeout := strconv.FormatInt(e.config.Timeout.Milliseconds(), 10)
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return translate(pgx.BeginTxFunc(ctx, e.db.pool, options, func(tx pgx.Tx) error {
		var found int
		if err := tx.QueryRow(ctx, sqlRoomComputed, snapshots, string(room)).Scan(&found); err != nil {
			return err
		}
		if found != len(snapshots) {
			return fmt.Errorf("a snapshot is not of the room's epoch: %w", privacy.ErrNotFound)
		}
		var ignored string
		if err := tx.QueryRow(ctx, sqlRoomBegin, string(room), timeout, memory).Scan(&ignored, &ignored, &ignored, &ignored, &ignored, &ignored); err != nil {
			return err
		}
		return f(tx)
	}))
}

// Run is [cleanroom.Executor]'s.
func (e *RoomExecutor) Run(ctx context.Context, room cleanroom.RoomID, plan *cleanroom.Plan) ([]cleanroom.Group, error) {
	statement, err := newRoomStatement(plan)
	if err != nil {
		return nil, fmt.Errorf("computing: %w", err)
	}
	var groups []cleanroom.Group
	memory := roomOrdered
	if statement.groups > manyGroups {
		memory = roomHashed
	}
	err = e.begin(ctx, room, plan, memory, func(tx pgx.Tx) error {
		var ignored string
		if err := tx.QueryRow(ctx, sqlRoomOrdered).Scan(&ignored, &ignored, &ignored, &ignored); err != nil {
			return err
		}
		text := statement.answer()
		rows, err := tx.Query(ctx, text, append([]any{pgx.QueryExecModeDescribeExec}, statement.arguments...)...)
		if err != nil {
			return err
		}
		groups, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (cleanroom.Group, error) { return scanGroup(row, statement) })
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("computing: %w", err)
	}
	if len(plan.Keys) == 0 && len(groups) == 1 && groups[0].People == 0 {
		return nil, nil
	}
	return groups, nil
}

func scanGroup(row pgx.CollectableRow, statement *roomStatement) (cleanroom.Group, error) {
	plan := statement.plan
	g := cleanroom.Group{Sums: make([]int64, len(plan.Measures)), Bins: make([][]int64, len(plan.Measures))}
	var place int64
	var to []any
	if len(plan.Keys) > 0 {
		to = append(to, &place)
	}
	to = append(to, &g.People)
	for j := range plan.Measures {
		edges := plan.Measures[j].Edges
		if len(edges) == 0 {
			to = append(to, &g.Sums[j])
			continue
		}
		g.Bins[j] = make([]int64, len(edges)+1)
		for b := range g.Bins[j] {
			to = append(to, &g.Bins[j][b])
		}
	}
	if err := row.Scan(to...); err != nil {
		return g, err
	}
	g.Key = statement.key(place)
	return g, nil
}

// Seats calls found with the seats, in one of the sources, of the house's people whom all
// sources have in common, each once and in no order that tells anything. Keys and measures of
// the plan do not count.
func (e *RoomExecutor) Seats(ctx context.Context, room cleanroom.RoomID, plan *cleanroom.Plan, snapshot cleanroom.SnapshotID, found func(seat [16]byte) error) error {
	bare := &cleanroom.Plan{Sources: plan.Sources, MaxGroups: 1}
	statement, err := newRoomStatement(bare)
	if err != nil {
		return fmt.Errorf("finding seats: %w", err)
	}
	err = e.begin(ctx, room, bare, roomHashed, func(tx pgx.Tx) error {
		text := statement.seats(snapshot)
		rows, err := tx.Query(ctx, text, append([]any{pgx.QueryExecModeDescribeExec}, statement.arguments...)...)
		if err != nil {
			return err
		}
		var seat [16]byte
		var read []byte
		_, err = pgx.ForEachRow(rows, []any{&read}, func() error {
			if copy(seat[:], read) != len(seat) {
				return fmt.Errorf("reading seat: %w", privacy.ErrDamaged)
			}
			return found(seat)
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("finding seats: %w", err)
	}
	return nil
}
