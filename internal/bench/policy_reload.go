package bench

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mahrem/mahrem/policies"
)

// measureReload activates the bundle over and over while others keep asking, and counts
// the decisions that failed.
func measureReload(ctx context.Context, on policyBench) ([]Row, error) {
	config := on.PolicyConfig
	alone, err := config.open(ctx)
	if err != nil {
		return nil, err
	}
	quiet, err := reloads(ctx, alone, config.Bundle, config.Time/2)
	if err != nil {
		return nil, err
	}
	engine, err := config.open(ctx)
	if err != nil {
		return nil, err
	}
	asking, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	var decided, failed, worst atomic.Int64
	for range max(1, runtime.GOMAXPROCS(0)-1) {
		group.Go(func() {
			traffic := newTraffic(engine.Revision().Catalogue())
			for asking.Err() == nil {
				began := time.Now()
				if _, err := engine.Revision().Decide(ctx, traffic.next()); err != nil {
					failed.Add(1)
				}
				if took := int64(time.Since(began)); took > worst.Load() {
					worst.Store(took)
				}
				decided.Add(1)
			}
		})
	}
	busy, err := reloads(ctx, engine, config.Bundle, config.Time)
	stop()
	group.Wait()
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("median of %d; compiles, expands, attacks itself, swaps", len(quiet))
	loaded := fmt.Sprintf("median of %d; %d decisions meanwhile, the slowest took %v", len(busy), decided.Load(), time.Duration(worst.Load()).Round(10*time.Microsecond))
	return []Row{
		Row{What: "reload", Figure: median(quiet).Seconds() * 1000, Unit: "ms", Note: note}.atMost(50),
		{What: "reload, while others ask", Figure: median(busy).Seconds() * 1000, Unit: "ms", Note: loaded},
		Row{What: "decisions that failed meanwhile", Figure: float64(failed.Load()), Unit: fmt.Sprintf("of %d", decided.Load())}.atMost(0),
	}, nil
}

// reloads activates the bundle over and over for a while. Nothing is kept from one time
// to the next: it is the same as activating a changed one.
func reloads(ctx context.Context, engine *policies.Engine, bundle fs.FS, limit time.Duration) ([]time.Duration, error) {
	var took []time.Duration
	for began := time.Now(); time.Since(began) < limit || len(took) < 3; {
		started := time.Now()
		if err := engine.Activate(ctx, bundle); err != nil {
			return nil, err
		}
		took = append(took, time.Since(started))
	}
	return took, nil
}

func median(list []time.Duration) time.Duration {
	sorted := slices.Clone(list)
	slices.Sort(sorted)
	return sorted[len(sorted)/2]
}
