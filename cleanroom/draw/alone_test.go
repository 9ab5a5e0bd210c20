package draw

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// somebody may be drawn.
type somebody struct {
	id    privacy.DataSubjectID
	key   *vault.PersonKey
	held  Held
	email string
	said  consent.Action // about the room's purpose
}

// people is a house in memory, with a room that it draws into.
type people struct {
	t        testing.TB
	vault    *vault.Vault
	keys     *match.Keys
	list     []*somebody
	matching cleanroom.Matching
	pair     *match.Pair

	snapshot cleanroom.SnapshotID
	staged   map[cleanroom.SnapshotID][]Member
	looks    int
	between  func() // after everybody was looked at
	broken   int    // the look that fails, counted in people; none if zero
}

const measured privacy.Purpose = "campaign_measurement"

func newPeople(t testing.TB, matching cleanroom.Matching) *people {
	t.Helper()
	k := keys(t)
	if _, err := k.EnsureRooms(); err != nil {
		t.Fatal(err)
	}
	set, err := k.Rooms()
	if err != nil {
		t.Fatal(err)
	}
	p := &people{t: t, vault: k.Vault(), matching: matching, staged: map[cleanroom.SnapshotID][]Member{}}
	if p.keys, err = match.NewKeys(set); err != nil {
		t.Fatal(err)
	}
	secret, err := match.NewPairSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if p.pair, err = match.NewPair(match.PairSalt{1}, secret); err != nil {
		t.Fatal(err)
	}
	return p
}

// add adds somebody; without a tier they have no rows.
func (p *people) add(email string, said consent.Action, rows bool) *somebody {
	p.t.Helper()
	s := &somebody{said: said}
	_, _ = rand.Read(s.id[:])
	key, wrapped, err := p.vault.NewPersonKey(s.id)
	if err != nil {
		p.t.Fatal(err)
	}
	s.key, s.held = key, Held{DataSubject: s.id, WrappedKey: wrapped}
	records := map[privacy.DataCategory]vault.Record{Core: born("1980-01-01")}
	if rows {
		records["profile"] = vault.Record{"loyalty_tier": {Values: []privacy.Plain{privacy.NewPlain("gold")}, Source: vault.Observed, Quality: vault.Verified}}
	}
	for category, record := range records {
		p.seal(s, category, record)
	}
	p.reach(s, email)
	p.list = append(p.list, s)
	return s
}

func (p *people) seal(s *somebody, category privacy.DataCategory, record vault.Record) {
	p.t.Helper()
	sealed, err := s.key.SealRecord(category, 1, record)
	if err != nil {
		p.t.Fatal(err)
	}
	s.held.Records = slices.DeleteFunc(slices.Clone(s.held.Records), func(r SealedRecord) bool { return r.Category == category })
	s.held.Records = append(s.held.Records, SealedRecord{Category: category, Version: 1, Sealed: sealed})
}

// reach gives somebody an address.
func (p *people) reach(s *somebody, email string) {
	p.t.Helper()
	s.email = email
	attribute, _ := shipped().Attribute("email")
	p.seal(s, attribute.Category, vault.Record{"email": {Values: []privacy.Plain{privacy.NewPlain(email)}, Source: vault.Declared, Quality: vault.Verified}})
}

func (p *people) RoomOf(context.Context, cleanroom.RoomID) (*cleanroom.Room, error) {
	return &cleanroom.Room{
		ID: "duo", Purpose: measured, Matching: p.matching,
		Members: []cleanroom.Member{{Party: "retail_media", Roles: []cleanroom.Role{cleanroom.OwnsData}}},
	}, nil
}

func (p *people) ContractsOf(context.Context, cleanroom.RoomID) ([]*cleanroom.SignedContract, error) {
	return []*cleanroom.SignedContract{{Contract: &cleanroom.Contract{
		Owner: "retail_media", Dataset: "homes", Version: 1, Source: cleanroom.FromHouse, Purposes: []privacy.Purpose{measured},
		Columns: []cleanroom.Column{{Name: "tier", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "profile", Domain: []string{"gold", "silver"}}},
	}}}, nil
}

func (p *people) DecideRoom(context.Context, policies.RoomFacts) (policies.RoomDecision, error) {
	return policies.RoomDecision{Allow: true}, nil
}

func (p *people) Catalogue() *policies.Catalogue { return shipped() }

func (p *people) Candidates(context.Context, privacy.Purpose) (ids []privacy.DataSubjectID, err error) {
	for _, s := range p.list {
		ids = append(ids, s.id)
	}
	return ids, nil
}

func (p *people) Look(_ context.Context, wanted Wanted, ids []privacy.DataSubjectID) (held []Held, at time.Time, err error) {
	for _, s := range p.list {
		if !slices.Contains(ids, s.id) {
			continue
		}
		h := s.held
		h.Standing = Standing{Jurisdiction: "DE", Consents: []consent.Record{said(measured, "*", s.said, 10)}}
		h.Records = slices.DeleteFunc(slices.Clone(h.Records), func(r SealedRecord) bool { return !slices.Contains(wanted.Categories, r.Category) })
		held = append(held, h)
	}
	if p.looks += len(ids); p.broken > 0 && p.looks >= p.broken {
		return nil, now, privacy.ErrUnavailable
	}
	if p.looks == len(p.list) && p.between != nil {
		p.between()
	}
	return held, now, nil
}

func (p *people) Put(ctx context.Context, stay Stay, wanted Wanted, ids []privacy.DataSubjectID, admit func(at time.Time, held []Held) ([]Member, error)) error {
	held, at, err := p.Look(ctx, wanted, ids)
	if err != nil {
		return err
	}
	members, err := admit(at, held)
	p.staged[stay.Snapshot] = append(p.staged[stay.Snapshot], members...)
	return err
}

// staging is where they come; what a draw does not use it lacks.
type staging struct {
	Staging
	*people
}

func (s staging) Begin(context.Context, cleanroom.Admission, audit.Event) (cleanroom.SnapshotID, error) {
	s.snapshot++
	return s.snapshot, nil
}

func (s staging) Abandon(_ context.Context, id cleanroom.SnapshotID, _ audit.Event) error {
	delete(s.staged, id)
	return nil
}

func (s staging) Place(_ context.Context, id cleanroom.SnapshotID) (ordinals []int64, err error) {
	for _, m := range s.staged[id] {
		ordinals = append(ordinals, m.Staged.Ordinal)
	}
	slices.Sort(ordinals)
	return ordinals, nil
}

func (s staging) SetTokens(context.Context, cleanroom.SnapshotID, int, [][]byte) error { return nil }

func (s staging) HandOver(context.Context, cleanroom.SnapshotID, audit.Digest, audit.Event) (audit.Receipt, error) {
	return audit.Receipt{}, nil
}

func (s staging) Admit(context.Context, cleanroom.SnapshotID, audit.Event) (audit.Receipt, error) {
	return audit.Receipt{}, nil
}

func (p *people) Own(_ context.Context, _ privacy.Principal, _ match.Own, seeds []match.Seed) (tokens []match.Token, err error) {
	for _, seed := range seeds {
		tokens = append(tokens, match.Token(seed))
	}
	return tokens, nil
}

// rooms has what a draw asks of rooms.
type rooms struct {
	cleanroom.Rooms
	*people
}

func (r rooms) RoomOf(ctx context.Context, id cleanroom.RoomID) (*cleanroom.Room, error) {
	return r.people.RoomOf(ctx, id)
}

func (r rooms) ContractsOf(ctx context.Context, id cleanroom.RoomID) ([]*cleanroom.SignedContract, error) {
	return r.people.ContractsOf(ctx, id)
}

const homesMapping = `
version: 1
identifier: {kind: email, attribute: email}
columns:
  tier: {attribute: loyalty_tier}
`

// draw draws, and returns who was.
func (p *people) draw() map[privacy.DataSubjectID]bool {
	p.t.Helper()
	found, err := p.try()
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

func (p *people) try() (map[privacy.DataSubjectID]bool, error) {
	p.t.Helper()
	mapping, err := ParseMapping([]byte(homesMapping))
	if err != nil {
		p.t.Fatal(err)
	}
	p.looks = 0
	listed := -1
	drawn, err := New(Config{
		Rooms: rooms{people: p}, Staging: staging{people: p}, Own: p, Store: p, Vault: p.vault, Keys: p.keys, Log: deaf{}, Policy: func() Policy { return p },
		BirthDate: rules().BirthDate, Childhood: rules().Childhood, Chunk: 3,
	}).Draw(p.t.Context(), privacy.Principal{}, Order{
		Room: "duo", Dataset: cleanroom.DatasetRef{Owner: "retail_media", Dataset: "homes"}, Mapping: mapping,
		Secret: bytes.Repeat([]byte{1}, match.MinSecret), Pair: p.pair,
		Hand: func(list List, commit func(audit.Digest) error) error {
			listed = len(list.Tokens)
			return commit(audit.Digest{1})
		},
	})
	if errors.Is(err, cleanroom.ErrTooFew) { // nobody
		return map[privacy.DataSubjectID]bool{}, nil
	}
	if err != nil {
		return nil, err
	}
	found, tokens := map[privacy.DataSubjectID]bool{}, map[string]bool{}
	for _, m := range p.staged[drawn.Snapshot] {
		found[m.DataSubject], tokens[string(m.Staged.Token)] = true, true
	}
	if n := len(p.staged[drawn.Snapshot]); len(found) != n || len(tokens) != n || int(drawn.Members) != n || drawn.Waiting && listed != n {
		p.t.Fatalf("%d are staged, as %d people with %d tokens; %d on the list, and said to be %d", n, len(found), len(tokens), listed, drawn.Members)
	}
	delete(p.staged, drawn.Snapshot)
	return found, nil
}

// differ returns who is in exactly one of two draws.
func differ(a, b map[privacy.DataSubjectID]bool) (n int) {
	for id := range a {
		if !b[id] {
			n++
		}
	}
	for id := range b {
		if !a[id] {
			n++
		}
	}
	return n
}

// TestOnePersonChangesOnePerson: whoever is taken out of the house, whom a draw finds differs
// in one person at most. Budgets count on that.
func TestOnePersonChangesOnePerson(t *testing.T) {
	t.Parallel()
	for i, matching := range cleanroom.Matchings() {
		t.Run(string(matching), func(t *testing.T) {
			t.Parallel()
			random := mathrand.New(mathrand.NewPCG(9, uint64(i))) // so that the houses are the same each time
			p := newPeople(t, matching)
			changed := map[int]int{} // by how many shared with them and were eligible, and by how many that changed the draw
			for range 60 {
				p.list = nil
				n := 2 + random.IntN(9)
				for range n {
					email := fmt.Sprintf("home%d@example.com", random.IntN(1+n/2))
					if random.IntN(2) == 0 {
						email = strings.ToUpper(email)
					}
					said := consent.Granted
					if random.IntN(4) == 0 {
						said = consent.Withdrawn
					}
					p.add(email, said, random.IntN(4) > 0)
				}
				everybody := p.list
				all := p.draw()
				for i, gone := range everybody {
					p.list = slices.Delete(slices.Clone(everybody), i, i+1)
					d := differ(all, p.draw())
					if d > 1 {
						t.Fatalf("without one of %d people, %d others are drawn or not", n, d)
					}
					if gone.said == consent.Withdrawn {
						if d != 0 {
							t.Fatal("whoever has not agreed changes who is drawn")
						}
						continue
					}
					sharing := 0
					for _, s := range p.list {
						if s.said == consent.Granted && strings.EqualFold(s.email, gone.email) {
							sharing++
						}
					}
					if d == 1 {
						changed[min(sharing, 2)]++
					}
				}
			}
			// One who was alone is fewer, one of two lets the other in, one of three changes nothing.
			if changed[0] == 0 || changed[1] == 0 || changed[2] != 0 {
				t.Errorf("who was drawn changed this often, by how many shared with who is gone: %v", changed)
			}
		})
	}
}

// TestWhoSharesIsLeftOut: all who share are, whatever they have in rows, and nobody because of
// somebody who has not agreed.
func TestWhoSharesIsLeftOut(t *testing.T) {
	t.Parallel()
	p := newPeople(t, cleanroom.MatchOperator)
	ada, bo, cy, di, ed, flo, gus := "ada@example.com", "bo@example.com", "cy@example.com", "di@example.com", "ed@example.com", "flo@example.com", "gus"
	want := map[privacy.DataSubjectID]bool{p.add(ada, consent.Granted, true).id: true}
	p.add(bo, consent.Granted, true)
	p.add(strings.ToUpper(bo), consent.Granted, true)
	for range 3 {
		p.add(cy, consent.Granted, true)
	}
	want[p.add(di, consent.Granted, true).id] = true
	p.add(di, consent.Withdrawn, true)
	p.add(di, consent.Refused, true)
	p.add(ed, consent.Granted, true)
	p.add(ed, consent.Granted, false) // who has no rows shares all the same
	p.add(flo, consent.Granted, false)
	p.add(gus, consent.Granted, true) // by what has no normal form nobody is found, and nobody shares it
	p.add(gus, consent.Granted, true)
	if found := p.draw(); !maps.Equal(found, want) {
		t.Errorf("%d were drawn, want %d, and %d differ", len(found), len(want), differ(found, want))
	}
}

// TestWhatChangesBetweenTheLooks: under an identifier comes nobody but whoever was alone with it
// when all were looked at.
func TestWhatChangesBetweenTheLooks(t *testing.T) {
	t.Parallel()
	p := newPeople(t, cleanroom.MatchOperator)
	stays, comes, moves, withdraws, other, agrees := p.add("a@example.com", consent.Granted, true), p.add("b@example.com", consent.Granted, true),
		p.add("c@example.com", consent.Granted, true), p.add("d@example.com", consent.Granted, true), p.add("d@example.com", consent.Granted, true),
		p.add("e@example.com", consent.Refused, true)
	p.between = func() {
		p.reach(comes, stays.email)
		p.reach(moves, "new@example.com")
		withdraws.said, agrees.said = consent.Withdrawn, consent.Granted
	}
	if found := p.draw(); len(found) != 1 || !found[stays.id] {
		t.Errorf("%d were drawn: who stays %t, comes %t, moves %t, was left alone %t, agrees late %t", len(found), found[stays.id], found[comes.id], found[moves.id], found[other.id], found[agrees.id])
	}
	p.between = nil
	if found := p.draw(); len(found) != 3 || !found[moves.id] || !found[other.id] || !found[agrees.id] {
		t.Errorf("%d were drawn the next time", len(found))
	}
}

// TestALookThatFails: who has not looked at all draws nobody.
func TestALookThatFails(t *testing.T) {
	t.Parallel()
	p := newPeople(t, cleanroom.MatchOperator)
	for i := range 7 {
		p.add(fmt.Sprintf("p%d@example.com", i), consent.Granted, true)
	}
	for p.broken = 1; p.broken <= 14; p.broken++ {
		if _, err := p.try(); !errors.Is(err, privacy.ErrUnavailable) || len(p.staged) != 0 {
			t.Errorf("broken at %d: %v, and %d snapshots are there", p.broken, err, len(p.staged))
		}
	}
}
