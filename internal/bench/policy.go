package bench

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"time"

	"github.com/mahrem/mahrem/policies"
)

// PolicyConfig says what [Policy] measures.
type PolicyConfig struct {
	// Bundle is the policy bundle; nil means the one in the binary.
	Bundle fs.FS
	// Only names the measurements to make; without any, all of [PolicyMeasurements].
	Only []string
	// Time is how long each measurement may take, roughly; zero means 2 s.
	Time time.Duration
	// Requests is how many questions are played to see how many are remembered; zero
	// means 400,000.
	Requests int
	// EvaluationLimit bounds a decision; zero means as in operation.
	EvaluationLimit time.Duration
	// Access is what the measurement authzen asks; without it, it is left out.
	Access *AccessConfig
	// Progress hears what is going on; nil means that nobody does.
	Progress func(step string, done, total int)
}

// PolicyReport is the outcome.
type PolicyReport struct {
	Report
	Revision string `json:"policy_revision"`
}

// policyBench is what is measured: policies on an engine.
type policyBench struct {
	PolicyConfig
	engine *policies.Engine
}

// policyMeasurements are made in this order: those that want a quiet process come first.
var policyMeasurements = []measurement[policyBench]{
	{"plan", measurePlan},
	{"memo", measureMemo},
	{"hits", measureHits},
	{"reload", measureReload},
	{"authzen", measureAuthZEN},
}

// PolicyMeasurements names the measurements.
func PolicyMeasurements() []string { return namesOf(policyMeasurements) }

// Policy measures the policies: what a decision costs, how often it need not be made
// again, and what changing the rules does to those who are asking meanwhile.
func Policy(ctx context.Context, config PolicyConfig) (PolicyReport, error) {
	if config.Bundle == nil {
		config.Bundle = policies.Bundle()
	}
	if config.Time <= 0 {
		config.Time = 2 * time.Second
	}
	if config.Requests <= 0 {
		config.Requests = 400_000
	}
	if config.Progress == nil {
		config.Progress = nobody
	}
	engine, err := config.open(ctx)
	if err != nil {
		return PolicyReport{}, err
	}
	report, err := measure(ctx, policyBench{config, engine}, policyMeasurements, config.Only, func(name string, i int) {
		config.Progress("measuring "+name, i, len(policyMeasurements))
	})
	return PolicyReport{report, engine.Revision().String()}, err
}

// open activates the bundle, on an engine that remembers nothing yet.
func (c PolicyConfig) open(ctx context.Context) (*policies.Engine, error) {
	return policies.Open(ctx, c.Bundle, policies.Config{EvaluationLimit: c.EvaluationLimit})
}

// Markdown is the report as a table for docs/performance.md and for a terminal.
func (r PolicyReport) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\npolicies %s\n\n", r.Machine, r.Revision)
	writeRows(&b, r.Rows)
	return b.String()
}

// timed calls do over and over for a while, in several rounds, and returns what a call
// takes in the quietest round, and how often it allocates. The allocations are those of
// the whole process, so nothing else may run.
func timed(limit time.Duration, do func() error) (time.Duration, float64, error) {
	const rounds = 8
	best, allocations := time.Duration(0), 0.0
	for round := range rounds + 1 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began, calls := time.Now(), 0
		for time.Since(began) < limit/rounds {
			for range 16 {
				if err := do(); err != nil {
					return 0, 0, err
				}
			}
			calls += 16
		}
		per := time.Since(began) / time.Duration(calls)
		runtime.ReadMemStats(&after)
		if round == 0 {
			continue // the first one warms up
		}
		if each := float64(after.Mallocs-before.Mallocs) / float64(calls); best == 0 || per < best {
			best, allocations = per, each
		}
	}
	return best, allocations, nil
}
