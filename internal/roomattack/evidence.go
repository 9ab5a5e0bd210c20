package roomattack

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/internal/roomtest"
)

// certain is the evidence of what can be in one case alone.
const certain = 1e6

// knowledge is what attackers know of a question: what is true in either case.
type knowledge struct {
	plan          cleanroom.Plan
	with, without []exact // for each group of the answer, in its order
	took          [2]time.Duration
}

// exact is a group as it is.
type exact struct {
	people int64
	sums   []int64
	bins   [][]int64
}

// bothWorlds executes plans in the world that there is, and remembers what the last one
// would have given in either: attackers know that.
type bothWorlds struct {
	worlds [2]cleanroom.Executor // without, with
	in     bool
	afresh bool // everything is computed each time it is asked
	known  map[string]*known
	last   *knowledge
	work   func(groups []cleanroom.Group) (time.Duration, error)
	pass   func(time.Duration)
}

type known struct {
	groups [2][]cleanroom.Group
	knowledge
}

func newBothWorlds(a *Attack, weakness Weakness, pass func(time.Duration)) *bothWorlds {
	b := &bothWorlds{known: map[string]*known{}, work: a.Work, pass: pass}
	for i, world := range []map[cleanroom.SnapshotID][]roomtest.Row{a.World.Without, a.World.With} {
		b.worlds[i] = weakness.executor(&roomtest.Executor{Snapshots: world})
	}
	return b
}

var _ cleanroom.Executor = (*bothWorlds)(nil)

// Run computes a plan once in both worlds and gives the groups of the one that there is.
func (b *bothWorlds) Run(ctx context.Context, room cleanroom.RoomID, plan *cleanroom.Plan) ([]cleanroom.Group, error) {
	name := fmt.Sprint(*plan)
	k, ok := b.known[name]
	if !ok {
		k = &known{knowledge: knowledge{plan: *plan}}
		for i, world := range b.worlds {
			groups, err := world.Run(ctx, room, plan)
			if err != nil {
				return nil, err
			}
			k.groups[i] = groups
			if b.work != nil {
				k.took[i], _ = b.work(groups)
			}
		}
		k.without, k.with = inOrder(plan, k.groups[0]), inOrder(plan, k.groups[1])
		b.known[name] = k
	}
	b.last = &k.knowledge
	is := 0
	if b.in {
		is = 1
	}
	groups := k.groups[is]
	if b.afresh {
		var err error
		if groups, err = b.worlds[is].Run(ctx, room, plan); err != nil {
			return nil, err
		}
	}
	if b.work != nil {
		took, err := b.work(groups)
		b.pass(took)
		if err != nil {
			return nil, err
		}
	}
	return groups, nil
}

// inOrder returns all groups of a plan as answers have them, those without people too.
func inOrder(plan *cleanroom.Plan, groups []cleanroom.Group) []exact {
	size := 1
	for _, key := range plan.Keys {
		size *= key.Size
	}
	all := make([]exact, size)
	for i := range all {
		all[i].sums, all[i].bins = make([]int64, len(plan.Measures)), make([][]int64, len(plan.Measures))
		for m := range plan.Measures {
			if edges := len(plan.Measures[m].Edges); edges > 0 {
				all[i].bins[m] = make([]int64, edges+1)
			}
		}
	}
	for _, group := range groups {
		place := 0
		for i, value := range group.Key {
			place = place*plan.Keys[i].Size + value
		}
		all[place] = exact{group.People, group.Sums, group.Bins}
	}
	return all
}

// told is what is looked at of an answer.
type told struct {
	Groups []struct {
		Suppressed bool             `json:"suppressed"`
		Values     map[string]value `json:"values"`
	} `json:"groups"`
	MinimumPeople int64 `json:"minimum_people"`
	Margin        int64 `json:"margin"`
	Query         struct {
		Privacy cleanroom.Privacy `json:"privacy"`
	} `json:"query"`
}

type value struct {
	Value int64  `json:"value"`
	Drawn *int64 `json:"drawn"` // if it is shown as something else
	Low   int64  `json:"low"`
	High  int64  `json:"high"`
	// Bins are those of a histogram, which is nothing else.
	Bins []struct {
		Suppressed bool `json:"suppressed"`
		value
	} `json:"bins"`
}

func (v value) drawn() int64 {
	if v.Drawn != nil {
		return *v.Drawn
	}
	return v.Value
}

// weigh returns by how much an answer makes it likelier that the person is in the data: the
// logarithm of how likely it is if they are, less that of how likely it is if not.
func weigh(answer []byte, k *knowledge, mode cleanroom.Mode) (float64, error) {
	var t told
	if err := json.Unmarshal(answer, &t); err != nil {
		return 0, fmt.Errorf("reading an answer: %w", err)
	}
	if len(t.Groups) != len(k.with) {
		return 0, fmt.Errorf("the answer has %d groups, known are %d", len(t.Groups), len(k.with))
	}
	noisy := float64(t.Query.Privacy.NoisePeople)
	if mode == cleanroom.ThresholdOnly {
		noisy = 0
	}
	least := t.MinimumPeople + t.Margin
	var evidence float64
	for i, group := range t.Groups {
		with, without := k.with[i], k.without[i]
		if group.Suppressed {
			evidence += hidden(least, with.people, without.people, noisy)
			continue
		}
		people, ok := group.Values["people"]
		if !ok {
			return 0, fmt.Errorf("group %d tells no people", i)
		}
		evidence += drawn(people.drawn(), with.people, without.people, noisy)
		for m := range k.plan.Measures {
			measure := &k.plan.Measures[m]
			sigma := noise.SumSigma(int(noisy), measure.Lo, measure.Hi)
			if len(measure.Edges) > 0 {
				for b, bin := range find(group.Values, "histogram(").Bins {
					if bin.Suppressed {
						evidence += hidden(least, with.bins[m][b], without.bins[m][b], noisy)
					} else {
						evidence += drawn(bin.drawn(), with.bins[m][b], without.bins[m][b], noisy)
					}
				}
			} else if sum := find(group.Values, "sum("); sum != nil {
				evidence += drawn(sum.drawn(), with.sums[m], without.sums[m], sigma)
			} else if average := find(group.Values, "avg("); average != nil {
				low, high := sumsOf(*average, noise.Noisy{Value: people.drawn(), Sigma: noisy}, sigma, measure.Lo, measure.Hi)
				evidence += between(low, high, with.sums[m], without.sums[m], sigma)
			} else {
				return 0, fmt.Errorf("group %d tells nothing of measure %d", i, m)
			}
		}
	}
	return evidence, nil
}

// find returns the value of a function; worlds have one column that is computed.
func find(values map[string]value, function string) *value {
	for name, v := range values {
		if strings.HasPrefix(name, function) {
			return &v
		}
	}
	return nil
}

// Drawn returns the evidence of a noisy number that was told: by how much likelier it is, as a
// logarithm, if the exact one is with than if it is without.
func Drawn(x, with, without int64, sigma float64) float64 { return drawn(x, with, without, sigma) }

// Hidden returns the evidence of a group that was not told, because it seemed smaller than least.
func Hidden(least, with, without int64, sigma float64) float64 {
	return hidden(least, with, without, sigma)
}

// Averaged returns the evidence of an average that was told with its interval and with the noisy
// people, about the sum, to which one person adds between lo and hi.
func Averaged(e cleanroom.Estimate, people noise.Noisy, sigma float64, lo, hi, with, without int64) float64 {
	low, high := sumsOf(estimate(e), people, sigma, lo, hi)
	return between(low, high, with, without, sigma)
}

// drawn is the evidence of a number that was told.
func drawn(x, with, without int64, sigma float64) float64 {
	if with == without {
		return 0
	}
	if sigma == 0 {
		if x == with {
			return certain
		}
		return -certain
	}
	a, b := float64(x-with)/sigma, float64(x-without)/sigma
	return (b*b - a*a) / 2
}

// hidden is the evidence of a group that was not told because it seemed smaller than least.
func hidden(least, with, without int64, sigma float64) float64 {
	if with == without {
		return 0
	}
	if sigma == 0 {
		switch {
		case with < least && without < least:
			return 0
		case with < least:
			return certain
		}
		return -certain
	}
	below := func(people int64) float64 {
		return math.Log(0.5 * math.Erfc((float64(people-least)+0.5)/sigma/math.Sqrt2))
	}
	return below(with) - below(without)
}

// between is the evidence of a number of which is known that it was drawn from low to high.
func between(low, high, with, without int64, sigma float64) float64 {
	if with == without {
		return 0
	}
	if sigma == 0 {
		could := func(x int64) bool { return low <= x && x <= high }
		switch {
		case could(with) == could(without):
			return 0
		case could(with):
			return certain
		}
		return -certain
	}
	likely := func(x int64) float64 {
		a, b := (float64(low-x)-0.5)/sigma/math.Sqrt2, (float64(high-x)+0.5)/sigma/math.Sqrt2
		if a < 0 && b < 0 { // the tail that does not round to one
			a, b = -b, -a
		}
		return math.Log(0.5 * (math.Erfc(a) - math.Erfc(b)))
	}
	if e := likely(with) - likely(without); !math.IsNaN(e) && !math.IsInf(e, 0) {
		return e
	}
	return 0 // so far off that nothing can be told apart
}

// sumsOf returns between which the noisy sum lies of which an average was told, beside the
// noisy people: what was rounded away is all that attackers do not see.
func sumsOf(v value, people noise.Noisy, sigma float64, lo, hi int64) (low, high int64) {
	reach := int64(60*sigma) + max(people.Value, 1)
	middle := v.Value * max(people.Value, 1)
	// Each of the three numbers grows with the sum.
	at := func(sum int64) (below, above bool) {
		average, from, to := noise.Average(noise.Noisy{Value: sum, Sigma: sigma}, people, lo, hi)
		if sigma == 0 {
			from, to = v.Low, v.High // which are not told
		}
		return average < v.Value || from < v.Low || to < v.High, average > v.Value || from > v.Low || to > v.High
	}
	low = middle - reach + int64(sort.Search(int(2*reach), func(i int) bool {
		below, _ := at(middle - reach + int64(i))
		return !below
	}))
	high = middle - reach - 1 + int64(sort.Search(int(2*reach), func(i int) bool {
		_, above := at(middle - reach + int64(i))
		return above
	}))
	return low, max(low, high)
}
