package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Sender takes deliveries of one kind to their destination. It MUST return within ctx,
// send the delivery's id along as idempotency key, and return nil only after the receiver
// has taken it. It may be called again with a delivery that has arrived already: a crash
// came before that was noted.
type Sender interface {
	Send(ctx context.Context, d Delivery, payload []byte) (Result, error)
}

// Result is what a receiver made of a delivery.
type Result struct {
	// Answer is handed to whoever is told of the delivery in the transaction that notes
	// it; see the store. It is not kept otherwise.
	Answer []byte
	// Event replaces what the log says of the delivery, if it has a kind.
	Event audit.Event
}

// Store keeps deliveries.
type Store interface {
	// Claim returns at most limit pending deliveries of a kind that are due, counts an
	// attempt of each and gives it to no other worker for the time of the lease. It
	// returns its clock's time.
	Claim(ctx context.Context, kind Kind, limit int, lease time.Duration) ([]Delivery, time.Time, error)
	// Close notes that the delivery arrived, destroys its key and payload, and commits
	// that together with the entry for the event, if that has a kind. It MUST change nothing and return an
	// error that wraps [privacy.ErrConflict] if the delivery is at another attempt.
	Close(ctx context.Context, d Delivery, answer []byte, event audit.Event) error
	// Bury notes that the delivery was given up, in the same way as Close.
	Bury(ctx context.Context, d Delivery, failure string, event audit.Event) error
	// Postpone notes why an attempt failed, and when the next one is due: after pause.
	// It is silent about a delivery that is at another attempt.
	Postpone(ctx context.Context, d Delivery, failure string, pause time.Duration) error
	// Forget destroys the payloads of at most limit deliveries that were given up so long
	// ago, and returns of how many.
	Forget(ctx context.Context, age time.Duration, limit int) (int64, error)
}

// CheckDelivered stands in the log when a delivery was given up.
const CheckDelivered = "delivery.arrived"

// Config holds what a worker may be told otherwise.
type Config struct {
	// Backoff between attempts.
	Backoff Backoff
	// SendTimeout bounds one attempt; zero means 30 seconds.
	SendTimeout time.Duration
	// Batch is how many deliveries of a kind are taken on at once; zero means 16. All are
	// sent at the same time.
	Batch int
	// Lease is how long other workers leave them alone; zero means three times
	// SendTimeout. Less than SendTimeout is refused.
	Lease time.Duration
	// KeepDead is how long the payload of what was given up is kept, so that somebody can
	// send it after all; zero means 30 days.
	KeepDead time.Duration
}

// Worker delivers. It is safe for concurrent use, also by several processes.
type Worker struct {
	store   Store
	vault   *vault.Vault
	senders map[Kind]Sender
	config  Config
}

// NewWorker returns a worker that sends each kind by its sender. A kind without a sender
// is left alone: another process may have one.
func NewWorker(store Store, v *vault.Vault, senders map[Kind]Sender, config Config) (*Worker, error) {
	if config.SendTimeout <= 0 {
		config.SendTimeout = 30 * time.Second
	}
	if config.Batch <= 0 {
		config.Batch = 16
	}
	if config.Lease == 0 {
		config.Lease = 3 * config.SendTimeout
	}
	if config.KeepDead == 0 {
		config.KeepDead = 30 * 24 * time.Hour
	}
	if store == nil || v == nil || config.Lease < config.SendTimeout {
		return nil, fmt.Errorf("making outbox worker: %w", privacy.ErrInvalid)
	}
	return &Worker{store: store, vault: v, senders: senders, config: config}, nil
}

// Run delivers what is due every so often until ctx ends, each kind apart from the others.
// What goes wrong with the store is reported and tried again.
func (w *Worker) Run(ctx context.Context, every time.Duration, report func(error)) {
	var running sync.WaitGroup
	for kind := range w.senders {
		running.Go(func() {
			w.repeat(ctx, every, report, func(ctx context.Context) error { return w.drain(ctx, kind) })
		})
	}
	running.Go(func() {
		w.repeat(ctx, time.Hour, report, func(ctx context.Context) error {
			_, err := w.store.Forget(ctx, w.config.KeepDead, 1000)
			return err
		})
	})
	running.Wait()
}

func (w *Worker) repeat(ctx context.Context, every time.Duration, report func(error), do func(context.Context) error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil && report != nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// drain delivers batches of a kind until nothing more is due.
func (w *Worker) drain(ctx context.Context, kind Kind) error {
	for ctx.Err() == nil {
		n, err := w.batch(ctx, kind, nil)
		if err != nil || n < w.config.Batch {
			return err
		}
	}
	return nil
}

// Once makes one attempt at everything that is due now, of every kind that has a sender,
// and says how many arrived and how many did not.
func (w *Worker) Once(ctx context.Context) (arrived, failed int, err error) {
	var errs []error
	for _, kind := range Kinds() {
		if w.senders[kind] == nil {
			continue
		}
		for {
			var outcome counter
			n, err := w.batch(ctx, kind, &outcome)
			arrived, failed = arrived+outcome.arrived, failed+outcome.failed
			if err != nil {
				errs = append(errs, err)
			}
			if err != nil || n < w.config.Batch || ctx.Err() != nil {
				break
			}
		}
	}
	return arrived, failed, errors.Join(errs...)
}

type counter struct {
	mu              sync.Mutex
	arrived, failed int
}

func (c *counter) add(arrived bool) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if arrived {
		c.arrived++
	} else {
		c.failed++
	}
}

// batch takes on what is due and returns how many that were.
func (w *Worker) batch(ctx context.Context, kind Kind, outcome *counter) (int, error) {
	claimed, now, err := w.store.Claim(ctx, kind, w.config.Batch, w.config.Lease)
	if err != nil {
		return 0, fmt.Errorf("claiming deliveries: %w", err)
	}
	errs := make([]error, len(claimed))
	var sending sync.WaitGroup
	for i, d := range claimed {
		sending.Go(func() {
			arrived, err := w.deliver(ctx, d, now)
			outcome.add(arrived)
			errs[i] = err
		})
	}
	sending.Wait()
	return len(claimed), errors.Join(errs...)
}

// noteWithin bounds how long the store may take after an attempt.
const noteWithin = 30 * time.Second

// deliver makes one attempt and notes what became of it.
func (w *Worker) deliver(stop context.Context, d Delivery, now time.Time) (arrived bool, err error) {
	// What has been sent is noted, also by a worker that is told to stop meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(stop), w.config.SendTimeout+noteWithin)
	defer cancel()
	// A code that nobody may use any more must not arrive.
	if !now.Before(d.GivesUpAt) {
		failure := d.Failure
		if failure == "" {
			failure = FailureExpired
		}
		return false, w.settle(w.store.Bury(ctx, d, failure, w.event(d, Dead)))
	}
	result, err := w.send(stop, d)
	if err != nil {
		if stop.Err() != nil {
			return false, nil // we are told to stop; the lease ends, and somebody else goes on
		}
		failure := failureOf(err)
		pause := max(w.config.Backoff.Pause(d.Attempts), failure.After)
		if failure.Final || !now.Add(pause).Before(d.GivesUpAt) {
			return false, w.settle(w.store.Bury(ctx, d, failure.Word, w.event(d, Dead)))
		}
		return false, w.settle(w.store.Postpone(ctx, d, failure.Word, pause))
	}
	event := result.Event
	if event.Kind == "" {
		event = w.event(d, Delivered)
	}
	return true, w.settle(w.store.Close(ctx, d, result.Answer, event))
}

func (w *Worker) send(ctx context.Context, d Delivery) (Result, error) {
	payload, err := d.Payload(w.vault)
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.config.SendTimeout)
	defer cancel()
	return w.senders[d.Kind].Send(ctx, d, payload)
}

// settle is silent when another worker has taken the delivery over: it will note it.
func (w *Worker) settle(err error) error {
	if errors.Is(err, privacy.ErrConflict) {
		return nil
	}
	return err
}

// event names no principal: it is the system itself that delivers. It has no kind where the
// log must not show that anything was delivered at all, see [TopicCode].
func (w *Worker) event(d Delivery, state State) audit.Event {
	if d.Topic == TopicCode {
		return audit.Event{}
	}
	event := audit.Event{Kind: audit.RequestNotified, Outcome: audit.Done, List: d.Digest()}
	switch d.Kind {
	case OpenDSR:
		event.Kind = audit.ProcessorNotified
	case Consent:
		event.Kind = audit.SubscriberTold
	}
	if state == Dead {
		event.Outcome, event.Checks = audit.Denied, []string{CheckDelivered}
	}
	return event
}
