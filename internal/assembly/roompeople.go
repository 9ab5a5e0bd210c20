package assembly

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// findInRooms has the database take people out of clean rooms who may not be in them any
// longer. It comes before anything that could change a person.
func (h *House) findInRooms() {
	keys := &roomKeys{house: h}
	h.roomKeys = keys
	h.DB.FindInRooms(postgres.RoomPeople{
		Seat: func(snapshot cleanroom.SnapshotID, person privacy.DataSubjectID) ([16]byte, error) {
			k, err := keys.get()
			if err != nil {
				return [16]byte{}, err
			}
			return k.Seat(snapshot, person)
		},
		Binds: func(said, room privacy.Purpose) bool {
			if h.Engine == nil || h.Engine.Revision() == nil {
				return true // so early nothing is known of purposes: any objection takes people out
			}
			return draw.Binds(h.Engine.Revision().Catalogue(), said, room)
		},
	})
}

// roomKeys reads the key of clean rooms when it is first needed: another process may make it
// after this one has started.
type roomKeys struct {
	house *House
	maker keyMaker
	mu    sync.Mutex
	keys  *match.Keys
}

// errNoRoomKey wraps [privacy.ErrUnavailable].
var errNoRoomKey = fmt.Errorf("the key of clean rooms is not in the key directory: %w", privacy.ErrUnavailable)

func (r *roomKeys) get() (*match.Keys, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys != nil {
		return r.keys, nil
	}
	set, err := r.house.Keys.Rooms()
	if errors.Is(err, privacy.ErrNotFound) {
		return nil, errNoRoomKey
	}
	if err != nil {
		return nil, err
	}
	r.keys, err = match.NewKeys(set)
	return r.keys, err
}

// makeRoomKeys returns the key of clean rooms, and makes it if there is none.
func (h *House) makeRoomKeys(ctx context.Context) (*match.Keys, error) {
	keys, err := h.roomKeys.get()
	if !errors.Is(err, errNoRoomKey) {
		return keys, err
	}
	find := func() error { _, err := h.Keys.Rooms(); return err }
	if err := h.roomKeys.maker.ensure(ctx, h.Log, "", find, h.Keys.EnsureRooms); err != nil {
		return nil, err
	}
	return h.roomKeys.get()
}

// roomTagger keys what parties bring; the key is made when somebody first brings something.
type roomTagger struct{ house *House }

// Tags is [match.Keys]'s.
func (r roomTagger) Tags(ctx context.Context, room *cleanroom.Room, epoch int, tokens []match.Token) ([]match.Tag, error) {
	keys, err := r.house.makeRoomKeys(ctx)
	if err != nil {
		return nil, err
	}
	return keys.Tags(ctx, room, epoch, tokens)
}
