package assembly

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// mustDelivery opens the room spring in operator mode, has a party that takes part sign a
// contract for it, and returns what the party has prepared, as it goes to the house.
func mustDelivery(t *testing.T, house *House, signer *cleanroom.Signer) string {
	t.Helper()
	party := signer.Party()
	event := func(kind audit.Kind) audit.Event {
		return audit.Event{Kind: kind, Outcome: audit.Done, Principal: Operator("tester")}
	}
	room := &cleanroom.Room{
		ID: "spring", Purpose: "campaign_measurement", Mode: cleanroom.Private, Matching: cleanroom.MatchOperator, MinimumEpoch: time.Hour, MinimumMembers: 2,
		Members:  []cleanroom.Member{{Party: party, Roles: []cleanroom.Role{cleanroom.OwnsData}}},
		Datasets: []cleanroom.DatasetRef{{Owner: party, Dataset: "buyers"}},
	}
	if _, err := house.Rooms.Reader.OpenRoom(context.Background(), room, event(audit.RoomOpened)); err != nil {
		t.Fatal(err)
	}
	signed, err := cleanroom.SignContract(&cleanroom.Contract{
		Owner: party, Dataset: "buyers", Version: 1, Source: cleanroom.FromParty, Unit: "person", Purposes: []privacy.Purpose{"campaign_measurement"},
		Columns:       []cleanroom.Column{{Name: "tier", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "purchases", Domain: []string{"gold", "silver"}}},
		MinimumPeople: 50, Cap: 147_000_000, ConsumerCap: 36_750_000, QueryCap: 5_880_000, MaxGroupsPerPerson: 1, AdHoc: true,
	}, signer)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := cleanroom.ParseVerifier(signer.Public(), party)
	if err != nil {
		t.Fatal(err)
	}
	contract, err := cleanroom.OpenContract(signed, verifier)
	if err != nil {
		t.Fatal(err)
	}
	filed := &cleanroom.FiledContract{SignedContract: *contract, Verifier: signer.Public()}
	if _, err := house.Rooms.Reader.AddContract(context.Background(), filed, event(audit.ContractSigned)); err != nil {
		t.Fatal(err)
	}
	const people = "mail,optin,tier\nada@example.com,yes,gold\nbo@example.com,yes,silver\n"
	dir := filepath.Join(t.TempDir(), "list")
	_, err = prepare.Run(t.Context(), intake.Source{Name: "people.csv", Size: int64(len(people)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(people)), nil
	}}, dir, prepare.Config{
		Room: "spring", Epoch: 1, Contract: contract, Matcher: match.NewOperator(), Identifier: privacy.Email, IdentifierColumn: "mail",
		ConsentColumn: "optin", ConsentYes: "yes", Declared: 2, Minimum: 2, Signer: signer, Noise: noise.Secure{}, Random: rand.Reader, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	delivery, err := prepare.OpenDelivery(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = delivery.Close() }()
	text, err := io.ReadAll(delivery)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// manifestOf is the name of a delivery.
func manifestOf(t *testing.T, delivery string) string {
	t.Helper()
	line, _, _ := strings.Cut(delivery, "\n")
	head, err := prepare.ParseHead([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", prepare.Digest(head.Manifest))
}
