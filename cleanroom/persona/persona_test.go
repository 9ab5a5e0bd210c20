package persona

import (
	"errors"
	"math"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func catalogue(t testing.TB) *policies.Catalogue {
	t.Helper()
	c, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func journey(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("testdata/journey.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestParseRefuses: each definition differs in one thing from one that is fine.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	words, good := catalogue(t), journey(t)
	d, err := Parse([]byte(good), words)
	if err != nil || len(d.Personas) != 7 || d.Terms() != 8+lineTerms || d.Cost() != 90_000_000 {
		t.Fatalf("%+v, %v", d, err)
	}
	for name, change := range map[string][2]string{
		"protected group":     {"groups: [pets]", "groups: [baby]"},
		"pregnancy tests":     {"groups: [pets]", "groups: [health.pregnancy_test]"},
		"protected below":     {"groups: [pets]", "groups: [flowers]"},
		"unknown group":       {"groups: [pets]", "groups: [pet]"},
		"group twice":         {"groups: [pets]", "groups: [grocery.snacks]"},
		"group below another": {"groups: [pets]", "groups: [fresh.fruit]"},
		"feature twice":       {"name: pets", "name: fresh"},
		"feature without":     {"groups: [pets]", "groups: []"},
		"unknown label":       {"label: pet_friend", "label: cat_friend"},
		"label twice":         {"label: pet_friend", "label: fresh_cook"},
		"unknown lead":        {"leads: [pets]", "leads: [dogs]"},
		"no leads":            {"leads: [pets]", "leads: []"},
		"leads of another":    {"leads: [pets]", "leads: [fresh, fresh]"},
		"rule in k-means":     {"leads: [pets]", "leads: [pets], when: {pets: 5}"},
		"unknown purpose":     {"purpose: segmentation", "purpose: curiosity"},
		"for nobody":          {"for: analyst", "for: ''"},
		"little noise":        {"noise_people: 10", "noise_people: 9"},
		"few people":          {"minimum_people: 50", "minimum_people: 1"},
		"another method":      {"method: kmeans", "method: magic"},
		"name":                {"name: journey", "name: Journey 1"},
		"unknown word":        {"method: kmeans", "method: kmeans\nsecret: 1"},
		"two documents":       {"name: journey", "name: journey\n---\nname: x"},
		"a rule's method":     {"method: kmeans", "method: rules"},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if text == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := Parse([]byte(text), words); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Parse([]byte(strings.Repeat("#", MaxDefinition+1)), words); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("too long: %v", err)
	}
}

// FuzzParse: what is read names nothing that is protected.
func FuzzParse(f *testing.F) {
	words := catalogue(f)
	f.Add(journey(f))
	f.Add(rules)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse([]byte(text), words)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		for group := range d.features(words).of {
			if words.StandingOf(string(group)) != policies.WordHarmless {
				t.Errorf("%s is looked at", group)
			}
		}
		if d.Cost() <= 0 {
			t.Error("it costs nothing")
		}
	})
}

const rules = `name: by_rules
purpose: segmentation
for: analyst
minimum_people: 50
noise_people: 20
method: rules
features:
  - {name: fresh, groups: [fresh]}
  - {name: pets, groups: [pets]}
personas:
  - {label: pet_friend, when: {pets: 10}}
  - {label: fresh_cook, when: {fresh: 30, pets: 1}}
  - {label: quick_and_easy}
`

func TestRulesTakeTheFirstThatHolds(t *testing.T) {
	t.Parallel()
	words := catalogue(t)
	d, err := Parse([]byte(rules), words)
	if err != nil {
		t.Fatal(err)
	}
	features := d.features(words)
	var people []Shares
	for _, groups := range []map[policies.GroupID]int{
		{"pets": 1, "fresh.fruit": 9},                // 10 % pets
		{"pets": 1, "fresh.fruit": 9, "grocery": 10}, // 5 % pets, 45 % fresh
		{"fresh.fruit": 9},
		{"health.pregnancy_test": 1},
	} {
		people = append(people, features.shares(groups))
	}
	if got := d.assign(people, nil); !slices.Equal(got, []int{0, 1, 2, 2}) {
		t.Errorf("assigned %v", got)
	}
	if features.shares(nil) != nil {
		t.Error("somebody without purchases has features")
	}
}

// TestPlacesAreBounded: nobody is further from nowhere than the noise is drawn for, whatever their
// shares are.
func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	random := mathrand.New(mathrand.NewPCG(8, 8))
	everybody := []Shares{{100}, {100, 1}, {51, 51}, {34, 34, 34}, {100, 100, 100, 100}, {-5, 105}, {0, 0}, slices.Repeat(Shares{100}, MaxFeatures)}
	for range 20_000 {
		shares := make(Shares, 1+random.IntN(MaxFeatures))
		for j := range shares {
			shares[j] = random.IntN(101) / (1 + random.IntN(20))
		}
		everybody = append(everybody, shares)
	}
	for _, shares := range everybody {
		squared := int64(0)
		for _, v := range place(shares) {
			if squared += v * v; v < 0 {
				t.Errorf("%v is at %v", shares, place(shares))
			}
		}
		if squared > lineUnit*lineUnit {
			t.Errorf("%v is at %v, which is further than %d", shares, place(shares), lineUnit)
		}
	}
	if got := place(Shares{100, 0}); !slices.Equal(got, []int64{lineUnit, 0}) {
		t.Errorf("whoever buys one thing is at %v", got)
	}
}

const clusters = `name: by_clusters
purpose: segmentation
for: analyst
minimum_people: 50
noise_people: 10
method: kmeans
features:
  - {name: fresh, groups: [fresh]}
  - {name: snacks, groups: [grocery.snacks]}
  - {name: pets, groups: [pets]}
personas:
  - {label: pet_friend, leads: [pets]}
  - {label: sweet_and_snacky, leads: [snacks]}
  - {label: fresh_cook, leads: [fresh]}
  - {label: quick_and_easy, leads: [fresh, snacks]}
`

// TestKMeansFindsGroups draws separated groups and sees that they are found and named through the
// noise, whatever their sizes, by lines that stay the same for whoever comes later.
func TestKMeansFindsGroups(t *testing.T) {
	t.Parallel()
	d, err := Parse([]byte(clusters), catalogue(t))
	if err != nil {
		t.Fatal(err)
	}
	random := mathrand.New(mathrand.NewPCG(7, 7))
	var people []Shares
	var truth []int
	for c, group := range []struct {
		n      int
		middle Shares
	}{{300, Shares{4, 4, 60}}, {400, Shares{4, 60, 4}}, {900, Shares{60, 4, 4}}, {500, Shares{45, 45, 4}}} {
		for range group.n {
			shares := make(Shares, 3)
			for j, middle := range group.middle {
				shares[j] = max(0, middle+random.IntN(9)-4)
			}
			people, truth = append(people, shares), append(truth, c)
		}
	}
	lines := d.drawLines(50, people, drawn{random})
	if err := d.checkLines(lines); err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for i, c := range d.assign(people, lines) {
		if c != truth[i] {
			wrong++
		}
	}
	if wrong > len(people)/50 {
		t.Errorf("%d of %d are of another type, by lines %v", wrong, len(people), lines)
	}
	if got := d.assign([]Shares{{2, 1, 80}, {70, 0, 0}}, lines); !slices.Equal(got, []int{0, 2}) {
		t.Errorf("whoever comes later is of types %v", got)
	}
	// Of nobody there are lines, too, and nobody on either side.
	if lines := d.drawLines(50, nil, drawn{random}); d.checkLines(lines) != nil || len(d.assign(nil, lines)) != 0 {
		t.Errorf("of nobody: %v", lines)
	}
	for _, lines := range []Lines{nil, lines[:3], {{1}, {2}, {3}, {4}}} {
		if err := d.checkLines(lines); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("lines %v: %v", lines, err)
		}
	}
}

// drawn is a normal distribution that can be drawn again.
type drawn struct{ *mathrand.Rand }

func (d drawn) Gaussian(x int64, sigma float64) int64 {
	return x + int64(math.Round(sigma*d.NormFloat64()))
}

// TestDescriptionsHoldTheTruth describes known people many times: intervals hold the true
// numbers at least as often as they say, and nothing is told of too few people.
func TestDescriptionsHoldTheTruth(t *testing.T) {
	t.Parallel()
	words := catalogue(t)
	d, err := Parse([]byte(rules), words)
	if err != nil {
		t.Fatal(err)
	}
	var people []Shares
	var of []int
	for i := range 400 {
		people, of = append(people, Shares{30 + i%5, 12}), append(of, 0)
	}
	for range 40 {
		people, of = append(people, Shares{90, 1}), append(of, 1)
	}
	people, of = append(people, Shares{50, 50}), append(of, nobody)
	source := drawn{mathrand.New(mathrand.NewPCG(1, 2))}
	const rounds = 2000
	counts, shares, told := 0, 0, 0
	for range rounds {
		described := d.describe(1, 50, people, of, source)
		first, second := described.Types[0], described.Types[1]
		if !first.Told || described.Types[2].Told {
			t.Fatalf("%+v", described)
		}
		if first.PeopleLow <= 400 && 400 <= first.PeopleHigh {
			counts++
		}
		if s := first.Shares[0]; s.Low <= 32 && 32 <= s.High {
			shares++
		}
		if second.Told {
			told++
		} else if second.People != 0 || second.Shares != nil {
			t.Fatalf("too few are told as %+v", second)
		}
	}
	if counts < rounds*94/100 || shares < rounds*94/100 {
		t.Errorf("intervals held %d and %d of %d", counts, shares, rounds)
	}
	// 40 people need 43 more: more than two standard deviations.
	if told > rounds*4/100 {
		t.Errorf("40 people were told %d times", told)
	}
	if margin := noise.Margin(20); margin != 33 {
		t.Errorf("the margin is %d", margin)
	}
	text, err := d.describe(1, 50, people, of, source).Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := ParseDescription(text)
	if err != nil || !read.told("pet_friend", 50) || read.told("quick_and_easy", 50) || read.told("nobody", 50) {
		t.Errorf("%s reads as %+v, %v", text, read, err)
	}
	// Whose type was told when the policies wanted fewer people has no label by it any more.
	if enough := int(read.Types[0].People) - 33; !read.told("pet_friend", enough) || read.told("pet_friend", enough+1) {
		t.Errorf("of %d people a label is given where there must be %d and a margin", read.Types[0].People, enough+1)
	}
}
