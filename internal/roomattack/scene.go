package roomattack

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/privacy"
)

// The datasets of the room that is attacked, and who may ask.
var (
	Purchases = cleanroom.DatasetRef{Owner: "shop", Dataset: "purchases"}
	Members   = cleanroom.DatasetRef{Owner: "brand", Dataset: "members"}
	consumers = []cleanroom.PartyID{"agency", "auction", "bank", "brand", "broker", "carrier", "exchange", "insurer"}
)

// The budgets are the usual ones: 0.147 for everybody, which is an epsilon of 3 at a delta of
// a millionth, a quarter of it for each consumer, a 25th for each question.
const (
	Cap         cleanroom.Rho = 147_000_000
	ConsumerCap cleanroom.Rho = Cap / 4
	QueryCap    cleanroom.Rho = Cap / 25
)

const (
	roomID        = cleanroom.RoomID("measurement")
	purpose       = "campaign_measurement"
	minimumPeople = 50
	noisePeople   = 10 // the least that a question may have
	mostSpent     = 100
)

// words of the column that the attackers choose people by; the person is in the first one.
var words = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}

// contracts are those of the two datasets, under which a person counts in so many groups.
func contracts(groups int) []*cleanroom.SignedContract {
	contract := func(ref cleanroom.DatasetRef, source cleanroom.Source, columns []cleanroom.Column) *cleanroom.SignedContract {
		return &cleanroom.SignedContract{Digest: sha256.Sum256([]byte(ref.String())), Contract: &cleanroom.Contract{
			Owner: ref.Owner, Dataset: ref.Dataset, Version: 1, Source: source, Unit: "person", Purposes: []privacy.Purpose{purpose},
			Columns: columns, MinimumPeople: minimumPeople, Cap: Cap, ConsumerCap: ConsumerCap, QueryCap: QueryCap,
			MaxGroupsPerPerson: groups, AdHoc: true,
		}}
	}
	return []*cleanroom.SignedContract{
		contract(Members, cleanroom.FromParty, []cleanroom.Column{
			{Name: "campaign", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "segments", Domain: words},
		}),
		contract(Purchases, cleanroom.FromHouse, []cleanroom.Column{
			{Name: "kind", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "purchases", Domain: words},
			{
				Name: "spend", Role: cleanroom.Measure, Type: cleanroom.Integer, Category: "purchases", Lo: 0, Hi: mostSpent,
				Bins: []int64{25, 50, 75}, Functions: []cleanroom.Function{cleanroom.Sum, cleanroom.Average, cleanroom.Histogram},
			},
		}),
	}
}

// room is the room in an epoch.
func room(mode cleanroom.Mode, epoch int) *cleanroom.Room {
	r := &cleanroom.Room{
		ID: roomID, Purpose: purpose, Mode: mode, Matching: cleanroom.MatchOperator, MinimumEpoch: 7 * 24 * time.Hour,
		Epoch: epoch, MatchedAt: clock, OpenedAt: clock,
	}
	for _, consumer := range consumers {
		roles := []cleanroom.Role{cleanroom.MayQuery, cleanroom.MayReceive}
		if consumer == Members.Owner {
			roles = append([]cleanroom.Role{cleanroom.OwnsData}, roles...)
		}
		r.Members = append(r.Members, cleanroom.Member{Party: consumer, Roles: roles})
	}
	r.Members = append(r.Members, cleanroom.Member{Party: Purchases.Owner, Roles: []cleanroom.Role{cleanroom.OwnsData}})
	return r
}

// snapshots of an epoch: that of the members, and that of the purchases.
func snapshots(signed []*cleanroom.SignedContract, epoch int) []cleanroom.MatchedSnapshot {
	return []cleanroom.MatchedSnapshot{
		{ID: cleanroom.SnapshotID(2*epoch - 1), Dataset: Members, Prepared: signed[0]},
		{ID: cleanroom.SnapshotID(2 * epoch), Dataset: Purchases, Prepared: signed[1]},
	}
}

// World is the data of a room, with and without the person.
type World struct {
	With, Without map[cleanroom.SnapshotID][]roomtest.Row
}

// target is the person, who bought for the most that counts.
const target = 0

// newWorld returns purchases of so many people for each of the words, of which every second
// one is a member, in two epochs. The person is among the purchases or not. They are always
// on the list of the members in the first epoch, and never on that of the second.
func newWorld(sizes []int) World {
	var members, purchases []roomtest.Row
	match := int64(target)
	for word, size := range sizes {
		for i := range size {
			match++
			purchases = append(purchases, roomtest.Row{Match: match, D: [8]int64{int64(word)}, M: [4]int64{int64(i*7) % (mostSpent + 1)}})
			if i%2 == 0 {
				members = append(members, roomtest.Row{Match: match, D: [8]int64{int64(word)}})
			}
		}
	}
	listed := append([]roomtest.Row{{Match: target}}, members...)
	bought := append([]roomtest.Row{{Match: target, M: [4]int64{mostSpent}}}, purchases...)
	return World{
		With:    map[cleanroom.SnapshotID][]roomtest.Row{1: listed, 2: bought, 3: members, 4: bought},
		Without: map[cleanroom.SnapshotID][]roomtest.Row{1: listed, 2: purchases, 3: members, 4: purchases},
	}
}

// buysEverything has the person buy of each word, for the most that counts.
func (w World) buysEverything() World {
	for id, rows := range w.With {
		for word := range words {
			if word > 0 && rows[0].Match == target && rows[0].M[0] == mostSpent {
				rows = append(rows, roomtest.Row{Match: target, D: [8]int64{int64(word)}, M: [4]int64{mostSpent}})
			}
		}
		w.With[id] = rows
	}
	return w
}

// question is what attackers ask.
type question struct {
	// chosen are the words of which people must have bought; nil: everybody counts.
	chosen  []string
	metrics string
	noise   int
	among   bool // the members
	groups  int  // by word, in how many of which a person counts; zero: there is one group
}

// ask returns a question about people of some of the words, among the members or not, for
// their number or what they spent as well.
func ask(chosen []string, metrics string, noise int, among bool) []byte {
	return question{chosen: chosen, metrics: metrics, noise: noise, among: among}.document()
}

func (q question) document() []byte {
	from := `{"dataset":"shop.purchases","as":"p"}`
	join, where, groups := "", "", ""
	if q.among {
		from += `,{"dataset":"brand.members","as":"m"}`
		join = `"join":"match",`
	}
	if q.chosen != nil {
		where = `{"col":"p.kind","op":"in","val":["` + strings.Join(q.chosen, `","`) + `"]}`
	}
	if q.groups > 0 {
		groups = `"group_by":["p.kind"],`
	}
	return fmt.Appendf(nil, `{"room":%q,"from":[%s],%s"where":[%s],%s"metrics":[%s],"privacy":{"noise_people":%d,"max_groups_per_person":%d},"purpose":%q}`,
		roomID, from, join, where, groups, q.metrics, q.noise, max(1, q.groups), purpose)
}

// What is asked of the people.
const (
	countThem   = `{"fn":"people","as":"n"}`
	sumThem     = `{"fn":"people","as":"n"},{"fn":"sum","col":"p.spend","as":"s"}`
	averageThem = `{"fn":"people","as":"n"},{"fn":"avg","col":"p.spend","as":"a"}`
	spreadThem  = `{"fn":"people","as":"n"},{"fn":"histogram","col":"p.spend","as":"h"}`
)
