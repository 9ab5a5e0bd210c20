package roomattack

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/activate"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

// addressed are the people of a house who can be on lists: they buy b, but for the person, who
// would buy a, and everybody has agreed.
type addressed struct {
	wrapped   map[privacy.DataSubjectID][]byte
	people    []privacy.DataSubjectID // the person comes first
	keys      *keydir.Keys
	names     map[pseudonym.Pseudonym]bool // of everybody but the person
	own       *pseudonym.Pseudonyms
	signed    []*cleanroom.SignedContract
	catalogue *policies.Catalogue
}

const advertiser privacy.RecipientID = "brand"

func newAddressed(t *testing.T) *addressed {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	a := &addressed{wrapped: map[privacy.DataSubjectID][]byte{}, names: map[pseudonym.Pseudonym]bool{}, signed: contracts(1)}
	var err error
	if a.keys, err = keydir.Open(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.keys.EnsureRecipient(advertiser); err != nil {
		t.Fatal(err)
	}
	primitive, err := a.keys.Recipient(advertiser)
	if err != nil {
		t.Fatal(err)
	}
	if a.own, err = pseudonym.New(advertiser, primitive); err != nil {
		t.Fatal(err)
	}
	for i := range 1 + activate.MinimumPeople + 100 { // far enough above the least for lists to be made
		id := privacy.DataSubjectID{0: byte(i >> 8), 1: byte(i), 6: 0x40, 8: 0x80, 15: 1}
		_, wrapped, err := a.keys.Vault().NewPersonKey(id)
		if err != nil {
			t.Fatal(err)
		}
		name, err := a.own.Of(id)
		if err != nil {
			t.Fatal(err)
		}
		a.people, a.wrapped[id], a.names[name] = append(a.people, id), wrapped, i > 0
	}
	for _, c := range a.signed {
		c.Contract.Purposes = append(c.Contract.Purposes, "audience_sync")
	}
	if a.catalogue, err = policies.LoadCatalogue(policies.Bundle(), "catalogue"); err != nil {
		t.Fatal(err)
	}
	return a
}

// visit is one trial in the house, in which the person is or is not.
type visit struct {
	*addressed
	in bool
}

func (v *visit) present() []privacy.DataSubjectID {
	if v.in {
		return v.people
	}
	return v.people[1:]
}

func seatOf(_ cleanroom.SnapshotID, person privacy.DataSubjectID) ([16]byte, error) {
	return person, nil
}

func (v *visit) Seats(_ context.Context, _ cleanroom.RoomID, plan *cleanroom.Plan, _ cleanroom.SnapshotID, found func([16]byte) error) error {
	for _, id := range v.present() {
		word := int64(1)
		if id == v.people[0] {
			word = 0
		}
		for i := range plan.Sources[0].Filters {
			if !slices.Contains(plan.Sources[0].Filters[i].Values, word) {
				word = -1
			}
		}
		if word >= 0 {
			if err := found(id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *visit) Present(context.Context, cleanroom.SnapshotID) ([]privacy.DataSubjectID, error) {
	return v.present(), nil
}

func (v *visit) Look(_ context.Context, _ draw.Wanted, people []privacy.DataSubjectID) ([]draw.Held, time.Time, error) {
	held := make([]draw.Held, len(people))
	for i, id := range people {
		held[i] = draw.Held{DataSubject: id, WrappedKey: v.wrapped[id], Standing: draw.Standing{
			Jurisdiction: "DE", Consents: []consent.Record{{
				Purpose: "audience_sync", Channel: "partner", Action: consent.Granted, Basis: privacy.Consent, Explicit: true,
				Actor: consent.ByDataSubject, EffectiveAt: clock.AddDate(0, 0, -1),
			}},
		}}
	}
	return held, clock, nil
}

func (v *visit) Of(privacy.RecipientID) (*pseudonym.Pseudonyms, error) { return v.own, nil }

// listAttack has lists made, some of which the person would be on, spends all there is, and
// looks at pseudonyms that it does not know.
type listAttack struct {
	name   string
	chosen [][]string
	on     []bool // on which of them the person would be
}

func listAttacks() []listAttack {
	both, other := []string{"a", "b"}, []string{"b"}
	return []listAttack{
		{"the same list", [][]string{both, both, both, both, both, both, both}, []bool{true, true, true, true, true, true, true}},
		{"with and without", [][]string{both, other, both, other, both, other, both}, []bool{true, false, true, false, true, false, true}},
		{
			"different lists",
			[][]string{both, {"a", "b", "c"}, {"a", "b", "d"}, {"b", "c"}, {"a", "b", "e", "f"}, {"b", "d"}, {"a", "b", "g"}},
			[]bool{true, true, true, false, true, false, true},
		},
	}
}

// features are what attackers look at in the lists: how many they do not know in those where
// the person would be, on average, and in the others, and how many of them are exactly where
// the person would be. The person adds one to the first and to the last.
type features [3]float64

// run makes the lists of one trial, for each of which other people are made up if there are new
// crowds.
func (l *listAttack) run(ctx context.Context, house *addressed, in bool, seed uint64, newCrowds bool) (f features, err error) {
	v := &visit{house, in}
	source := roomtest.NewNoise(seed)
	log := &roomtest.Log{}
	caps := roomtest.Caps{All: Cap, Consumer: ConsumerCap}
	ledger := roomtest.NewLedger(log, map[cleanroom.DatasetRef]roomtest.Caps{Purchases: caps, Members: caps})
	room := room(cleanroom.Private, 1)
	for i := range room.Members {
		room.Members[i].Roles = append(room.Members[i].Roles, cleanroom.MayActivate)
	}
	rooms := &roomtest.Rooms{Room: room, Contracts: house.signed, Snapshots: snapshots(house.signed, 1)}
	now, lists := clock, uint64(0)
	activator := activate.New(activate.Config{
		Rooms:     cleanroom.New(rooms, everythingGoes{}, ledger, &roomtest.Executor{}, source, log, cleanroom.Config{}),
		Snapshots: rooms, Seats: v, People: v, Names: v, Ledger: ledger, Noise: source, Vault: house.keys.Vault(), Seat: seatOf,
		Crowd: func(cleanroom.RoomID, privacy.RecipientID) ([32]byte, error) {
			if newCrowds {
				lists++
			}
			return sha256.Sum256(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, seed), lists)), nil
		},
		Rules: func() draw.Rules {
			return draw.Rules{
				Catalogue: house.catalogue,
				BirthDate: func(vault.Record) (string, bool) { return "1980-01-01", true },
				Childhood: func(privacy.Jurisdiction, string) consent.Childhood { return nil },
			}
		},
		Now:   func() time.Time { return now },
		Sleep: func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil },
		Limit: time.Hour, // of the machine's time, which many trials share
	})
	where := map[pseudonym.Pseudonym]uint64{} // bits for the lists
	target, others := 0.0, 0.0
	var exactly uint64
	for i, chosen := range l.chosen {
		document := fmt.Appendf(nil, `{"room":%q,"from":[{"dataset":"shop.purchases","as":"p"}],"where":[{"col":"p.kind","op":"in","val":%s}],"metrics":[],`+
			`"privacy":{"noise_people":%d,"max_groups_per_person":1},"purpose":"audience_sync"}`, roomID, quoted(chosen), noisePeople)
		audience, err := activator.Activate(ctx, privacy.Principal{ID: "brand", Role: privacy.RoleService, Recipient: advertiser}, roomID, document)
		if err != nil {
			return f, fmt.Errorf("%s, list %d: %w", l.name, i, err)
		}
		unknown := 0.0
		for _, name := range audience.Pseudonyms {
			if !house.names[name] {
				unknown++
				where[name] |= 1 << i
			}
		}
		if l.on[i] {
			target++
			exactly |= 1 << i
			f[0] += unknown
		} else {
			others++
			f[1] += unknown
		}
	}
	f[0], f[1] = f[0]/target, f[1]/max(1, others)
	for _, lists := range where {
		if lists == exactly {
			f[2]++
		}
	}
	return f, nil
}

func quoted(words []string) string {
	text := "["
	for i, word := range words {
		if i > 0 {
			text += ","
		}
		text += `"` + word + `"`
	}
	return text + "]"
}

// attack returns how often attackers are right who have tried the same many times where the
// person is not, and so know what lists look like there, and by how much their numbers vary; and
// how often they would be right in the long run, which a few trials tell to a fraction of a point:
// it follows from how far a person moves the numbers beside how far chance does.
func (l *listAttack) attack(t *testing.T, house *addressed, trials int, newCrowds bool) (right, expected, bound float64) {
	t.Helper()
	seen, in := make([]features, 2*trials), make([]bool, 2*trials)
	coins := rand.New(rand.NewPCG(17, uint64(len(l.name))))
	for i := range trials {
		in[trials+i] = coins.IntN(2) == 1
	}
	var running sync.WaitGroup
	failures := make([]error, runtime.GOMAXPROCS(0))
	for w := range failures {
		running.Go(func() {
			for i := w; i < len(seen) && failures[w] == nil; i += len(failures) {
				seen[i], failures[w] = l.run(t.Context(), house, in[i], uint64(i), newCrowds)
			}
		})
	}
	running.Wait()
	for _, err := range failures {
		if err != nil {
			t.Fatal(err)
		}
	}
	mean, inverse := learn(seen[:trials])
	weights := inverse.times(features{1, 0, 1})
	hits := 0
	for i := trials; i < len(seen); i++ {
		evidence := -(weights[0] + weights[2]) / 2
		for j := range mean {
			evidence += weights[j] * (seen[i][j] - mean[j])
		}
		if evidence > 0 == in[i] {
			hits++
		}
	}
	distance := math.Sqrt(weights[0] + weights[2]) // between the worlds, in standard deviations
	expected = (1 + math.Erf(distance/2/math.Sqrt2)) / 2
	// What was paid for, and once what the crowd does not hide: see docs/cleanroom.md.
	return float64(hits) / float64(trials), expected, noise.Accuracy(int64(ConsumerCap) + int64(5e8/max(mean[2], 1)))
}

type matrix [3]features

// learn returns means and the inverse of the covariances.
func learn(seen []features) (mean features, inverse matrix) {
	n := float64(len(seen))
	for _, f := range seen {
		for j := range f {
			mean[j] += f[j] / n
		}
	}
	var c matrix
	for _, f := range seen {
		for i := range f {
			for j := range f {
				c[i][j] += (f[i] - mean[i]) * (f[j] - mean[j]) / n
			}
		}
	}
	for i := range c {
		c[i][i] += 1e-4 // what never varies is known to that
	}
	determinant := 0.0
	minor := func(i, j int) float64 {
		a, b, d, e := (i+1)%3, (i+2)%3, (j+1)%3, (j+2)%3
		return c[a][d]*c[b][e] - c[a][e]*c[b][d]
	}
	for j := range 3 {
		determinant += c[0][j] * minor(0, j)
	}
	for i := range 3 {
		for j := range 3 {
			inverse[j][i] = minor(i, j) / determinant
		}
	}
	return mean, inverse
}

func (m matrix) times(f features) (product features) {
	for i := range m {
		for j := range f {
			product[i] += m[i][j] * f[j]
		}
	}
	return product
}

// TestListsTellLittle: whoever knows all pseudonyms but one, compares lists and spends
// everything, cannot tell much better than was paid for whether the person is among those that they do not
// know; if other people are made up for each list, they can.
func TestListsTellLittle(t *testing.T) {
	t.Parallel()
	house := newAddressed(t)
	n, broken, attacks := 80, 25, listAttacks()
	if testing.Short() {
		n, broken, attacks = 30, 15, attacks[1:2]
	}
	slack := 4 * math.Sqrt(0.25/float64(n)) // four standard errors
	for _, l := range attacks {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			right, expected, bound := l.attack(t, house, n, false)
			t.Logf("right in %.1f %% of %d trials, %.1f %% expected, bound %.1f %%", 100*right, n, 100*expected, 100*bound)
			if expected > bound+0.01 {
				t.Errorf("right in %.2f %% in the long run, at most it is %.2f %%", 100*expected, 100*bound)
			}
			if right > bound+slack {
				t.Errorf("right in %.1f %% of %d trials, at most it is %.1f %%", 100*right, n, 100*bound)
			}
			right, expected, _ = l.attack(t, house, broken, true)
			t.Logf("with other people for each list right in %.1f %%, %.1f %% expected", 100*right, 100*expected)
			if right < 0.9 || expected < 0.99 {
				t.Errorf("with other people for each list they are right in %.1f %% only: the attack shows nothing", 100*right)
			}
		})
	}
}
