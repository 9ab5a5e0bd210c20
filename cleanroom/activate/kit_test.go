package activate_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/activate"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

const contractText = `{
  "owner": "retail_media", "dataset": "purchases", "version": 1, "source": "house", "unit": "person",
  "purposes": ["audience_sync", "campaign_measurement"],
  "columns": [{"name": "kind", "role": "dimension", "type": "enum", "category": "purchases", "domain": ["tea", "coffee"]}],
  "minimum_people": 50, "cap_nanorho": 147000000, "consumer_cap_nanorho": 36750000, "query_cap_nanorho": 5880000,
  "max_groups_per_person": 1, "ad_hoc": true
}`

const teaDrinkers = `{
  "room": "r1", "from": [{"dataset": "retail_media.purchases", "as": "p"}], "where": [{"col": "p.kind", "op": "=", "val": "tea"}],
  "metrics": [], "privacy": {"noise_people": 20, "max_groups_per_person": 1}, "purpose": "audience_sync"
}`

var (
	brand = privacy.Principal{ID: "buyer", Role: privacy.RoleService, Recipient: "brand_partner"}
	start = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
)

// fixed adds the same number to everything.
type fixed int64

func (f fixed) Gaussian(x int64, _ float64) int64 { return x + int64(f) }

// house is a room in memory whose people are numbered; who is even drinks tea.
type house struct {
	t        testing.TB
	keys     *keydir.Keys
	people   []privacy.DataSubjectID
	wrapped  map[privacy.DataSubjectID][]byte
	agreed   map[privacy.DataSubjectID]bool
	restrict map[privacy.DataSubjectID]bool
	log      *roomtest.Log
	ledger   *roomtest.Ledger
	noise    fixed
	broken   func(ctx context.Context) error
	now      time.Time
	allow    bool
	mode     cleanroom.Mode
	facts    policies.RoomFacts
	further  []string // contracts of the house's other datasets
	// templates are signed by everybody.
	templates []*cleanroom.Template
}

func (h *house) DecideRoom(_ context.Context, facts policies.RoomFacts) (policies.RoomDecision, error) {
	h.facts = facts
	return policies.RoomDecision{Allow: h.allow, MinimumPeople: 1000, Policy: audit.Digest{7}}, nil
}

func (h *house) Seats(ctx context.Context, _ cleanroom.RoomID, plan *cleanroom.Plan, snapshot cleanroom.SnapshotID, found func([16]byte) error) error {
	if len(plan.Sources) != 1+len(h.further) || len(plan.Sources[0].Filters) != 1 {
		h.t.Errorf("plan %+v", plan)
	}
	for i, id := range h.people {
		if i%2 == 0 {
			at, _ := seat(snapshot, id)
			if err := found(at); err != nil {
				return err
			}
		}
	}
	if h.broken != nil {
		return h.broken(ctx)
	}
	return nil
}

func (h *house) Present(context.Context, cleanroom.SnapshotID) ([]privacy.DataSubjectID, error) {
	return h.people, nil
}

func (h *house) Look(_ context.Context, wanted draw.Wanted, people []privacy.DataSubjectID) (held []draw.Held, at time.Time, err error) {
	for _, id := range people {
		if h.restrict[id] {
			continue
		}
		person := draw.Held{DataSubject: id, WrappedKey: h.wrapped[id], Standing: draw.Standing{Jurisdiction: "DE"}}
		if h.agreed[id] {
			person.Standing.Consents = []consent.Record{{
				Purpose: "audience_sync", Channel: "partner", Action: consent.Granted, Basis: privacy.Consent, Explicit: true,
				Actor: consent.ByDataSubject, EffectiveAt: start.AddDate(0, 0, -1),
			}}
		}
		held = append(held, person)
	}
	return held, start, nil
}

func (h *house) Of(recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error) {
	return pseudonymsOf(h.keys, recipient)
}

func pseudonymsOf(keys *keydir.Keys, recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error) {
	if _, err := keys.EnsureRecipient(recipient); err != nil {
		return nil, err
	}
	primitive, err := keys.Recipient(recipient)
	if err != nil {
		return nil, err
	}
	return pseudonym.New(recipient, primitive)
}

func seat(snapshot cleanroom.SnapshotID, person privacy.DataSubjectID) ([16]byte, error) {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(person[:], uint64(snapshot)))
	return [16]byte(sum[:16]), nil
}

// newHouse has n people, all of whom have agreed.
func newHouse(t testing.TB, n int) *house {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	h := &house{
		t: t, wrapped: map[privacy.DataSubjectID][]byte{}, agreed: map[privacy.DataSubjectID]bool{}, restrict: map[privacy.DataSubjectID]bool{},
		log: &roomtest.Log{}, now: start, allow: true, mode: cleanroom.Private,
	}
	var err error
	if h.keys, err = keydir.Open(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		id := privacy.DataSubjectID{0: byte(i >> 8), 1: byte(i), 6: 0x40, 8: 0x80, 15: 1}
		_, wrapped, err := h.keys.Vault().NewPersonKey(id)
		if err != nil {
			t.Fatal(err)
		}
		h.people, h.wrapped[id], h.agreed[id] = append(h.people, id), wrapped, true
	}
	h.ledger = roomtest.NewLedger(h.log, map[cleanroom.DatasetRef]roomtest.Caps{
		{Owner: "retail_media", Dataset: "purchases"}: {All: 147000000, Consumer: 3 * 1250000},
	})
	return h
}

func (h *house) activator() *activate.Activator { return h.activatorWith(h.ledger) }

func (h *house) activatorWith(ledger cleanroom.Ledger) *activate.Activator {
	h.t.Helper()
	secret, public, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{1}, 64)), "retail_media")
	if err != nil {
		h.t.Fatal(err)
	}
	signer, _ := note.NewSigner(secret)
	verifier, _ := note.NewVerifier(public)
	var contracts []*cleanroom.SignedContract
	var snapshots []cleanroom.MatchedSnapshot
	for i, document := range append([]string{contractText}, h.further...) {
		contract, err := cleanroom.ParseContract([]byte(document))
		if err != nil {
			h.t.Fatal(err)
		}
		text, err := cleanroom.SignContract(contract, signer)
		if err != nil {
			h.t.Fatal(err)
		}
		signed, err := cleanroom.OpenContract(text, verifier)
		if err != nil {
			h.t.Fatal(err)
		}
		contracts = append(contracts, signed)
		snapshots = append(snapshots, cleanroom.MatchedSnapshot{ID: cleanroom.SnapshotID(10 + i), Dataset: signed.Ref(), Prepared: signed})
	}
	rooms := &roomtest.Rooms{
		Room: &cleanroom.Room{
			ID: "r1", Purpose: "campaign_measurement", Mode: h.mode, Matching: cleanroom.MatchOperator, Epoch: 1,
			Members: []cleanroom.Member{
				{Party: "brand_partner", Roles: []cleanroom.Role{cleanroom.MayActivate}}, {Party: "retail_media", Roles: []cleanroom.Role{cleanroom.OwnsData}},
			},
		},
		Contracts: contracts, Snapshots: snapshots,
	}
	catalogue, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, template := range h.templates {
		rooms.Templates = append(rooms.Templates, &cleanroom.SignedTemplate{Template: template, Signers: []cleanroom.PartyID{"brand_partner", "retail_media"}})
	}
	service := cleanroom.New(rooms, h, h.ledger, &roomtest.Executor{}, h.noise, h.log, cleanroom.Config{})
	return activate.New(activate.Config{
		Rooms: service, Snapshots: rooms, Seats: h, People: h, Names: h, Ledger: ledger, Noise: h.noise, Vault: h.keys.Vault(), Seat: seat,
		Crowd: func(room cleanroom.RoomID, recipient privacy.RecipientID) ([32]byte, error) {
			return sha256.Sum256([]byte(string(room) + " " + string(recipient))), nil
		},
		Rules: func() draw.Rules {
			return draw.Rules{
				Catalogue: catalogue,
				BirthDate: func(vault.Record) (string, bool) { return "1980-01-01", true },
				Childhood: func(privacy.Jurisdiction, string) consent.Childhood { return nil },
			}
		},
		Now: func() time.Time { return h.now },
		Sleep: func(_ context.Context, d time.Duration) error {
			h.now = h.now.Add(d)
			return nil
		},
	})
}

func (h *house) names(ids ...privacy.DataSubjectID) (own []pseudonym.Pseudonym) {
	h.t.Helper()
	names, err := pseudonymsOf(h.keys, "brand_partner")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, id := range ids {
		name, err := names.Of(id)
		if err != nil {
			h.t.Fatal(err)
		}
		own = append(own, name)
	}
	return own
}
