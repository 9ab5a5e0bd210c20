package bench

import (
	"context"
	"testing"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

// TestAudience runs the comparison in small: both sides find the same people.
func TestAudience(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("tens of thousands of people")
	}
	url := pgtest.New(t).URL()
	h := newHouse(t, url)
	report, err := Audience(t.Context(), AudienceConfig{Gate: h.gate, Loader: h.loader, Refresh: h.refresh, OwnerURL: url, People: 30_000, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", report.Markdown())
	for i, row := range report.Lines {
		if row.Members < gate.DefaultAudienceMinimum || row.Plain <= 0 || row.Gate <= 0 || row.Ratio <= 0 || i > 0 && row.Members <= report.Lines[i-1].Members {
			t.Errorf("%+v", row)
		}
	}
}

// TestEquivalence: over people who are made up the two ways agree, and a difference would
// be counted.
func TestEquivalence(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	h := newHouse(t, url)
	config := EquivalenceConfig{Gate: h.gate, Loader: h.loader, Revision: h.engine.Revision(), Refresh: h.refresh, OwnerURL: url, People: 150, Questions: 25, Seed: 3}
	report, err := Equivalence(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if report.Differences != 0 || report.Members < 30 || report.Comparisons != 150*25 || report.Empty > 15 {
		t.Errorf("%+v", report)
	}
	wrong := &wrongComparer{Comparer: h.gate}
	config.Gate, config.Seed = wrong, 4
	if report, err = Equivalence(t.Context(), config); err != nil || report.Differences != 2*wrong.asked || wrong.asked == 0 {
		t.Errorf("%d wrong answers: %+v, %v", wrong.asked, report, err)
	}
}

// wrongComparer finds a difference each way in whatever it compares.
type wrongComparer struct {
	Comparer
	asked int
}

func (w *wrongComparer) CompareAudience(_ context.Context, _ privacy.Principal, _ gate.AudienceQuery, people []privacy.DataSubjectID) (gate.Comparison, error) {
	w.asked++
	return gate.Comparison{People: len(people), Missing: 1, Extra: 1}, nil
}
