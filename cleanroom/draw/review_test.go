package draw

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// stays are people in two snapshots, by their keys.
type stays struct {
	wrapped map[privacy.DataSubjectID][]byte
	present map[cleanroom.SnapshotID][]privacy.DataSubjectID
	said    []consent.Record
	left    []privacy.DataSubjectID
	// broken is what becomes of somebody who is to be looked at in the second one.
	broken error
}

func (s *stays) Stayed(context.Context) ([]Stayed, error) {
	return []Stayed{{Snapshot: 1, Purpose: "campaign_measurement"}, {Snapshot: 2, Purpose: "campaign_measurement"}}, nil
}

func (s *stays) Present(_ context.Context, snapshot cleanroom.SnapshotID) ([]privacy.DataSubjectID, error) {
	return s.present[snapshot], nil
}

func (s *stays) Part(_ context.Context, stayed *Stayed, _ Wanted, people []privacy.DataSubjectID, judge func(at time.Time, held []Held) ([]Leaver, error)) (int, error) {
	if s.broken != nil && stayed.Snapshot == 2 {
		return 0, s.broken
	}
	var held []Held
	for _, id := range people {
		held = append(held, Held{DataSubject: id, WrappedKey: s.wrapped[id], Standing: Standing{Jurisdiction: "DE", Consents: s.said}})
	}
	leavers, err := judge(now, held)
	for _, leaver := range leavers {
		s.left = append(s.left, leaver.DataSubject)
	}
	return len(leavers), err
}

// bare is a room without contracts.
type bare struct{ cleanroom.Rooms }

func (bare) ContractsOf(context.Context, cleanroom.RoomID) ([]*cleanroom.SignedContract, error) {
	return nil, nil
}

// One person whose key does not open keeps nobody else in a room whose consent has ended.
func TestReviewGoesOnPastADamagedKey(t *testing.T) {
	t.Parallel()
	vault := keys(t).Vault()
	s := &stays{wrapped: map[privacy.DataSubjectID][]byte{}, present: map[cleanroom.SnapshotID][]privacy.DataSubjectID{}}
	s.said = []consent.Record{said("campaign_measurement", "*", consent.Granted, 10, func(r *consent.Record) { r.StaleAt = now.AddDate(0, 0, -1) })}
	var ids []privacy.DataSubjectID
	for i := range 5 {
		id := privacy.DataSubjectID{0: byte(i + 1), 6: 0x40, 8: 0x80}
		_, wrapped, err := vault.NewPersonKey(id)
		if err != nil {
			t.Fatal(err)
		}
		ids, s.wrapped[id] = append(ids, id), wrapped
	}
	s.present[1], s.present[2] = ids[:3], ids[3:]
	s.wrapped[ids[0]] = s.wrapped[ids[1]] // somebody else's
	reviewer := Reviewer{Stays: s, Rooms: bare{}, Vault: vault, Rules: func() Rules { return *rules() }, Chunk: 2}
	left, err := reviewer.Review(t.Context())
	if closed, ok := errors.AsType[*KeysError](err); !ok || closed.People != 1 || !errors.Is(err, privacy.ErrDamaged) || left != 4 || !slices.Equal(s.left, ids[1:]) {
		t.Errorf("%d left (%v), %v", left, s.left, err)
	}
	// If not all were looked at, whatever else is wrong, that is what is said: it is to be done again.
	for _, broken := range []error{privacy.ErrUnavailable, privacy.ErrDamaged} {
		s.broken = broken
		left, err = reviewer.Review(t.Context())
		if _, ok := errors.AsType[*KeysError](err); ok || !errors.Is(err, broken) || left != 2 {
			t.Errorf("with a database that says %v: %d left, %v", broken, left, err)
		}
	}
}
