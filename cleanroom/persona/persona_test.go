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
	if err != nil || len(d.Personas) != 7 || d.Terms() != 8 || d.Cost() != 40_000_000 {
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
	if got := d.assign(people, [32]byte{}); !slices.Equal(got, []int{0, 1, 2, 2}) {
		t.Errorf("assigned %v", got)
	}
	if features.shares(nil) != nil {
		t.Error("somebody without purchases has features")
	}
}

// TestKMeansFindsGroups draws well separated groups and sees that they are found, whatever
// their sizes, and that the same seed finds the same.
func TestKMeansFindsGroups(t *testing.T) {
	t.Parallel()
	random := mathrand.New(mathrand.NewPCG(7, 7))
	centres := [][]float64{{0, 0, 0}, {60, 0, 0}, {0, 60, 0}, {0, 0, 60}}
	var points [][]float64
	var truth []int
	for c, n := range []int{400, 90, 30, 10} {
		for range n {
			p := make([]float64, 3)
			for j := range p {
				p[j] = centres[c][j] + 3*random.NormFloat64()
			}
			points, truth = append(points, p), append(truth, c)
		}
	}
	of, found := cluster(points, 4, [32]byte{1})
	again, _ := cluster(points, 4, [32]byte{1})
	if len(found) != 4 || !slices.Equal(of, again) {
		t.Fatalf("%d clusters, twice the same: %t", len(found), slices.Equal(of, again))
	}
	of2truth := map[int]int{}
	for i, c := range of {
		if had, seen := of2truth[c]; seen && had != truth[i] {
			t.Fatalf("cluster %d is of groups %d and %d", c, had, truth[i])
		}
		of2truth[c] = truth[i]
	}
	if of, _ := cluster(points[:0], 2, [32]byte{}); of != nil {
		t.Error("found clusters of nobody")
	}
	if of, _ := cluster([][]float64{{1}, {1}, {1}}, 2, [32]byte{}); of != nil {
		t.Error("found two clusters of three who are alike")
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
	if err != nil || !read.told("pet_friend") || read.told("quick_and_easy") || read.told("nobody") {
		t.Errorf("%s reads as %+v, %v", text, read, err)
	}
}
