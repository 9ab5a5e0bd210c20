package cleanroom_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/roomtest"
)

// draws remembers what noise is added to, and how much.
type draws struct {
	numbers []int64
	sigmas  []float64
}

func (d *draws) Gaussian(x int64, sigma float64) int64 {
	d.numbers, d.sigmas = append(d.numbers, x), append(d.sigmas, sigma)
	return x
}

// TestNobodyLosesMoreThanIsPaid takes a person with whatever rows out of either dataset, or both,
// and adds up what all the numbers give away of that: it is no more than the question costs, for
// whatever bounds, metrics and groups; and some questions cost no more than that.
func TestNobodyLosesMoreThanIsPaid(t *testing.T) {
	t.Parallel()
	closest, rounds := 0.0, uint64(400)
	if testing.Short() {
		rounds = 150
	}
	for seed := range rounds {
		random := rand.New(rand.NewPCG(11, seed))
		hi := 1 + random.Int64N(1000)
		lo := []int64{0, -hi, -hi * 3, hi / 2, -hi / 2}[random.IntN(5)]
		if random.IntN(4) == 0 {
			lo, hi = -hi, 0
		}
		question := randomQuestion(random)
		rows := map[cleanroom.SnapshotID][]roomtest.Row{}
		for range 1 + random.IntN(12) {
			amount := (random.Int64N(9) - 4) * 1000
			rows[10] = append(rows[10], roomtest.Row{Match: 9999, D: [8]int64{random.Int64N(3), 20460 + random.Int64N(30)}, M: [4]int64{amount, random.Int64N(40)}})
		}
		for range 1 + random.IntN(2) {
			rows[11] = append(rows[11], roomtest.Row{Match: 9999, D: [8]int64{random.Int64N(2)}, M: [4]int64{random.Int64N(601) - 300}})
		}
		ask := func(without ...cleanroom.SnapshotID) (*draws, cleanroom.Rho) {
			h, heard := newHouse(t), &draws{}
			h.noise.Noise = heard
			h.replace(t, purchases, func(c *cleanroom.Contract) { c.Columns[3].Lo, c.Columns[3].Hi = lo, hi })
			h.replace(t, segments, func(c *cleanroom.Contract) { c.MaxGroupsPerPerson = 3 })
			for id, more := range rows {
				if !slices.Contains(without, id) {
					h.executor.Snapshots[id] = append(h.executor.Snapshots[id], more...)
				}
			}
			answer, err := h.ask(t, question)
			if err != nil {
				t.Fatalf("%s: %v", question, err)
			}
			return heard, answer.Release.Cost
		}
		with, cost := ask()
		for _, without := range [][]cleanroom.SnapshotID{{10, 11}, {10}, {11}} {
			other, _ := ask(without...)
			if len(other.numbers) != len(with.numbers) || !slices.Equal(other.sigmas, with.sigmas) {
				t.Fatalf("%s: how much is drawn depends on a person", question)
			}
			loss := 0.0
			for i, sigma := range with.sigmas {
				moved := float64(with.numbers[i]-other.numbers[i]) / sigma
				loss += moved * moved / 2 * float64(cleanroom.OneRho)
			}
			if loss > float64(cost)+1e-3 {
				t.Errorf("%s between %d and %d: it costs %d nanorho and gives away %.1f", question, lo, hi, cost, loss)
			}
			closest = max(closest, loss/float64(cost))
		}
	}
	if closest < 0.99 {
		t.Errorf("no question gives away more than %.2f of what it costs: nobody would notice if one cost too little", closest)
	}
}

// randomQuestion is about purchases, or about those of people in segments.
func randomQuestion(random *rand.Rand) string {
	from, join := `{"dataset": "retailer.purchases", "as": "p"}`, ""
	metrics := []string{
		`{"fn": "sum", "col": "p.spend_minor", "as": "s"}`, `{"fn": "avg", "col": "p.spend_minor", "as": "a"}`,
		`{"fn": "histogram", "col": "p.spend_minor", "as": "h"}`, `{"fn": "sum", "col": "p.visits", "as": "v"}`,
	}
	keys := []string{`"p.product_group"`}
	if random.IntN(3) > 0 {
		from, join = from+`, {"dataset": "brand.segments", "as": "s"}`, `"join": "match",`
		metrics, keys = append(metrics, `{"fn": "avg", "col": "s.points", "as": "p"}`), append(keys, `"s.segment"`)
	}
	some := func(of []string) string {
		random.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
		return strings.Join(of[:random.IntN(len(of)+1)], ", ")
	}
	return fmt.Sprintf(`{"room": "r1", "from": [%s], %s "group_by": [%s], "metrics": [%s], "privacy": {"noise_people": %d, "max_groups_per_person": %d}, "purpose": "campaign_measurement"}`,
		from, join, some(keys), some(metrics), 60+random.IntN(40), 1+random.IntN(3))
}
