package server

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// RoomReader knows the clean rooms and what is filed for them. Rooms lists open ones by name,
// or all; RoomOf returns an error that wraps [privacy.ErrNotFound] for one that is not there.
// ContractsInForce returns the newest contract of each dataset of any room, Contracts all
// versions of one, newest first, and Templates those of a room.
type RoomReader interface {
	Rooms(ctx context.Context, all bool) ([]*cleanroom.Room, error)
	RoomOf(ctx context.Context, room cleanroom.RoomID) (*cleanroom.Room, error)
	ContractsInForce(ctx context.Context) ([]*cleanroom.FiledContract, error)
	Contracts(ctx context.Context, dataset cleanroom.DatasetRef) ([]*cleanroom.FiledContract, error)
	Templates(ctx context.Context, room cleanroom.RoomID) ([]*cleanroom.SignedTemplate, error)
}

const (
	pathRooms = "/v1/rooms"
	pathRoom  = "/v1/rooms/{room}"
)

// maySee reports whether a caller is shown a room: a service those in which its recipient
// takes part. Other rooms are not there for it.
func maySee(by privacy.Principal, room *cleanroom.Room) bool {
	if by.Role != privacy.RoleService {
		return true
	}
	_, member := room.Member(by.Recipient)
	return member && by.Recipient != ""
}

func listRooms(ctx context.Context, c *call) error {
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	if c.server.services.Rooms == nil {
		return refuse(unavailable)
	}
	rooms, err := c.server.services.Rooms.Rooms(ctx, false)
	if err != nil {
		return err
	}
	seen := shownList{key: "rooms"}
	for _, room := range rooms {
		if maySee(c.principal, room) {
			seen.items = append(seen.items, shownRoom{Room: room})
		}
	}
	return c.writeJSON(http.StatusOK, seen)
}

func showRoom(ctx context.Context, c *call) error {
	room, err := c.shownIn(ctx)
	if err != nil {
		return err
	}
	shown := shownRoom{Room: room}
	if room.Matching == cleanroom.MatchOPRF {
		desk := c.server.services.RoomEvaluator
		if desk == nil {
			return refuse(unavailable)
		}
		if shown.publicKey, err = desk.PublicKey(ctx, room.ID); err != nil {
			return err
		}
	}
	return c.writeJSON(http.StatusOK, shown)
}

type shownRoom struct {
	*cleanroom.Room
	publicKey []byte // in oprf mode, of a room that is shown by itself
}

func (s shownRoom) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "room"), string(s.ID))
	b = appendString(appendKey(b, "purpose"), string(s.Purpose))
	b = appendString(appendKey(b, "mode"), string(s.Mode))
	b = appendString(appendKey(b, "matching"), string(s.Matching))
	b = append(appendKey(b, "members"), '[')
	for i, m := range s.Members {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(appendKey(append(b, '{'), "party"), string(m.Party))
		b = append(appendStrings(appendKey(b, "roles"), m.Roles), '}')
	}
	b = append(b, ']')
	datasets := make([]string, len(s.Datasets))
	for i, d := range s.Datasets {
		datasets[i] = d.String()
	}
	b = appendStrings(appendKey(b, "datasets"), datasets)
	b = appendInt(appendKey(b, "minimum_epoch_seconds"), int64(s.MinimumEpoch/time.Second))
	b = appendInt(appendKey(b, "minimum_members"), int64(s.MinimumMembers))
	b = appendInt(appendKey(b, "epoch"), int64(s.Epoch))
	for _, at := range []struct {
		key  string
		time time.Time
	}{{"matched_at", s.MatchedAt}, {"opened_at", s.OpenedAt}, {"closed_at", s.ClosedAt}} {
		if !at.time.IsZero() {
			b = appendString(appendKey(b, at.key), at.time.UTC().Format(time.RFC3339))
		}
	}
	if s.publicKey != nil {
		b = appendString(appendKey(b, "public_key"), base64.StdEncoding.EncodeToString(s.publicKey))
	}
	return append(b, '}'), nil
}
