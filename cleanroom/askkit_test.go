package cleanroom_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

const reachQuery = `{
  "room": "r1",
  "from": [{"dataset": "retailer.purchases", "as": "p"}, {"dataset": "brand.segments", "as": "s"}], "join": "match",
  "where": [{"col": "p.product_group", "op": "in", "val": ["drinks", "snacks"]}, {"col": "p.day", "op": "between", "val": ["2026-01-01", "2026-03-31"]}],
  "group_by": ["s.segment"],
  "metrics": [{"fn": "people", "as": "reach"}, {"fn": "sum", "col": "p.spend_minor", "as": "spend"}, {"fn": "avg", "col": "p.spend_minor", "as": "aov"}],
  "privacy": {"noise_people": 20, "max_groups_per_person": 1}, "purpose": "campaign_measurement"
}`

// house is a room with two parties, their data and a clock that stands still unless somebody
// sleeps.
type house struct {
	rooms    *roomtest.Rooms
	executor *roomtest.Executor
	ledger   *roomtest.Ledger
	log      *roomtest.Log
	noise    *countingNoise
	policy   *policy
	service  *cleanroom.Service
	config   cleanroom.Config

	now   time.Time
	slept time.Duration

	reporting sync.Mutex
	reports   []error
	seen      *cleanroom.Plan
}

// policy is what a test wants the policies to say.
type policy struct {
	deciding sync.Mutex
	decision policies.RoomDecision
	err      error
	facts    policies.RoomFacts
}

func (p *policy) DecideRoom(_ context.Context, facts policies.RoomFacts) (policies.RoomDecision, error) {
	p.deciding.Lock()
	defer p.deciding.Unlock()
	p.facts = facts
	return p.decision, p.err
}

// countingNoise counts the draws.
type countingNoise struct {
	cleanroom.Noise
	draws []float64
}

func (n *countingNoise) Gaussian(x int64, sigma float64) int64 {
	n.draws = append(n.draws, sigma)
	return n.Noise.Gaussian(x, sigma)
}

// zero is no noise at all, so that tests see the arithmetic.
type zero struct{}

func (zero) Gaussian(x int64, _ float64) int64 { return x }

var (
	purchases = cleanroom.DatasetRef{Owner: "retailer", Dataset: "purchases"}
	segments  = cleanroom.DatasetRef{Owner: "brand", Dataset: "segments"}
	brand     = privacy.Principal{ID: "analyst", Role: privacy.RoleService, Recipient: "brand"}
	retailer  = privacy.Principal{ID: "buyer", Role: privacy.RoleService, Recipient: "retailer"}
)

func newHouse(t testing.TB) *house {
	t.Helper()
	a, b := mustSign(t, mustContract(t, purchasesContract)), mustSign(t, mustContract(t, segmentsContract))
	h := &house{
		rooms: &roomtest.Rooms{
			Room: &cleanroom.Room{
				ID: "r1", Purpose: "campaign_measurement", Mode: cleanroom.Private, Matching: cleanroom.MatchOperator, Epoch: 1,
				Members: []cleanroom.Member{
					{Party: "brand", Roles: []cleanroom.Role{cleanroom.OwnsData, cleanroom.MayQuery}},
					{Party: "retailer", Roles: []cleanroom.Role{cleanroom.OwnsData}},
				},
			},
			Contracts: []*cleanroom.SignedContract{b, a},
			Snapshots: []cleanroom.MatchedSnapshot{{ID: 11, Dataset: segments, Prepared: b}, {ID: 10, Dataset: purchases, Prepared: a}},
		},
		log:    &roomtest.Log{},
		noise:  &countingNoise{Noise: zero{}},
		policy: &policy{decision: policies.RoomDecision{Allow: true, Policy: audit.Digest{7}}},
		now:    time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	h.ledger = roomtest.NewLedger(h.log, map[cleanroom.DatasetRef]roomtest.Caps{
		purchases: {All: a.Contract.Cap, Consumer: a.Contract.ConsumerCap},
		segments:  {All: b.Contract.Cap, Consumer: b.Contract.ConsumerCap},
	})
	h.executor = &roomtest.Executor{Snapshots: map[cleanroom.SnapshotID][]roomtest.Row{10: nil, 11: nil}}
	h.executor.Fault = func(plan *cleanroom.Plan, _ []cleanroom.Group) error {
		h.seen = plan
		return nil
	}
	// 400 people, of whom 300 are gold; each bought snacks in January for 10.00 and again for
	// 5.00, and something in December.
	for person := range int64(400) {
		segment := int64(0)
		if person >= 300 {
			segment = 1
		}
		h.add(11, person, [8]int64{segment}, [4]int64{5})
		h.add(10, person, [8]int64{0, 20460}, [4]int64{1000, 1})
		h.add(10, person, [8]int64{1, 20470}, [4]int64{500, 1})
		h.add(10, person, [8]int64{0, 20810}, [4]int64{77, 1})
	}
	h.config = cleanroom.Config{
		Now: func() time.Time { return h.now },
		Sleep: func(_ context.Context, d time.Duration) error {
			h.slept += d
			h.now = h.now.Add(d)
			return nil
		},
		Report: func(err error) {
			h.reporting.Lock()
			defer h.reporting.Unlock()
			h.reports = append(h.reports, err)
		},
	}
	h.open()
	return h
}

func (h *house) add(snapshot cleanroom.SnapshotID, person int64, d [8]int64, m [4]int64) {
	h.executor.Snapshots[snapshot] = append(h.executor.Snapshots[snapshot], roomtest.Row{Match: person, D: d, M: m})
}

func (h *house) open() {
	h.service = cleanroom.New(h.rooms, h.policy, h.ledger, h.executor, h.noise, h.log, h.config)
}

func (h *house) ask(t testing.TB, document string) (*cleanroom.Answer, error) {
	t.Helper()
	return h.service.Ask(t.Context(), brand, "r1", []byte(document))
}

func (h *house) mustAsk(t testing.TB, document string) *cleanroom.Answer {
	t.Helper()
	answer, err := h.ask(t, document)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// change replaces a part of a document that must be there once.
func change(t testing.TB, document, old, now string) string {
	t.Helper()
	if strings.Count(document, old) != 1 {
		t.Fatalf("%s is there %d times", old, strings.Count(document, old))
	}
	return strings.Replace(document, old, now, 1)
}
