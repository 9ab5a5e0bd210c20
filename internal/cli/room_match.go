package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

type snapshotDocument struct {
	Snapshot cleanroom.SnapshotID `json:"snapshot"`
	Dataset  string               `json:"dataset"`
	Contract int                  `json:"contract_version"`
	Epoch    int                  `json:"epoch"`
	State    string               `json:"state"`
	Members  int64                `json:"members"`
	Rows     int64                `json:"rows"`
	Matched  *time.Time           `json:"matched_at,omitempty"`
	Dropped  *time.Time           `json:"dropped_at,omitempty"`
}

func newSnapshotDocument(n *cleanroom.Snapshot) snapshotDocument {
	return snapshotDocument{
		Snapshot: n.ID, Dataset: n.Dataset.String(), Contract: n.Contract, Epoch: n.Epoch, State: string(n.State),
		Members: n.Members, Rows: n.Rows, Matched: optional(n.MatchedAt), Dropped: optional(n.DroppedAt),
	}
}

func snapshotTable(list []snapshotDocument) table {
	t := table{header: []string{"snapshot", "dataset", "contract", "epoch", "state", "people", "rows"}}
	for _, d := range list {
		t.add(fmt.Sprint(d.Snapshot), d.Dataset, fmt.Sprint(d.Contract), fmt.Sprint(d.Epoch), d.State, fmt.Sprint(d.Members), fmt.Sprint(d.Rows))
	}
	return t
}

func (a *app) roomMatch() *cobra.Command {
	var incomplete bool
	cmd := &cobra.Command{
		Use: "match ROOM", Short: "Begin a room's next epoch with the datasets that are staged", Args: cobra.ExactArgs(1),
		Long: `Match the people of the datasets that wait in a room: whoever is in several of them gets the
same random number in each, and everybody else one too. What they were found by is
forgotten, and the datasets of the epoch before are dropped. It is refused before the
room's minimum epoch is over: somebody who may match often enough learns who is in.
Because whoever is late waits that long, it is refused as well while one of the room's
datasets is still missing, unless --incomplete is given.

How many people there are in common is told to nobody: mahrem room query asks for it, at a
price.`,
	}
	cmd.Flags().BoolVar(&incomplete, "incomplete", false, "begin although datasets of the room are missing, which wait for the next epoch")
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		if !incomplete {
			if err := allStaged(cmd.Context(), house, cleanroom.RoomID(args[0])); err != nil {
				return err
			}
		}
		matched, receipt, err := house.MatchRoom(cmd.Context(), by, cleanroom.RoomID(args[0]))
		if errors.Is(err, cleanroom.ErrNothingStaged) {
			return fmt.Errorf("%w; mahrem room admit, send and draw bring datasets into a room", cleanroom.ErrNothingStaged)
		}
		if err != nil {
			return err
		}
		document := struct {
			Room      cleanroom.RoomID       `json:"room"`
			Epoch     int                    `json:"epoch"`
			MatchedAt time.Time              `json:"matched_at"`
			Snapshots []snapshotDocument     `json:"snapshots"`
			Dropped   []cleanroom.SnapshotID `json:"dropped"`
			Log       *logPointer            `json:"log"`
		}{matched.Room, matched.Epoch, matched.MatchedAt, nil, append([]cleanroom.SnapshotID{}, matched.Dropped...), pointTo(receipt)}
		for i := range matched.Snapshots {
			document.Snapshots = append(document.Snapshots, newSnapshotDocument(&matched.Snapshots[i]))
		}
		return a.screen.print(document, func(w io.Writer) {
			t := table{}
			t.add("room", string(document.Room))
			t.add("epoch", fmt.Sprint(document.Epoch))
			t.add("snapshots dropped", fmt.Sprint(len(document.Dropped)))
			t.add("log entry", fmt.Sprint(document.Log.Index))
			t.writeTo(w, "")
			_, _ = fmt.Fprintln(w)
			list := snapshotTable(document.Snapshots)
			list.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

// allStaged refuses a match that only some of a room's datasets wait for.
func allStaged(ctx context.Context, house *assembly.House, id cleanroom.RoomID) error {
	room, err := house.Rooms.Reader.RoomOf(ctx, id)
	if err != nil {
		return err
	}
	snapshots, err := house.Rooms.Snapshots.Snapshots(ctx, id)
	if err != nil {
		return err
	}
	var missing []string
	for _, ref := range room.Datasets {
		if !slices.ContainsFunc(snapshots, func(n cleanroom.Snapshot) bool { return n.Dataset == ref && n.State == cleanroom.SnapshotStaged }) {
			missing = append(missing, ref.String())
		}
	}
	if len(missing) == 0 || len(missing) == len(room.Datasets) {
		return nil // with nothing at all, the match says so
	}
	return fmt.Errorf("not staged: %s; the next match is %s later: to begin without, give --incomplete", strings.Join(missing, ", "), room.MinimumEpoch)
}

func (a *app) roomSnapshots() *cobra.Command {
	cmd := &cobra.Command{
		Use: "snapshots ROOM", Short: "List the datasets that are or were in a room", Args: cobra.ExactArgs(1),
		RunE: a.inHouse(func(cmd *cobra.Command, args []string, house *assembly.House) error {
			room, err := house.Rooms.Reader.RoomOf(cmd.Context(), cleanroom.RoomID(args[0]))
			if err != nil {
				return err
			}
			snapshots, err := house.Rooms.Snapshots.Snapshots(cmd.Context(), room.ID)
			if err != nil {
				return err
			}
			list := []snapshotDocument{}
			for i := range snapshots {
				list = append(list, newSnapshotDocument(&snapshots[i]))
			}
			t := snapshotTable(list)
			return a.screen.printList(map[string]any{"room": room.ID, "snapshots": list}, &t, "nothing has come into the room yet")
		}),
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) roomDrop() *cobra.Command {
	cmd := &cobra.Command{
		Use: "drop ROOM SNAPSHOT", Short: "Take the rows of a snapshot away, for good", Args: cobra.ExactArgs(2),
		Long: `Take the rows of a snapshot of a room away: it cannot be asked about from then on. Answers
that were given stay, and so does what they cost. The number of a snapshot stands in
mahrem room snapshots.`,
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		number, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil || number < 1 {
			return usagef("SNAPSHOT is a number of mahrem room snapshots")
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		receipt, err := house.DropSnapshot(cmd.Context(), by, cleanroom.RoomID(args[0]), cleanroom.SnapshotID(number))
		if errors.Is(err, privacy.ErrConflict) {
			return errors.New("the snapshot was dropped already")
		}
		if err != nil {
			return err
		}
		document := struct {
			Room    string               `json:"room"`
			Dropped cleanroom.SnapshotID `json:"dropped"`
			Log     *logPointer          `json:"log"`
		}{args[0], cleanroom.SnapshotID(number), pointTo(receipt)}
		return a.screen.printDone(document, "dropped", fmt.Sprint(number), document.Log)
	}
	a.jsonFlag(cmd)
	return cmd
}
