package persona

import (
	"fmt"
	mathrand "math/rand/v2"
	"testing"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/internal/roomattack"
)

// attackers compare builds. They know everybody but for whether one person is there, and spend
// all that may be spent on personas on versions of a definition.
type attackers struct {
	versions []*Definition
	people   []Shares // the person comes first
}

// personaCap is what all descriptions of a house may cost, see migrations.
const personaCap = 147_000_000

// versionsOf parses versions of a definition, as many as can be paid for.
func versionsOf(t *testing.T, version func(i int) string) (versions []*Definition) {
	t.Helper()
	words, spent := catalogue(t), Rho(0)
	for i := 0; ; i++ {
		d, err := Parse([]byte(version(i)), words)
		if err != nil {
			t.Fatal(err)
		}
		if spent += d.Cost(); spent > personaCap {
			return versions
		}
		versions = append(versions, d)
	}
}

// typeOf is what is true of a type.
type typeOf struct {
	people int64
	sums   []int64
}

func (d *Definition) truth(people []Shares) []typeOf {
	truth := make([]typeOf, len(d.Personas))
	for i := range truth {
		truth[i].sums = make([]int64, len(d.Features))
	}
	for i, p := range d.assign(people, nil) {
		if p == nobody {
			continue
		}
		truth[p].people++
		for j, share := range people[i] {
			truth[p].sums[j] += int64(share)
		}
	}
	return truth
}

// weigh returns the evidence of a description that the person is there.
func (d *Definition) weigh(described *Description, with, without []typeOf) (evidence float64) {
	sigma, sumSigma := float64(d.NoisePeople), noise.SumSigma(d.NoisePeople, 0, 100)
	least := int64(described.MinimumPeople) + noise.Margin(d.NoisePeople)
	for i := range described.Types {
		t := &described.Types[i]
		if !t.Told {
			evidence += roomattack.Hidden(least, with[i].people, without[i].people, sigma)
			continue
		}
		evidence += roomattack.Drawn(t.People, with[i].people, without[i].people, sigma)
		for j, s := range t.Shares {
			evidence += roomattack.Averaged(cleanroom.Estimate{Value: s.Percent, Low: s.Low, High: s.High},
				noise.Noisy{Value: t.People, Sigma: sigma}, sumSigma, 0, 100, with[i].sums[j], without[i].sums[j])
		}
	}
	return evidence
}

// attack returns how often the attackers are right, if the noise is divided by so much.
func (a *attackers) attack(trials int, tooLittle float64) float64 {
	truths, of := [2][][]typeOf{}, [2][][]int{}
	worlds := [2][]Shares{a.people[1:], a.people}
	for w, people := range worlds {
		for _, d := range a.versions {
			truths[w], of[w] = append(truths[w], d.truth(people)), append(of[w], d.assign(people, nil))
		}
	}
	random := mathrand.New(mathrand.NewPCG(3, 1))
	source := less{drawn{random}, tooLittle}
	right := 0
	for range trials {
		in := random.IntN(2)
		evidence := 0.0
		for v, d := range a.versions {
			evidence += d.weigh(d.describe(v+1, 50, worlds[in], of[in][v], source), truths[1][v], truths[0][v])
		}
		if evidence > 0 == (in == 1) {
			right++
		}
	}
	return float64(right) / float64(trials)
}

// less draws less noise than is paid for.
type less struct {
	drawn
	by float64
}

func (l less) Gaussian(x int64, sigma float64) int64 { return l.drawn.Gaussian(x, sigma/l.by) }

// TestBuildsTellLittle: whoever compares builds of several versions is right about one person as often as
// was paid for, and no more; with half of the noise it shows.
func TestBuildsTellLittle(t *testing.T) {
	t.Parallel()
	trials, slack := 20_000, 0.01
	if testing.Short() {
		trials, slack = 1_000, 0.06
	}
	random := mathrand.New(mathrand.NewPCG(5, 5))
	people := []Shares{{100, 0}}
	for range 400 {
		fresh := random.IntN(101)
		people = append(people, Shares{fresh, random.IntN(101 - fresh)})
	}
	byRules := &attackers{people: people, versions: versionsOf(t, func(i int) string {
		return fmt.Sprintf(`name: v
purpose: segmentation
for: analyst
minimum_people: 50
noise_people: 10
method: rules
features: [{name: fresh, groups: [fresh]}, {name: pets, groups: [pets]}]
personas: [{label: pet_friend, when: {pets: %d}}, {label: fresh_cook, when: {fresh: %d}}, {label: quick_and_easy}]
`, 30+i, 40-i)
	})}
	if len(byRules.versions) != 9 {
		t.Fatalf("%d versions can be paid for", len(byRules.versions))
	}
	bound := noise.Accuracy(int64(len(byRules.versions)) * int64(byRules.versions[0].Cost()))
	right := byRules.attack(trials, 1)
	t.Logf("rules: right in %.1f %% of %d trials, bound %.1f %%", 100*right, trials, 100*bound)
	if right > bound+slack {
		t.Errorf("right in %.2f %% of %d trials, at most it is %.2f %%", 100*right, trials, 100*bound)
	}
	if right := byRules.attack(2_500, 2); right <= bound+0.01 {
		t.Errorf("with half of the noise right in %.2f %%, which is within the bound of %.2f %%: nobody would notice", 100*right, 100*bound)
	} else {
		t.Logf("half of the noise: right in %.1f %%", 100*right)
	}
}

// heard is everything that was drawn for a build, in its order, and what is to be drawn again.
type heard struct {
	numbers []int64
	at      int
	// unlikely is how far what was drawn is from what is true, squared, in standard deviations.
	unlikely float64
}

// recording draws noise and remembers it.
type recording struct {
	cleanroom.Noise
	heard *heard
}

func (r recording) Gaussian(x int64, sigma float64) int64 {
	x = r.Noise.Gaussian(x, sigma)
	r.heard.numbers = append(r.heard.numbers, x)
	return x
}

// Gaussian draws what was drawn before, whatever is true.
func (h *heard) Gaussian(x int64, sigma float64) int64 {
	if h.at == len(h.numbers) {
		h.at++
		return x // and so the attack fails
	}
	drawn := h.numbers[h.at]
	h.at++
	h.unlikely += float64(drawn-x) / sigma * (float64(drawn-x) / sigma)
	return drawn
}

// build is all that is drawn for a build.
func (d *Definition) build(people []Shares, source cleanroom.Noise) {
	var lines Lines
	if d.Method == ByKMeans {
		lines = d.drawLines(50, people, source)
	}
	d.describe(1, 50, people, d.assign(people, lines), source)
}

// overhear returns how often those are right who hear everything that is drawn for builds, and
// not only what is told of it, if the noise is divided by so much.
func (a *attackers) overhear(t *testing.T, trials int, tooLittle float64) float64 {
	t.Helper()
	random := mathrand.New(mathrand.NewPCG(3, 2))
	worlds := [2][]Shares{a.people[1:], a.people}
	right := 0
	for range trials {
		in := random.IntN(2)
		evidence := 0.0
		for _, d := range a.versions {
			var h heard
			d.build(worlds[in], recording{less{drawn{random}, tooLittle}, &h})
			for w, people := range worlds {
				again := &heard{numbers: h.numbers}
				d.build(people, again)
				if again.at != len(h.numbers) {
					t.Fatalf("what is drawn next depends on more than what was drawn: %d numbers, then %d", len(h.numbers), again.at)
				}
				evidence += again.unlikely * float64(1-2*w)
			}
		}
		if evidence > 0 == (in == 1) {
			right++
		}
	}
	return float64(right) / float64(trials)
}

// TestLinesTellLittle: whoever hears every number that was drawn while k-means looked for lines,
// and while the types were described, is right about one person as often as was paid for.
func TestLinesTellLittle(t *testing.T) {
	t.Parallel()
	trials, slack := 20_000, 0.01
	if testing.Short() {
		trials, slack = 1_000, 0.06
	}
	random := mathrand.New(mathrand.NewPCG(5, 5))
	people := []Shares{{100, 0}}
	for range 240 {
		fresh := random.IntN(101)
		people = append(people, Shares{fresh, random.IntN(101 - fresh)})
	}
	byMeans := &attackers{people: people, versions: versionsOf(t, func(i int) string {
		return fmt.Sprintf(`# version %d
name: v
purpose: segmentation
for: analyst
minimum_people: 50
noise_people: 10
method: kmeans
features: [{name: fresh, groups: [fresh]}, {name: pets, groups: [pets]}]
personas: [{label: pet_friend, leads: [pets]}, {label: fresh_cook, leads: [fresh]}, {label: quick_and_easy, leads: [fresh, pets]}]
`, i)
	})}
	if len(byMeans.versions) != 2 {
		t.Fatalf("%d versions can be paid for", len(byMeans.versions))
	}
	bound := noise.Accuracy(int64(len(byMeans.versions)) * int64(byMeans.versions[0].Cost()))
	right := byMeans.overhear(t, trials, 1)
	t.Logf("k-means: right in %.1f %% of %d trials, bound %.1f %%", 100*right, trials, 100*bound)
	if right > bound+slack {
		t.Errorf("right in %.2f %% of %d trials, at most it is %.2f %%", 100*right, trials, 100*bound)
	}
	if right := byMeans.overhear(t, 2_500, 2); right <= bound+0.01 {
		t.Errorf("with half of the noise right in %.2f %%, which is within the bound of %.2f %%: nobody would notice", 100*right, 100*bound)
	} else {
		t.Logf("half of the noise: right in %.1f %%", 100*right)
	}
}
