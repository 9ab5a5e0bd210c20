package activate_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/activate"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// TestActivate: the list has everybody who passes and has agreed, nobody else of the house,
// and as many pseudonyms of nobody as hide how many that is.
func TestActivate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2300)
	h.noise = 17
	h.agreed[h.people[2]] = false
	h.restrict[h.people[4]] = true
	audience, err := h.activator().Activate(t.Context(), brand, "r1", []byte(teaDrinkers))
	if err != nil {
		t.Fatal(err)
	}
	// Beside the real ones, what noise adds, and those of the crowd who drink tea: of whom half have one
	// row, a quarter two, an eighth four and eight, each of them tea as often as coffee.
	const real = 1150 - 2
	crowd := len(audience.Pseudonyms) - real - 17 - 6*20
	share := 0.5*0.5 + 0.25*0.75 + 0.125*(1-1.0/16) + 0.125*(1-1.0/256)
	if want, spread := activate.MadeUp*share, math.Sqrt(activate.MadeUp*share*(1-share)); math.Abs(float64(crowd)-want) > 6*spread {
		t.Errorf("%d are made up, about %.0f should be", crowd, want)
	}
	in := map[pseudonym.Pseudonym]bool{}
	for _, name := range audience.Pseudonyms {
		in[name] = true
	}
	if len(in) != len(audience.Pseudonyms) || !slices.IsSorted(audience.Pseudonyms) {
		t.Error("pseudonyms are there twice or out of order")
	}
	for i, name := range h.names(h.people...) {
		if want := i%2 == 0 && i != 2 && i != 4; in[name] != want {
			t.Errorf("person %d is in the list: %t", i, in[name])
		}
	}
	for _, name := range audience.Pseudonyms {
		if len(name) != len(audience.Pseudonyms[0]) {
			t.Error("somebody's pseudonym looks otherwise than nobody's")
		}
	}
	sum := sha256.New()
	for _, name := range audience.Pseudonyms {
		_, _ = io.WriteString(sum, string(name)+"\n")
	}
	entries := h.log.Entries()
	if len(entries) != 2 || entries[0].Kind != audit.RoomCharged || entries[1].Kind != audit.RoomActivated ||
		entries[1].List != sha256.Sum256([]byte(audience.Kept())) || entries[1].Count != 0 || entries[1].Purpose != "audience_sync" ||
		audience.Digest != audit.Digest(sum.Sum(nil)) {
		t.Errorf("entries %+v", entries)
	}
	if h.facts.Act != policies.ActivateFromRoom || h.facts.Purpose != "audience_sync" || h.facts.RoomPurpose != "campaign_measurement" {
		t.Errorf("the policies were asked about %+v", h.facts)
	}
	if waited := h.now.Sub(start); waited != 500*time.Millisecond {
		t.Errorf("answered after %v", waited)
	}
	// The same once more is charged once more, and lists the same people of the crowd, and with
	// less noise fewer: nobody is in one list who is not in the other, but for those.
	h.noise = 9
	again, err := h.activator().Activate(t.Context(), brand, "r1", []byte(teaDrinkers))
	if err != nil || again.Digest == audience.Digest || len(again.Pseudonyms) != len(audience.Pseudonyms)-8 {
		t.Errorf("again: %v", err)
	}
	for _, name := range again.Pseudonyms {
		if !in[name] {
			t.Error("somebody is in the second list alone")
		}
	}
	if _, err := h.activator().Activate(t.Context(), brand, "r1", []byte(teaDrinkers)); err != nil {
		t.Error(err)
	}
	if _, err := h.activator().Activate(t.Context(), brand, "r1", []byte(teaDrinkers)); !errors.Is(err, cleanroom.ErrExhausted) {
		t.Errorf("beyond the budget: %v", err)
	}
}

// TestARoomWithoutNoiseMakesNoAudience: not even if the policies would let it, and the log says
// that somebody asked.
func TestARoomWithoutNoiseMakesNoAudience(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 4)
	h.mode = cleanroom.ThresholdOnly
	_, err := h.activator().Activate(t.Context(), brand, "r1", []byte(teaDrinkers))
	if denied, is := errors.AsType[*cleanroom.Denied](err); !is || !slices.Equal(denied.Checks, []string{cleanroom.CheckMode}) {
		t.Errorf("%v", err)
	}
	if entries := h.log.Entries(); len(entries) != 1 || entries[0].Kind != audit.RoomDenied || !slices.Equal(entries[0].Checks, []string{cleanroom.CheckMode}) || entries[0].Principal != brand {
		t.Errorf("entries %+v", entries)
	}
}

// TestActivateByTemplate: an activation that leaves to a template what is asked has the noise of
// the template, or more if it asks for more; a template that computes something makes no list.
func TestActivateByTemplate(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2300)
	h.ledger = roomtest.NewLedger(h.log, map[cleanroom.DatasetRef]roomtest.Caps{
		{Owner: "retail_media", Dataset: "purchases"}: {All: 147000000, Consumer: 147000000},
	})
	for name, replaced := range map[string][2]string{
		"drinkers": {`"val": "tea"`, `"val": {"hole": "drink"}`},
		"counted":  {`"metrics": []`, `"metrics": [{"fn": "people", "as": "n"}], "group_by": ["p.kind"]`},
	} {
		template, err := cleanroom.ParseTemplate([]byte(`{"name": "` + name + `", "version": 1, "query": ` + strings.Replace(teaDrinkers, replaced[0], replaced[1], 1) + `}`))
		if err != nil {
			t.Fatal(err)
		}
		h.templates = append(h.templates, template)
	}
	length := func(document string) int {
		t.Helper()
		audience, err := h.activator().Activate(t.Context(), brand, "r1", []byte(document))
		if err != nil {
			t.Fatalf("%s: %v", document, err)
		}
		return len(audience.Pseudonyms)
	}
	const values = `{"room": "r1", "template": "drinkers@1", "values": {"drink": "tea"}, "purpose": "audience_sync"`
	whole := length(teaDrinkers)
	if followed := length(values + `}`); followed != whole {
		t.Errorf("a list by template has %d pseudonyms, one of the same question without has %d", followed, whole)
	}
	if noisier := length(values + `, "privacy": {"noise_people": 30, "max_groups_per_person": 1}}`); noisier != whole+6*(30-20) {
		t.Errorf("with more noise a list has %d pseudonyms instead of %d", noisier, whole+6*(30-20))
	}
	charged := h.log.Kinds()[audit.RoomCharged]
	_, err := h.activator().Activate(t.Context(), brand, "r1", []byte(`{"room": "r1", "template": "counted@1", "values": {}, "purpose": "audience_sync"}`))
	if fault, is := errors.AsType[*privacy.FieldError](err); !is || fault.Pointer != "/template" {
		t.Errorf("a template that computes: %v", err)
	}
	if now := h.log.Kinds()[audit.RoomCharged]; now != charged {
		t.Errorf("what cannot be activated was charged %d times", now-charged)
	}
}

// TestActivateWithMuchNoise: the least number of people is one of the question's noise, too. With
// noise of many people it would take a lucky draw and next to no budget to have a list of one
// person; such an activation is refused, by template as well, before anything is charged.
func TestActivateWithMuchNoise(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.noise = 200_000 // two standard deviations
	template, err := cleanroom.ParseTemplate([]byte(`{"name": "drinkers", "version": 1, "query": ` + teaDrinkers + `}`))
	if err != nil {
		t.Fatal(err)
	}
	h.templates = append(h.templates, template)
	for _, document := range []string{
		strings.Replace(teaDrinkers, `"noise_people": 20`, `"noise_people": 100000`, 1),
		strings.Replace(teaDrinkers, `"noise_people": 20`, fmt.Sprintf(`"noise_people": %d`, activate.MaximumNoise+1), 1),
		`{"room": "r1", "template": "drinkers@1", "values": {}, "purpose": "audience_sync", "privacy": {"noise_people": 100000, "max_groups_per_person": 1}}`,
	} {
		_, err := h.activator().Activate(t.Context(), brand, "r1", []byte(document))
		if fault, is := errors.AsType[*privacy.FieldError](err); !is || fault.Pointer != "/privacy/noise_people" {
			t.Errorf("%v", err)
		}
	}
	if kinds := h.log.Kinds(); kinds[audit.RoomCharged] != 0 {
		t.Errorf("entries %v", kinds)
	}
}

// TestActivateSaysTheSameOfTheSame: who fills a list of the same people is the same whatever the
// noise. Otherwise whoever asks twice, a little more noisily, finds the real ones in both lists.
func TestActivateSaysTheSameOfTheSame(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2300)
	h.noise = 6000 // so that the crowd is not enough
	in := map[pseudonym.Pseudonym]bool{}
	noisier, err := h.activator().Activate(t.Context(), brand, "r1", []byte(strings.Replace(teaDrinkers, `"noise_people": 20`, `"noise_people": 21`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range noisier.Pseudonyms {
		in[name] = true
	}
	first, err := h.activator().Activate(t.Context(), brand, "r1", []byte(teaDrinkers))
	if err != nil {
		t.Fatal(err)
	}
	missing := 0
	for _, name := range first.Pseudonyms {
		if !in[name] {
			missing++
		}
	}
	if missing > 0 || len(noisier.Pseudonyms) != len(first.Pseudonyms)+6 {
		t.Errorf("lists of %d and %d: %d are in the shorter one alone", len(first.Pseudonyms), len(noisier.Pseudonyms), missing)
	}
}

// TestActivateMindsEveryDataset: whoever is asked for by what two datasets of the house hold must
// have agreed to both; here the law wants a yes that names habits, and nobody gave one.
func TestActivateMindsEveryDataset(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2300)
	h.further = []string{strings.NewReplacer(`"dataset": "purchases"`, `"dataset": "smokers"`, `"category": "purchases"`, `"category": "habits"`).Replace(contractText)}
	h.ledger = roomtest.NewLedger(h.log, map[cleanroom.DatasetRef]roomtest.Caps{
		{Owner: "retail_media", Dataset: "purchases"}: {All: 147000000, Consumer: 147000000},
		{Owner: "retail_media", Dataset: "smokers"}:   {All: 147000000, Consumer: 147000000},
	})
	both := strings.Replace(teaDrinkers, `"as": "p"}],`, `"as": "p"}, {"dataset": "retail_media.smokers", "as": "s"}], "join": "match",`, 1)
	audience, err := h.activator().Activate(t.Context(), brand, "r1", []byte(both))
	if denied, is := errors.AsType[*cleanroom.Denied](err); !is || !slices.Equal(denied.Checks, []string{activate.CheckAudience}) {
		t.Errorf("an audience of whoever never agreed: %v, %v", audience != nil, err)
	}
}

// TestActivateTooFew: whether there are enough is decided with noise, told without a number,
// and paid for.
func TestActivateTooFew(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2080) // 1,040 drink tea, and 1,000 plus 33 are needed
	if _, err := h.activator().Activate(t.Context(), brand, "r1", []byte(teaDrinkers)); err != nil {
		t.Errorf("enough: %v", err)
	}
	h.noise = -8
	_, err := h.activator().Activate(t.Context(), brand, "r1", []byte(teaDrinkers))
	denied, is := errors.AsType[*cleanroom.Denied](err)
	if !is || !slices.Equal(denied.Checks, []string{activate.CheckAudience}) || strings.ContainsAny(err.Error(), "0123456789") {
		t.Errorf("too few: %v", err)
	}
	last := h.log.Entries()[3]
	if last.Kind != audit.RoomDenied || last.Count != 0 || !slices.Equal(last.Checks, []string{activate.CheckAudience}) {
		t.Errorf("entry %+v", last)
	}
}

// TestActivateFails: what goes wrong after the charge is not told, and comes late, however it
// went wrong.
func TestActivateFails(t *testing.T) {
	t.Parallel()
	h := &house{}
	for name, broken := range map[string]func(ctx context.Context) error{
		"an error": func(context.Context) error { return errors.New("a person divided by zero") },
		"a panic":  func(context.Context) error { panic("a person divided by zero") },
		"too much work": func(ctx context.Context) error {
			until, _ := ctx.Deadline()
			h.now = h.now.Add(time.Until(until) + time.Second)
			return context.DeadlineExceeded
		},
	} {
		h = newHouse(t, 10)
		h.broken = broken
		if _, err := h.activator().Activate(t.Context(), brand, "r1", []byte(teaDrinkers)); err != cleanroom.ErrFailed {
			t.Errorf("%s: %v", name, err)
		}
		if kinds := h.log.Kinds(); kinds[audit.RoomCharged] != 1 || kinds[audit.RoomFailed] != 1 || h.now.Sub(start) != 2*time.Minute {
			t.Errorf("%s: %v after %v", name, kinds, h.now.Sub(start))
		}
	}
}

// TestActivateRefuses: what is wrong with the question is told before anything is charged.
func TestActivateRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 10)
	for change, pointer := range map[string]string{
		`"metrics": []|"metrics": [{"fn": "people", "as": "n"}]`: "/metrics",
		`"metrics": []|"metrics": [], "group_by": ["p.kind"]`:    "/group_by",
		`"purpose": "audience_sync"|"purpose": "horoscope"`:      "/purpose",
		`"val": "tea"|"val": "milk"`:                             "/where/0/val",
		`{"col": "p.kind"|{"col": "p.age"`:                       "/where/0/col",
	} {
		from, to, _ := strings.Cut(change, "|")
		_, err := h.activator().Activate(t.Context(), brand, "r1", []byte(strings.Replace(teaDrinkers, from, to, 1)))
		if fault, is := errors.AsType[*privacy.FieldError](err); !is || fault.Pointer != pointer {
			t.Errorf("%s: %v", change, err)
		}
	}
	owner := brand
	owner.Recipient = "retail_media"
	if _, err := h.activator().Activate(t.Context(), owner, "r1", []byte(teaDrinkers)); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("without the role: %v", err)
	}
	h.allow = false
	if _, err := h.activator().Activate(t.Context(), brand, "r1", []byte(teaDrinkers)); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("against the policies: %v", err)
	}
	if kinds := h.log.Kinds(); kinds[audit.RoomCharged] != 0 || kinds[audit.RoomDenied] != 2 {
		t.Errorf("entries %v", kinds)
	}
}

func ExampleActivator_Activate() {
	// An audience is a list of pseudonyms and nothing else.
	audience := activate.Audience{Purpose: "audience_sync", Pseudonyms: []pseudonym.Pseudonym{"p1", "p2"}}
	fmt.Println(audience.Pseudonyms, audience.Kept()[:32])
	// Output: [p1 p2] {"activated":true,"list_sha256":
}
