package witness

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// AheadError says that a witness has cosigned a larger log than the checkpoint that it was
// asked about. Unless somebody of this house has signed that too, the log was rolled back.
type AheadError struct {
	// Size is that of the larger log.
	Size uint64
}

// Error implements error.
func (e *AheadError) Error() string {
	return fmt.Sprintf("witness has cosigned %d entries, which is more", e.Size)
}

// Prover proves that the tree of size begins with that of size old.
type Prover func(ctx context.Context, old, size uint64) ([]tlog.Hash, error)

// Answer is what became of asking one witness.
type Answer struct {
	// Witness is its name in the policy.
	Witness string
	// Cosignature is there if Err is nil.
	Cosignature Cosignature
	// Err is as of [Client.Add], or an [*AheadError].
	Err error
}

// Collector asks all witnesses of a policy that have an address.
type Collector struct {
	prove Prover
	asked []*asked
}

// asked is a witness and what is known of it.
type asked struct {
	client *Client

	mu sync.Mutex
	// size is the last that it cosigned, as far as is known.
	size uint64
}

// NewCollector returns a collector for the witnesses of policy. What a witness has seen last
// it finds out from the witness.
func NewCollector(policy *Policy, prove Prover, config ClientConfig) (*Collector, error) {
	c := &Collector{prove: prove}
	for _, w := range policy.witnesses {
		if w.URL == "" {
			continue
		}
		client, err := NewClient(w, config)
		if err != nil {
			return nil, err
		}
		c.asked = append(c.asked, &asked{client: client})
	}
	return c, nil
}

// Collect asks all of them at the same time for their cosignature of a signed checkpoint,
// and returns when each has answered or ran out of time. The checkpoint must be one that
// was checked.
func (c *Collector) Collect(ctx context.Context, signed []byte, checkpoint audit.Checkpoint) []Answer {
	answers := make([]Answer, len(c.asked))
	var group sync.WaitGroup
	for i, a := range c.asked {
		group.Go(func() {
			answers[i].Witness = a.client.witness.Name
			answers[i].Cosignature, answers[i].Err = a.ask(ctx, signed, checkpoint, c.prove)
		})
	}
	group.Wait()
	return answers
}

// maxTries bounds how often a witness may say that it has seen yet another size: other
// processes may be asking it too.
const maxTries = 4

func (a *asked) ask(ctx context.Context, signed []byte, checkpoint audit.Checkpoint, prove Prover) (Cosignature, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// Nobody signs the size that an answer names. One that is too large is therefore no
	// reason not to ask again: it would silence the witness for ever.
	old := min(a.size, checkpoint.Size)
	for range maxTries {
		var proof []tlog.Hash
		if old > 0 && old < checkpoint.Size {
			var err error
			if proof, err = prove(ctx, old, checkpoint.Size); err != nil {
				return Cosignature{}, fmt.Errorf("proving growth to witness: %w", err)
			}
		}
		cosignature, err := a.client.Add(ctx, signed, old, proof)
		var other *SizeError
		switch {
		case err == nil:
			a.size = checkpoint.Size
			return cosignature, nil
		case !errors.As(err, &other):
			return Cosignature{}, err
		case other.Size == old:
			return Cosignature{}, fmt.Errorf("witness refuses the size that it names: %w", privacy.ErrDamaged)
		case other.Size > checkpoint.Size:
			return Cosignature{}, &AheadError{other.Size}
		}
		old = other.Size
	}
	return Cosignature{}, fmt.Errorf("witness names another size each time: %w", privacy.ErrUnavailable)
}
