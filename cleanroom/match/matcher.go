package match

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// Seed is what a party keeps of a person until they are masked: 32 bytes instead of an
// identifier, from which no other mode, room or secret comes to the same token. It is
// personal data as the identifier is, and prints as REDACTED.
type Seed [Size]byte

// Matcher masks people on the side of the party that has them, in one mode.
//
// Seed is cheap and takes a normal form, see [Normalize]. Mask is what costs: it returns a
// token for each seed, in the same order, works on all cores at once, keeps nothing, and may
// be called batch by batch (of [MaxBatch], say) and from several goroutines. It stops with
// ctx's error when ctx is done.
type Matcher interface {
	Mode() cleanroom.Matching
	Seed(person privacy.Plain) Seed
	Mask(ctx context.Context, people []Seed) ([]Token, error)
}

// Remasker masks the tokens of another party's list, in their order: its owner has shuffled
// it, and has to find its rows again. In pair mode every list is masked by both parties.
type Remasker interface {
	Remask(ctx context.Context, tokens []Token) ([]Token, error)
}

// batch is how many people a core takes at a time.
const batch = 256

func each(ctx context.Context, n int, f func(from, to int) error) error {
	if err := eachOf(ctx, n, batch, f); err != nil {
		return fmt.Errorf("masking: %w", err)
	}
	return nil
}

// eachOf calls f for the half-open ranges of at most size that make up n, on all cores, and
// returns the first error of any.
func eachOf(ctx context.Context, n, size int, f func(from, to int) error) error {
	workers := min(runtime.GOMAXPROCS(0), (n+size-1)/size)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for from := range next {
				if err := f(from, min(from+size, n)); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for from := 0; from < n && ctx.Err() == nil; from += size {
		select {
		case next <- from:
		case <-ctx.Done():
		}
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}
