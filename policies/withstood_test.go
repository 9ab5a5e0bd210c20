package policies_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mahrem/mahrem/policies"
)

// lookedAt counts how often work looks whether it is still wanted, as each decision does.
type lookedAt struct {
	context.Context
	asked atomic.Int64
}

func (c *lookedAt) Err() error { c.asked.Add(1); return c.Context.Err() }

// TestWithstood: one bundle is attacked once, and what is let through is refused each time.
func TestWithstood(t *testing.T) {
	t.Parallel()
	shared := new(policies.Withstood)
	config := policies.Config{EvaluationLimit: time.Minute, Withstood: shared}
	times := func(config policies.Config) int64 {
		ctx := &lookedAt{Context: t.Context()}
		engine, err := policies.Open(ctx, policies.Bundle(), config)
		if err != nil || engine.Revision() == nil {
			t.Fatal(err)
		}
		return ctx.asked.Load()
	}
	first, second := times(config), times(config)
	if first < 2*second {
		t.Errorf("evaluations looked at the context %d times, and %d times when the bundle had withstood before", first, second)
	}
	if alone := times(policies.Config{EvaluationLimit: time.Minute}); alone < 2*second {
		t.Errorf("an engine of its own looked %d times only", alone)
	}

	open := patched(t, "rego/gate/subject.rego", `input.subject.restricted == "no"`, `input.subject.known == "yes"`)
	for range 2 {
		_, err := policies.Open(t.Context(), open, config)
		refusal, is := errors.AsType[*policies.Refusal](err)
		if !is || refusal.Check != policies.PolicyMutation || !strings.Contains(err.Error(), "although processing is restricted") {
			t.Errorf("a bundle with an opening: %v", err)
		}
	}
}
