package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// fakeReader has a room, and another one, in oprf mode, if it is asked for it.
type fakeReader struct{}

func (fakeReader) Rooms(ctx context.Context, _ bool) ([]*cleanroom.Room, error) {
	room, err := fakeReader{}.RoomOf(ctx, "spring")
	return []*cleanroom.Room{room}, err
}

func (fakeReader) RoomOf(_ context.Context, id cleanroom.RoomID) (*cleanroom.Room, error) {
	matching := cleanroom.MatchPair
	switch id {
	case "spring":
	case "blind":
		matching = cleanroom.MatchOPRF
	default:
		return nil, privacy.ErrNotFound
	}
	return &cleanroom.Room{
		ID: id, Purpose: "campaign_measurement", Mode: cleanroom.Private, Matching: matching, MinimumMembers: 1000,
		MinimumEpoch: time.Hour, Epoch: 1, OpenedAt: time.Unix(1, 0), MatchedAt: time.Unix(2, 0),
		Members:  []cleanroom.Member{{Party: "shop", Roles: []cleanroom.Role{cleanroom.OwnsData}}},
		Datasets: []cleanroom.DatasetRef{{Owner: "shop", Dataset: "purchases"}},
	}, nil
}

func (fakeReader) ContractsInForce(context.Context) ([]*cleanroom.FiledContract, error) {
	other := *shopContract.Contract
	other.Dataset = "not_in_the_room"
	return []*cleanroom.FiledContract{shopContract, {SignedContract: cleanroom.SignedContract{Contract: &other}}}, nil
}

func (fakeReader) Contracts(_ context.Context, ref cleanroom.DatasetRef) ([]*cleanroom.FiledContract, error) {
	if ref != shopContract.Ref() {
		return nil, nil
	}
	return []*cleanroom.FiledContract{shopContract}, nil
}

func (fakeReader) Templates(context.Context, cleanroom.RoomID) ([]*cleanroom.SignedTemplate, error) {
	return []*cleanroom.SignedTemplate{shopTemplate}, nil
}

// TestPublicKeyIsShown: where the house masks blindly, the room is shown with its public key,
// and otherwise there is none.
func TestPublicKeyIsShown(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{})
	show := func(room string) request {
		return request{method: http.MethodGet, target: "/v1/rooms/" + room, token: "auditor"}
	}
	w := do(s, show("blind"))
	mustStatus(t, w, http.StatusOK)
	if !strings.HasSuffix(w.Body.String(), `,"public_key":"`+generator+`"}`) {
		t.Errorf("answered %s", w.Body)
	}
	w = do(s, show("spring"))
	mustStatus(t, w, http.StatusOK)
	if strings.Contains(w.Body.String(), "public_key") {
		t.Errorf("in pair mode it answered %s", w.Body)
	}
	mustStatus(t, do(New(Services{Tokens: f, Rooms: fakeReader{}}, Config{}), show("blind")), http.StatusServiceUnavailable)
	f.err = privacy.ErrUnavailable
	mustStatus(t, do(newServer(f, Config{}), show("blind")), http.StatusServiceUnavailable)
}

// TestRoomsAreShownToThoseInThem: for a service, a room that its recipient is not in is not
// there; and a party that was removed is in none.
func TestRoomsAreShownToThoseInThem(t *testing.T) {
	t.Parallel()
	room, err := fakeReader{}.RoomOf(t.Context(), "spring")
	if err != nil {
		t.Fatal(err)
	}
	room.Gone = []cleanroom.Member{{Party: "former", Roles: []cleanroom.Role{cleanroom.MayQuery}}}
	for _, c := range []struct {
		by   privacy.Principal
		want bool
	}{
		{privacy.Principal{Role: privacy.RoleService, Recipient: "shop"}, true},
		{privacy.Principal{Role: privacy.RoleService, Recipient: "other"}, false},
		{privacy.Principal{Role: privacy.RoleService, Recipient: "former"}, false},
		{privacy.Principal{Role: privacy.RoleService}, false},
		{privacy.Principal{Role: privacy.RoleDPO}, true},
		{privacy.Principal{Role: privacy.RoleAuditor}, true},
	} {
		if got := maySee(c.by, room); got != c.want {
			t.Errorf("%s of %q sees the room: %t", c.by.Role, c.by.Recipient, got)
		}
	}
}
