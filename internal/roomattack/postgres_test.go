package roomattack

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// stored is a database in which worlds are rooms.
type stored struct {
	owner  func(sql string, arguments ...any) error
	db     *postgres.DB
	log    *postgres.AuditLog
	ledger *postgres.RoomLedger
	rooms  int
}

func newStored(t *testing.T) *stored {
	t.Helper()
	database := pgtest.New(t)
	owner := database.OwnerPool(t)
	s := &stored{owner: func(sql string, arguments ...any) error {
		_, err := owner.Exec(t.Context(), sql, arguments...)
		return err
	}}
	var err error
	if s.db, err = postgres.Open(t.Context(), postgres.Config{URL: database.URL(), ConnectTimeout: 5 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.db.Close)
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	s.log, err = postgres.OpenAuditLog(t.Context(), s.db, postgres.AuditConfig{
		Origin: "shop.example/audit", PublicKey: key.Public().(ed25519.PublicKey), SignEvery: -1, Deadline: 10 * time.Minute,
		Sign:  func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil },
		Actor: func(p privacy.Principal) [16]byte { sum := sha256.Sum256([]byte(p.ID)); return [16]byte(sum[:16]) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.log.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s.ledger = postgres.NewRoomLedger(s.db, s.log, postgres.RoomLedgerConfig{Lease: time.Hour})
	for _, ref := range []cleanroom.DatasetRef{Members, Purchases} {
		s.exec(t, `insert into cleanroom.party (party_id, verifier, added_at)
			values ($1, $1 || '+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', now())`, string(ref.Owner))
		s.exec(t, `insert into cleanroom.contract (owner, dataset, version, note, verifier, digest, added_at)
			select $1, $2, 1, '\x00', verifier, sha256('note'), now() from cleanroom.party where party_id = $1`, string(ref.Owner), string(ref.Dataset))
	}
	return s
}

func (s *stored) exec(t *testing.T, sql string, arguments ...any) {
	t.Helper()
	if err := s.owner(sql, arguments...); err != nil {
		t.Fatal(err)
	}
}

// storedWorld is a world in rooms, one for each epoch, and where its snapshots are there.
type storedWorld struct {
	executor *postgres.RoomExecutor
	rooms    map[cleanroom.SnapshotID]cleanroom.RoomID
	ids      map[cleanroom.SnapshotID]cleanroom.SnapshotID
}

// Run computes a plan where its snapshots are.
func (w *storedWorld) Run(ctx context.Context, _ cleanroom.RoomID, plan *cleanroom.Plan) ([]cleanroom.Group, error) {
	there := *plan
	there.Sources = slices.Clone(plan.Sources)
	for i := range there.Sources {
		there.Sources[i].Snapshot = w.ids[plan.Sources[i].Snapshot]
	}
	return w.executor.Run(ctx, w.rooms[plan.Sources[0].Snapshot], &there)
}

// world brings the data of a world into rooms, the way that deliveries come, and matches them.
func (s *stored) world(t *testing.T, data map[cleanroom.SnapshotID][]roomtest.Row) *storedWorld {
	t.Helper()
	w := &storedWorld{
		executor: postgres.NewRoomExecutor(s.db, postgres.RoomExecutorConfig{Timeout: 10 * time.Minute}),
		rooms:    map[cleanroom.SnapshotID]cleanroom.RoomID{}, ids: map[cleanroom.SnapshotID]cleanroom.SnapshotID{},
	}
	store := postgres.NewSnapshotStore(s.db, s.log)
	event := func(kind audit.Kind) audit.Event {
		return audit.Event{Kind: kind, Outcome: audit.Done, Principal: privacy.Principal{ID: "anna", Role: privacy.RoleDPO}, Purpose: purpose}
	}
	for first := cleanroom.SnapshotID(1); first <= 3; first += 2 { // of an epoch each
		s.rooms++
		room := cleanroom.RoomID(fmt.Sprintf("room_%d", s.rooms))
		s.exec(t, `insert into cleanroom.room (room_id, purpose, mode, matching, minimum_epoch_seconds, minimum_members, opened_at)
			values ($1, 'campaign_measurement', 'dp', 'operator', 0, 2, now())`, string(room))
		for i, ref := range []cleanroom.DatasetRef{Members, Purchases} {
			s.exec(t, `insert into cleanroom.room_member (room_id, party_id, roles) values ($1, $2, array['owns_data'])`, string(room), string(ref.Owner))
			s.exec(t, `insert into cleanroom.room_dataset (room_id, owner, dataset) values ($1, $2, $3)`, string(room), string(ref.Owner), string(ref.Dataset))
			snapshot := first + cleanroom.SnapshotID(i)
			ordinals := map[int64]int64{}
			var members []cleanroom.StagedMember
			var rows []cleanroom.StagedRow
			for _, row := range data[snapshot] {
				ordinal, known := ordinals[row.Match]
				if !known {
					ordinal = int64(len(members))
					ordinals[row.Match] = ordinal
					token := sha256.Sum256(fmt.Append(nil, row.Match))
					members = append(members, cleanroom.StagedMember{Ordinal: ordinal, Token: token[:]})
				}
				rows = append(rows, cleanroom.StagedRow{Ordinal: ordinal, Dimensions: []int32{int32(row.D[0])}, Measures: []int64{row.M[0]}})
			}
			id, err := store.Begin(t.Context(), cleanroom.Admission{
				Room: room, Dataset: ref, Contract: 1, Manifest: sha256.Sum256([]byte(room)), Identifier: privacy.Email, Members: int64(len(members)), Rows: int64(len(rows)),
			}, audit.Event{})
			if err != nil {
				t.Fatal(err)
			}
			if err := store.TakeRows(t.Context(), id, 0, rows); err != nil {
				t.Fatal(err)
			}
			if err := store.TakeMembers(t.Context(), id, 0, audit.Digest{}, members); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Admit(t.Context(), id, event(audit.SnapshotAdmitted)); err != nil {
				t.Fatal(err)
			}
			w.rooms[snapshot], w.ids[snapshot] = room, id
		}
		snapshots, err := store.Snapshots(t.Context(), room)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.Match(t.Context(), room, cleanroom.Staged(snapshots), event(audit.RoomMatched)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// trialLedger is the ledger as one trial sees it: its datasets are others', and so are its
// questions. What is spent is never given back, not even between trials.
type trialLedger struct {
	*postgres.RoomLedger
	trial string
}

func (l *trialLedger) dataset(ref cleanroom.DatasetRef) cleanroom.DatasetRef {
	return cleanroom.DatasetRef{Owner: ref.Owner, Dataset: cleanroom.DatasetID(string(ref.Dataset) + l.trial)}
}

func (l *trialLedger) question(question audit.Digest) audit.Digest {
	return sha256.Sum256(append([]byte(l.trial), question[:]...))
}

func (l *trialLedger) charge(charge cleanroom.Charge) cleanroom.Charge {
	charge.Room, charge.Question, charge.Datasets = "room_1", l.question(charge.Question), slices.Clone(charge.Datasets)
	for i := range charge.Datasets {
		charge.Datasets[i] = l.dataset(charge.Datasets[i])
	}
	return charge
}

func (l *trialLedger) Begin(ctx context.Context, charge cleanroom.Charge, event audit.Event) (cleanroom.Run, error) {
	return l.RoomLedger.Begin(ctx, l.charge(charge), event)
}

func (l *trialLedger) Repeat(ctx context.Context, charge cleanroom.Charge, event audit.Event) (audit.Receipt, error) {
	return l.RoomLedger.Repeat(ctx, l.charge(charge), event)
}

func (l *trialLedger) Finish(ctx context.Context, run cleanroom.RunID, release *cleanroom.Release, event audit.Event) (audit.Receipt, error) {
	here := *release
	here.Room, here.Question = "room_1", l.question(release.Question)
	return l.RoomLedger.Finish(ctx, run, &here, event)
}

func (l *trialLedger) Left(ctx context.Context, consumer cleanroom.PartyID, datasets []cleanroom.DatasetRef) ([]cleanroom.Left, error) {
	datasets = slices.Clone(datasets)
	for i := range datasets {
		datasets[i] = l.dataset(datasets[i])
	}
	return l.RoomLedger.Left(ctx, consumer, datasets)
}

// TestAttacksOnPostgreSQL makes the attacks on the executor and the ledger that answer in the
// product, less often; what is computed there is what is computed in memory.
func TestAttacksOnPostgreSQL(t *testing.T) {
	t.Parallel()
	n := 80
	if testing.Short() {
		n = 30
	}
	slack := 4 * math.Sqrt(0.25/float64(n)) // four standard errors
	s := newStored(t)
	even := [2]cleanroom.Executor{s.world(t, even().Without), s.world(t, even().With)}
	for i, attack := range []Attack{differencing(), boundary(), averaging(2), planted(), matchRate(), collusion(32)} {
		worlds := even
		if attack.Name == boundary().Name || attack.Name == planted().Name {
			worlds = [2]cleanroom.Executor{s.world(t, attack.World.Without), s.world(t, attack.World.With)}
		}
		for m, mode := range []cleanroom.Mode{cleanroom.Private, cleanroom.ThresholdOnly} {
			trial := func(number uint64) string { return fmt.Sprintf("_%d_%d_%d", i, m, number) }
			for number := range n {
				for _, ref := range []cleanroom.DatasetRef{Members, Purchases} {
					s.exec(t, `insert into cleanroom.budget (owner, dataset, cap, consumer_cap) values ($1, $2, $3, $4)`,
						string(ref.Owner), string(ref.Dataset)+trial(uint64(number)), int64(Cap), int64(ConsumerCap))
				}
			}
			target := Target{Mode: mode, Worlds: &worlds, Budgets: func(number uint64) cleanroom.Ledger {
				return &trialLedger{s.ledger, trial(number)}
			}}
			attack := attack
			if mode == cleanroom.ThresholdOnly {
				attack.Steps = attack.Steps[:2] // which are enough
			}
			outcome, err := attack.Run(t.Context(), target, n, uint64(i+1))
			if err != nil {
				t.Fatalf("%s: %v", attack.Name, err)
			}
			bound := noise.Accuracy(int64(attack.Budget))
			t.Logf("%s in a room of %s: right in %.1f %% of %d trials, bound %.1f %%; %d answers, %d refusals",
				attack.Name, mode, 100*outcome.Accuracy(), outcome.Trials, 100*bound, outcome.Asked, outcome.Refused)
			switch {
			case mode == cleanroom.ThresholdOnly && outcome.Accuracy() < 0.99:
				t.Errorf("%s: right in %.1f %% only where nothing protects: the attack shows nothing", attack.Name, 100*outcome.Accuracy())
			case mode == cleanroom.Private && outcome.Accuracy() > bound+slack:
				t.Errorf("%s: right in %.1f %% of %d trials, at most it is %.1f %%", attack.Name, 100*outcome.Accuracy(), outcome.Trials, 100*bound)
			case mode == cleanroom.Private && (outcome.Failed > 0 || outcome.Refused < outcome.Trials):
				t.Errorf("%s: the attackers did not spend everything: %+v", attack.Name, outcome)
			}
		}
		sameInMemory(t, attack, worlds)
	}
}

// sameInMemory compares a question in both worlds with what loops over the same rows give.
func sameInMemory(t *testing.T, attack Attack, worlds [2]cleanroom.Executor) {
	t.Helper()
	plan := &cleanroom.Plan{
		Sources: []cleanroom.PlanSource{{Snapshot: 1}, {Snapshot: 2}}, MaxGroups: 1,
		Keys: []cleanroom.PlanKey{{Source: 1, Slot: "d1", Size: len(words)}}, Measures: []cleanroom.PlanMeasure{{Source: 1, Slot: "m1", Hi: mostSpent}},
	}
	for i, rows := range []map[cleanroom.SnapshotID][]roomtest.Row{attack.World.Without, attack.World.With} {
		want, err := (&roomtest.Executor{Snapshots: rows}).Run(t.Context(), roomID, plan)
		if err != nil {
			t.Fatal(err)
		}
		got, err := worlds[i].Run(t.Context(), roomID, plan)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := fmt.Sprint(inOrder(plan, want)), fmt.Sprint(inOrder(plan, got)); a != b {
			t.Errorf("%s: in memory %s, in the database %s", attack.Name, a, b)
		}
	}
}
