package policies

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// needsTable skips where a table, which takes some ten thousand evaluations, is too much.
func needsTable(t *testing.T) {
	t.Helper()
	if testing.Short() || underRace {
		t.Skip("asks every rule about everything; make test runs it without the race detector")
	}
}

// theTable is the table of the bundle in the binary.
var theTable = sync.OnceValues(func() (*Table, error) {
	engine, err := Open(context.Background(), Bundle(), Config{EvaluationLimit: time.Minute})
	if err != nil {
		return nil, err
	}
	return engine.Revision().Table(context.Background())
})

func bundledTable(t *testing.T) *Table {
	t.Helper()
	needsTable(t)
	table, err := theTable()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// compiled returns the revision of a bundle with changed files, without attacking it.
// Each change is a file, a text in it, and what takes its place.
func compiled(t *testing.T, changes ...[3]string) *Revision {
	t.Helper()
	bundled, err := readBundle(Bundle())
	if err != nil {
		t.Fatal(err)
	}
	content := bundleContent{}
	for name, file := range bundled {
		content[name] = file
	}
	for _, change := range changes {
		file := string(content[change[0]])
		if !strings.Contains(file, change[1]) {
			t.Fatalf("%s does not contain %q", change[0], change[1])
		}
		content[change[0]] = []byte(strings.Replace(file, change[1], change[2], 1))
	}
	revision, err := New(Config{EvaluationLimit: time.Minute}).build(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// TestTableIsWhatTheRulesSay holds the table to decisions, made one by one, over random
// facts with several categories and agreements.
func TestTableIsWhatTheRulesSay(t *testing.T) {
	t.Parallel()
	table := bundledTable(t)
	random := rand.New(rand.NewPCG(31, 32))
	allowed := 0
	for i := range 1500 {
		facts := table.draw(random, i%3 > 0)
		want, err := table.revision.evaluateRules(t.Context(), &facts)
		if err != nil {
			t.Fatal(err)
		}
		if got := table.Plan(facts); !samePlan(&got, &want) {
			t.Fatalf("%s\ntable %+v\nrules %+v", facts.Canonical(), got, want)
		}
		if want.Allow {
			allowed++
		}
	}
	if allowed < 300 {
		t.Errorf("only %d of 1500 facts are allowed", allowed)
	}
}

// TestTableIsPinned shows in a change of testdata/table.txt what a change of rules or
// catalogue opens and closes.
func TestTableIsPinned(t *testing.T) {
	t.Parallel()
	table := bundledTable(t)
	pinned, err := os.ReadFile("testdata/table.txt")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(table.Text(), pinned) {
		t.Errorf("rules or catalogue decide otherwise than testdata/table.txt says; if that is meant: go run ./cmd/mahrem policy table --full > policies/testdata/table.txt, and read the difference")
	}
	for _, violation := range table.Violations() {
		t.Error(violation)
	}
}

// TestTableFindsHoles: each hole in the rules is found, by the name of what it breaks.
func TestTableFindsHoles(t *testing.T) {
	t.Parallel()
	needsTable(t)
	revision := compiled(t,
		[3]string{"rego/gate/caller.rego", `ages contains "adult" if "adult" in named.purpose.ages`, "ages contains age if {\n\tsome age in [\"adult\", \"unknown\"]\n\t\"adult\" in named.purpose.ages\n}"},
		[3]string{"rego/gate/subject.rego", `passed contains "subject.known" if input.subject.known == "yes"`, `passed contains "subject.known" if input.subject.known in {"yes", "unknown"}`},
		[3]string{"rego/gate/caller.rego", "properties.cases[input.case] == true", "properties.cases[\"handled\"] == true"},
		[3]string{"rego/basis.rego", "input.consent.state in named.purpose.yes\n\tinput.consent.basis == \"consent\"\n\tinput.consent.explicit", "input.consent.state in {\"granted\", \"withdrawn\", \"stale_notice\", \"guardian_missing\"}\n\tinput.consent.basis == \"consent\"\n\tinput.consent.explicit"},
	)
	table, err := revision.Table(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, violation := range table.Violations() {
		found[violation.Invariant] = true
		plan, err := revision.evaluateRules(t.Context(), &violation.Example)
		if err != nil || !plan.Allow {
			t.Errorf("%s: the example is not open: %+v, %v", violation.Invariant, plan, err)
		}
		if !strings.Contains(violation.Error(), violation.Invariant) {
			t.Errorf("error %q", violation)
		}
	}
	for _, want := range []string{
		"nobody is profiled but adults", "nobody unknown has anything opened", "data that needs a case opens only to whoever handles it",
		"a yes to an older wording counts only where the purpose says so", "a child's yes without a verified guardian is none",
		"consent is claimed only where it was given", "what was refused, withdrawn or objected to is done on no other basis, unless law obliges",
	} {
		if !found[want] {
			t.Errorf("a hole was not found: %s", want)
		}
	}
	for _, not := range []string{"nothing is open without a legal basis that the purpose admits", "restricted data serves only what law lets go on"} {
		if found[not] {
			t.Errorf("found what is not there: %s", not)
		}
	}
}

// TestTableRefusesWhatDoesNotFit: a table of rules that cannot be taken apart would lie.
func TestTableRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	needsTable(t)
	for name, change := range map[string][3]string{
		"many categories at once": {"rego/gate/caller.rego", `passed contains "categories.admitted" if named.purpose.persona == true`, "passed contains \"categories.admitted\" if {\n\tnamed.purpose.persona == true\n\tcount(input.categories) < 2\n}"},
		"a whole object":          {"rego/gate/subject.rego", `passed contains "subject.known" if input.subject.known == "yes"`, `passed contains "subject.known" if object.get(input.subject, "known", "no") == "yes"`},
	} {
		engine := New(Config{EvaluationLimit: time.Minute})
		bundled, _ := readBundle(Bundle())
		content := bundleContent{}
		for name, file := range bundled {
			content[name] = file
		}
		if !strings.Contains(string(content[change[0]]), change[1]) {
			t.Fatalf("%s does not contain %q", change[0], change[1])
		}
		content[change[0]] = []byte(strings.Replace(string(content[change[0]]), change[1], change[2], 1))
		revision, err := engine.build(t.Context(), content)
		if err == nil {
			_, err = revision.Table(t.Context())
		}
		if err == nil {
			t.Errorf("%s: there is a table", name)
		}
	}
}

// TestDiffSaysWhoAndWhat changes a bundle in known ways.
func TestDiffSaysWhoAndWhat(t *testing.T) {
	t.Parallel()
	needsTable(t)
	before := bundledTable(t).revision
	after := compiled(t,
		[3]string{"catalogue/purposes.yaml", "ages: [youth, adult]", "ages: [adult]"},
		[3]string{"catalogue/recipients.yaml", "purposes: [recommendations, special_offers_health]", "purposes: [recommendations, special_offers_health, content]"},
		[3]string{"catalogue/purposes.yaml", "trigger_window: 24h", "trigger_window: 48h"},
		[3]string{"catalogue/purposes.yaml", "room: {categories: [core, purchases, views, engagement, preferences, profile]}", "room: {categories: [core, purchases, views, engagement, profile]}"},
	)
	difference, err := Diff(t.Context(), before, after)
	if err != nil {
		t.Fatal(err)
	}
	youths, recommender := false, false
	for _, change := range difference.Changes {
		switch change.Purpose {
		case "newsletter":
			for _, product := range change.When {
				youths = youths || !change.Opens && len(product["age"]) == 1 && product["age"][0] == string(Youth)
			}
			if change.Opens {
				t.Errorf("the newsletter opens: %+v", change)
			}
		case "content":
			for _, product := range change.When {
				if !change.Opens || len(product["recipient"]) != 1 || product["recipient"][0] != "recommender" {
					t.Errorf("content: %+v", change)
				}
				recommender = true
			}
		default:
			t.Errorf("nothing changed for %s: %+v", change.Purpose, change)
		}
	}
	if !youths || !recommender || difference.Opened == "0" || difference.Closed == "0" || difference.OldTable == difference.NewTable {
		t.Errorf("the difference lacks something: %+v", difference)
	}
	if rooms := difference.Rooms; len(rooms) != 1 || rooms[0].Purpose != "segmentation" || rooms[0].Move != RoomCloses || !slices.Equal(rooms[0].Categories, []privacy.DataCategory{"preferences"}) || difference.RoomRules {
		t.Errorf("in clean rooms: %+v", rooms)
	}
	want := "purposes.yaml email_triggers.trigger_window: 24h becomes 48h"
	windows := false
	for _, leaf := range difference.Also {
		windows = windows || leaf.String() == want
	}
	if !windows {
		t.Errorf("%v lacks %s", difference.Also, want)
	}
	same, err := Diff(t.Context(), before, before)
	if err != nil || len(same.Changes)+len(same.Rooms)+len(same.Also) > 0 || same.RoomRules || same.Opened != "0" || same.Closed != "0" {
		t.Errorf("a bundle differs from itself: %+v, %v", same, err)
	}
}

// TestTableLevelsAreThoseOfTheLadder compares the levels that differences speak of with
// what catalogue and plan leave of each attribute.
func TestTableLevelsAreThoseOfTheLadder(t *testing.T) {
	t.Parallel()
	table := bundledTable(t)
	r, random, told := table.revision, rand.New(rand.NewPCG(33, 34)), map[Level]int{}
	for range 300 {
		facts := table.draw(random, true)
		purpose, known := r.catalogue.Purpose(facts.Purpose)
		if !known || len(facts.Categories) == 0 {
			continue
		}
		facts.Categories = facts.Categories[:1]
		plan, err := r.evaluateRules(t.Context(), &facts)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range r.catalogue.Attributes() {
			attribute, _ := r.catalogue.Attribute(name)
			if attribute.Category != facts.Categories[0] {
				continue
			}
			level := min(r.Verdict(purpose.ID, name).Max, plan.Ceiling)
			if !plan.Grants(attribute.Category) || level == Persona {
				level = Withheld
			}
			if level == Withheld && plan.Persona && attribute.Persona {
				level = Persona
			}
			told[level]++
			cell := table.space.cells(&facts)[0]
			for of, cells := range table.levels4(purpose.ID, name) {
				if holds := table.d.holds(cells, cell); holds != (Level(of) == level) {
					t.Fatalf("%s of %s: told at %s %v, want %s", name, facts.Canonical(), Level(of), holds, level)
				}
			}
		}
	}
	if told[Exact] == 0 || told[Generalized] == 0 || told[Persona] == 0 || told[Withheld] == 0 {
		t.Errorf("levels %v", told)
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	needsTable(t)
	content, err := readBundle(Bundle())
	if err != nil {
		t.Fatal(err)
	}
	spoiled := bundleContent{}
	for name, file := range content {
		spoiled[name] = file
	}
	spoiled["rego/gate/extra.rego"] = []byte("package mahrem.gate\n\nimport future.keywords.not\n\n# METADATA\n# title: Friends of the house\n# labels:\n#   check: subject.known\n#   law: none\npassed contains  \"subject.known\" if {\n\tinput.subject.known == \"unknown\"\n\tinput.recipient == \"crm\"\n}\n")
	wrong := map[string]string{}
	for _, finding := range Check(t.Context(), newTree(spoiled)) {
		if !finding.OK {
			wrong[finding.Check] = finding.Detail
		}
	}
	if !strings.Contains(wrong["format"], "extra.rego") || !strings.Contains(wrong["coverage"], "rego/gate/extra.rego:") ||
		wrong["attack"] == "" || !strings.Contains(wrong["invariant"], "nobody unknown") {
		t.Errorf("found %v", wrong)
	}
	delete(spoiled, "rego/plan.rego")
	if findings := Check(t.Context(), newTree(spoiled)); findings[len(findings)-1].OK {
		t.Errorf("a bundle without a plan: %+v", findings)
	}
}
