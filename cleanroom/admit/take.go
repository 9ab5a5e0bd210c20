package admit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

func (s *delivery) admitted(id cleanroom.SnapshotID) *Admitted {
	m := s.manifest
	return &Admitted{
		Room: m.Room, Dataset: cleanroom.DatasetRef{Owner: m.Owner, Dataset: m.Dataset}, Epoch: m.Epoch,
		Manifest: prepare.Digest(s.signed), Snapshot: id,
	}
}

// take takes what is sent from where the delivery stands, and admits it if that is all. A line
// that breaks leaves what has come, and anything that is wrong with it leaves nothing.
func (s *delivery) take(ctx context.Context) (*Admitted, error) {
	if err := s.stand(ctx); err != nil {
		return nil, err
	}
	out := s.admitted(s.at.ID)
	err := s.chunksOf(ctx)
	if err == nil {
		err = faultOf("", s.chunks.End())
	}
	switch {
	case err != nil && wrong(err):
		return nil, errors.Join(err, s.forget(ctx))
	case err != nil:
		return nil, err
	case s.at.State != cleanroom.SnapshotLoading:
		out.Before = true
		return out, nil
	case s.remasked == nil && s.manifest.Matching == cleanroom.MatchPair:
		out.Waiting = true
		return out, nil
	}
	out.Receipt, err = s.desk.config.Staging.Admit(ctx, s.at.ID, s.event())
	switch {
	case err == nil:
		return out, nil
	case passes(err) || s.manifest.StayAtHome():
		// The house's own people wait on: another list over them can be brought.
		return nil, err
	}
	return nil, errors.Join(err, s.abandon(ctx))
}

// wrong reports whether an error is about what was sent. A line that broke, a house that is
// not there or cannot read what it has, and somebody who was quicker are not.
func wrong(err error) bool {
	return errors.Is(err, privacy.ErrInvalid) && !errors.Is(err, prepare.ErrInput) && !errors.Is(err, privacy.ErrDamaged)
}

// passes reports whether admitting may succeed later.
func passes(err error) bool {
	return errors.Is(err, privacy.ErrUnavailable) || errors.Is(err, audit.ErrUnvouched) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// statement is whose list of members it is, in pair mode.
func (s *delivery) statement() (d audit.Digest) {
	if s.remasked != nil {
		d = prepare.Digest(s.remaskedNote)
	}
	return d
}

// stand finds how much of the delivery has come, or begins it.
func (s *delivery) stand(ctx context.Context) error {
	m, staging, digest := s.manifest, s.desk.config.Staging, prepare.Digest(s.signed)
	at, err := staging.Delivered(ctx, m.Room, digest)
	begun := err == nil
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		return err
	}
	switch {
	case s.remasked != nil && (!begun || at.State == cleanroom.SnapshotLoading && at.RowChunks < len(m.RowChunks)):
		reason := "its owner has not brought the rows yet, or must bring them again"
		if m.StayAtHome() {
			reason = "no such list of the house's own people waits: they were drawn again, or too long ago"
		}
		return fault("/manifest", reason)
	case s.remasked != nil && at.Remasked != s.statement():
		if at.State != cleanroom.SnapshotLoading {
			return fault("/remasked", "the list was admitted as it was masked another time")
		}
		if err := staging.BeginMembers(ctx, at.ID, s.statement()); err != nil {
			return err
		}
		at.MemberChunks, at.Remasked = 0, s.statement()
	case !begun:
		at = &cleanroom.Snapshot{State: cleanroom.SnapshotLoading}
		at.ID, err = staging.Begin(ctx, cleanroom.Admission{
			Room: m.Room, Dataset: cleanroom.DatasetRef{Owner: m.Owner, Dataset: m.Dataset}, Contract: m.ContractVersion,
			Manifest: digest, Identifier: m.Identifier, Members: int64(m.Members), Rows: int64(m.Rows),
		}, s.ended())
		if err != nil {
			return err
		}
	}
	s.at = *at
	if s.at.State != cleanroom.SnapshotLoading {
		s.at.MemberChunks, s.at.RowChunks = len(m.MemberChunks), len(m.RowChunks)
	}
	return nil
}

// chunksOf takes the chunks that the sender has to bring, from the one on that it begins with.
func (s *delivery) chunksOf(ctx context.Context) error {
	m, first := s.manifest, s.from
	members := m.MemberChunks
	switch {
	case s.remasked != nil:
		members = s.remasked.MemberChunks
	case m.Matching == cleanroom.MatchPair:
		members = nil
	}
	here := min(len(members), s.at.MemberChunks)
	if s.remasked == nil && here == len(members) {
		here += s.at.RowChunks
	}
	if first > here {
		return fmt.Errorf("the delivery stands at chunk %d: %w: %w", here, cleanroom.ErrMoved, privacy.ErrConflict)
	}
	if err := s.members(ctx, members, min(first, len(members))); err != nil || s.remasked != nil {
		return err
	}
	return s.rows(ctx, max(0, first-len(members)))
}

// members reads chunks of members from the first one on, checks them, and takes those that
// are not there yet.
func (s *delivery) members(ctx context.Context, digests []audit.Digest, first int) error {
	s.tell(min(first*prepare.ChunkSize, s.manifest.Members))
	for i := first; i < len(digests); i++ {
		line, err := s.chunks.Chunk(digests[i])
		if err != nil {
			return faultOf("", err)
		}
		size := min(prepare.ChunkSize, s.manifest.Members-i*prepare.ChunkSize)
		if i >= s.at.MemberChunks {
			tokens, err := prepare.ParseMembers(line, s.manifest.Matching)
			if err != nil {
				return faultOf("/members", err)
			}
			if len(tokens) != size {
				return fault("/members", "a chunk has another size than its place calls for")
			}
			if err := s.stage(ctx, i, tokens); err != nil {
				return err
			}
		}
		s.tell(size)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// stage takes a chunk of members under the house's key. The house's own people wait already,
// and are given their tokens; who has left meanwhile gets none.
func (s *delivery) stage(ctx context.Context, chunk int, tokens []match.Token) error {
	tags, err := s.desk.config.Keys.Tags(ctx, s.room, s.manifest.Epoch, tokens)
	if err != nil {
		return err
	}
	if s.manifest.StayAtHome() {
		tokens := make([][]byte, len(tags))
		for i := range tags {
			tokens[i] = tags[i][:]
		}
		return s.desk.config.Staging.TakeTokens(ctx, s.at.ID, chunk, s.statement(), chunk*prepare.ChunkSize, tokens)
	}
	members := make([]cleanroom.StagedMember, len(tags))
	for i := range tags {
		members[i] = cleanroom.StagedMember{Ordinal: int64(chunk*prepare.ChunkSize + i), Token: tags[i][:]}
	}
	return s.desk.config.Staging.TakeMembers(ctx, s.at.ID, chunk, s.statement(), members)
}

// rows reads chunks of rows from the first one on, checks each value against the contract and
// takes those that are not there yet.
func (s *delivery) rows(ctx context.Context, first int) error {
	check := newChecker(s.contract)
	s.tell(min(first*prepare.ChunkSize, s.manifest.Rows))
	for i := first; i < len(s.manifest.RowChunks); i++ {
		line, err := s.chunks.Chunk(s.manifest.RowChunks[i])
		if err != nil {
			return faultOf("", err)
		}
		size := min(prepare.ChunkSize, s.manifest.Rows-i*prepare.ChunkSize)
		if i >= s.at.RowChunks {
			if err := s.row(ctx, check, i, size, line); err != nil {
				return err
			}
		}
		s.tell(size)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// row takes a chunk of rows.
func (s *delivery) row(ctx context.Context, check *checker, chunk, size int, line []byte) error {
	rows, err := prepare.ParseRows(line, len(s.contract.Columns), s.manifest.Members)
	if err != nil {
		return faultOf("/rows", err)
	}
	if len(rows) != size {
		return fault("/rows", "a chunk has another size than its place calls for")
	}
	staged := make([]cleanroom.StagedRow, len(rows))
	for j := range rows {
		var ok bool
		if staged[j], ok = check.row(&rows[j]); !ok {
			return fault("/rows", "a value is none that the contract provides for")
		}
	}
	return s.desk.config.Staging.TakeRows(ctx, s.at.ID, chunk, staged)
}

func (s *delivery) event() audit.Event {
	return audit.Event{
		Kind: audit.SnapshotAdmitted, Outcome: audit.Done, Principal: s.by, Purpose: s.room.Purpose, Recipient: s.manifest.Owner,
		List: prepare.Digest(s.signed), Policy: s.policy,
	}
}

// ended is for people of the house who were on their way in: a party's leave no entry.
func (s *delivery) ended() audit.Event {
	return audit.Event{Kind: audit.SnapshotDropped, Outcome: audit.Done, Principal: s.by, Purpose: s.room.Purpose}
}

// forget forgets what this sender has brought, and nothing that was admitted.
func (s *delivery) forget(ctx context.Context) error {
	switch {
	case s.at.State != cleanroom.SnapshotLoading:
		return nil
	case s.remasked == nil:
		return s.abandon(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return s.desk.config.Staging.BeginMembers(ctx, s.at.ID, s.statement())
}

// abandon forgets all of it, even if whoever sent it has gone.
func (s *delivery) abandon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return s.desk.config.Staging.Abandon(ctx, s.at.ID, s.ended())
}

func (s *delivery) tell(n int) {
	s.done += int64(n)
	if s.progress != nil {
		s.progress(s.done, int64(s.manifest.Members)+int64(s.manifest.Rows))
	}
}

// checker holds values to a contract.
type checker struct {
	lo, hi   []int64
	measures []bool
}

func newChecker(c *cleanroom.Contract) *checker {
	k := &checker{}
	for i := range c.Columns {
		column := &c.Columns[i]
		lo, hi := int64(-cleanroom.LargestMeasure), int64(cleanroom.LargestMeasure)
		switch column.Type {
		case cleanroom.Enum:
			lo, hi = 0, int64(len(column.Domain))-1
		case cleanroom.Day:
			// A contract was checked when it was signed: both are days.
			lo, _ = column.Encode(column.First)
			hi, _ = column.Encode(column.Last)
		}
		k.lo, k.hi, k.measures = append(k.lo, lo), append(k.hi, hi), append(k.measures, column.Role == cleanroom.Measure)
	}
	return k
}

func (k *checker) row(row *prepare.Row) (cleanroom.StagedRow, bool) {
	staged := cleanroom.StagedRow{Ordinal: int64(row.Member)}
	for i, value := range row.Values {
		switch {
		case value < k.lo[i] || value > k.hi[i]:
			return staged, false
		case k.measures[i]:
			staged.Measures = append(staged.Measures, value)
		case value != int64(int32(value)):
			return staged, false // a hidden number that does not fit where it is kept
		default:
			staged.Dimensions = append(staged.Dimensions, int32(value))
		}
	}
	return staged, true
}
