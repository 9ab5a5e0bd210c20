package assembly

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/postgres"
)

// mustRoom opens a room in oprf mode, in which parties have each a dataset named audience.
func mustRoom(t *testing.T, house *House, parties ...cleanroom.PartyID) map[cleanroom.PartyID]*cleanroom.Signer {
	t.Helper()
	signers := map[cleanroom.PartyID]*cleanroom.Signer{}
	store := postgres.NewRoomStore(house.DB, house.Log)
	event := func(kind audit.Kind) audit.Event {
		return audit.Event{Kind: kind, Outcome: audit.Done, Principal: Operator("tester")}
	}
	room := &cleanroom.Room{ID: "snacks", Purpose: "campaign_measurement", Mode: cleanroom.Private, Matching: cleanroom.MatchOPRF, MinimumEpoch: time.Hour, MinimumMembers: 2}
	for _, party := range parties {
		secret, public, err := cleanroom.GenerateKey(rand.Reader, party)
		if err != nil {
			t.Fatal(err)
		}
		if signers[party], err = cleanroom.ParseSigner(secret); err != nil {
			t.Fatal(err)
		}
		if _, err := store.AddParty(context.Background(), cleanroom.Party{ID: party, Key: strings.TrimSpace(public)}, event(audit.PartyAdmitted)); err != nil {
			t.Fatal(err)
		}
		room.Members = append(room.Members, cleanroom.Member{Party: party, Roles: []cleanroom.Role{cleanroom.OwnsData}})
		room.Datasets = append(room.Datasets, cleanroom.DatasetRef{Owner: party, Dataset: "audience"})
	}
	if _, err := store.OpenRoom(context.Background(), room, event(audit.RoomOpened)); err != nil {
		t.Fatal(err)
	}
	return signers
}
