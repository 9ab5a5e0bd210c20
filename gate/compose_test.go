package gate

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/privacy"
)

func testTie(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("a test's key" + key))
	return h.Sum64()
}

// world is a random catalogue: contributors with weights for a few inferences.
type world struct {
	keys   []string
	points map[string][]point
	limits []int
}

func randomWorld(r *rand.Rand) world {
	w := world{points: map[string][]point{}, limits: make([]int, 1+r.IntN(3))}
	for i := range w.limits {
		w.limits[i] = 60 + 10*r.IntN(8)
	}
	for i := range 8 + r.IntN(20) {
		key := fmt.Sprintf("g:%02d", i)
		w.keys = append(w.keys, key)
		for inference := range w.limits {
			if r.IntN(3) == 0 {
				w.points[key] = append(w.points[key], point{inference, 5 + 5*r.IntN(16)})
			}
		}
	}
	return w
}

func (w world) pool(keys []string, told ledger) []item {
	var pool []item
	for _, key := range keys {
		_, known := told.find(key)
		pool = append(pool, item{value: privacy.NewPlain(key), key: key, points: w.points[key], told: known})
	}
	return pool
}

func (w world) exposed(told ledger) []int {
	sums := make([]int, len(w.limits))
	for _, e := range told {
		for _, p := range w.points[e.key] {
			sums[p.inference] += p.weight
		}
	}
	return sums
}

// basket draws a person's distinct contributors in order of preference.
func (w world) basket(r *rand.Rand) []string {
	keys := slices.Clone(w.keys)
	r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys[:r.IntN(len(keys)+1)]
}

func (w world) run(basket []string, size int, told ledger) (*composition, []slot) {
	slots := []slot{{pool: w.pool(basket, told), size: size}, {pool: w.pool(basket, told), size: 1}}
	c := &composition{limits: w.limits, exposed: w.exposed(told), tie: testTie}
	c.compose(slots)
	return c, slots
}

func chosenKeys(slots []slot) [][]string {
	out := make([][]string, len(slots))
	for i, s := range slots {
		for _, j := range s.chosen {
			out[i] = append(out[i], s.pool[j].key)
		}
	}
	return out
}

// tell adds the contributors of an answer to the ledger, as the gate does.
func (w world) tell(told ledger, slots []slot) ledger {
	var keys []string
	for _, place := range chosenKeys(slots) {
		for _, key := range place {
			if len(w.points[key]) > 0 {
				keys = append(keys, key)
			}
		}
	}
	return told.with(keys, 1)
}

// eachWorld runs a property over many random catalogues, baskets and ledgers that came
// about by earlier answers.
func eachWorld(t *testing.T, property func(t *testing.T, r *rand.Rand, w world, basket []string, size int, told ledger)) {
	t.Helper()
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 7))
		w := randomWorld(r)
		basket, size := w.basket(r), 1+r.IntN(10)
		var told ledger
		for range r.IntN(4) {
			_, slots := w.run(w.basket(r), 1+r.IntN(6), told)
			told = w.tell(told, slots)
		}
		property(t, r, w, basket, size, told)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestComposeStaysBelowEveryLimit(t *testing.T) {
	t.Parallel()
	suppressed := 0
	eachWorld(t, func(t *testing.T, _ *rand.Rand, w world, basket []string, size int, told ledger) {
		c, slots := w.run(basket, size, told)
		after := w.exposed(w.tell(told, slots))
		for i, sum := range after {
			if sum >= w.limits[i] {
				t.Errorf("inference %d: recipient knows %d of %d", i, sum, w.limits[i])
			}
		}
		if len(c.banned) > 0 {
			suppressed++
		}
	})
	if suppressed < 500 {
		t.Errorf("only %d runs suppressed anything: the property proves little", suppressed)
	}
}

// What was taken away leaves no trace: the answer is the one of a person who never had
// it.
func TestComposeIsAsIfNeverThere(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, _ *rand.Rand, w world, basket []string, size int, told ledger) {
		c, slots := w.run(basket, size, told)
		without := slices.DeleteFunc(slices.Clone(basket), func(key string) bool { return slices.Contains(c.banned, key) })
		_, other := w.run(without, size, told)
		if diff := cmp.Diff(chosenKeys(slots), chosenKeys(other)); diff != "" {
			t.Errorf("a trace of %v remains (-with +without):\n%s", c.banned, diff)
		}
	})
}

// A contributor that reaches a limit alone is never told, and a person with it gets the
// answer of a person without it.
func TestComposeHidesWhatRevealsAlone(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, r *rand.Rand, w world, basket []string, size int, told ledger) {
		const sensitive = "g:sensitive"
		w.points[sensitive] = []point{{0, w.limits[0] + r.IntN(50)}}
		with := slices.Insert(slices.Clone(basket), r.IntN(len(basket)+1), sensitive)
		_, a := w.run(with, size, told)
		_, b := w.run(basket, size, told)
		if diff := cmp.Diff(chosenKeys(a), chosenKeys(b)); diff != "" {
			t.Errorf("answers differ (-with +without):\n%s", diff)
		}
	})
}

// Of the new contributors, a weaker one is never taken away while a stronger one to the
// same single inference stays.
func TestComposeTakesTheStrongestFirst(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, _ *rand.Rand, w world, basket []string, size int, told ledger) {
		w.limits = w.limits[:1]
		for key, points := range w.points {
			w.points[key] = slices.DeleteFunc(slices.Clone(points), func(p point) bool { return p.inference > 0 })
		}
		if w.exposed(told)[0] >= w.limits[0] {
			return
		}
		c, slots := w.run(basket, size, told)
		if len(c.banned) == 0 {
			return
		}
		last := w.points[c.banned[len(c.banned)-1]][0].weight
		for _, key := range chosenKeys(slots)[0] {
			if _, known := told.find(key); known || len(w.points[key]) == 0 {
				continue
			}
			if weight := w.points[key][0].weight; weight > last && !slices.Contains(c.banned, key) {
				// It may stand there only as the replacement of the last one taken away.
				if slices.Index(basket, key) < size {
					t.Errorf("%s (%d) stayed although %s (%d) went", key, weight, c.banned[len(c.banned)-1], last)
				}
			}
		}
	})
}

func TestComposeRepeatsNothingWhenTooMuchIsKnown(t *testing.T) {
	t.Parallel()
	w := world{
		keys:   []string{"g:lotion", "g:cotton", "g:zinc", "g:milk"},
		points: map[string][]point{"g:lotion": {{0, 45}}, "g:cotton": {{0, 35}}, "g:zinc": {{0, 30}}},
		limits: []int{100},
	}
	told := ledger{}.with([]string{"g:lotion", "g:cotton", "g:zinc"}, 1)
	_, slots := w.run(w.keys, 4, told)
	if diff := cmp.Diff([][]string{{"g:milk"}, {"g:milk"}}, chosenKeys(slots)); diff != "" {
		t.Error(diff)
	}
	told = ledger{}.with([]string{"g:lotion", "g:cotton"}, 1)
	_, slots = w.run(w.keys, 4, told)
	if diff := cmp.Diff([][]string{{"g:lotion", "g:cotton", "g:milk"}, {"g:lotion"}}, chosenKeys(slots)); diff != "" {
		t.Errorf("what is known already may be repeated, the third may not come: %s", diff)
	}
}

func TestComposeBreaksTiesByKey(t *testing.T) {
	t.Parallel()
	w := world{
		keys:   []string{"g:a", "g:b", "g:c"},
		points: map[string][]point{"g:a": {{0, 40}}, "g:b": {{0, 40}}, "g:c": {{0, 40}}},
		limits: []int{100},
	}
	gone := map[string]bool{}
	for n := range 64 {
		slots := []slot{{pool: w.pool(w.keys, nil), size: 3}}
		c := &composition{limits: w.limits, exposed: []int{0}, tie: func(key string) uint64 { return testTie(fmt.Sprint(n, key)) }}
		c.compose(slots)
		if len(c.banned) != 1 {
			t.Fatalf("banned %v", c.banned)
		}
		gone[c.banned[0]] = true

		turned := slices.Clone(w.keys)
		slices.Reverse(turned)
		again := []slot{{pool: w.pool(turned, nil), size: 3}}
		d := &composition{limits: w.limits, exposed: []int{0}, tie: c.tie}
		d.compose(again)
		if d.banned[0] != c.banned[0] {
			t.Errorf("the order of the pool decided: %v, %v", c.banned, d.banned)
		}
	}
	if len(gone) != 3 {
		t.Errorf("the key decides nothing: only %v were taken away", gone)
	}
}

func TestShape(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 0, 1: 1, 2: 1, 3: 3, 4: 3, 5: 5, 9: 5, 10: 10, 25: 20} {
		if got := shape(n); got != want {
			t.Errorf("shape(%d) = %d, want %d", n, got, want)
		}
	}
}
