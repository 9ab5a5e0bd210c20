package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/vault/keydir"
)

func roomKeys(t *testing.T) *match.Keys {
	t.Helper()
	dir := t.TempDir() + "/keys"
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.EnsureRooms(); err != nil {
		t.Fatal(err)
	}
	set, err := keys.Rooms()
	if err != nil {
		t.Fatal(err)
	}
	roomKeys, err := match.NewKeys(set)
	if err != nil {
		t.Fatal(err)
	}
	return roomKeys
}

// TestRoom measures clean rooms in small: that everything is measured, and that each figure
// that has a limit stands beside it.
func TestRoom(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url, ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	report, err := Room(t.Context(), RoomConfig{
		OwnerURL: url, Keys: roomKeys(t), Ledger: postgres.NewRoomLedger(db, newLog(t, url), postgres.RoomLedgerConfig{}),
		Executor: postgres.NewRoomExecutor(db, postgres.RoomExecutorConfig{}),
		People:   2000, Rows: 20_000, Round: 50 * time.Millisecond, Rounds: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", report.Markdown())
	limits := map[string]int{}
	for _, row := range report.Rows {
		if row.Figure <= 0 {
			t.Errorf("%+v", row)
		}
		limits[row.Measurement+" "+row.Limit]++
	}
	for want, n := range map[string]int{
		"operator <= 2": 1, "pair >= 18000": 1, "pair <= 1.5": 1, "pair ": 3, "group <= 1.15": len(groupShapes), "charge >= 1000": 1, "charge ": 1,
	} {
		if limits[want] != n {
			t.Errorf("%d rows for %q, want %d", limits[want], want, n)
		}
	}
}

// lossyLedger charges and leaves nothing in the log.
type lossyLedger struct{ cleanroom.Ledger }

func (lossyLedger) Begin(context.Context, cleanroom.Charge, audit.Event) (cleanroom.Run, error) {
	return cleanroom.Run{ID: 1}, nil
}

func (lossyLedger) Left(context.Context, cleanroom.PartyID, []cleanroom.DatasetRef) ([]cleanroom.Left, error) {
	return []cleanroom.Left{{}}, nil
}

// A ledger that is fast because it charges nothing is no measurement.
func TestRoomOfWhatIsBroken(t *testing.T) {
	t.Parallel()
	_, err := Room(t.Context(), RoomConfig{
		OwnerURL: pgtest.New(t).URL(), Ledger: lossyLedger{}, Round: time.Millisecond, Rounds: 1, Only: []string{"charge"},
	})
	if !errors.Is(err, errAnswer) {
		t.Errorf("got %v", err)
	}
	if err := halfInCommon([][]int64{{1, 2, 3, 4}, {3, 5, 6, 7}}, 4); !errors.Is(err, errMatch) {
		t.Errorf("a match that misses somebody: %v", err)
	}
}
