package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

const sqlMatchStaged = `
select ` + snapshotColumns + `
from cleanroom.snapshot
where room_id = $1 and state = 'staged'
order by owner, dataset`

const sqlMatchFormer = `
select snapshot_id
from cleanroom.snapshot
where room_id = $1 and state = 'matched'
order by snapshot_id`

const sqlMatchTokens = `
select ordinal, token
from cleanroom.staged_member
where snapshot_id = $1`

const (
	sqlMatchSettle = `select cleanroom.settle($1, $2, $3)`
	sqlMatchSeal   = `select cleanroom.seal($1)`
)

const sqlMatchRoom = `
update cleanroom.room
set epoch = $2, matched_at = $3
where room_id = $1`

// Match is [cleanroom.Matches]'s: one transaction, of which nothing is seen before its end.
// While it works, people may leave the staged snapshots; whoever has by the end is in none.
func (s *SnapshotStore) Match(ctx context.Context, id cleanroom.RoomID, judged []cleanroom.SnapshotID, event audit.Event) (*cleanroom.Matched, audit.Receipt, error) {
	var done cleanroom.Matched
	receipts, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		if err := wholeTables(ctx, tx); err != nil {
			return nil, err
		}
		room, err := lockRoom(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if room.matchedAt != nil {
			over := room.matchedAt.Add(time.Duration(room.minimumEpoch) * time.Second)
			if room.now.Before(over) {
				return nil, fmt.Errorf("%w before %s: %w", cleanroom.ErrTooEarly, over.UTC().Format(time.RFC3339), privacy.ErrConflict)
			}
		}
		rows, err := tx.Query(ctx, sqlMatchStaged, string(id))
		if err != nil {
			return nil, translate(err)
		}
		staged, err := pgx.CollectRows(rows, scanSnapshot)
		if err != nil {
			return nil, translate(err)
		}
		if len(staged) == 0 {
			return nil, fmt.Errorf("%w: %w", cleanroom.ErrNothingStaged, privacy.ErrConflict)
		}
		for i := range staged {
			if !slices.Contains(judged, staged[i].ID) {
				return nil, fmt.Errorf("a dataset came in while the policies were asked about the others; match again: %w", privacy.ErrConflict)
			}
		}
		if err := s.settle(ctx, tx, staged); err != nil {
			return nil, err
		}
		former, err := s.seal(ctx, tx, id, staged)
		if err != nil {
			return nil, err
		}
		done = cleanroom.Matched{Room: id, Epoch: room.epoch + 1, MatchedAt: room.now.UTC(), Snapshots: staged}
		if _, err := tx.Exec(ctx, sqlMatchRoom, string(id), done.Epoch, room.now); err != nil {
			return nil, translate(err)
		}
		event.List, event.Count = matchDigest(&done), uint64(len(staged))
		events := []audit.Event{event}
		for i := range former {
			done.Dropped = append(done.Dropped, former[i].ID)
			dropped := event
			dropped.Kind, dropped.List, dropped.Count = audit.SnapshotDropped, former[i].Manifest, 0
			events = append(events, dropped)
		}
		for i := range staged {
			staged[i].State, staged[i].MatchedAt = cleanroom.SnapshotMatched, done.MatchedAt
		}
		return events, nil
	})
	if err != nil {
		return nil, audit.Receipt{}, fmt.Errorf("matching room: %w", err)
	}
	return &done, receipts[0], nil
}

// settle draws the numbers of everybody and makes facts under them.
func (s *SnapshotStore) settle(ctx context.Context, tx pgx.Tx, staged []cleanroom.Snapshot) error {
	ordinals, tags := make([][]int64, len(staged)), make([][]match.Tag, len(staged))
	for i := range staged {
		rows, err := tx.Query(ctx, sqlMatchTokens, staged[i].ID)
		if err != nil {
			return translate(err)
		}
		var ordinal int64
		var token []byte
		if _, err := pgx.ForEachRow(rows, []any{&ordinal, &token}, func() error {
			if len(token) != match.Size {
				return fmt.Errorf("reading tokens: %w", privacy.ErrDamaged)
			}
			ordinals[i], tags[i] = append(ordinals[i], ordinal), append(tags[i], match.Tag(token))
			return nil
		}); err != nil {
			return translate(err)
		}
	}
	ids, err := match.Assign(s.random, tags...)
	if err != nil {
		return err
	}
	for i := range staged {
		if _, err := tx.Exec(ctx, sqlMatchSettle, staged[i].ID, notNull(ordinals[i]), notNull(ids[i])); err != nil {
			return translate(err)
		}
	}
	return nil
}

// seal shows the new facts and drops those of the epoch before, which it returns.
func (s *SnapshotStore) seal(ctx context.Context, tx pgx.Tx, room cleanroom.RoomID, staged []cleanroom.Snapshot) ([]cleanroom.Snapshot, error) {
	rows, err := tx.Query(ctx, sqlMatchFormer, string(room))
	if err != nil {
		return nil, translate(err)
	}
	former, err := pgx.CollectRows(rows, pgx.RowTo[cleanroom.SnapshotID])
	if err != nil {
		return nil, translate(err)
	}
	both := slices.Clone(former)
	for i := range staged {
		both = append(both, staged[i].ID)
	}
	slices.Sort(both)
	held, err := holdSnapshots(ctx, tx, both)
	if err != nil {
		return nil, err
	}
	for _, id := range former {
		if _, err := tx.Exec(ctx, sqlSnapshotDrop, id); err != nil {
			return nil, translate(err)
		}
	}
	for i := range staged {
		if _, err := tx.Exec(ctx, sqlMatchSeal, staged[i].ID); err != nil {
			return nil, translate(err)
		}
	}
	return slices.DeleteFunc(held, func(n cleanroom.Snapshot) bool { return !slices.Contains(former, n.ID) }), nil
}

// matchDigest stands in the log for what was matched: room, epoch, and the manifest of each
// dataset with the version of its contract.
func matchDigest(m *cleanroom.Matched) audit.Digest {
	h := sha256.New()
	fmt.Fprintf(h, "mahrem match v1\n%s\n%d\n", m.Room, m.Epoch)
	for i := range m.Snapshots {
		n := &m.Snapshots[i]
		fmt.Fprintf(h, "%s %d ", n.Dataset, n.Contract)
		h.Write(n.Manifest[:])
	}
	return audit.Digest(h.Sum(nil))
}
