package persona

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// careful are policies that let a question cost so much.
type careful struct {
	catalogue *policies.Catalogue
	most      int64
}

func (c careful) Catalogue() *policies.Catalogue { return c.catalogue }

func (c careful) DecideRoom(context.Context, policies.RoomFacts) (policies.RoomDecision, error) {
	return policies.RoomDecision{Allow: true, MinimumPeople: 50, QueryCap: c.most}, nil
}

// shelf keeps one definition of nobody.
type shelf struct {
	Store
	stored  Stored
	charged Rho
}

func (s *shelf) Define(_ context.Context, name string, text []byte, _ audit.Event) (int, audit.Receipt, error) {
	s.stored = Stored{Name: name, Version: 1, Text: text}
	return 1, audit.Receipt{}, nil
}

func (s *shelf) Definition(context.Context, string) (*Stored, error) {
	stored := s.stored
	return &stored, nil
}

func (s *shelf) Charge(_ context.Context, _ string, _ int, cost Rho, _ audit.Event) error {
	s.charged += cost
	return nil
}

func (s *shelf) Finish(_ context.Context, _ string, _ int, description []byte, _ audit.Event) (audit.Receipt, error) {
	s.stored.Description = description
	return audit.Receipt{}, nil
}

func (s *shelf) Candidates(context.Context, privacy.Purpose) ([]privacy.DataSubjectID, error) {
	return nil, nil
}

// TestPoliciesBoundWhatPersonasCost: where the policies limit what a question of such data costs,
// personas cost no more, whether they are defined or built; what was told before is still there,
// and labels are brought up to date.
func TestPoliciesBoundWhatPersonasCost(t *testing.T) {
	t.Parallel()
	store, policy := &shelf{}, careful{catalogue(t), 0}
	builder := New(Config{Store: store, Noise: quiet{}, Policy: func() Policy { return policy }})
	d, _, _, err := builder.Define(t.Context(), privacy.Principal{}, []byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	policy.most = int64(d.Cost()) - 1
	if _, _, _, err := builder.Define(t.Context(), privacy.Principal{}, []byte(rules)); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("defining what costs too much: %v", err)
	}
	if _, err := builder.Build(t.Context(), privacy.Principal{}, d.Name, nil); !errors.Is(err, privacy.ErrInvalid) || store.charged != 0 {
		t.Errorf("building what costs too much: %v, charged %d", err, store.charged)
	}
	policy.most++
	if built, err := builder.Build(t.Context(), privacy.Principal{}, d.Name, nil); err != nil || built.Again || store.charged != d.Cost() {
		t.Errorf("building what costs just as much: %+v, %v, charged %d", built, err, store.charged)
	}
	policy.most--
	if built, err := builder.Build(t.Context(), privacy.Principal{}, d.Name, nil); err != nil || !built.Again || store.charged != d.Cost() {
		t.Errorf("what was told before: %+v, %v, charged %d", built, err, store.charged)
	}
}

// TestNoiseLeavesSmallTypesOut: whether a type has enough people is asked of a noisy number, so it
// must not be so noisy that next to nobody passes for enough every twentieth time, at next to no
// cost. What was told before such definitions were refused is still there.
func TestNoiseLeavesSmallTypesOut(t *testing.T) {
	t.Parallel()
	noisy := func(people, noise string) []byte {
		return []byte(strings.NewReplacer("minimum_people: 50", "minimum_people: "+people, "noise_people: 20", "noise_people: "+noise).Replace(rules))
	}
	store, policy := &shelf{}, careful{catalogue(t), 0}
	builder := New(Config{Store: store, Noise: quiet{}, Policy: func() Policy { return policy }})
	for _, text := range [][]byte{noisy("50", "100000"), noisy("50", "26"), noisy("2", "26"), noisy("300", "151")} {
		if _, _, _, err := builder.Define(t.Context(), privacy.Principal{}, text); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("defining: %v", err)
		}
		store.stored = Stored{Name: "by_rules", Version: 1, Text: text}
		if _, err := builder.Build(t.Context(), privacy.Principal{}, "by_rules", nil); !errors.Is(err, privacy.ErrInvalid) || store.charged != 0 {
			t.Errorf("building: %v, charged %d", err, store.charged)
		}
	}
	store.stored.Description = []byte(`{"persona":"by_rules","version":1,"minimum_people":300,"noise_people":151,"cost_nanorho":1,"types":[]}`)
	if built, err := builder.Build(t.Context(), privacy.Principal{}, "by_rules", nil); err != nil || !built.Again {
		t.Errorf("what was told before: %+v, %v", built, err)
	}
	for _, text := range [][]byte{noisy("50", "25"), noisy("300", "150")} {
		if _, _, _, err := builder.Define(t.Context(), privacy.Principal{}, text); err != nil {
			t.Errorf("defining with less noise: %v", err)
		}
	}
}

// quiet is no noise.
type quiet struct{}

func (quiet) Gaussian(x int64, _ float64) int64 { return x }
