package gate

import (
	"math"
	"slices"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// point says how strongly one value points to one inference. Weights are integers, so
// that sums do not depend on their order.
type point struct {
	inference int
	weight    int
}

// item is one value that could be released.
type item struct {
	value privacy.Plain
	// quality is that of the stored field.
	quality vault.Quality
	// key names the value in the exposure ledger: "g:grocery.dairy". Two items with
	// one key tell the same thing and count once.
	key string
	// points are empty for a value that points to nothing protected.
	points []point
	// told: this recipient has been told this before, inside the look-back window, so
	// that the ledger's sums already hold its points.
	told bool
}

// slot is the place of one attribute in the answer: the values that could stand there,
// the preferred first, and how many may.
type slot struct {
	pool []item
	size int
	// chosen are indexes into pool, ascending: what compose left.
	chosen []int
}

// unlimited is the limit of an inference that the person explicitly agreed to.
const unlimited = math.MaxInt

// composition is the state of one run of inference control.
type composition struct {
	// limits holds, per inference, the sum that must not be reached.
	limits []int
	// exposed holds, per inference, the sum of what the recipient already knows.
	exposed []int
	// tie orders contributors of equal strength. It must be keyed, so that nobody can
	// work out from the catalogue which of two values was kept.
	tie func(key string) uint64

	banned []string
	sums   []int
}

// compose chooses the items of every slot such that, for each inference, what the
// answer tells and what was told before stay below the limit. While they do not, the
// strongest contributor among what is new to the recipient goes, and the next item of
// the same pool takes its place.
//
// The choice is as if what was taken away had never been there: composing pools that
// lack the banned items gives the same chosen values. An observer of answers can
// therefore not tell somebody from whom something was withheld from somebody who never
// had it. It reports whether anything was taken away; only the operator's counters
// may know.
func (c *composition) compose(slots []slot) (suppressed bool) {
	c.banned = c.banned[:0]
	c.choose(slots)
	if !anyPoints(slots) {
		return false
	}
	c.sums = slices.Grow(c.sums[:0], len(c.limits))[:len(c.limits)]
	for {
		c.add(slots)
		key, found := c.strongest(slots)
		if !found {
			return len(c.banned) > 0
		}
		c.banned = append(c.banned, key)
		c.choose(slots)
	}
}

// choose fills every slot with the first items of its pool that are not banned.
func (c *composition) choose(slots []slot) {
	for i := range slots {
		s := &slots[i]
		s.chosen = s.chosen[:0]
		for j := range s.pool {
			if len(s.chosen) == s.size {
				break
			}
			if !slices.Contains(c.banned, s.pool[j].key) || s.pool[j].key == "" {
				s.chosen = append(s.chosen, j)
			}
		}
	}
}

// add sums up what the recipient would know after this answer, each key once.
func (c *composition) add(slots []slot) {
	copy(c.sums, c.exposed)
	for i := range slots {
		for n, j := range slots[i].chosen {
			it := &slots[i].pool[j]
			if it.told || len(it.points) == 0 || chosenBefore(slots, i, n, it.key) {
				continue
			}
			for _, p := range it.points {
				c.sums[p.inference] += p.weight
			}
		}
	}
}

// strongest returns the contributor to take away next, if a limit is reached. Where
// the recipient's knowledge alone reaches the limit, nothing that points there is
// repeated either.
func (c *composition) strongest(slots []slot) (key string, found bool) {
	best, bestSum := 0, 0
	for i := range slots {
		for _, j := range slots[i].chosen {
			it := &slots[i].pool[j]
			weight, sum := 0, 0
			for _, p := range it.points {
				over := c.sums[p.inference] >= c.limits[p.inference]
				if over && (!it.told || c.exposed[p.inference] >= c.limits[p.inference]) {
					weight, sum = max(weight, p.weight), sum+p.weight
				}
			}
			if weight == 0 || it.key == key {
				continue
			}
			if weight > best || weight == best && (sum > bestSum || sum == bestSum && c.before(it.key, key)) {
				key, best, bestSum, found = it.key, weight, sum, true
			}
		}
	}
	return key, found
}

// before breaks a tie between two different keys by their keyed hashes.
func (c *composition) before(a, b string) bool {
	if ta, tb := c.tie(a), c.tie(b); ta != tb {
		return ta < tb
	}
	return a < b
}

// chosenBefore reports whether key stands in an earlier place of the answer.
func chosenBefore(slots []slot, i, n int, key string) bool {
	for k := 0; k <= i; k++ {
		places := slots[k].chosen
		if k == i {
			places = places[:n]
		}
		for _, j := range places {
			if slots[k].pool[j].key == key {
				return true
			}
		}
	}
	return false
}

// anyPoints reports whether a chosen item points anywhere.
func anyPoints(slots []slot) bool {
	for i := range slots {
		for _, j := range slots[i].chosen {
			if len(slots[i].pool[j].points) > 0 {
				return true
			}
		}
	}
	return false
}

// shapes are the lengths that a released list may have. A list is cut to the longest
// shape that it fills, so that its length says little about how much there was.
var shapes = [...]int{20, 10, 5, 3, 1}

// shape returns the length to which n values are cut.
func shape(n int) int {
	for _, s := range shapes {
		if n >= s {
			return s
		}
	}
	return 0
}
