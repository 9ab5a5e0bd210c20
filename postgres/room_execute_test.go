package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/privacy"
)

// TestExecutorIsTheNaiveOne compares answers from SQL with those of loops over the same rows,
// on random data and plans: filters, keys and measures of one to three datasets, histograms,
// and people who are bounded to some of their groups.
func TestExecutorIsTheNaiveOne(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	random := rand.New(rand.NewPCG(7, 7))
	naive := &roomtest.Executor{Snapshots: map[cleanroom.SnapshotID][]roomtest.Row{}}
	var snapshots []cleanroom.SnapshotID
	for dataset := range testDatasets {
		var people []brought
		for person := range 80 {
			if random.IntN(4) == 0 {
				continue
			}
			p := brought{person: person}
			for range 1 + random.IntN(4)*random.IntN(4) {
				p.rows = append(p.rows, cleanroom.StagedRow{
					Dimensions: []int32{random.Int32N(4), random.Int32N(3), 20000 + random.Int32N(30), random.Int32N(5) - 1},
					Measures:   []int64{random.Int64N(2000) - 500, random.Int64N(2*cleanroom.LargestMeasure) - cleanroom.LargestMeasure},
				})
			}
			people = append(people, p)
		}
		snapshots = append(snapshots, s.stage(t, "campaign", dataset, people))
	}
	s.match(t, "campaign")
	rows, err := s.owner.Query(t.Context(), `select snapshot_id, match_id, d1, d2, d3, d4, m1, m2 from cleanroom.fact`)
	if err != nil {
		t.Fatal(err)
	}
	var snapshot cleanroom.SnapshotID
	var row roomtest.Row
	if _, err := pgx.ForEachRow(rows, []any{&snapshot, &row.Match, &row.D[0], &row.D[1], &row.D[2], &row.D[3], &row.M[0], &row.M[1]}, func() error {
		naive.Snapshots[snapshot] = append(naive.Snapshots[snapshot], row)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	plans := 300
	if testing.Short() {
		plans = 100
	}
	bounded, populated := 0, 0
	for i := range plans {
		plan := randomPlan(random, snapshots)
		got, err := s.executor.Run(t.Context(), "campaign", plan)
		if err != nil {
			t.Fatalf("plan %d, %+v: %v", i, plan, err)
		}
		want := s.naive(t, naive, plan)
		slices.SortFunc(got, func(a, b cleanroom.Group) int { return slices.Compare(a.Key, b.Key) })
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("plan %d, %+v (-naive +SQL):\n%s", i, plan, diff)
		}
		if len(got) > 0 {
			populated++
		}
		if plan.MaxGroups < 12 && len(plan.Keys) > 1 {
			bounded++
		}
	}
	if bounded < plans/10 || populated < plans/2 {
		t.Errorf("of %d plans %d bound people and %d have an answer: the test compares nothing", plans, bounded, populated)
	}
}

func randomPlan(random *rand.Rand, snapshots []cleanroom.SnapshotID) *cleanroom.Plan {
	plan := &cleanroom.Plan{MaxGroups: 1 + random.IntN(4), Seed: int64(random.Uint64())}
	order := random.Perm(len(snapshots))
	for i := range 1 + random.IntN(len(snapshots)) {
		source := cleanroom.PlanSource{Snapshot: snapshots[order[i]]}
		if random.IntN(3) == 0 {
			source.Filters = append(source.Filters, cleanroom.PlanFilter{Slot: "d1", Values: []int64{random.Int64N(4), random.Int64N(4), 1 << 40}})
		}
		if random.IntN(3) == 0 {
			from := 20000 + random.Int64N(25)
			source.Filters = append(source.Filters, cleanroom.PlanFilter{Slot: "d3", Lo: from, Hi: from + random.Int64N(1<<33)})
		}
		plan.Sources = append(plan.Sources, source)
		for _, k := range []cleanroom.PlanKey{{Source: i, Slot: "d1", Size: 4}, {Source: i, Slot: "d2", Size: 3}, {Source: i, Slot: "d4", Size: 3}} {
			if random.IntN(4) == 0 && len(plan.Keys) < 3 {
				plan.Keys = append(plan.Keys, k)
			}
		}
		if random.IntN(2) == 0 {
			plan.Measures = append(plan.Measures, cleanroom.PlanMeasure{Source: i, Slot: "m1", Lo: -100, Hi: 1500})
		}
		if random.IntN(3) == 0 {
			plan.Measures = append(plan.Measures, cleanroom.PlanMeasure{Source: i, Slot: "m1", Lo: -300, Hi: 3000, Edges: []int64{0, 700, 1900}})
		}
		if random.IntN(3) == 0 {
			plan.Measures = append(plan.Measures, cleanroom.PlanMeasure{Source: i, Slot: "m2", Lo: -cleanroom.LargestMeasure, Hi: cleanroom.LargestMeasure})
		}
	}
	return plan
}

// naive evaluates a plan person by person, and has the database say nothing but which hashes
// it draws groups by.
func (s *snapshotTest) naive(t *testing.T, naive *roomtest.Executor, plan *cleanroom.Plan) []cleanroom.Group {
	t.Helper()
	people := map[int64]bool{}
	for _, row := range naive.Snapshots[plan.Sources[0].Snapshot] {
		people[row.Match] = true
	}
	var matches, places []int64
	kept := map[int64][]cleanroom.Group{}
	for person := range people {
		alone := &roomtest.Executor{Snapshots: map[cleanroom.SnapshotID][]roomtest.Row{}}
		for id, rows := range naive.Snapshots {
			alone.Snapshots[id] = slices.DeleteFunc(slices.Clone(rows), func(r roomtest.Row) bool { return r.Match != person })
		}
		everything := *plan
		everything.MaxGroups = 1 << 30
		groups, err := alone.Run(t.Context(), "campaign", &everything)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			kept[person] = append(kept[person], g)
			matches, places = append(matches, person), append(places, place(plan, g.Key))
		}
	}
	mask := int64(1) // the bits that the number of a group takes
	for groups := place(plan, lastKey(plan)); mask <= groups; mask *= 2 {
	}
	mask--
	rows, err := s.owner.Query(t.Context(), `select q.match_id, q.place, hashint8extended(q.place, q.match_id # $3)
		from unnest($1::bigint[], $2::bigint[]) as q (match_id, place)`, notNull(matches), notNull(places), plan.Seed)
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[[2]int64]int64{}
	var match, at, hash int64
	if _, err := pgx.ForEachRow(rows, []any{&match, &at, &hash}, func() error {
		hashes[[2]int64{match, at}] = hash &^ mask
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	total := map[string]*cleanroom.Group{}
	for person, groups := range kept {
		slices.SortFunc(groups, func(a, b cleanroom.Group) int {
			x, y := place(plan, a.Key), place(plan, b.Key)
			return cmp.Or(cmp.Compare(hashes[[2]int64{person, x}], hashes[[2]int64{person, y}]), cmp.Compare(x, y))
		})
		for _, g := range groups[:min(len(groups), plan.MaxGroups)] {
			name := fmt.Sprint(g.Key)
			sum := total[name]
			if sum == nil {
				total[name] = &g
				continue
			}
			sum.People += g.People
			for m := range g.Sums {
				sum.Sums[m] += g.Sums[m]
				for b := range g.Bins[m] {
					sum.Bins[m][b] += g.Bins[m][b]
				}
			}
		}
	}
	var list []cleanroom.Group
	for _, g := range total {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b cleanroom.Group) int { return slices.Compare(a.Key, b.Key) })
	return list
}

// lastKey is the group that has the highest number.
func lastKey(plan *cleanroom.Plan) (key []int) {
	for _, k := range plan.Keys {
		key = append(key, k.Size-1)
	}
	return key
}

// place numbers the groups of a plan.
func place(plan *cleanroom.Plan, key []int) (n int64) {
	for i, k := range key {
		n = n*int64(plan.Keys[i].Size) + int64(k)
	}
	return n
}

// TestRoomRoleSeesItsRoom: what questions are computed as reads views of one room and nothing
// else that there is.
func TestRoomRoleSeesItsRoom(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign", "other")
	a := s.stage(t, "campaign", 0, persons(1, 60))
	s.match(t, "campaign")
	b := s.stage(t, "other", 0, persons(1, 30))
	s.match(t, "other")
	if n := s.people(t, "campaign", a); n != 60 {
		t.Errorf("%d people, want 60", n)
	}
	for _, test := range []struct {
		room cleanroom.RoomID
		plan *cleanroom.Plan
	}{{"campaign", everybody(b)}, {"campaign", everybody(a, b)}, {"other", everybody(a)}, {"nowhere", everybody(a)}, {"", everybody(a)}} {
		if groups, err := s.executor.Run(t.Context(), test.room, test.plan); !errors.Is(err, privacy.ErrNotFound) || groups != nil {
			t.Errorf("room %q, %+v: got %v, %v", test.room, test.plan, groups, err)
		}
	}
	asRoom := func(room string, statement string) (n int, err error) {
		err = pgx.BeginFunc(t.Context(), s.db.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `select set_config('mahrem.room', $1, true), set_config('role', 'mahrem_room', true)`, room); err != nil {
				return err
			}
			return tx.QueryRow(t.Context(), statement).Scan(&n)
		})
		return n, err
	}
	view := func(id cleanroom.SnapshotID) string {
		return fmt.Sprintf("select count(*) from cleanroom_read.fact_%d", id)
	}
	for _, test := range []struct {
		room string
		id   cleanroom.SnapshotID
		want int
	}{{"campaign", a, 60}, {"campaign", b, 0}, {"other", b, 30}, {"other", a, 0}, {"", a, 0}} {
		if n, err := asRoom(test.room, view(test.id)); n != test.want || err != nil {
			t.Errorf("in room %q snapshot %d has %d rows, %v, want %d", test.room, test.id, n, err, test.want)
		}
	}
	// A condition that talks is not asked about rows of another room.
	if n, err := asRoom("other", view(a)+" where 1 / (m1 - m1) > 0"); n != 0 || err != nil {
		t.Errorf("a condition was asked about another room's rows: %d, %v", n, err)
	}
	for _, statement := range []string{
		fmt.Sprintf("select count(*) from cleanroom.fact_%d", a), "select count(*) from cleanroom.fact", "select count(*) from cleanroom.snapshot",
		"select count(*) from cleanroom.seat", "select count(*) from cleanroom.presence", "select count(*) from vault.data_subject",
		"select count(*) from audit.entry", "select cleanroom.drop_snapshot(1) is null::int",
		fmt.Sprintf("with d as (delete from cleanroom_read.fact_%d returning 1) select count(*) from d", a),
	} {
		_, err := asRoom("campaign", statement)
		if err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: got %v, want no permission", statement, err)
		}
	}
	var user string
	if err := s.db.pool.QueryRow(t.Context(), `select current_user`).Scan(&user); err != nil || user != appRole {
		t.Errorf("a connection came back as %s, %v", user, err)
	}
	rows, err := s.owner.Query(t.Context(), `
		select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and `+ours+` and has_table_privilege('mahrem_room', c.oid, 'select, insert, update, delete')
		and not (n.nspname = 'cleanroom_read' and c.relkind = 'v')
		union all select n.nspname || '.' || p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
		where `+ours+` and has_schema_privilege('mahrem_room', n.oid, 'usage') and has_function_privilege('mahrem_room', p.oid, 'execute')
		and p.proname <> 'total'
		union all select n.nspname from pg_namespace n where `+ours+` and has_schema_privilege('mahrem_room', n.oid, 'create')
		union all select rolname from pg_roles where rolname = 'mahrem_room' and (rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolcanlogin)
		union all select r.rolname from pg_roles r where r.rolname <> 'mahrem_room' and pg_has_role('mahrem_room', r.oid, 'member')`)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(found) != 0 {
		t.Errorf("mahrem_room has rights on %v, %v", found, err)
	}
	// The application itself has no other way to facts and seats.
	for _, table := range []string{"cleanroom.fact", "cleanroom.seat", fmt.Sprintf("cleanroom.fact_%d", a), fmt.Sprintf("cleanroom.seat_%d", a)} {
		if n := s.count(t, `select has_table_privilege('mahrem_app', $1, 'select, insert, update, delete')::int`, table); n != 0 {
			t.Errorf("mahrem_app has rights on %s", table)
		}
	}
}

// TestRoomStatementIsOfSlots: whatever a plan holds, no text of it gets into a statement.
func TestRoomStatementIsOfSlots(t *testing.T) {
	t.Parallel()
	good := func() *cleanroom.Plan {
		return &cleanroom.Plan{
			Sources:   []cleanroom.PlanSource{{Snapshot: 1, Filters: []cleanroom.PlanFilter{{Slot: "d1", Lo: 1, Hi: 2}}}, {Snapshot: 2}},
			Keys:      []cleanroom.PlanKey{{Source: 1, Slot: "d8", Size: 5}},
			Measures:  []cleanroom.PlanMeasure{{Slot: "m4", Lo: 0, Hi: 9}},
			MaxGroups: 1,
		}
	}
	if _, err := newRoomStatement(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(p *cleanroom.Plan){
		"no source":         func(p *cleanroom.Plan) { p.Sources = nil },
		"many sources":      func(p *cleanroom.Plan) { p.Sources = make([]cleanroom.PlanSource, 5) },
		"a source twice":    func(p *cleanroom.Plan) { p.Sources[1].Snapshot = 1 },
		"no snapshot":       func(p *cleanroom.Plan) { p.Sources[0].Snapshot = 0 },
		"a filter's text":   func(p *cleanroom.Plan) { p.Sources[0].Filters[0].Slot = "d1 or true" },
		"a filter's number": func(p *cleanroom.Plan) { p.Sources[0].Filters[0].Slot = "d9" },
		"a measure as key":  func(p *cleanroom.Plan) { p.Keys[0].Slot = "m1" },
		"a key's text":      func(p *cleanroom.Plan) { p.Keys[0].Slot = "d;" },
		"a key's source":    func(p *cleanroom.Plan) { p.Keys[0].Source = 2 },
		"a key's size":      func(p *cleanroom.Plan) { p.Keys[0].Size = 0 },
		"too many groups":   func(p *cleanroom.Plan) { p.Keys[0].Size = maxRoomGroups + 1 },
		"a measure's text":  func(p *cleanroom.Plan) { p.Measures[0].Slot = "match_id" },
		"a measure's slot":  func(p *cleanroom.Plan) { p.Measures[0].Slot = "m5" },
		"a measure's below": func(p *cleanroom.Plan) { p.Measures[0].Source = -1 },
		"empty bounds":      func(p *cleanroom.Plan) { p.Measures[0].Lo = 10 },
		"huge bounds":       func(p *cleanroom.Plan) { p.Measures[0].Hi = cleanroom.LargestMeasure + 1 },
		"edges in disorder": func(p *cleanroom.Plan) { p.Measures[0].Edges = []int64{2, 1} },
		"no groups":         func(p *cleanroom.Plan) { p.MaxGroups = 0 },
	} {
		p := good()
		spoil(p)
		if _, err := newRoomStatement(p); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestRunStopsInTime: a question that takes too long is ended by the database.
func TestRunStopsInTime(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	a := s.stage(t, "campaign", 0, persons(1, 5))
	s.match(t, "campaign")
	lock, err := s.owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback(context.Background()) }()
	if _, err := lock.Exec(t.Context(), fmt.Sprintf(`lock table cleanroom.fact_%d`, a)); err != nil {
		t.Fatal(err)
	}
	if _, err := NewRoomExecutor(s.db, RoomExecutorConfig{Timeout: 50 * time.Millisecond}).Run(t.Context(), "campaign", everybody(a)); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestSeats finds the house's own people among those whom datasets have in common.
func TestSeats(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	a, b := s.stage(t, "campaign", 0, persons(1, 60)), s.stage(t, "campaign", 1, persons(41, 100))
	s.match(t, "campaign")
	plan := everybody(a, b)
	plan.Sources[1].Filters = []cleanroom.PlanFilter{{Slot: "d1", Values: []int64{2}}}
	var got, want []string
	if err := s.executor.Seats(t.Context(), "campaign", plan, a, func(seat [16]byte) error {
		got = append(got, fmt.Sprintf("%x", seat))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for person := 41; person <= 60; person++ {
		if person%3 == 2 {
			want = append(want, fmt.Sprintf("%x", personSeat(person)))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
