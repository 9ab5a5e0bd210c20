package webhook

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Memory remembers which calls were taken, for as long as one of them can come again: a
// sender repeats a call whose answer was lost, with the same id, for days.
type Memory interface {
	// Begin claims an id and reports false if it is claimed already.
	Begin(ctx context.Context, id string) (fresh bool, err error)
	// Forget gives a claim back: the call was not acted on after all.
	Forget(ctx context.Context, id string) error
}

// Receiver takes calls as they should be taken: verified first, acted on once, refused by
// name. It is for those who receive what Mahrem sends.
type Receiver struct {
	memory  Memory
	secrets []Secret
	now     func() time.Time
}

// NewReceiver returns a receiver of calls that are signed by one of the secrets. now is its
// clock; nil means time.Now. The error wraps [privacy.ErrInvalid].
func NewReceiver(memory Memory, now func() time.Time, secrets ...Secret) (*Receiver, error) {
	if memory == nil || len(secrets) == 0 {
		return nil, fmt.Errorf("making webhook receiver without memory or secret: %w", privacy.ErrInvalid)
	}
	for _, secret := range secrets {
		if secret.IsZero() {
			return nil, fmt.Errorf("making webhook receiver with an empty secret: %w", privacy.ErrInvalid)
		}
	}
	if now == nil {
		now = time.Now
	}
	return &Receiver{memory, secrets, now}, nil
}

// Receive verifies a call and acts on it, once: act gets the id and the body that was
// signed. A [*Refusal] names the check that failed, and nothing was done. An error of act is
// returned as it is, and the call may come again.
func (r *Receiver) Receive(ctx context.Context, header http.Header, body []byte, act func(id string, body []byte) error) error {
	id, _, err := verify(header, body, r.now(), r.secrets)
	if err != nil {
		return err
	}
	fresh, err := r.memory.Begin(ctx, id)
	if err != nil {
		return fmt.Errorf("remembering webhook: %w", err)
	}
	if !fresh {
		return &Refusal{CheckReplay, "a call of this id was taken already"}
	}
	if err := act(id, body); err != nil {
		// The claim must not outlive the work that it stood for.
		if forgetting := r.memory.Forget(context.WithoutCancel(ctx), id); forgetting != nil {
			return fmt.Errorf("%w (and the claim stays: %w)", err, forgetting)
		}
		return err
	}
	return nil
}

// Recent is a [Memory] of one process for the calls of a time. One that must outlive the
// process belongs into the receiver's database, in the transaction of what a call changes.
type Recent struct {
	keep time.Duration
	now  func() time.Time

	mu    sync.Mutex
	taken map[string]time.Time
	order []string
}

var _ Memory = (*Recent)(nil)

// NewRecent returns a memory that keeps ids for a time; zero means eight days, which is
// longer than a delivery is tried. now is its clock; nil means time.Now.
func NewRecent(keep time.Duration, now func() time.Time) *Recent {
	if keep <= 0 {
		keep = 8 * 24 * time.Hour
	}
	if now == nil {
		now = time.Now
	}
	return &Recent{keep: keep, now: now, taken: map[string]time.Time{}}
}

// Begin implements [Memory].
func (m *Recent) Begin(_ context.Context, id string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for len(m.order) > 0 {
		oldest := m.order[0]
		if at, there := m.taken[oldest]; there && now.Sub(at) < m.keep {
			break
		}
		delete(m.taken, oldest)
		m.order = m.order[1:]
	}
	if _, there := m.taken[id]; there {
		return false, nil
	}
	m.taken[id] = now
	m.order = append(m.order, id)
	return true, nil
}

// Forget implements [Memory].
func (m *Recent) Forget(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.taken, id)
	return nil
}
