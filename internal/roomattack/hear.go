package roomattack

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/noise"
)

// hearing is what attackers make of what they have heard in one trial.
type hearing struct {
	siege *siege
	asked time.Time // when the last question was
	// everybody is the answer that groups are compared with, and what is true of it.
	everybody []byte
	of        *knowledge
	compared  bool
}

// hear returns the evidence of an answer, or of a failure, and whether it was free.
func (h *hearing) hear(answer *cleanroom.Answer, free bool) (float64, error) {
	s := h.siege
	switch s.attack.Look {
	case LookAtBudget:
		if free { // it was given back, so the question has failed
			return certain, nil
		}
		return 0, nil
	case LookAtClock:
		return h.hearTime(s.now.Sub(h.asked)), nil
	}
	if answer == nil || answer.Repeated {
		return 0, nil // the same numbers again tell nothing more
	}
	switch s.attack.Look {
	case LookAtUplift:
		return h.hearUplift(answer.Release.Answer)
	case LookAtTold:
		return hearTold(answer.Release.Answer, s.executor.last)
	}
	return weigh(answer.Release.Answer, s.executor.last, s.target.Mode)
}

// hearTime compares with what each world would have taken.
func (h *hearing) hearTime(took time.Duration) float64 {
	without, with := h.siege.executor.last.took[0], h.siege.executor.last.took[1]
	return certain * float64((took-without).Abs()-(took-with).Abs())
}

// hearTold sees which groups are told that have enough people with the person alone.
func hearTold(answer []byte, k *knowledge) (evidence float64, err error) {
	var t told
	if err := json.Unmarshal(answer, &t); err != nil {
		return 0, fmt.Errorf("reading an answer: %w", err)
	}
	for i, group := range t.Groups {
		switch {
		case k.with[i].people < t.MinimumPeople || k.without[i].people >= t.MinimumPeople:
		case group.Suppressed:
			evidence--
		default:
			evidence++
		}
	}
	return evidence, nil
}

// hearUplift has everybody compared with the group of an answer and looks at that alone. It
// knows how averages are computed, and so what was drawn but for what was rounded.
func (h *hearing) hearUplift(answer []byte) (evidence float64, err error) {
	k := h.siege.executor.last
	if h.everybody == nil {
		h.everybody, h.of = answer, k
		return 0, nil
	}
	uplifts, err := cleanroom.Uplift(answer, h.everybody, "", Purchases.String()+".kind") // of which everybody buys one
	if err != nil {
		return 0, err
	}
	if len(uplifts) != 1 {
		return 0, fmt.Errorf("an uplift has %d groups", len(uplifts))
	}
	u := &uplifts[0]
	sigma, sigmaAll, lo, hi, err := h.spread(answer, k)
	if err != nil {
		return 0, err
	}
	with, without := k.with[0], k.without[0]
	if u.Suppressed {
		return 0, nil // which of the two was not told is not said
	}
	inside := noise.Noisy{Value: u.People, Sigma: sigma.people}
	low, high := sumsOf(estimate(u.Inside), inside, sigma.sum, lo, hi)
	evidence = drawn(u.People, with.people, without.people, sigma.people) + between(low, high, with.sums[0], without.sums[0], sigma.sum)
	if h.compared {
		return evidence, nil // what everybody spends was heard already
	}
	h.compared = true
	outside := noise.Noisy{Value: u.Others, Sigma: sigma.hypot(sigmaAll).people}
	restLow, restHigh := sumsOf(estimate(u.Outside), outside, sigma.hypot(sigmaAll).sum, lo, hi)
	with, without = h.of.with[0], h.of.without[0]
	return evidence + drawn(u.People+u.Others, with.people, without.people, sigmaAll.people) +
		between(low+restLow, high+restHigh, with.sums[0], without.sums[0], sigmaAll.sum), nil
}

func estimate(e cleanroom.Estimate) value { return value{Value: e.Value, Low: e.Low, High: e.High} }

// spread is how noisy the people and the sum of a group are.
type spread struct{ people, sum float64 }

func (s spread) hypot(other spread) spread {
	return spread{math.Hypot(s.people, other.people), math.Hypot(s.sum, other.sum)}
}

// spread returns how noisy a group and everybody are, and what one person adds at least and
// at most.
func (h *hearing) spread(group []byte, k *knowledge) (part, all spread, lo, hi int64, err error) {
	measure := &k.plan.Measures[0]
	lo, hi = measure.Lo, measure.Hi
	for _, c := range []struct {
		answer []byte
		to     *spread
	}{{group, &part}, {h.everybody, &all}} {
		var t told
		if err := json.Unmarshal(c.answer, &t); err != nil {
			return part, all, lo, hi, fmt.Errorf("reading an answer: %w", err)
		}
		if h.siege.target.Mode != cleanroom.ThresholdOnly {
			*c.to = spread{float64(t.Query.Privacy.NoisePeople), noise.SumSigma(t.Query.Privacy.NoisePeople, lo, hi)}
		}
	}
	return part, all, lo, hi, nil
}
