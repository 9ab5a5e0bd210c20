package cleanroom_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// The answer is a known one: what each byte of it says is in docs/spec/room.md.
const reachAnswer = `{"confidence_percent":95,"cost_nanorho":2500000,"epoch":1,` +
	`"groups":[{"key":{"brand.segments.segment":"gold"},"values":{"avg(retailer.purchases.spend_minor)":{"high":10555,"low":0,"value":1500},` +
	`"people":{"high":340,"low":260,"value":300},"sum(retailer.purchases.spend_minor)":{"high":2409964,"low":-1509964,"value":450000}}},` +
	`{"key":{"brand.segments.segment":"silver"},"values":{"avg(retailer.purchases.spend_minor)":{"high":43481,"low":0,"value":1500},` +
	`"people":{"high":140,"low":60,"value":100},"sum(retailer.purchases.spend_minor)":{"high":2109964,"low":-1809964,"value":150000}}}],` +
	`"margin":33,"metrics":[{"name":"people","noise_sd":20},{"hi":50000,"lo":0,"name":"avg(retailer.purchases.spend_minor)"},` +
	`{"hi":50000,"lo":0,"name":"sum(retailer.purchases.spend_minor)","noise_sd":1000000}],"minimum_people":60,` +
	`"protection":"zero-concentrated differential privacy","query":` + reachCanonical + `,"question":"` + reachDigest + `",` +
	`"snapshots":[{"dataset":"brand.segments","snapshot":11},{"dataset":"retailer.purchases","snapshot":10}]}`

func TestAsk(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	answer := h.mustAsk(t, reachQuery)
	if got := string(answer.Release.Answer); got != reachAnswer {
		t.Errorf("answer:\n%s\nwant:\n%s", got, reachAnswer)
	}
	if answer.Release.Digest != sha256.Sum256(answer.Release.Answer) {
		t.Error("the digest is not that of the answer")
	}
	want := map[string]string{"reach": "people", "spend": "sum(retailer.purchases.spend_minor)", "aov": "avg(retailer.purchases.spend_minor)"}
	if diff := cmp.Diff(want, answer.Names); diff != "" {
		t.Error(diff)
	}
	if answer.Repeated || answer.Receipt.IsZero() || answer.Release.Cost != 2_500_000 {
		t.Errorf("repeated %t, receipt %v, cost %d", answer.Repeated, answer.Receipt, answer.Release.Cost)
	}
	// Noise for both numbers of both groups, in the unit of what a person can add.
	if diff := cmp.Diff([]float64{20, 1_000_000, 20, 1_000_000}, h.noise.draws); diff != "" {
		t.Error(diff)
	}
	left, _ := h.ledger.Left(t.Context(), "brand", []cleanroom.DatasetRef{purchases, segments})
	for _, l := range left {
		if l.Spent != 2_500_000 || l.Consumed != 2_500_000 {
			t.Errorf("%v: %d was spent, %d by the asker", l.Dataset, l.Spent, l.Consumed)
		}
	}
	wantEntries(t, h, audit.RoomCharged, audit.RoomReleased)
	for _, entry := range h.log.Entries() {
		if entry.Purpose != "campaign_measurement" || entry.Policy != (audit.Digest{7}) || entry.Principal != brand {
			t.Errorf("%s: %+v", entry.Kind, entry)
		}
	}
	if entries := h.log.Entries(); entries[0].List != answer.Release.Question || entries[1].List != answer.Release.Digest {
		t.Error("the entries are about something else")
	}
}

func wantEntries(t *testing.T, h *house, kinds ...audit.Kind) {
	t.Helper()
	var got []audit.Kind
	for _, entry := range h.log.Entries() {
		got = append(got, entry.Kind)
	}
	if diff := cmp.Diff(kinds, got); diff != "" {
		t.Errorf("entries: %s", diff)
	}
}

// The same question costs nothing and has the same answer, whoever asks and however they
// write it.
func TestAskAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.rooms.Room.Members[1].Roles = []cleanroom.Role{cleanroom.OwnsData, cleanroom.MayQuery}
	first := h.mustAsk(t, reachQuery)
	other := `{"purpose": "campaign_measurement", "privacy": {"max_groups_per_person": 1, "noise_people": 20},
	  "metrics": [{"fn": "avg", "col": "a.spend_minor", "as": "x"}, {"fn": "sum", "col": "a.spend_minor", "as": "y"}],
	  "group_by": ["b.segment"],
	  "where": [{"col": "a.day", "op": "between", "val": ["2026-01-01", "2026-03-31"]}, {"col": "a.product_group", "op": "in", "val": ["snacks", "drinks"]}],
	  "join": "match", "from": [{"dataset": "brand.segments", "as": "b"}, {"dataset": "retailer.purchases", "as": "a"}], "room": "r1"}`
	again, err := h.service.Ask(t.Context(), retailer, "r1", []byte(other))
	if err != nil {
		t.Fatal(err)
	}
	if !again.Repeated || again.Release.Digest != first.Release.Digest {
		t.Errorf("repeated %t, digests %x and %x", again.Repeated, first.Release.Digest, again.Release.Digest)
	}
	if diff := cmp.Diff(map[string]string{"x": "avg(retailer.purchases.spend_minor)", "y": "sum(retailer.purchases.spend_minor)"}, again.Names); diff != "" {
		t.Error(diff)
	}
	wantEntries(t, h, audit.RoomCharged, audit.RoomReleased, audit.RoomReleased)
	if last := h.log.Entries()[2]; last.Principal != retailer || last.List != first.Release.Digest {
		t.Errorf("the entry is %+v", last)
	}
	left, _ := h.ledger.Left(t.Context(), "retailer", []cleanroom.DatasetRef{purchases})
	if left[0].Consumed != 0 || left[0].Spent != 2_500_000 {
		t.Errorf("asking again cost something: %+v", left[0])
	}
}

func TestAskIsDenied(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		principal privacy.Principal
		change    func(h *house)
		checks    []string
	}{
		"nobody's room":     {brand, func(h *house) { h.rooms.Room.ID = "r2" }, []string{"room_member"}},
		"a stranger":        {privacy.Principal{ID: "x", Role: privacy.RoleService, Recipient: "stranger"}, nil, []string{"room_member"}},
		"the DPO":           {privacy.Principal{ID: "x", Role: privacy.RoleDPO}, nil, []string{"room_member"}},
		"a DPO as a party":  {privacy.Principal{ID: "x", Role: privacy.RoleDPO, Recipient: "brand"}, nil, []string{"room_member"}},
		"a closed room":     {brand, func(h *house) { h.rooms.Room.ClosedAt = h.now }, []string{"room_member"}},
		"no role":           {retailer, nil, []string{"room_role"}},
		"the policies":      {brand, func(h *house) { h.policy.decision = policies.RoomDecision{Failed: []string{"room.special"}} }, []string{"room.special"}},
		"broken policies":   {brand, func(h *house) { h.policy.err = policies.ErrPolicy }, []string{"room.well_formed"}},
		"policies that say": {brand, func(h *house) { h.policy.decision = policies.RoomDecision{} }, []string{"room.well_formed"}},
	} {
		h := newHouse(t)
		if test.change != nil {
			test.change(h)
		}
		_, err := h.service.Ask(t.Context(), test.principal, "r1", []byte(reachQuery))
		denied, ok := errors.AsType[*cleanroom.Denied](err)
		if !ok || !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(test.checks, denied.Checks); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		wantEntries(t, h, audit.RoomDenied)
		if h.seen != nil || h.slept != 0 {
			t.Errorf("%s: data was read", name)
		}
		if entry := h.log.Entries()[0]; entry.Outcome != audit.Denied || !cmp.Equal(entry.Checks, test.checks) {
			t.Errorf("%s: %+v", name, entry)
		}
	}
}

func TestWhatThePoliciesSee(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mustAsk(t, reachQuery)
	want := policies.RoomFacts{
		Act: policies.QueryRoom, Party: "brand", Members: []privacy.RecipientID{"brand", "retailer"},
		Roles: []string{"owns_data", "may_query"}, Purpose: "campaign_measurement", RoomPurpose: "campaign_measurement", Mode: "dp",
		Datasets: []policies.RoomDataset{
			{Owner: "brand", Purposes: []privacy.Purpose{"campaign_measurement", "segmentation"}, Source: "party", AdHoc: true},
			{Owner: "retailer", Purposes: []privacy.Purpose{"campaign_measurement"}, Source: "house", AdHoc: true},
		},
		Columns: []policies.RoomColumn{
			{Dataset: 0, Category: "segments", Role: "dimension", Name: "segment", Values: []string{"gold", "silver"}},
			{Dataset: 1, Category: "purchases", Role: "dimension", Name: "product_group", Values: []string{"snacks", "drinks", "other"}, Other: "other"},
			{Dataset: 1, Category: "purchases", Role: "dimension", Name: "day"},
			{Dataset: 1, Category: "purchases", Role: "measure", Name: "spend_minor"},
		},
	}
	if diff := cmp.Diff(want, h.policy.facts); diff != "" {
		t.Error(diff)
	}
}

// The policies can only tighten what the contracts say.
func TestPoliciesTighten(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.policy.decision.MinimumPeople = 68
	var answer struct {
		MinimumPeople int `json:"minimum_people"`
		Groups        []struct{ Suppressed bool }
	}
	if err := json.Unmarshal(h.mustAsk(t, reachQuery).Release.Answer, &answer); err != nil {
		t.Fatal(err)
	}
	// 68 and a margin of 33 is more than the 100 who are silver.
	if answer.MinimumPeople != 68 || answer.Groups[0].Suppressed || !answer.Groups[1].Suppressed {
		t.Errorf("%+v", answer)
	}
	h.policy.decision.MinimumPeople = 3
	if err := json.Unmarshal(h.mustAsk(t, reachQuery).Release.Answer, &answer); err != nil || answer.MinimumPeople != 60 {
		t.Errorf("%d people are enough, %v", answer.MinimumPeople, err)
	}
	h.policy.decision.QueryCap = 2_499_999
	_, err := h.ask(t, reachQuery)
	if err == nil || pointerOf(t, err) != "/privacy/noise_people" {
		t.Errorf("%v", err)
	}
}

// An answer that was given stays what it is under other policies, which decide each time
// whether it is told: to draw it anew would cost and tell more. Only a larger least group makes
// another question.
func TestAnswersOutlivePolicies(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.mustAsk(t, reachQuery)
	draws := len(h.noise.draws)
	h.policy.decision.Policy, h.policy.decision.QueryCap = audit.Digest{8}, int64(first.Release.Cost)
	again := h.mustAsk(t, reachQuery)
	if !again.Repeated || again.Release.Digest != first.Release.Digest || len(h.noise.draws) != draws {
		t.Errorf("other policies, another answer: %+v", again.Release)
	}
	if entries := h.log.Entries(); entries[len(entries)-1].Kind != audit.RoomReleased || entries[len(entries)-1].Policy != (audit.Digest{8}) {
		t.Errorf("the entry does not name the policies that let it be told: %+v", entries[len(entries)-1])
	}
	h.policy.decision.QueryCap--
	if _, err := h.ask(t, reachQuery); err == nil || pointerOf(t, err) != "/privacy/noise_people" {
		t.Errorf("told although it may not cost so much any more: %v", err)
	}
	h.policy.decision.QueryCap = 0
	h.policy.decision.Allow, h.policy.decision.Failed = false, []string{"room.words_harmless"}
	if _, err := h.ask(t, reachQuery); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("told although it is forbidden now: %v", err)
	}
	h.policy.decision.Allow, h.policy.decision.MinimumPeople = true, 68
	if larger := h.mustAsk(t, reachQuery); larger.Repeated {
		t.Error("told under the old least size of a group")
	}
	h.policy.decision.MinimumPeople = 0
	if back := h.mustAsk(t, reachQuery); !back.Repeated || back.Release.Digest != first.Release.Digest {
		t.Error("the first answer is lost")
	}
	if kinds := h.log.Kinds(); kinds[audit.RoomCharged] != 2 {
		t.Errorf("%v", kinds)
	}
}

func TestExhausted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	queries := 0
	var err error
	for group := 1; err == nil; group++ {
		// Each range is another question, of 2.5 million of the brand's 20.
		document := change(t, reachQuery, `"2026-03-31"`, `"`+time.Date(2026, time.Month(group)+1, 0, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)+`"`)
		if _, err = h.ask(t, document); err == nil {
			queries++
		}
	}
	exhausted, ok := errors.AsType[*cleanroom.Exhausted](err)
	if !ok || !errors.Is(err, cleanroom.ErrExhausted) {
		t.Fatal(err)
	}
	if queries != 8 || len(exhausted.Left) != 2 || exhausted.Left[0].Dataset != segments || exhausted.Left[0].Rho() != 0 || exhausted.Left[1].Rho() != 16_750_000 {
		t.Errorf("%d queries, left: %+v", queries, exhausted.Left)
	}
	if kinds := h.log.Kinds(); kinds[audit.RoomDenied] != 1 || kinds[audit.RoomCharged] != 8 || kinds[audit.RoomReleased] != 8 {
		t.Errorf("%v", kinds)
	}
}

// A group is told if its noisy number of people is large enough, whatever the exact one is.
func TestThresholdIsOnTheNoisyNumber(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		shift int64
		told  bool
	}{{-8, false}, {-7, true}, {1000, true}, {-1000, false}} {
		h := newHouse(t)
		h.noise.Noise = shift(test.shift)
		var answer struct{ Groups []struct{ Suppressed bool } }
		if err := json.Unmarshal(h.mustAsk(t, reachQuery).Release.Answer, &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Groups[1].Suppressed == test.told {
			t.Errorf("100 people with noise of %d: told %t", test.shift, !answer.Groups[1].Suppressed)
		}
	}
}

// shift is noise that is always the same.
type shift int64

func (s shift) Gaussian(x int64, _ float64) int64 { return x + int64(s) }

func TestThresholdOnly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.rooms.Room.Mode = cleanroom.ThresholdOnly
	h.executor.Snapshots[11] = h.executor.Snapshots[11][:359]
	answer := h.mustAsk(t, reachQuery)
	if len(h.noise.draws) != 0 || answer.Release.Cost != 0 || answer.Release.Mode != cleanroom.ThresholdOnly {
		t.Errorf("%d draws, cost %d", len(h.noise.draws), answer.Release.Cost)
	}
	var got struct {
		Protection string
		Groups     []struct {
			Suppressed bool
			Values     map[string]map[string]int64
		}
		Confidence int `json:"confidence_percent"`
	}
	if err := json.Unmarshal(answer.Release.Answer, &got); err != nil {
		t.Fatal(err)
	}
	if got.Protection != "not protected against differencing" || got.Confidence != 0 {
		t.Errorf("%+v", got)
	}
	// 59 of the 60 people whom it takes.
	if !got.Groups[1].Suppressed || got.Groups[0].Suppressed {
		t.Errorf("%+v", got.Groups)
	}
	want := map[string]map[string]int64{
		"people": {"value": 300}, "sum(retailer.purchases.spend_minor)": {"value": 450_000}, "avg(retailer.purchases.spend_minor)": {"value": 1500},
	}
	if diff := cmp.Diff(want, got.Groups[0].Values); diff != "" {
		t.Error(diff)
	}
	left, _ := h.ledger.Left(t.Context(), "brand", []cleanroom.DatasetRef{purchases})
	if left[0].Spent != 0 {
		t.Errorf("%d was spent", left[0].Spent)
	}
	// A report says which datasets it was about.
	judged, err := h.service.Judge(t.Context(), brand, "r1", []byte(reachQuery), cleanroom.Asking())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]cleanroom.DatasetRef{segments, purchases}, judged.Charge().Datasets); diff != "" {
		t.Error(diff)
	}
	if h.mustAsk(t, change(t, reachQuery, `"noise_people": 20`, `"noise_people": 50`)); h.log.Kinds()[audit.RoomCharged] != 1 {
		t.Error("noise that there is none of makes another question")
	}
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	document := change(t, reachQuery, `{"fn": "avg", "col": "p.spend_minor", "as": "aov"}`, `{"fn": "histogram", "col": "p.spend_minor", "as": "bins"}`)
	document = change(t, document, `"noise_people": 20`, `"noise_people": 25`)
	answer := h.mustAsk(t, document)
	if answer.Release.Cost != 2_400_000 { // three numbers a group: 3/(2·25²)
		t.Errorf("cost %d", answer.Release.Cost)
	}
	var got struct {
		Groups []struct {
			Values map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(answer.Release.Answer, &got); err != nil {
		t.Fatal(err)
	}
	const want = `{"bins":[{"suppressed":true},{"high":349,"low":251,"value":300},{"suppressed":true}],"edges":[1000,10000]}`
	if bins := string(got.Groups[0].Values["histogram(retailer.purchases.spend_minor)"]); bins != want {
		t.Errorf("%s", bins)
	}
	// People, a sum and three bins, of two groups.
	if len(h.noise.draws) != 10 {
		t.Errorf("%d draws", len(h.noise.draws))
	}
}

func TestPrice(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	price, err := h.service.Price(t.Context(), brand, "r1", []byte(reachQuery))
	if err != nil {
		t.Fatal(err)
	}
	want := []cleanroom.MetricPrice{
		{Name: "people", NoiseSD: 20, HalfWidth: 40},
		{Name: "avg(retailer.purchases.spend_minor)", HalfWidth: price.Metrics[1].HalfWidth, AverageOf: 1000},
		{Name: "sum(retailer.purchases.spend_minor)", NoiseSD: 1_000_000, HalfWidth: 1_959_964},
	}
	if diff := cmp.Diff(want, price.Metrics); diff != "" {
		t.Error(diff)
	}
	// 2.24 standard deviations of the sum are 2,242 a person; those of the people add more.
	if width := price.Metrics[1].HalfWidth; width < 2_242 || width > 4_000 {
		t.Errorf("an average of 1000 people: %d", width)
	}
	if price.Cost != 2_500_000 || price.Questions != 8 || price.Threshold != 93 || price.Receipt.IsZero() {
		t.Errorf("%+v", price)
	}
	wantEntries(t, h, audit.RoomPriced)
	if h.seen != nil {
		t.Error("data was read")
	}
	answer := h.mustAsk(t, reachQuery)
	if answer.Release.Question != price.Question || answer.Release.Cost != price.Cost || string(answer.Release.Query) != string(price.Query) {
		t.Error("the price was that of another question")
	}
	h.rooms.Room.Mode = cleanroom.ThresholdOnly
	if price, err = h.service.Price(t.Context(), brand, "r1", []byte(reachQuery)); err != nil || price.Cost != 0 || price.Questions != -1 {
		t.Errorf("%+v, %v", price, err)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.mustAsk(t, reachQuery)
	budget, err := h.service.Budget(t.Context(), retailer, "r1")
	if err != nil {
		t.Fatal(err)
	}
	if budget.Example != 1_250_000 || len(budget.Left) != 2 || budget.Left[0].Spent != 2_500_000 || budget.Left[0].Consumed != 0 {
		t.Errorf("%+v", budget)
	}
	if diff := cmp.Diff([]int64{16, 29}, budget.Questions); diff != "" {
		t.Error(diff)
	}
	if _, err := h.service.Budget(t.Context(), privacy.Principal{ID: "x", Role: privacy.RoleService, Recipient: "stranger"}, "r1"); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("a stranger is told: %v", err)
	}
}

// An asker who goes away gets nothing, but what was paid for is there when they come back.
func TestAnswerOutlivesTheAsker(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	h.executor.Fault = func(*cleanroom.Plan, []cleanroom.Group) error {
		cancel()
		return nil
	}
	h.config.Sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	h.open()
	if _, err := h.service.Ask(ctx, brand, "r1", []byte(reachQuery)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if answer := h.mustAsk(t, reachQuery); !answer.Repeated {
		t.Error("it was computed twice")
	}
}
