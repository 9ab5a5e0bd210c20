package gate

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

type countingWitness struct {
	mu    sync.Mutex
	keeps []bool // planned
	met   int
	err   error
}

func (w *countingWitness) Keep(_ context.Context, _ audit.Digest, _ policies.Facts, plan *policies.Plan) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keeps = append(w.keeps, plan != nil)
	return w.err
}

func (w *countingWitness) Met(audit.Digest, audit.Digest, uint64) { w.met++ }

func TestKeepAsksTheWitnessOnce(t *testing.T) {
	t.Parallel()
	w := &countingWitness{err: errors.New("broken")}
	g := &Gate{config: Config{Witness: w}}
	m := made{facts: policies.Facts{Purpose: "greeting"}, planned: true}
	event := audit.Event{Policy: audit.Digest{1}, Facts: m.facts.Digest()}
	if err := g.keep(t.Context(), &event, &m); err == nil {
		t.Error("what was not kept passes for kept")
	}
	w.err = nil
	for range 3 {
		if err := g.keep(t.Context(), &event, &m); err != nil {
			t.Fatal(err)
		}
	}
	m.planned = false
	if err := g.keep(t.Context(), &event, &m); err != nil {
		t.Fatal(err)
	}
	if len(w.keeps) != 3 || !w.keeps[1] || w.keeps[2] {
		t.Errorf("kept %v", w.keeps)
	}
	// Facts that are not those of the entry are never kept under its digest.
	event.Facts = audit.Digest{9}
	if err := g.keep(t.Context(), &event, &m); !errors.Is(err, privacy.ErrDamaged) || len(w.keeps) != 3 {
		t.Errorf("other facts: %v", err)
	}
}

func TestKeepAllocatesNothing(t *testing.T) {
	g := &Gate{config: Config{Witness: &countingWitness{}}}
	m := made{facts: policies.Facts{Purpose: "greeting"}, planned: true}
	event := audit.Event{Policy: audit.Digest{1}, Facts: m.facts.Digest(), Subject: audit.Subject{ID: privacy.DataSubjectID{1}, Blinding: audit.BlindingKey{1}}}
	if n := testing.AllocsPerRun(100, func() {
		if err := g.keep(t.Context(), &event, &m); err != nil {
			t.Fatal(err)
		}
		g.met(&event)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMetCountsPeopleAlone(t *testing.T) {
	t.Parallel()
	w := &countingWitness{}
	g := &Gate{config: Config{Witness: w}}
	g.met(&audit.Event{Subject: audit.Subject{Unknown: true}})
	g.met(&audit.Event{})
	g.met(&audit.Event{Subject: audit.Subject{ID: privacy.DataSubjectID{1}, Blinding: audit.BlindingKey{1}}})
	if w.met != 1 {
		t.Errorf("%d people", w.met)
	}
	(&Gate{}).met(&audit.Event{Subject: audit.Subject{ID: privacy.DataSubjectID{1}}})
}

func TestKeptForgetsInGenerations(t *testing.T) {
	t.Parallel()
	var k kept
	key := func(i int) *keptKey { return &keptKey{facts: audit.Digest{byte(i), byte(i >> 8), byte(i >> 16)}} }
	for i := range 2*keptLimit + 1 {
		k.add(key(i))
	}
	if k.has(key(0)) || !k.has(key(keptLimit)) || !k.has(key(2*keptLimit)) || len(k.old)+len(k.young) != keptLimit+1 {
		t.Errorf("%d and %d are remembered", len(k.old), len(k.young))
	}
}
