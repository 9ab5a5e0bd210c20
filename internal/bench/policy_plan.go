package bench

import (
	"context"
	"errors"
	"math"
	"strconv"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// shopper are facts that the bundled policies allow: an ordinary question for
// recommendations about somebody who agreed.
func shopper() policies.Facts {
	return policies.Facts{
		Action: policies.Personalize, Role: privacy.RoleService, Recipient: Recipient, Purpose: "recommendations",
		Channel: "web", Reference: policies.ByPseudonym,
		Subject: policies.SubjectFacts{
			Known: policies.Yes, Age: policies.Adult, Jurisdiction: "CZ", Restricted: policies.No,
			Objected: policies.No, Household: policies.SharedHousehold,
		},
		Consent: policies.ConsentFacts{State: policies.ConsentGranted, Explicit: policies.No, Basis: privacy.Consent, Incentive: policies.No},
		Trigger: policies.NoTrigger, Case: policies.NoCase,
		Categories: []privacy.DataCategory{"preferences", "profile", "purchases", "views"},
	}
}

var errNotDecided = errors.New("the policies do not decide about the benchmark as they should")

// measurePlan measures a decision that is made by asking the rules.
func measurePlan(ctx context.Context, on policyBench) ([]Row, error) {
	config := on.PolicyConfig
	engine := on.engine
	revision, allowed, denied := engine.Revision(), shopper(), shopper()
	denied.Consent.State = policies.ConsentWithdrawn
	var rows []Row
	for _, side := range []struct {
		what  string
		facts policies.Facts
		allow bool
	}{{"plan, evaluated, allowed", allowed, true}, {"plan, evaluated, denied", denied, false}} {
		took, allocations, err := timed(config.Time/2, func() error {
			plan, err := revision.PlanUncached(ctx, side.facts)
			if err == nil && plan.Allow != side.allow {
				err = errNotDecided
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		rows = append(rows,
			Row{What: side.what, Figure: took.Seconds() * 1000, Unit: "ms"}.atMost(0.12),
			Row{What: side.what, Figure: math.Round(allocations), Unit: "allocations"}.atMost(500))
	}
	first, err := measureFirst(ctx, config, revision)
	return append(rows, first...), err
}

// measureFirst measures a plan for a question that nobody put before, of which nothing
// is remembered.
func measureFirst(ctx context.Context, config PolicyConfig, revision *policies.Revision) ([]Row, error) {
	facts, n := shopper(), 0
	categories := append([]privacy.DataCategory{""}, facts.Categories...)
	took, allocations, err := timed(config.Time/2, func() error {
		n++
		categories[0] = privacy.DataCategory("none." + strconv.Itoa(n))
		facts.Categories = categories
		plan, err := revision.PlanUncached(ctx, facts)
		if err == nil && !plan.Allow {
			err = errNotDecided
		}
		return err
	})
	row := Row{What: "plan, evaluated, question asked the first time", Met: true}
	inTime, inAllocations := row, row
	inTime.Figure, inTime.Unit = took.Seconds()*1000, "ms"
	inAllocations.Figure, inAllocations.Unit = math.Round(allocations), "allocations"
	return []Row{inTime, inAllocations}, err
}

// measureMemo measures a decision that is remembered.
func measureMemo(ctx context.Context, on policyBench) ([]Row, error) {
	config := on.PolicyConfig
	engine := on.engine
	revision, facts := engine.Revision(), shopper()
	if status := revision.Memo(); !status.Exact {
		return nil, errors.New("the memo is off: " + status.Note)
	}
	took, allocations, err := timed(config.Time/2, func() error {
		plan, err := revision.Decide(ctx, facts)
		if err == nil && !plan.Allow {
			err = errNotDecided
		}
		return err
	})
	return []Row{
		Row{What: "plan, remembered", Figure: took.Seconds() * 1e6, Unit: "µs"}.atMost(1),
		Row{What: "plan, remembered", Figure: math.Round(allocations), Unit: "allocations"}.atMost(0),
	}, err
}
