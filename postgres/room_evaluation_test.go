package postgres

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// TestEvaluationsStayWithinTheirQuota lets many take at once what is only there for some, and
// sees that what does not fit leaves nothing behind.
func TestEvaluationsStayWithinTheirQuota(t *testing.T) {
	t.Parallel()
	r := newRoomTest(t, "brand", "retailer")
	audience := cleanroom.DatasetRef{Owner: "brand", Dataset: "audience"}
	r.open(t, "campaign", audience)
	store := NewEvaluationStore(r.db, r.log)
	event := roomEvent(audit.RoomEvaluated)
	taking := match.Taking{Room: "campaign", Dataset: audience, Epoch: 1, Members: 1000, Elements: 100}

	if got := match.Quota(1000); got != 1200 {
		t.Fatalf("the quota of 1000 is %d", got)
	}
	var took, refused atomic.Int64
	var group sync.WaitGroup
	for range 24 {
		group.Go(func() {
			receipt, err := store.Take(t.Context(), taking, event)
			switch {
			case err == nil && !receipt.IsZero():
				took.Add(1)
			case errors.Is(err, match.ErrQuota):
				refused.Add(1)
			default:
				t.Errorf("receipt %v, %v", receipt.IsZero(), err)
			}
		})
	}
	group.Wait()
	if took.Load() != 12 || refused.Load() != 12 {
		t.Errorf("%d took, %d were refused", took.Load(), refused.Load())
	}
	for name, test := range map[string]struct {
		change func(t *match.Taking)
		want   error
	}{
		"more":            {func(t *match.Taking) { t.Elements = 1 }, match.ErrQuota},
		"another size":    {func(t *match.Taking) { t.Members = 2000 }, privacy.ErrInvalid},
		"a later epoch":   {func(t *match.Taking) { t.Epoch = 2 }, privacy.ErrInvalid},
		"an earlier one":  {func(t *match.Taking) { t.Epoch = 0 }, privacy.ErrInvalid},
		"another dataset": {func(t *match.Taking) { t.Dataset.Dataset = "purchases" }, privacy.ErrNotFound},
		"another owner":   {func(t *match.Taking) { t.Dataset.Owner = "retailer" }, privacy.ErrNotFound},
		"another room":    {func(t *match.Taking) { t.Room = "snacks" }, privacy.ErrNotFound},
		"nothing":         {func(t *match.Taking) { t.Elements = 0 }, privacy.ErrInvalid},
		"a gift":          {func(t *match.Taking) { t.Elements = -1 }, privacy.ErrInvalid},
		"nobody":          {func(t *match.Taking) { t.Members = 0 }, privacy.ErrInvalid},
		"too many":        {func(t *match.Taking) { t.Elements = match.MaxBatch + 1 }, privacy.ErrInvalid},
	} {
		other := taking
		test.change(&other)
		if _, err := store.Take(t.Context(), other, event); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var elements int64
	if err := r.db.pool.QueryRow(t.Context(), `select sum(elements) from cleanroom.evaluation`).Scan(&elements); err != nil || elements != 1200 {
		t.Errorf("%d elements are counted, %v", elements, err)
	}
	size, err := r.log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Take(t.Context(), taking, event); !errors.Is(err, match.ErrQuota) {
		t.Errorf("once more: %v", err)
	}
	if after, err := r.log.Size(t.Context()); err != nil || after != size {
		t.Errorf("what was refused left %d entries, %v", after-size, err)
	}
}
