package gate

import (
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

func testVault(t testing.TB) *vault.Vault {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return keys.Vault()
}

func holding(value string) vault.Field {
	return vault.Field{Values: []privacy.Plain{privacy.NewPlain(value)}, Source: vault.Declared, Quality: vault.Verified, ObservedAt: testTime.Truncate(24 * time.Hour)}
}

// TestProfileSaysWhatTheLadderWould: a value is tagged at a level exactly as it would be
// released at that level.
func TestProfileSaysWhatTheLadderWould(t *testing.T) {
	t.Parallel()
	s, v := newSheet(mustRevision(t)), testVault(t)
	tag := func(name privacy.AttributeName, level policies.Level, word string) Tag {
		return valueTag(v, name, level, word)
	}
	tier, band := holding("gold"), holding("25-34")
	social, disputed, old := holding("gold"), holding("gold"), holding("İzmir")
	social.Source, disputed.Quality, old.ObservedAt = vault.Social, vault.Disputed, testTime.AddDate(0, 0, -401)
	for name, test := range map[string]struct {
		record map[privacy.AttributeName]vault.Field
		want   []Tag
	}{
		"a value without a coarser step": {map[privacy.AttributeName]vault.Field{"loyalty_tier": tier}, []Tag{tag("loyalty_tier", policies.Exact, "gold")}},
		"a value with one": {
			map[privacy.AttributeName]vault.Field{"age_band": band},
			[]Tag{tag("age_band", policies.Exact, "25-34"), tag("age_band", policies.Generalized, "19-34")},
		},
		"seen on a social network": {map[privacy.AttributeName]vault.Field{"loyalty_tier": social}, nil},
		"disputed":                 {map[privacy.AttributeName]vault.Field{"loyalty_tier": disputed}, nil},
		"too old":                  {map[privacy.AttributeName]vault.Field{"location.city": old}, nil},
		"a coarser attribute": {
			map[privacy.AttributeName]vault.Field{"location.city": holding("İzmir"), "location.region": holding("Ege")},
			[]Tag{
				tag("location.city", policies.Exact, "İzmir"), tag("location.city", policies.Generalized, "Ege"),
				tag("location.region", policies.Exact, "Ege"),
			},
		},
		"a persona that nobody knows": {map[privacy.AttributeName]vault.Field{"persona": holding("rich_widow")}, []Tag{tag("persona", policies.Exact, "rich_widow")}},
		"a persona":                   {map[privacy.AttributeName]vault.Field{"persona": holding("pet_friend")}, []Tag{tag("persona", policies.Exact, "pet_friend"), tag("persona", policies.Persona, "pet_friend")}},
		"what is no column":           {map[privacy.AttributeName]vault.Field{"marital_status": holding("Widowed"), "household_size": holding("2")}, nil},
	} {
		person := &plainPerson{records: map[privacy.DataCategory]vault.Record{}}
		for attribute, field := range test.record {
			category := s.attributes[attribute].Category
			if person.records[category] == nil {
				person.records[category] = vault.Record{}
			}
			person.records[category][attribute] = field
		}
		got, err := s.profileOf(v, &state{known: true, jurisdiction: "CZ", at: testTime}, person, testTime.AddDate(0, 0, 30))
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(test.want, func(a, b Tag) int { return slices.Compare(a[:], b[:]) })
		if !slices.Equal(got.Tags, test.want) {
			t.Errorf("%s: got %x, want %x", name, got.Tags, test.want)
		}
		if got.Age != v.WordTag(tagAge, "unknown") || got.Household != v.WordTag(tagHousehold, "unknown") {
			t.Errorf("%s: age or household of somebody of whom neither is known", name)
		}
	}
}

// TestProfileHolds: as long as a profile says it holds, making it again makes the same, and
// a profile that must change ends before it does.
func TestProfileHolds(t *testing.T) {
	t.Parallel()
	s, v := newSheet(mustRevision(t)), testVault(t)
	r := rand.New(rand.NewPCG(3, 1))
	ended := 0
	for range 300 {
		at := testTime.Add(time.Duration(r.IntN(400*24*60)) * time.Minute)
		birth := at.AddDate(-11-r.IntN(9), 0, -r.IntN(365)).Format(time.DateOnly)
		city := holding("İzmir")
		city.ObservedAt = at.Truncate(24*time.Hour).AddDate(0, 0, -320-r.IntN(100))
		core := vault.Record{attributeBirth: holding(birth)}
		person := &plainPerson{records: map[privacy.DataCategory]vault.Record{categoryCore: core, "location": {"location.city": city}}}
		law := []privacy.Jurisdiction{"CZ", "TR", "GB", "FR", "US-CA"}[r.IntN(5)]
		profile := func(at time.Time) Profile {
			got, err := s.profileOf(v, &state{known: true, jurisdiction: law, core: core, at: at}, person, testTime.AddDate(9, 0, 0))
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		horizon := at.UTC().Truncate(profileStep).Add(90 * 24 * time.Hour)
		first, err := s.profileOf(v, &state{known: true, jurisdiction: law, core: core, at: at}, person, horizon)
		if err != nil {
			t.Fatal(err)
		}
		length := first.FreshUntil.Sub(at)
		for range 6 {
			later := profile(at.Add(time.Duration(r.Int64N(int64(length) + 1))).Add(-time.Nanosecond))
			if later.Age != first.Age || !reflect.DeepEqual(later.Tags, first.Tags) {
				t.Fatalf("born %s under %s, made %v: changes before %v", birth, law, at, first.FreshUntil)
			}
		}
		if first.FreshUntil.Before(horizon) {
			ended++
			after := profile(first.FreshUntil.Add(time.Microsecond))
			if after.Age == first.Age && reflect.DeepEqual(after.Tags, first.Tags) {
				t.Errorf("born %s under %s, made %v: ends %v for nothing", birth, law, at, first.FreshUntil)
			}
		}
	}
	if ended < 30 {
		t.Errorf("only %d profiles ended before their time", ended)
	}
}

// TestProfileShape: it is the same for the same catalogue, and another when a column is.
func TestProfileShape(t *testing.T) {
	t.Parallel()
	revision := mustRevision(t)
	s, again := newSheet(revision), newSheet(revision)
	if s.shape != again.shape || s.shape == "" {
		t.Error("two sheets of one revision have two shapes")
	}
	again.columns = again.columns[1:]
	if again.profileShape() == s.shape {
		t.Error("without a column the shape is the same")
	}
	s.values[valueKey{"loyalty_tier", "gold"}] = []point{{0, 1}}
	if slices.ContainsFunc(s.columnsOf(), func(a *attribute) bool { return a.ID == "loyalty_tier" }) {
		t.Error("an attribute that points to an inference is a column")
	}
}
