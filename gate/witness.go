package gate

import (
	"context"
	"fmt"
	"sync"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Witness keeps what decisions were made of. The log has the digests of the policy and
// the facts; what they are digests of is kept once, however often it occurs.
type Witness interface {
	// Keep must return only after facts and plan are durable under the digests of the
	// policy and the facts. A nil plan says that the policies came to none. Keeping the
	// same again must change nothing.
	Keep(ctx context.Context, policy audit.Digest, facts policies.Facts, plan *policies.Plan) error
	// Met is told of a decision about a person that is in the log, for counting people.
	// It must not block; what it loses makes a count too low. The tag is the same for
	// the same person, and nobody's once they are erased.
	Met(policy, facts audit.Digest, person uint64)
}

// made is what a decision was made of.
type made struct {
	facts policies.Facts
	plan  policies.Plan
	// planned is whether the policies came to a plan.
	planned bool
}

// keptLimit bounds one generation of what is remembered as kept.
const keptLimit = 1 << 16

// keptKey is digest of policy and digest of facts, and whether there was a plan.
type keptKey struct {
	policy, facts audit.Digest
	planned       bool
}

// kept remembers what is durable already, so that the witness is asked once for each
// facts and not once for each decision. It forgets in two generations like the memo of
// plans; what was forgotten is kept again, which changes nothing.
type kept struct {
	mu         sync.RWMutex
	young, old map[keptKey]struct{}
}

func (k *kept) has(key *keptKey) bool {
	k.mu.RLock()
	_, ok := k.young[*key]
	if !ok {
		_, ok = k.old[*key]
	}
	k.mu.RUnlock()
	return ok
}

func (k *kept) add(key *keptKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.young == nil || len(k.young) >= keptLimit {
		k.old, k.young = k.young, make(map[keptKey]struct{})
	}
	k.young[*key] = struct{}{}
}

// keep makes durable what the event's digests stand for, before the event itself is: no
// decision is in the log that could not be shown.
func (g *Gate) keep(ctx context.Context, event *audit.Event, m *made) error {
	if g.config.Witness == nil {
		return nil
	}
	key := keptKey{event.Policy, event.Facts, m.planned}
	if g.kept.has(&key) {
		return nil
	}
	if err := g.keepNew(ctx, key, *m); err != nil {
		return fmt.Errorf("keeping what was decided: %w", err)
	}
	g.kept.add(&key)
	return nil
}

// keepNew has a copy of what was made, so that on the usual way nothing is allocated.
//
//go:noinline
func (g *Gate) keepNew(ctx context.Context, key keptKey, m made) error {
	if audit.Digest(m.facts.Digest()) != key.facts {
		return fmt.Errorf("the facts are not those of the entry: %w", privacy.ErrDamaged)
	}
	plan := &m.plan
	if !m.planned {
		plan = nil
	}
	return g.config.Witness.Keep(ctx, key.policy, m.facts, plan)
}

// met tells the witness that a decision about a person is in the log.
func (g *Gate) met(event *audit.Event) {
	if g.config.Witness != nil && !event.Subject.ID.IsZero() && !event.Subject.Unknown {
		g.config.Witness.Met(event.Policy, event.Facts, event.Subject.Blinding.CountTag())
	}
}
