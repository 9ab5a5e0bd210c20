package cleanroom_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// answerAbout returns an answer about people and what they spent, of at most 50.00 each.
func answerAbout(where, groups, groupBy, snapshots string) string {
	return fmt.Sprintf(`{"confidence_percent":95,"groups":[%s],"metrics":[{"name":"people","noise_sd":20},
		{"hi":5000,"lo":0,"name":"sum(shop.purchases.spend)","noise_sd":100000}],
		"query":{"group_by":[%s],"mode":"dp","room":"spring","where":[%s]},"snapshots":[%s]}`, groups, groupBy, where, snapshots)
}

const (
	inSpring   = `{"col":"shop.purchases.day","from":"2026-03-01","to":"2026-03-31"}`
	exposed    = `{"col":"brand.members.campaign","in":["18"]}`
	purchases1 = `{"dataset":"shop.purchases","snapshot":7}`
	both       = `{"dataset":"brand.members","snapshot":8},` + purchases1
)

func spentBy(people, sum int64) string {
	return fmt.Sprintf(`{"key":{},"values":{"people":{"value":%d},"sum(shop.purchases.spend)":{"value":%d}}}`, people, sum)
}

func TestUplift(t *testing.T) {
	t.Parallel()
	group := answerAbout(inSpring+","+exposed, spentBy(900, 2_862_000), "", both)
	everybody := answerAbout(inSpring, spentBy(3900, 10_062_000), "", purchases1)
	got, err := cleanroom.Uplift([]byte(group), []byte(everybody), "")
	if err != nil {
		t.Fatal(err)
	}
	want := []cleanroom.GroupUplift{{
		Key: map[string]string{}, People: 900, Others: 3000,
		Inside: cleanroom.Estimate{Value: 3180, Low: 2791, High: 3610}, Outside: cleanroom.Estimate{Value: 2400, Low: 2246, High: 2561},
		Uplift: cleanroom.Estimate{Value: 780, Low: 170, High: 1432},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// As it comes from the command and over HTTP, with the answer inside.
	again, err := cleanroom.Uplift([]byte(`{"answer":`+group+`}`), []byte(`{"answer":`+everybody+`}`), "shop.purchases.spend")
	if diff := cmp.Diff(got, again); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// By group, each against everybody without it; those that are too small are not told.
func TestUpliftByGroup(t *testing.T) {
	t.Parallel()
	groups := strings.Replace(spentBy(900, 2_862_000), `"key":{}`, `"key":{"brand.members.campaign":"18"}`, 1) +
		`,{"key":{"brand.members.campaign":"30"},"suppressed":true}`
	group := answerAbout("", groups, `"brand.members.campaign"`, both)
	everybody := answerAbout("", spentBy(3900, 10_062_000), "", purchases1)
	got, err := cleanroom.Uplift([]byte(group), []byte(everybody), "")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Uplift.Value != 780 || got[0].Suppressed || !got[1].Suppressed || got[1].People != 0 {
		t.Errorf("%+v", got)
	}
}

func TestUpliftOfWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	group := answerAbout(inSpring+","+exposed, spentBy(900, 2_862_000), "", both)
	everybody := answerAbout(inSpring, spentBy(3900, 10_062_000), "", purchases1)
	for name, c := range map[string]struct {
		group, everybody, measure string
		want                      error
	}{
		"the other way round":      {everybody, group, "", cleanroom.ErrNotComparable},
		"another snapshot":         {strings.Replace(group, `"snapshot":7`, `"snapshot":9`, 1), everybody, "", cleanroom.ErrNotComparable},
		"another room":             {group, strings.Replace(everybody, "spring", "winter", 1), "", cleanroom.ErrNotComparable},
		"other days":               {group, strings.Replace(everybody, "03-31", "04-30", 1), "", cleanroom.ErrNotComparable},
		"everybody by group":       {group, answerAbout(inSpring, spentBy(3900, 1), `"shop.purchases.store"`, purchases1), "", cleanroom.ErrNotComparable},
		"another sum":              {group, everybody, "shop.purchases.visits", cleanroom.ErrNotComparable},
		"no answer":                {`{"title":"forbidden"}`, everybody, "", privacy.ErrInvalid},
		"no JSON":                  {group, "reach", "", privacy.ErrInvalid},
		"another confidence":       {strings.Replace(group, ":95", ":50", 1), everybody, "", privacy.ErrInvalid},
		"it is not said how noisy": {strings.Replace(group, `"noise_sd":100000`, `"noise_sd":0`, 1), everybody, "", privacy.ErrInvalid},
		"a group without people":   {strings.Replace(group, `"people":{"value":900},`, "", 1), everybody, "", privacy.ErrInvalid},
	} {
		if got, err := cleanroom.Uplift([]byte(c.group), []byte(c.everybody), c.measure); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, c.want)
		}
	}
}

// Rows that are left out of the group are not those of other people: somebody in it may have
// others, and may count in another group of everybody's.
func TestUpliftOfRows(t *testing.T) {
	t.Parallel()
	keyed := func(column, word string) string {
		return strings.Replace(spentBy(900, 2_862_000), `"key":{}`, `"key":{"`+column+`":"`+word+`"}`, 1)
	}
	const shelf, campaign = "shop.purchases.shelf", "brand.members.campaign"
	ofShelf := func(where string, groups int) string {
		return strings.Replace(answerAbout(where, keyed(shelf, "tea")+","+keyed(shelf, "coffee"), `"`+shelf+`"`, both),
			`"mode"`, fmt.Sprintf(`"privacy":{"max_groups_per_person":%d},"mode"`, groups), 1)
	}
	all := answerAbout("", spentBy(3900, 10_062_000), "", purchases1)
	for name, c := range map[string]struct {
		group, everybody string
		ofPeople         []string
		fits             bool
	}{
		"by campaign":                        {answerAbout("", keyed(campaign, "18"), `"`+campaign+`"`, both), all, nil, true},
		"a part of the rows":                 {answerAbout(`{"col":"`+shelf+`","in":["tea"]}`, spentBy(900, 2_862_000), "", purchases1), all, nil, false},
		"rows by group":                      {ofShelf("", 2), all, nil, false},
		"something else is of people":        {ofShelf("", 2), all, []string{campaign}, false},
		"all rows of a person":               {ofShelf("", 2), all, []string{shelf}, true},
		"both by what people do, in all":     {ofShelf(exposed, 2), ofShelf("", 2), nil, true},
		"both by what people do, in one":     {ofShelf(exposed, 1), ofShelf("", 1), nil, false},
		"both by what people are, in one":    {ofShelf(exposed, 1), ofShelf("", 1), []string{shelf}, true},
		"a dataset whose name begins alike":  {answerAbout(`{"col":"shop.purchases2.shelf","in":["tea"]}`, spentBy(900, 2_862_000), "", both), all, nil, true},
		"everybody is limited by it as well": {answerAbout(inSpring+","+exposed, spentBy(900, 2_862_000), "", both), answerAbout(inSpring, spentBy(3900, 10_062_000), "", purchases1), nil, true},
	} {
		got, err := cleanroom.Uplift([]byte(c.group), []byte(c.everybody), "", c.ofPeople...)
		if c.fits != (err == nil) || !c.fits && !errors.Is(err, cleanroom.ErrNotComparable) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// What the service answers can be compared.
func TestUpliftOfAnswers(t *testing.T) {
	t.Parallel()
	var documents [2][]byte
	for i, where := range []string{`[{"col": "p.product_group", "op": "in", "val": ["drinks"]}]`, `[]`} {
		query := fmt.Sprintf(`{"room": "r1", "from": [{"dataset": "retailer.purchases", "as": "p"}], "where": %s,
			"metrics": [{"fn": "sum", "col": "p.spend_minor", "as": "s"}], "privacy": {"noise_people": 20, "max_groups_per_person": 1}, "purpose": "campaign_measurement"}`, where)
		answer, err := newHouse(t).ask(t, query)
		if err != nil {
			t.Fatal(err)
		}
		documents[i] = answer.Release.Answer
	}
	const group = "retailer.purchases.product_group"
	got, err := cleanroom.Uplift(documents[0], documents[1], "", group)
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := cleanroom.Uplift(documents[0], documents[1], ""); !errors.Is(err, cleanroom.ErrNotComparable) {
		t.Errorf("what people spend on drinks is compared with all that they spend: %v", err)
	}
	if _, err := cleanroom.Uplift(documents[1], documents[0], "", group); !errors.Is(err, cleanroom.ErrNotComparable) {
		t.Errorf("everybody is compared with a part: %v", err)
	}
}

func FuzzUplift(f *testing.F) {
	group := answerAbout(inSpring+","+exposed, spentBy(900, 2_862_000), "", both)
	everybody := answerAbout(inSpring, spentBy(3900, 10_062_000), "", purchases1)
	f.Add([]byte(group), []byte(everybody))
	f.Add([]byte(`{"answer":`+group+`}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, group, everybody []byte) {
		uplifts, err := cleanroom.Uplift(group, everybody, "")
		for _, u := range uplifts {
			if err != nil || !u.Suppressed && (u.Inside.Low > u.Inside.High || u.Outside.Low > u.Outside.High || u.People < 0 || u.Others < 0) {
				t.Errorf("%+v, %v", u, err)
			}
		}
	})
}
