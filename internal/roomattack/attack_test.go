package roomattack

import (
	"os"
	"runtime/debug"
	"testing"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/noise"
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // a million small answers
	os.Exit(m.Run())
}

// trials is how often each attack is made, slack how far beyond the bound chance may bring the
// attackers: a point in full, and what is as unlikely of fewer trials.
func trials() (n int, slack float64) {
	if testing.Short() {
		return 500, 0.07
	}
	return 20_000, 0.01
}

// Nobody who spends everything on one person is right more often than the arithmetic says.
func TestAttacks(t *testing.T) {
	t.Parallel()
	n, slack := trials()
	for i, attack := range Attacks() {
		t.Run(attack.Name, func(t *testing.T) {
			t.Parallel()
			outcome, err := attack.Run(t.Context(), Target{Mode: cleanroom.Private}, n, uint64(i+1))
			if err != nil {
				t.Fatal(err)
			}
			bound := noise.Accuracy(int64(attack.Budget))
			t.Logf("%s: right in %.1f %% of %d trials, bound %.1f %%; %d answers, %d refusals, %d failures",
				attack.Name, 100*outcome.Accuracy(), outcome.Trials, 100*bound, outcome.Asked, outcome.Refused, outcome.Failed)
			if outcome.Accuracy() > bound+slack {
				t.Errorf("right in %.2f %% of %d trials, at most it is %.2f %%", 100*outcome.Accuracy(), outcome.Trials, 100*bound)
			}
			if outcome.Trials != n || outcome.Asked+outcome.Failed < outcome.Trials {
				t.Errorf("the attackers heard too little: %+v", outcome)
			}
			if attack.Look != LookAtBudget && outcome.Refused < outcome.Trials {
				t.Errorf("the attackers did not spend everything: %+v", outcome)
			}
		})
	}
}

// Rooms that only hold back small groups fall to the same attacks, each time.
func TestThresholdsFall(t *testing.T) {
	t.Parallel()
	n, _ := trials()
	for i, attack := range Attacks() {
		if attack.Look == LookAtBudget || attack.Look == LookAtClock {
			continue // exact numbers cost nothing, and take as long
		}
		t.Run(attack.Name, func(t *testing.T) {
			t.Parallel()
			attack.Steps = attack.Steps[:min(2, len(attack.Steps))] // which are enough
			outcome, err := attack.Run(t.Context(), Target{Mode: cleanroom.ThresholdOnly}, n, uint64(i+1))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: right in %.1f %% of %d trials", attack.Name, 100*outcome.Accuracy(), outcome.Trials)
			if outcome.Accuracy() < 0.99 {
				t.Errorf("right in %.2f %% only: the attack shows nothing", 100*outcome.Accuracy())
			}
		})
	}
}

// Services that are broken are found out by the attacks that are about what is broken.
func TestWeaknessesAreFound(t *testing.T) {
	t.Parallel()
	n, slack := 2_500, 0.01
	if testing.Short() {
		n, slack = 500, 0
	}
	for _, c := range []struct {
		name     string
		attack   Attack
		weakness Weakness
	}{
		{"half of the noise", collusion(29), Weakness{HalfNoise: true}},
		{"half of the noise, of sums", planted(), Weakness{HalfNoise: true}},
		{"a threshold on exact numbers", oracle(), Weakness{ExactThreshold: true}},
		{"new noise for old questions", averaging(6), Weakness{FreshNoise: true}},
		{"a budget for each alone", collusion(7 * len(consumers)), Weakness{EachAlone: true}},
		{"what fails is given back", budgetOracle(), Weakness{Refund: true}},
		{"half of the noise, of averages", averages(), Weakness{HalfNoise: true}},
		{"half of the noise, of histograms", histograms(), Weakness{HalfNoise: true}},
		{"half of the noise, of uplifts", uplifts(), Weakness{HalfNoise: true}},
		{"more groups than are paid for", severalGroups(), Weakness{AllGroups: true}},
		{"answers at once", clockOfAnswers(), Weakness{NoGrid: true}},
		{"failures at once", clockOfFailures(), Weakness{NoGrid: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			outcome, err := c.attack.Run(t.Context(), Target{Mode: cleanroom.Private, Weakness: c.weakness}, n, 1)
			if err != nil {
				t.Fatal(err)
			}
			bound := noise.Accuracy(int64(c.attack.Budget))
			t.Logf("%s: right in %.1f %% of %d trials, bound %.1f %%", c.name, 100*outcome.Accuracy(), outcome.Trials, 100*bound)
			if outcome.Accuracy() <= bound+slack {
				t.Errorf("right in %.2f %%, which is within the bound of %.2f %%: nobody would notice", 100*outcome.Accuracy(), 100*bound)
			}
		})
	}
}
