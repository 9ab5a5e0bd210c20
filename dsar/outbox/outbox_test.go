package outbox_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

func newVault(t testing.TB) *vault.Vault {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return keys.Vault()
}

func code() outbox.Message {
	return outbox.Message{Kind: outbox.Webhook, Destination: "code", Topic: "note", Request: [16]byte{7}, Payload: []byte("secret words")}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	id, err := outbox.NewID(bytes.NewReader(bytes.Repeat([]byte{0xab}, 16)))
	if err != nil || id.String() != "abababab-abab-4bab-abab-abababababab" {
		t.Fatalf("drew %s, %v", id, err)
	}
	if again, err := outbox.ParseID(id.String()); err != nil || again != id {
		t.Errorf("read back %s, %v", again, err)
	}
	for _, text := range []string{"", strings.ToUpper(id.String()), id.String() + "0", "00000000-0000-0000-0000-000000000000"} {
		if _, err := outbox.ParseID(text); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%q was read: %v", text, err)
		}
	}
	if _, err := outbox.NewID(strings.NewReader("short")); err == nil {
		t.Error("an id was drawn from too little")
	}
}

func TestPayloadOpensInItsOwnPlaceOnly(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	d, err := outbox.New(v, rand.Reader, code())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(d.Sealed, []byte("secret")) || d.State != outbox.Pending || d.Patience != outbox.DefaultPatience {
		t.Fatalf("made %+v", d)
	}
	if payload, err := d.Payload(v); err != nil || string(payload) != "secret words" {
		t.Fatalf("opened %q, %v", payload, err)
	}
	for name, move := range map[string]func(*outbox.Delivery){
		"destination":   func(d *outbox.Delivery) { d.Destination = "thief" },
		"topic":         func(d *outbox.Delivery) { d.Topic = "letter" },
		"kind":          func(d *outbox.Delivery) { d.Kind = outbox.SMTP },
		"id":            func(d *outbox.Delivery) { d.ID[0] ^= 1 },
		"payload":       func(d *outbox.Delivery) { d.Sealed = slices.Clone(d.Sealed); d.Sealed[20] ^= 1 },
		"key destroyed": func(d *outbox.Delivery) { d.Wrapped = nil },
	} {
		moved := d
		move(&moved)
		if _, err := moved.Payload(v); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s changed: %v", name, err)
		}
	}
	if d.Digest() == (audit.Digest{}) {
		t.Error("no digest")
	}
	other := d
	other.Request = [16]byte{8}
	if other.Digest() == d.Digest() {
		t.Error("two requests have one digest")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	for name, spoil := range map[string]func(*outbox.Message){
		"kind":              func(m *outbox.Message) { m.Kind = "pigeon" },
		"no destination":    func(m *outbox.Message) { m.Destination = "" },
		"an address":        func(m *outbox.Message) { m.Destination = "ayse@example.com" },
		"topic of words":    func(m *outbox.Message) { m.Topic = "dear Ayse" },
		"delay backwards":   func(m *outbox.Message) { m.Delay = -1 },
		"ends before it is": func(m *outbox.Message) { m.Delay, m.Patience = time.Hour, time.Minute },
		"no patience":       func(m *outbox.Message) { m.Patience = -1 },
		"too large":         func(m *outbox.Message) { m.Payload = make([]byte, outbox.MaxPayload+1) },
	} {
		m := code()
		spoil(&m)
		if _, err := outbox.New(v, rand.Reader, m); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, err := outbox.New(v, rand.Reader, code())
	if err != nil {
		t.Fatal(err)
	}
	d.State = outbox.Dead
	if err := d.Check(); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a settled delivery may be enqueued: %v", err)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	longest := outbox.Backoff{First: time.Second, Longest: time.Minute, Random: func(n int64) int64 { return n - 1 }}
	shortest := outbox.Backoff{First: time.Second, Longest: time.Minute, Random: func(int64) int64 { return 0 }}
	for attempts, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 6: 32 * time.Second, 7: time.Minute, 1 << 30: time.Minute,
	} {
		if got := longest.Pause(attempts); got != want {
			t.Errorf("after %d: %v, want %v", attempts, got, want)
		}
		if got := shortest.Pause(attempts); got != want/2 {
			t.Errorf("after %d: at least %v, want %v", attempts, got, want/2)
		}
	}
	seen := map[time.Duration]bool{}
	for range 100 {
		pause := outbox.Backoff{}.Pause(3)
		if pause < 10*time.Second || pause > 20*time.Second {
			t.Fatalf("paused %v", pause)
		}
		seen[pause] = true
	}
	if len(seen) < 2 {
		t.Error("pauses are not drawn at random")
	}
}

// memory keeps deliveries as long as a test lives. The real store is tested in package
// postgres, with the database.
type memory struct {
	mu     sync.Mutex
	now    time.Time
	queue  []outbox.Delivery
	steps  []string
	events []audit.Event
	fail   error
}

func (m *memory) Claim(_ context.Context, kind outbox.Kind, limit int, lease time.Duration) ([]outbox.Delivery, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var claimed []outbox.Delivery
	for i := range m.queue {
		d := &m.queue[i]
		if d.Kind == kind && d.State == outbox.Pending && !d.NextAttemptAt.After(m.now) && len(claimed) < limit {
			d.Attempts++
			d.NextAttemptAt = m.now.Add(lease)
			claimed = append(claimed, *d)
		}
	}
	return claimed, m.now, m.fail
}

func (m *memory) step(text string, d outbox.Delivery, change func(*outbox.Delivery)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.queue {
		if held := &m.queue[i]; held.ID == d.ID && held.Attempts == d.Attempts && held.State == outbox.Pending {
			change(held)
			m.steps = append(m.steps, text)
			return m.fail
		}
	}
	return privacy.ErrConflict
}

func (m *memory) Close(_ context.Context, d outbox.Delivery, answer []byte, event audit.Event) error {
	m.events = append(m.events, event)
	return m.step("arrived "+string(answer), d, func(d *outbox.Delivery) { d.State = outbox.Delivered })
}

func (m *memory) Bury(_ context.Context, d outbox.Delivery, failure string, event audit.Event) error {
	m.events = append(m.events, event)
	return m.step("dead "+failure, d, func(d *outbox.Delivery) { d.State = outbox.Dead })
}

func (m *memory) Postpone(_ context.Context, d outbox.Delivery, failure string, pause time.Duration) error {
	return m.step(fmt.Sprintf("later %s %v", failure, pause), d, func(d *outbox.Delivery) {
		d.Failure, d.NextAttemptAt = failure, m.now.Add(pause)
	})
}

func (m *memory) Forget(context.Context, time.Duration, int) (int64, error) { return 0, m.fail }

type send func(ctx context.Context, d outbox.Delivery, payload []byte) (outbox.Result, error)

func (s send) Send(ctx context.Context, d outbox.Delivery, payload []byte) (outbox.Result, error) {
	return s(ctx, d, payload)
}

func TestWorker(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		patience time.Duration
		passed   time.Duration
		failure  string
		err      error
		want     string
		outcome  audit.Outcome
	}{
		"arrives":           {time.Hour, 0, "", nil, "arrived yes", audit.Done},
		"receiver is down":  {time.Hour, 0, "", &outbox.Failure{Word: "status_503"}, "later status_503 1s", ""},
		"asks for a pause":  {time.Hour, 0, "", &outbox.Failure{Word: "status_429", After: time.Minute}, "later status_429 1m0s", ""},
		"will never take":   {time.Hour, 0, "", &outbox.Failure{Word: "status_404", Final: true}, "dead status_404", audit.Denied},
		"word is no word":   {time.Hour, 0, "", &outbox.Failure{Word: "no Ayse here"}, "later unknown 1s", ""},
		"some error":        {time.Hour, 0, "", errors.New("boom"), "later unknown 1s", ""},
		"time out":          {time.Hour, 0, "", context.DeadlineExceeded, "later timeout 1s", ""},
		"no time for more":  {time.Second, 0, "", &outbox.Failure{Word: "status_503"}, "dead status_503", audit.Denied},
		"its time is over":  {time.Hour, 2 * time.Hour, "", nil, "dead expired", audit.Denied},
		"over after a fail": {time.Hour, 2 * time.Hour, "status_500", nil, "dead status_500", audit.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault(t)
			d, err := outbox.New(v, rand.Reader, code())
			if err != nil {
				t.Fatal(err)
			}
			d.GivesUpAt, d.NextAttemptAt, d.Failure = noon.Add(c.patience), noon, c.failure
			m := &memory{now: noon.Add(c.passed), queue: []outbox.Delivery{d}}
			sent := 0
			worker, err := outbox.NewWorker(m, v, map[outbox.Kind]outbox.Sender{outbox.Webhook: send(func(_ context.Context, got outbox.Delivery, payload []byte) (outbox.Result, error) {
				sent++
				if got.ID != d.ID || string(payload) != "secret words" {
					t.Errorf("sent %s: %q", got.ID, payload)
				}
				return outbox.Result{Answer: []byte("yes")}, c.err
			})}, outbox.Config{Backoff: outbox.Backoff{First: time.Second, Random: func(n int64) int64 { return n - 1 }}})
			if err != nil {
				t.Fatal(err)
			}
			arrived, failed, err := worker.Once(t.Context())
			if err != nil || arrived+failed != 1 || (arrived == 1) != (c.outcome == audit.Done) {
				t.Fatalf("%d arrived, %d failed, %v", arrived, failed, err)
			}
			if !slices.Equal(m.steps, []string{c.want}) {
				t.Errorf("noted %q, want %q", m.steps, c.want)
			}
			if c.passed > 0 && sent != 0 {
				t.Error("what is over was sent")
			}
			if c.outcome == "" != (len(m.events) == 0) {
				t.Fatalf("events %+v", m.events)
			}
			for _, event := range m.events {
				if event.Kind != audit.RequestNotified || event.Outcome != c.outcome || event.List != d.Digest() ||
					slices.Equal(event.Checks, []string{outbox.CheckDelivered}) != (c.outcome == audit.Denied) {
					t.Errorf("the log says %+v", event)
				}
			}
		})
	}
}

// TestTheEndOfACodeIsNotInTheLog: what is known of somebody must not show by the numbers of
// later entries.
func TestTheEndOfACodeIsNotInTheLog(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, failure := range []error{nil, &outbox.Failure{Word: "status_404", Final: true}} {
		v, message := newVault(t), code()
		message.Topic = outbox.TopicCode
		d, err := outbox.New(v, rand.Reader, message)
		if err != nil {
			t.Fatal(err)
		}
		d.GivesUpAt, d.NextAttemptAt = noon.Add(time.Hour), noon
		m := &memory{now: noon, queue: []outbox.Delivery{d}}
		worker, err := outbox.NewWorker(m, v, map[outbox.Kind]outbox.Sender{outbox.Webhook: send(func(context.Context, outbox.Delivery, []byte) (outbox.Result, error) {
			return outbox.Result{}, failure
		})}, outbox.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if arrived, failed, err := worker.Once(t.Context()); err != nil || arrived+failed != 1 {
			t.Fatalf("%d arrived, %d failed, %v", arrived, failed, err)
		}
		if len(m.steps) != 1 || len(m.events) != 1 || m.events[0].Kind != "" {
			t.Errorf("noted %q, the log says %+v", m.steps, m.events)
		}
	}
}

// TestWorkerGoesOn: every delivery is sent once, more than fit into a batch, by two workers.
func TestWorkerGoesOn(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m := &memory{now: noon}
	for range 50 {
		d, err := outbox.New(v, rand.Reader, code())
		if err != nil {
			t.Fatal(err)
		}
		d.GivesUpAt, d.NextAttemptAt = noon.Add(time.Hour), noon
		m.queue = append(m.queue, d)
	}
	m.queue[0].Wrapped = nil // its key is gone
	var mu sync.Mutex
	sent := map[outbox.ID]int{}
	sender := send(func(_ context.Context, d outbox.Delivery, _ []byte) (outbox.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		sent[d.ID]++
		return outbox.Result{Event: audit.Event{Kind: audit.ProcessorAnswered, Outcome: audit.Done}}, nil
	})
	m2 := lockedEvents{m, &mu}
	var workers sync.WaitGroup
	for range 2 {
		worker, err := outbox.NewWorker(m2, v, map[outbox.Kind]outbox.Sender{outbox.Webhook: sender}, outbox.Config{Batch: 8})
		if err != nil {
			t.Fatal(err)
		}
		workers.Go(func() {
			if _, _, err := worker.Once(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	workers.Wait()
	if len(sent) != 49 {
		t.Errorf("sent %d of 49", len(sent))
	}
	for id, n := range sent {
		if n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
	if m.queue[0].State != outbox.Dead || !slices.Contains(m.steps, "dead "+outbox.FailureDamaged) {
		t.Errorf("what does not open is %s", m.queue[0].State)
	}
}

// lockedEvents makes the fake's list of events safe for two workers.
type lockedEvents struct {
	*memory
	events *sync.Mutex
}

func (l lockedEvents) Close(ctx context.Context, d outbox.Delivery, answer []byte, event audit.Event) error {
	if event.Kind != audit.ProcessorAnswered {
		return errors.New("the sender's event is lost")
	}
	return l.step("arrived", d, func(d *outbox.Delivery) { d.State = outbox.Delivered })
}

func (l lockedEvents) Bury(_ context.Context, d outbox.Delivery, failure string, _ audit.Event) error {
	return l.step("dead "+failure, d, func(d *outbox.Delivery) { d.State = outbox.Dead })
}

func TestWorkerReportsTheStore(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	m := &memory{fail: privacy.ErrUnavailable}
	worker, err := outbox.NewWorker(m, v, map[outbox.Kind]outbox.Sender{outbox.SMTP: send(nil)}, outbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := worker.Once(t.Context()); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("a store that is down: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	reported := make(chan error, 2)
	worker.Run(ctx, time.Millisecond, func(err error) {
		select {
		case reported <- err:
		default:
			cancel()
		}
	})
	if err := <-reported; !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("reported %v", err)
	}
	for name, make := range map[string]func() error{
		"no store":    func() error { _, err := outbox.NewWorker(nil, v, nil, outbox.Config{}); return err },
		"no vault":    func() error { _, err := outbox.NewWorker(m, nil, nil, outbox.Config{}); return err },
		"short lease": func() error { _, err := outbox.NewWorker(m, v, nil, outbox.Config{Lease: time.Second}); return err },
	} {
		if err := make(); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
