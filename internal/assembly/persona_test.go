package assembly

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/persona"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// shopper is somebody with purchases, by product group.
type shopper struct {
	number   string
	groups   []string
	consents []string // purposes
}

func (s *shopper) line() string {
	row := map[string]any{
		"identifiers":  []any{map[string]string{"kind": "customer_number", "value": s.number}},
		"jurisdiction": "CZ",
		"attributes":   map[string]string{"birth_date": "1980-05-17"},
	}
	var events, consents []any
	for i, group := range s.groups {
		events = append(events, map[string]any{
			"type": "purchase", "at": time.Now().UTC().Add(-time.Duration(i+1) * time.Hour).Format(time.RFC3339), "id": fmt.Sprintf("%s/%d", s.number, i),
			"fields": map[string]string{"product_group": group, "amount": "1.00"},
		})
	}
	for _, purpose := range s.consents {
		consents = append(consents, map[string]any{"action": "granted", "purpose": purpose, "channel": "*", "notice_version": "v1", "source": "till", "explicit": true})
	}
	row["events"], row["consents"] = events, consents
	text, err := json.Marshal(row)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// load brings shoppers into a house.
func loadShoppers(t *testing.T, house *House, shoppers []shopper) {
	t.Helper()
	for chunk := range slices.Chunk(shoppers, 500) {
		var lines strings.Builder
		for i := range chunk {
			lines.WriteString(chunk[i].line())
			lines.WriteByte('\n')
		}
		loadLine(t, house, lines.String())
	}
}

// loadLine brings a row into a house, or several.
func loadLine(t *testing.T, house *House, lines string) {
	t.Helper()
	result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(lines), intake.StreamOptions{Principal: privacy.Principal{ID: "till", Role: privacy.RoleIngest}})
	if err != nil || result.Rejected > 0 {
		t.Fatalf("loading: %v, %v", result.Rejects[:min(3, len(result.Rejects))], err)
	}
}

const threeTypes = `name: shoppers
purpose: segmentation
for: analyst
minimum_people: 50
noise_people: 10
method: kmeans
features:
  - {name: fresh, groups: [fresh]}
  - {name: snacks, groups: [grocery.snacks, grocery.sweets]}
  - {name: pets, groups: [pets]}
personas:
  - {label: fresh_cook, leads: [fresh]}
  - {label: sweet_and_snacky, leads: [snacks]}
  - {label: pet_friend, leads: [pets]}
`

// TestPersonasFeedTheGate builds personas of people who differ, and sees that the gate offers
// the label to those who have one and to nobody else, that too few people are no type, that
// people without consent are not looked at, and that nothing is told or charged twice.
func TestPersonasFeedTheGate(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	var shoppers []shopper
	add := func(prefix string, n int, groups []string, consents ...string) {
		for i := range n {
			bought := slices.Repeat(groups, 4)
			bought = append(bought, slices.Repeat([]string{"media"}, i%3)...)
			shoppers = append(shoppers, shopper{fmt.Sprintf("%s-%d", prefix, i), bought, consents})
		}
	}
	// So many that the noise of the lines between them, which has no seed, puts nobody on the other
	// side: of everybody's distance from the lines its standard deviation is a twelfth.
	add("F", 400, []string{"fresh.fruit", "fresh.meat"}, "segmentation", "pricing")
	add("S", 400, []string{"grocery.snacks", "grocery.sweets"}, "segmentation", "pricing")
	add("P", 3, []string{"pets", "pets"}, "segmentation", "pricing") // too few, by 6.4 standard deviations
	add("N", 40, []string{"fresh.fruit", "fresh.meat"}, "pricing")   // no consent
	loadShoppers(t, house, shoppers)

	builder, by := house.Personas(), Operator("tester")
	_, version, _, err := builder.Define(t.Context(), by, []byte(threeTypes))
	if err != nil || version != 1 {
		t.Fatal(version, err)
	}
	if _, _, _, err := builder.Define(t.Context(), by, []byte(threeTypes)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("the same definition again: %v", err)
	}
	// What the policies refuse is in the log, and not kept.
	refused := strings.NewReplacer("name: shoppers", "name: others", "purpose: segmentation", "purpose: pricing").Replace(threeTypes)
	if _, _, _, err := builder.Define(t.Context(), by, []byte(refused)); !errors.Is(err, persona.ErrDenied) {
		t.Errorf("a purpose that measures nobody: %v", err)
	}
	if entry, _ := last(t, house); entry.Kind != audit.RoomDenied || entry.Outcome != audit.Denied || len(entry.Checks) == 0 || entry.Policy == (audit.Digest{}) || entry.List != sha256.Sum256([]byte(refused)) {
		t.Errorf("a refused definition left %+v", entry)
	}
	size, err := house.Log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	built, err := builder.Build(t.Context(), by, "shoppers", nil)
	if err != nil {
		t.Fatal(err)
	}
	if kinds := kindsAfter(t, house, size); kinds[0] != audit.RoomCharged || kinds[1] != audit.PersonaBuilt || slices.Contains(kinds[1:], audit.RoomCharged) {
		t.Errorf("the log has %v", kinds)
	}
	types := map[policies.PersonaID]persona.Type{}
	for _, kind := range built.Description.Types {
		types[kind.Label] = kind
	}
	for _, label := range []policies.PersonaID{"fresh_cook", "sweet_and_snacky"} {
		// Seven standard deviations: once in 10^11 runs it is not so.
		if k := types[label]; !k.Told || k.People < 330 || k.People > 470 || len(k.Shares) != 3 || k.PeopleLow > k.People || k.PeopleHigh < k.People {
			t.Errorf("%s is told as %+v", label, k)
		}
	}
	if k := types["pet_friend"]; k.Told || k.People != 0 || k.Shares != nil {
		t.Errorf("3 people are told as %+v", k)
	}
	if built.Labelled != 800 {
		t.Errorf("%d people have got a label", built.Labelled)
	}

	// Told once, charged once.
	_, spent, err := house.PersonaStore().Left(t.Context())
	if err != nil || spent != built.Description.Cost || spent == 0 {
		t.Errorf("spent %d, cost %d, %v", spent, built.Description.Cost, err)
	}
	again, err := builder.Build(t.Context(), by, "shoppers", nil)
	if err != nil || !again.Again || again.Labelled != 0 {
		t.Errorf("once more: %+v, %v", again, err)
	}
	first, _ := built.Description.Encode()
	second, _ := again.Description.Encode()
	if string(first) != string(second) {
		t.Errorf("told first %s, then %s", first, second)
	}
	if _, after, err := house.PersonaStore().Left(t.Context()); err != nil || after != spent {
		t.Errorf("spent %d after once more, %v", after, err)
	}

	// What the gate says in place of a basket.
	if _, err := house.Refresher.RefreshAll(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for number, want := range map[string]string{"F-3": "fresh_cook", "S-3": "sweet_and_snacky", "P-2": "", "N-3": ""} {
		if got := personaTold(t, house, number); got != want {
			t.Errorf("of %s the gate tells %q, want %q", number, got, want)
		}
	}
}

// TestPersonasHaveABudget: versions cost until nothing is left, and then nobody is looked at.
func TestPersonasHaveABudget(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	builder, by := house.Personas(), Operator("tester")
	limit, _, err := house.PersonaStore().Left(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for version := 1; ; version++ {
		text := fmt.Sprintf("# version %d\n%s", version, threeTypes)
		d, _, _, err := builder.Define(t.Context(), by, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, err = builder.Build(t.Context(), by, "shoppers", nil)
		_, spent, _ := house.PersonaStore().Left(t.Context())
		if cleanroom.Rho(version)*d.Cost() <= limit {
			if err != nil || spent != cleanroom.Rho(version)*d.Cost() {
				t.Fatalf("version %d: spent %d, %v", version, spent, err)
			}
			continue
		}
		if !errors.Is(err, cleanroom.ErrExhausted) || spent > limit {
			t.Errorf("version %d: spent %d of %d, %v", version, spent, limit, err)
		}
		if s, err := house.PersonaStore().Definition(t.Context(), "shoppers"); err != nil || s.Description != nil {
			t.Errorf("something was told for nothing: %v", err)
		}
		if entry, _ := last(t, house); entry.Kind != audit.RoomDenied || !slices.Equal(entry.Checks, []string{"budget_exhausted"}) {
			t.Errorf("what was refused left %s with checks %v", entry.Kind, entry.Checks)
		}
		break
	}
}

// TestPersonasOfTheCompleteJourney tells the households of the Complete Journey apart into at
// most seven types that differ. The data set is no part of the repository.
func TestPersonasOfTheCompleteJourney(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("MAHREM_TEST_JOURNEY")
	if dir == "" {
		t.Skip("the Complete Journey is not here; MAHREM_TEST_JOURNEY says where it is")
	}
	house, _ := newHouse(t)
	catalogue := house.Engine.Revision().Catalogue()
	groups := map[string]policies.GroupID{}
	eachJourneyRow(t, filepath.Join(dir, "products.csv.gz"), []string{"product_id", "department", "product_category", "product_type"}, func(c []string) {
		groups[c[0]] = catalogue.ProductGroup(c[1], c[2], c[3])
	})
	bought := map[string][]string{}
	eachJourneyRow(t, filepath.Join(dir, "transactions_sample.csv.gz"), []string{"household_id", "product_id"}, func(c []string) {
		if group := groups[c[1]]; group != "" {
			bought[c[0]] = append(bought[c[0]], string(group))
		}
	})
	var shoppers []shopper
	for _, household := range slices.Sorted(maps.Keys(bought)) {
		shoppers = append(shoppers, shopper{"cj-" + household, bought[household], []string{"segmentation"}})
	}
	loadShoppers(t, house, shoppers)
	text, err := os.ReadFile(filepath.Join("..", "..", "cleanroom", "persona", "testdata", "journey.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := house.Personas().Define(t.Context(), Operator("tester"), text); err != nil {
		t.Fatal(err)
	}
	built, err := house.Personas().Build(t.Context(), Operator("tester"), "journey", nil)
	if err != nil {
		t.Fatal(err)
	}
	told, people := 0, int64(0)
	leads := map[string]string{
		"fresh_cook": "fresh", "quick_and_easy": "convenience", "pantry_stocker": "pantry", "sweet_and_snacky": "snacks",
		"dairy_and_bakery": "breakfast", "home_keeper": "household", "pet_friend": "pets",
	}
	for _, kind := range built.Description.Types {
		if !kind.Told {
			t.Logf("%-18s too few", kind.Label)
			continue
		}
		told++
		people += kind.People
		var shares []string
		for _, s := range kind.Shares {
			shares = append(shares, fmt.Sprintf("%s %d", s.Feature, s.Percent))
		}
		t.Logf("%-18s %5d people (%d to %d): %s", kind.Label, kind.People, kind.PeopleLow, kind.PeopleHigh, strings.Join(shares, ", "))
	}
	if told < 3 || told > persona.MaxPersonas || people < 1800 || people > 3000 {
		t.Errorf("%d types of %d people", told, people)
	}
	// Each type buys more of what it is named by than the others do on average. What is told of
	// small ones is too noisy to be held to it.
	for _, kind := range built.Description.Types {
		if kind.People < 250 {
			continue
		}
		own, others, n := int64(0), int64(0), int64(0)
		for _, other := range built.Description.Types {
			for _, s := range other.Shares {
				switch {
				case s.Feature != leads[string(kind.Label)]:
				case other.Label == kind.Label:
					own = s.Percent
				default:
					others, n = others+s.Percent, n+1
				}
			}
		}
		if n > 0 && own*n <= others {
			t.Errorf("%s has %d %% of %s, the others have %d %% on average", kind.Label, own, leads[string(kind.Label)], others/n)
		}
	}
}

func eachJourneyRow(t *testing.T, path string, columns []string, f func(cells []string)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Skipf("the Complete Journey is not whole here: %v", err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	reader := csv.NewReader(unzipped)
	header, err := reader.Read()
	if err != nil {
		t.Fatal(err)
	}
	cells := make([]string, len(columns))
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, column := range columns {
			cells[i] = row[slices.Index(header, column)]
		}
		f(cells)
	}
}

// TestPersonasAreLost: whoever is of no type any more, or takes their yes back, has no label
// after the next build, which is in the log; everybody else keeps theirs.
func TestPersonasAreLost(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	var shoppers []shopper
	for i := range 140 {
		shoppers = append(shoppers, shopper{fmt.Sprintf("F-%d", i), slices.Repeat([]string{"fresh.fruit"}, 4), []string{"segmentation", "pricing"}})
	}
	loadShoppers(t, house, shoppers)
	// Somebody says of themselves what their purchases do not show.
	said := shopper{"D-0", []string{"media"}, []string{"segmentation", "pricing"}}
	loadLine(t, house, strings.Replace(said.line(), `"birth_date"`, `"persona":"fresh_cook","birth_date"`, 1))
	const rules = `name: rules
purpose: segmentation
for: analyst
minimum_people: 50
noise_people: 10
method: rules
features:
  - {name: fresh, groups: [fresh]}
  - {name: pets, groups: [pets]}
personas:
  - {label: fresh_cook, when: {fresh: 50}}
  - {label: pet_friend, when: {pets: 50}}
`
	builder, by := house.Personas(), Operator("tester")
	if _, _, _, err := builder.Define(t.Context(), by, []byte(rules)); err != nil {
		t.Fatal(err)
	}
	if built, err := builder.Build(t.Context(), by, "rules", nil); err != nil || built.Labelled != 140 || built.Unlabelled != 0 {
		t.Fatalf("%+v, %v", built, err)
	}
	// One buys other things now, one what makes a type of too few, and one takes their yes back.
	for number, group := range map[string]string{"F-1": "media", "F-2": "pets"} {
		more := shopper{number + "+", slices.Repeat([]string{group}, 20), nil}
		loadLine(t, house, strings.Replace(more.line(), `"value":"`+number+`+"`, `"value":"`+number+`"`, 1))
	}
	id, err := house.People.ResolveIdentifier(t.Context(), privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain("F-3")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := house.Consent.Withdraw(t.Context(), by, consent.Change{DataSubject: id, Purpose: "segmentation", Channel: privacy.AnyChannel, Source: "cli"}); err != nil {
		t.Fatal(err)
	}
	size, err := house.Log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	built, err := builder.Build(t.Context(), by, "rules", nil)
	if err != nil || !built.Again || built.Labelled != 0 || built.Unlabelled != 3 {
		t.Errorf("%+v, %v", built, err)
	}
	if kinds := kindsAfter(t, house, size); !slices.Contains(kinds, audit.PersonaBuilt) || slices.Contains(kinds, audit.RoomCharged) {
		t.Errorf("the log has %v", kinds)
	}
	if _, err := house.Refresher.RefreshAll(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for number, want := range map[string]string{"F-0": "fresh_cook", "F-1": "", "F-2": "", "F-3": "", "F-4": "fresh_cook", "D-0": "fresh_cook"} {
		if got := personaTold(t, house, number); got != want {
			t.Errorf("of %s the gate tells %q, want %q", number, got, want)
		}
	}
	if built, err := builder.Build(t.Context(), by, "rules", nil); err != nil || built.Unlabelled != 0 {
		t.Errorf("once more: %+v, %v", built, err)
	}
}

// personaTold is what the gate tells the price engine in place of what somebody bought.
func personaTold(t *testing.T, house *House, number string) string {
	t.Helper()
	answer, err := house.Gate.Ask(t.Context(), privacy.Principal{ID: "prices", Role: privacy.RoleService, Recipient: "price_engine"}, gate.Query{
		DataSubject: gate.Ref{Identifier: privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(number)}},
		Purpose:     "pricing", Channel: "web", Attributes: []privacy.AttributeName{"purchases.product_groups"},
	})
	if err != nil {
		t.Fatal(err)
	}
	given := answer.Attributes["purchases.product_groups"]
	if len(given.Values) == 0 {
		return ""
	}
	if given.Level != policies.Persona {
		t.Errorf("%s is told at level %s", number, given.Level)
	}
	return given.Values[0].RevealPersonalData()
}
