package bench

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/cleanroom"
)

// groupRatio is how much longer a question may take than its SQL by hand.
const groupRatio = 1.15

// The groups of purchases, what one row is of at most, and the groups of people that another
// party brings.
const (
	roomGroups   = 20
	roomSpend    = 5000
	roomSegments = 8
)

// roomRowsPerPerson is how many purchases each person has. They are spread evenly over the
// groups, so that most people are in more groups than they count in.
const roomRowsPerPerson = 10

// The room and the datasets whose rows are grouped: they come into being as a match makes
// them, from staged rows on.
const (
	sqlBenchRoomParty    = `insert into cleanroom.party (party_id, verifier, added_at) values ('bench', 'bench+00000000+' || repeat('A', 44), now()) on conflict do nothing`
	sqlBenchRoomRoom     = `insert into cleanroom.room (room_id, purpose, mode, matching, minimum_epoch_seconds, minimum_members, epoch, matched_at, opened_at) values ('bench', 'analytics', 'dp', 'operator', 604800, 1000, 1, now(), now()) on conflict do nothing`
	sqlBenchRoomMember   = `insert into cleanroom.room_member (room_id, party_id, roles) values ('bench', 'bench', '{owns_data,may_query}') on conflict do nothing`
	sqlBenchRoomDataset  = `insert into cleanroom.room_dataset (room_id, owner, dataset) values ('bench', 'bench', 'purchases'), ('bench', 'bench', 'segments') on conflict do nothing`
	sqlBenchRoomContract = `insert into cleanroom.contract (owner, dataset, version, note, verifier, digest, added_at) select 'bench', d, 1, 'bench', 'bench+00000000+' || repeat('A', 44), sha256('bench'), now() from unnest(array['purchases', 'segments']) d on conflict do nothing`
	sqlBenchRoomBudget   = `insert into cleanroom.budget (owner, dataset, cap, consumer_cap) select 'bench', d, 2000000000, 2000000000 from unnest(array['purchases', 'segments']) d on conflict do nothing`

	sqlBenchRoomSnapshot = `
	insert into cleanroom.snapshot (room_id, owner, dataset, contract_version, manifest_digest, epoch, state, members, rows, begun_at)
	values ('bench', 'bench', $1, 1, sha256('bench'), 1, 'loading', $2, $3, now())
	returning snapshot_id`
	sqlBenchRoomStaging = `select cleanroom.add_staging($1)`
	sqlBenchRoomMembers = `
	insert into cleanroom.staged_member (snapshot_id, ordinal, token)
	select $1, n, sha256(n::text::bytea) from generate_series(1, $2::bigint) n`
	sqlBenchRoomPurchases = `
	insert into cleanroom.staged_row (snapshot_id, ordinal, d1, d2, m1)
	select $1, n % $3::bigint + 1, (hashint8(n) & 2147483647) % $4, 20000 + (hashint8(-n) & 2147483647) % 365, n * 104729 % $5
	from generate_series(1, $2::bigint) n`
	sqlBenchRoomSegments = `
	insert into cleanroom.staged_row (snapshot_id, ordinal, d1)
	select $1, n, (hashint8(n) & 2147483647) % $3
	from generate_series(1, $2::bigint) n`
	sqlBenchRoomStaged = `update cleanroom.snapshot set state = 'staged', admitted_at = now() where snapshot_id = $1`
	sqlBenchRoomIndex  = `select cleanroom.index_staging($1)`
	sqlBenchRoomSettle = `select cleanroom.settle($1, array(select n from generate_series(1, $2::bigint) n), array(select n + $3 from generate_series(1, $2::bigint) n))`
	sqlBenchRoomSeal   = `select cleanroom.seal($1)`
	sqlBenchRoomDone   = `update cleanroom.snapshot set state = 'matched', matched_at = now() where snapshot_id = $1`
)

// addBenchRoom makes the room, unless it is there.
func addBenchRoom(ctx context.Context, owner *pgx.Conn) error {
	for _, statement := range []string{
		sqlBenchRoomParty, sqlBenchRoomRoom, sqlBenchRoomMember, sqlBenchRoomDataset, sqlBenchRoomContract, sqlBenchRoomBudget,
	} {
		if _, err := owner.Exec(ctx, statement); err != nil {
			return fmt.Errorf("making a room: %w", err)
		}
	}
	return nil
}

// benchStep is a statement about a snapshot, which is its first parameter.
type benchStep struct {
	sql       string
	arguments []any
}

// addBenchFacts makes a snapshot of so many people, whose numbers begin behind skipped.
func addBenchFacts(ctx context.Context, config RoomConfig, owner *pgx.Conn, dataset string, people, rows, skipped int, fill benchStep) (snapshot int64, err error) {
	if err := owner.QueryRow(ctx, sqlBenchRoomSnapshot, dataset, people, rows).Scan(&snapshot); err != nil {
		return 0, fmt.Errorf("making a snapshot: %w", err)
	}
	steps := []benchStep{
		{sqlBenchRoomStaging, nil},
		{sqlBenchRoomMembers, []any{people}},
		fill,
		{sqlBenchRoomIndex, nil},
		{sqlBenchRoomStaged, nil},
		{sqlBenchRoomSettle, []any{people, skipped}},
		{sqlBenchRoomSeal, nil},
		{sqlBenchRoomDone, nil},
	}
	for i, step := range steps {
		config.Progress("making facts of "+dataset, i, len(steps))
		if _, err := owner.Exec(ctx, step.sql, append([]any{snapshot}, step.arguments...)...); err != nil {
			return 0, fmt.Errorf("making facts: %w", err)
		}
	}
	_, err = owner.Exec(ctx, fmt.Sprintf(`vacuum analyze cleanroom.fact_%d`, snapshot))
	return snapshot, err
}

// measureRoomGroups measures questions of each shape against their SQL by hand, in turn.
func measureRoomGroups(ctx context.Context, config RoomConfig) ([]Row, error) {
	owner, err := pgx.Connect(ctx, config.OwnerURL)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = owner.Close(context.WithoutCancel(ctx)) }()
	if err := addBenchRoom(ctx, owner); err != nil {
		return nil, err
	}
	people := max(1, config.Rows/roomRowsPerPerson)
	purchases, err := addBenchFacts(ctx, config, owner, "purchases", people, config.Rows, 0,
		benchStep{sqlBenchRoomPurchases, []any{config.Rows, people, roomGroups, roomSpend}})
	if err != nil {
		return nil, err
	}
	// Four people of five are in both datasets.
	segments, err := addBenchFacts(ctx, config, owner, "segments", people, people, people/5,
		benchStep{sqlBenchRoomSegments, []any{people, roomSegments}})
	if err != nil {
		return nil, err
	}
	if _, err := owner.Exec(ctx, `select set_config('work_mem', '64MB', false)`); err != nil { // as the executor has
		return nil, fmt.Errorf("preparing: %w", err)
	}
	var measured []Row
	for i := range groupShapes {
		row, err := measureShape(ctx, config, owner, &groupShapes[i], purchases, segments)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", groupShapes[i].name, err)
		}
		measured = append(measured, row)
	}
	return measured, nil
}

// measureShape compares a question with its SQL by hand: the middle of each one's times.
func measureShape(ctx context.Context, config RoomConfig, owner *pgx.Conn, shape *groupShape, purchases, segments int64) (Row, error) {
	plan := shape.plan(cleanroom.SnapshotID(purchases), cleanroom.SnapshotID(segments))
	inner := fmt.Sprintf(shape.inner, purchases, segments)
	bare := func() ([]cleanroom.Group, error) {
		rows, err := owner.Query(ctx, shape.outer+" from ("+inner+") u"+shape.by)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, func(row pgx.CollectableRow) (cleanroom.Group, error) { return scanBare(row, plan) })
	}
	protected := func() ([]cleanroom.Group, error) { return config.Executor.Run(ctx, "bench", plan) }
	var counted int64 // how often people count, all groups together
	if err := owner.QueryRow(ctx, `select coalesce(sum(least(p.n, $1)), 0)::bigint from (select count(*) n from (`+inner+`) u group by u.match_id) p`,
		plan.MaxGroups).Scan(&counted); err != nil {
		return Row{}, err
	}
	var took [2][]float64
	for i := range config.Rounds + 1 {
		config.Progress(shape.name, i, config.Rounds+1)
		var answers [2][]cleanroom.Group
		for j, run := range []func() ([]cleanroom.Group, error){bare, protected} {
			began := time.Now()
			groups, err := run()
			if err != nil {
				return Row{}, err
			}
			answers[j] = groups
			if i > 0 { // the first round fills caches
				took[j] = append(took[j], time.Since(began).Seconds())
			}
		}
		if err := sameGroups(answers[0], answers[1], counted); err != nil {
			return Row{}, err
		}
	}
	usual := [2]float64{middle(took[0]), middle(took[1])}
	return Row{
		What: "a question against SQL by hand: " + shape.name, Figure: usual[1] / usual[0], Unit: "x",
		Note: fmt.Sprintf("%.3f s and %.3f s, in turn; %d rows; median of %d", usual[1], usual[0], config.Rows, config.Rounds),
	}.atMost(groupRatio), nil
}

func middle(figures []float64) float64 {
	slices.Sort(figures)
	return figures[len(figures)/2]
}

// sameGroups checks that both sides computed the same. Where people count in fewer groups than
// they are in, a group may have less of everything, and all of them have as many people as
// there must be.
func sameGroups(bare, protected []cleanroom.Group, counted int64) error {
	byKey := map[string]cleanroom.Group{}
	var inAll, found int64
	for _, group := range protected {
		byKey[fmt.Sprint(group.Key)] = group
		found += group.People
	}
	for _, group := range bare {
		inAll += group.People
	}
	for _, group := range bare {
		other := byKey[fmt.Sprint(group.Key)]
		if inAll == counted && !reflect.DeepEqual(group, other) || other.People > group.People {
			return fmt.Errorf("group %v is not the same: %w", group.Key, errAnswer)
		}
	}
	if len(bare) == 0 || len(bare) != len(protected) || found != counted {
		return fmt.Errorf("%d people in %d groups instead of %d in %d: %w", found, len(protected), counted, len(bare), errAnswer)
	}
	return nil
}
