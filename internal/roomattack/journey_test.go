package roomattack

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// What households spend, in cents: the most that counts is more than all but a few spend.
const mostCents = 30_000

var (
	departments = []string{"grocery", "drugstore", "produce", "meat", "deli", "other"}
	// The campaigns that most households got.
	campaigns = []string{"8", "13", "18", "27", "other"}
	// households who bought pregnancy tests.
	pregnancy = []int64{110, 653, 2127}
)

// journey is the Complete Journey as two parties bring it into a room: what households bought,
// and who got which campaign.
type journey struct {
	purchases, members []roomtest.Row
	tests              []bool // of the purchases: whether this one was a pregnancy test
	contracts          []*cleanroom.SignedContract
}

func readJourney(t *testing.T) *journey {
	t.Helper()
	dir := os.Getenv("MAHREM_TEST_JOURNEY")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data", "complete-journey")
	}
	if _, err := os.Stat(filepath.Join(dir, "transactions_sample.csv.gz")); err != nil {
		t.Skip("the Complete Journey is not here; MAHREM_TEST_JOURNEY says where it is")
	}
	type product struct {
		department int64
		test       bool
	}
	products := map[string]product{}
	known := map[string]int64{"GROCERY": 0, "DRUG GM": 1, "PRODUCE": 2, "MEAT": 3, "DELI": 4}
	eachRow(t, filepath.Join(dir, "products.csv.gz"), func(row map[string]string) {
		department, ok := known[row["department"]]
		if !ok {
			department = 5
		}
		products[row["product_id"]] = product{department, row["product_type"] == "PREGNANCY TEST KITS"}
	})
	j := &journey{}
	eachRow(t, filepath.Join(dir, "transactions_sample.csv.gz"), func(row map[string]string) {
		household, err := strconv.ParseInt(row["household_id"], 10, 64)
		value, err2 := strconv.ParseFloat(row["sales_value"], 64)
		if err != nil || err2 != nil {
			t.Fatal("a number that cannot be read")
		}
		p := products[row["product_id"]]
		j.purchases = append(j.purchases, roomtest.Row{Match: household, D: [8]int64{p.department}, M: [4]int64{int64(math.Round(100 * value))}})
		j.tests = append(j.tests, p.test)
	})
	eachRow(t, filepath.Join(dir, "campaigns.csv.gz"), func(row map[string]string) {
		household, err := strconv.ParseInt(row["household_id"], 10, 64)
		if err != nil {
			t.Fatal("a number that cannot be read")
		}
		campaign := slices.Index(campaigns, row["campaign_id"])
		if campaign < 0 {
			campaign = len(campaigns) - 1
		}
		j.members = append(j.members, roomtest.Row{Match: household, D: [8]int64{int64(campaign)}})
	})
	j.contracts = contracts(1)
	j.contracts[0].Contract.Columns = []cleanroom.Column{
		{Name: "campaign", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "segments", Domain: campaigns, Other: "other"},
	}
	j.contracts[1].Contract.Columns = []cleanroom.Column{
		{Name: "department", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "purchases", Domain: departments, Other: "other"},
		{
			Name: "spend", Role: cleanroom.Measure, Type: cleanroom.Integer, Category: "purchases", Lo: 0, Hi: mostCents,
			Functions: []cleanroom.Function{cleanroom.Sum, cleanroom.Average},
		},
	}
	for _, c := range j.contracts {
		c.Contract.Unit = "household"
	}
	return j
}

func eachRow(t *testing.T, path string, tell func(row map[string]string)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := csv.NewReader(unzipped)
	header, err := lines.Read()
	for row := map[string]string{}; err == nil; {
		var fields []string
		if fields, err = lines.Read(); err == nil {
			for i, name := range header {
				row[name] = fields[i]
			}
			tell(row)
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

// world returns the data with a household and without what leave says of its purchases; if
// member is false the household is on no list either.
func (j *journey) world(household int64, leave func(i int) bool, member bool) World {
	var purchases, members []roomtest.Row
	for i, row := range j.purchases {
		if row.Match != household || !leave(i) {
			purchases = append(purchases, row)
		}
	}
	for _, row := range j.members {
		if row.Match != household || member {
			members = append(members, row)
		}
	}
	return World{
		With:    map[cleanroom.SnapshotID][]roomtest.Row{1: j.members, 2: j.purchases},
		Without: map[cleanroom.SnapshotID][]roomtest.Row{1: members, 2: purchases},
	}
}

func journeyQuestion(where, metrics string, noise int, among bool) []byte {
	from, join := `{"dataset":"shop.purchases","as":"p"}`, ""
	if among {
		from, join = from+`,{"dataset":"brand.members","as":"m"}`, `"join":"match",`
	}
	return fmt.Appendf(nil, `{"room":%q,"from":[%s],%s"where":[%s],"metrics":[%s],"privacy":{"noise_people":%d,"max_groups_per_person":1},"purpose":%q}`,
		roomID, from, join, where, metrics, noise, purpose)
}

// words of a predicate on a column.
func predicate(column string, words ...string) string {
	list, _ := json.Marshal(words)
	return fmt.Sprintf(`{"col":%q,"op":"in","val":%s}`, column, list)
}

// Three households bought pregnancy tests. Whoever knows everything else, asks whatever the room admits where
// they would show most, and spends a consumer's whole budget, cannot tell whether one of them
// is in the data, nor whether it bought the test.
func TestNobodyLearnsOfPregnancy(t *testing.T) {
	t.Parallel()
	j := readJourney(t)
	n, slack := trials()
	for _, household := range pregnancy {
		for name, world := range map[string]World{
			"the household is in the data": j.world(household, func(int) bool { return true }, false),
			"it bought the tests":          j.world(household, func(i int) bool { return j.tests[i] }, true),
		} {
			var steps []Step
			for _, other := range [][]string{nil, {"produce"}, {"meat"}, {"deli"}, {"produce", "meat"}, {"produce", "deli"}, {"meat", "deli"}, {"produce", "meat", "deli"}} {
				steps = append(steps, Step{Who: "brand", Epoch: 1, Question: journeyQuestion(predicate("p.department", append([]string{"drugstore"}, other...)...), sumThem, 15, false)})
			}
			attack := Attack{Name: name, World: world, Contracts: j.contracts, Steps: steps, Budget: ConsumerCap}
			t.Run(fmt.Sprintf("household %d/%s", household, name), func(t *testing.T) {
				t.Parallel()
				outcome, err := attack.Run(t.Context(), Target{Mode: cleanroom.Private}, n, uint64(household))
				if err != nil {
					t.Fatal(err)
				}
				bound := noise.Accuracy(int64(attack.Budget))
				t.Logf("right in %.1f %% of %d trials, bound %.1f %%", 100*outcome.Accuracy(), outcome.Trials, 100*bound)
				if outcome.Accuracy() > bound+slack {
					t.Errorf("right in %.2f %% of %d trials, at most it is %.2f %%", 100*outcome.Accuracy(), outcome.Trials, 100*bound)
				}
				if outcome.Asked < 8*outcome.Trials {
					t.Errorf("the attackers heard too little: %+v", outcome)
				}
				// A room without noise tells at once.
				open, err := attack.Run(t.Context(), Target{Mode: cleanroom.ThresholdOnly}, min(n, 200), 1)
				if err != nil {
					t.Fatal(err)
				}
				if open.Accuracy() < 0.99 {
					t.Errorf("without noise they are right in %.2f %% only: the attack shows nothing", 100*open.Accuracy())
				}
			})
		}
	}
}

// A contract with pregnancy tests among its words is admitted by nobody, and asking about
// them is not either.
func TestPregnancyTestsAreNoWords(t *testing.T) {
	t.Parallel()
	engine, err := policies.Open(t.Context(), policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	decide := func(act policies.RoomAct, words ...string) policies.RoomDecision {
		facts := policies.RoomFacts{
			Act: act, Party: "retail_media", Members: []privacy.RecipientID{"brand_partner", "retail_media"},
			Roles: []string{"owns_data", "may_query", "may_receive"}, Purpose: purpose, RoomPurpose: purpose, Mode: "dp",
			Datasets: []policies.RoomDataset{{Owner: "retail_media", Purposes: []privacy.Purpose{purpose}, Source: "house", AdHoc: true}},
			Columns:  []policies.RoomColumn{{Category: "purchases", Role: "dimension", Vocabulary: policies.VocabularyProductGroups, Values: words}},
		}
		decision, err := engine.Revision().DecideRoom(t.Context(), facts)
		if err != nil {
			t.Fatal(err)
		}
		return decision
	}
	for _, act := range []policies.RoomAct{policies.AdmitToRoom, policies.QueryRoom} {
		if decision := decide(act, "grocery.dairy"); !decision.Allow {
			t.Errorf("%s: dairy is refused: %v", act, decision.Failed)
		}
		for _, word := range []string{"PREGNANCY TEST KITS", "FAMILY PLANNING", "HOME HEALTH CARE"} {
			if decide(act, "grocery.dairy", word).Allow {
				t.Errorf("%s: %s is a word of the room", act, word)
			}
		}
	}
}

// measured is what the parties want to know about a campaign: reach, spend, the average and
// the uplift over everybody else.
type measured struct{ reach, spend, average, uplift int }

// Reach, spend and uplift of campaigns come with intervals that hold the true numbers at the
// stated rate.
func TestJourneyIntervals(t *testing.T) {
	t.Parallel()
	j := readJourney(t)
	n := 400
	if testing.Short() {
		n = 60
	}
	const all = sumThem + `,{"fn":"avg","col":"p.spend","as":"a"}`
	world := j.world(0, func(int) bool { return false }, true)
	attack := &Attack{World: world, Contracts: j.contracts, Steps: []Step{{Epoch: 1}}}
	s := newSiege(attack, Target{Mode: cleanroom.Private})
	s.rooms.Room, s.rooms.Snapshots = s.epochs[1].room, s.epochs[1].snapshots
	var hits measured
	for trial := range n {
		service, _ := s.service(uint64(trial), uint64(trial))
		asked := func(question []byte) (told, exact) {
			answer, err := service.Ask(t.Context(), privacy.Principal{ID: "brand", Role: privacy.RoleService, Recipient: "brand"}, roomID, question)
			if err != nil {
				t.Fatal(err)
			}
			var a told
			if err := json.Unmarshal(answer.Release.Answer, &a); err != nil || len(a.Groups) != 1 || a.Groups[0].Suppressed {
				t.Fatalf("%v: %s", err, answer.Release.Answer)
			}
			return a, s.executor.last.with[0]
		}
		everybody, truth := asked(journeyQuestion("", all, 20, false))
		for _, campaign := range campaigns[:3] {
			exposed, inside := asked(journeyQuestion(predicate("m.campaign", campaign), all, 20, true))
			values := exposed.Groups[0].Values
			hits.reach += values["people"].holds(float64(inside.people))
			hits.spend += values["sum(shop.purchases.spend)"].holds(float64(inside.sums[0]))
			hits.average += values["avg(shop.purchases.spend)"].holds(float64(inside.sums[0]) / float64(inside.people))
			sigma := noise.SumSigma(20, 0, mostCents)
			number := func(a told, name string, sigma float64) noise.Noisy {
				return noise.Noisy{Value: a.Groups[0].Values[name].drawn(), Sigma: sigma}
			}
			d := noise.Uplift(number(exposed, "sum(shop.purchases.spend)", sigma), number(exposed, "people", 20),
				number(everybody, "sum(shop.purchases.spend)", sigma), number(everybody, "people", 20), 0, mostCents)
			difference := float64(inside.sums[0])/float64(inside.people) - float64(truth.sums[0]-inside.sums[0])/float64(truth.people-inside.people)
			if float64(d.Low) <= difference && difference <= float64(d.High) {
				hits.uplift++
			}
			if trial == 0 {
				t.Logf("campaign %s: reach %d (true %d), spend %d (%d), uplift %d in [%d, %d] (%.0f)", campaign, values["people"].Value, inside.people,
					values["sum(shop.purchases.spend)"].Value, inside.sums[0], d.Value, d.Low, d.High, difference)
			}
		}
	}
	total := float64(3 * n)
	least := 0.95 - 4*math.Sqrt(0.95*0.05/total)
	for _, c := range []struct {
		what string
		hits int
	}{{"reach", hits.reach}, {"spend", hits.spend}, {"average", hits.average}, {"uplift", hits.uplift}} {
		t.Logf("%s: %.1f %% of %.0f intervals hold the truth", c.what, 100*float64(c.hits)/total, total)
		if float64(c.hits)/total < least {
			t.Errorf("%s: %.1f %% of the intervals hold the truth, at least it is %.1f %%", c.what, 100*float64(c.hits)/total, 100*least)
		}
	}
}

func (v value) holds(truth float64) int {
	if float64(v.Low) <= truth && truth <= float64(v.High) {
		return 1
	}
	return 0
}
