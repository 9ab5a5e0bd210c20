package opendsr

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Refresher fetches the certificate of a processor anew.
type Refresher interface {
	Certificate(ctx context.Context, p Processor, at time.Time) (string, error)
}

// ListenerConfig holds what a listener may be told otherwise.
type ListenerConfig struct {
	// CallbackURL is the one address at which processors call back. Empty: callbacks are
	// refused, and statuses are asked for.
	CallbackURL string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Refresher fetches certificates that have run out; nil: nobody does.
	Refresher Refresher
	// RefreshEvery bounds how often the certificate of one processor is fetched because a
	// message was not believed; zero means 10 minutes.
	RefreshEvery time.Duration
	// RefusalsAMinute bounds how many refusals are logged one by one; the entry after that
	// stands for those in between. Zero means 60.
	RefusalsAMinute int
}

// Listener hears what processors say about requests that they were passed: in callbacks,
// and in answers. It is safe for concurrent use.
type Listener struct {
	store  ProcessorStore
	log    audit.Appender
	config ListenerConfig

	mu        sync.Mutex
	refreshed map[string]time.Time
	minute    time.Time
	refusals  int
	silent    uint64
}

// NewListener returns a listener over store, whose refusals are logged in log.
func NewListener(store ProcessorStore, log audit.Appender, config ListenerConfig) (*Listener, error) {
	if store == nil || log == nil {
		return nil, fmt.Errorf("making OpenDSR listener: %w", privacy.ErrInvalid)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.RefreshEvery == 0 {
		config.RefreshEvery = 10 * time.Minute
	}
	if config.RefusalsAMinute == 0 {
		config.RefusalsAMinute = 60
	}
	return &Listener{store: store, log: log, config: config, refreshed: map[string]time.Time{}}, nil
}

// Signed is a message as it came.
type Signed struct {
	// Domain and Signature are its headers.
	Domain, Signature string
	Body              []byte
}

// Callback takes a callback: nil means that it is believed and counts from now on, or that
// the very same bytes counted already. The error is a [Refusal], which is in the log when
// it returns, or wraps [privacy.ErrUnavailable].
func (l *Listener) Callback(ctx context.Context, m Signed) error {
	processor, err := l.believe(ctx, m)
	if err != nil {
		return l.refuse(ctx, m.Body, err)
	}
	// Only now is the body read: it is the processor's own.
	report, err := ParseReport(m.Body, true)
	if err != nil {
		return l.refuse(ctx, m.Body, err)
	}
	// The same processor may serve another controller, whose callbacks somebody passes on.
	if l.config.CallbackURL == "" || report.CallbackURL != l.config.CallbackURL {
		return l.refuse(ctx, m.Body, &Refusal{Check: CheckCallbackOurs, Reason: "the callback is for another address"})
	}
	err = l.apply(ctx, processor, report, messageDigest(m.Body))
	if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.Check == CheckReplay {
		// An honest processor that missed our answer sends the same again and must hear
		// that it arrived; for anybody else it changes nothing. The log knows of it.
		if err := l.refuse(ctx, m.Body, refusal); !errors.Is(err, error(refusal)) {
			return err
		}
		return nil
	}
	if err != nil {
		return l.refuse(ctx, m.Body, err)
	}
	return nil
}

// Answer takes the signed answer to a status request about one task.
func (l *Listener) Answer(ctx context.Context, processor string, id SubjectRequestID, m Signed) (Task, error) {
	p, err := l.believe(ctx, m)
	if err != nil {
		return Task{}, l.refuse(ctx, m.Body, err)
	}
	report, err := ParseReport(m.Body, false)
	if err != nil {
		return Task{}, l.refuse(ctx, m.Body, err)
	}
	if p.ID != processor || report.ID != id {
		return Task{}, l.refuse(ctx, m.Body, &Refusal{Check: CheckRequestKnown, Reason: "the answer is about another request"})
	}
	at := l.config.Now().UTC()
	task, err := l.store.Report(ctx, p.ID, report.ID, audit.Digest{}, l.event(p, m.Body), func(t Task) (Task, error) {
		// To ask twice and hear the same is no news and no fault.
		if t.SettledAt.IsZero() || report.Status != t.status() {
			return t.Advance(report, at)
		}
		return t, errNoNews
	})
	if errors.Is(err, errNoNews) {
		return task, nil
	}
	if err != nil {
		return Task{}, l.refuse(ctx, m.Body, err)
	}
	return task, nil
}

// errNoNews undoes a change that would change nothing.
var errNoNews = errors.New("nothing new")

// Accepted takes the signed answer to a request that was handed to a processor.
func (l *Listener) Accepted(ctx context.Context, processor string, id SubjectRequestID, sent []byte, m Signed) error {
	p, err := l.believe(ctx, m)
	if err != nil {
		return l.refuse(ctx, m.Body, err)
	}
	accepted, err := ParseAccepted(m.Body)
	if err != nil {
		return l.refuse(ctx, m.Body, err)
	}
	if p.ID != processor || accepted.ID != id || sha256.Sum256(accepted.Encoded) != sha256.Sum256(sent) {
		return l.refuse(ctx, m.Body, &Refusal{Check: CheckRequestKnown, Reason: "the answer is to another request"})
	}
	at := l.config.Now().UTC()
	_, err = l.store.Report(ctx, p.ID, id, audit.Digest{}, l.event(p, m.Body), func(t Task) (Task, error) {
		if t.status() != "" {
			return t, errNoNews // a callback was quicker
		}
		return t.Advance(Report{ID: id, Status: Pending, ExpectedAt: accepted.ExpectedAt}, at)
	})
	if errors.Is(err, errNoNews) {
		return nil
	}
	if err != nil {
		return l.refuse(ctx, m.Body, err)
	}
	return nil
}

func (l *Listener) apply(ctx context.Context, p Processor, report Report, digest audit.Digest) error {
	at := l.config.Now().UTC()
	_, err := l.store.Report(ctx, p.ID, report.ID, digest, audit.Event{
		Kind: audit.ProcessorAnswered, Outcome: audit.Done, Recipient: p.Recipient, List: digest,
	}, func(t Task) (Task, error) { return t.Advance(report, at) })
	return err
}

func (l *Listener) event(p Processor, body []byte) audit.Event {
	return audit.Event{Kind: audit.ProcessorAnswered, Outcome: audit.Done, Recipient: p.Recipient, List: messageDigest(body)}
}

// believe checks who signed, before anything is parsed.
func (l *Listener) believe(ctx context.Context, m Signed) (Processor, error) {
	if m.Signature == "" {
		return Processor{}, &Refusal{Check: CheckSigned, Reason: "the message has no signature"}
	}
	domain, err := ParseDomain(m.Domain)
	if err != nil {
		return Processor{}, err
	}
	p, err := l.store.ByDomain(ctx, domain)
	if errors.Is(err, privacy.ErrNotFound) {
		return Processor{}, &Refusal{Check: CheckDomain, Reason: "no processor signs in the name of this domain"}
	}
	if err != nil {
		return Processor{}, fmt.Errorf("finding processor: %w", err)
	}
	err = verify(p, m, l.config.Now())
	if err == nil || !l.mayRefresh(p.ID) {
		return p, err
	}
	// The certificate may have been replaced (security guidelines, callback validation 2.5).
	fetched, fetchErr := l.config.Refresher.Certificate(ctx, p, l.config.Now())
	if fetchErr != nil || fetched == p.Certificate {
		return p, err
	}
	p.Certificate = fetched
	if err := verify(p, m, l.config.Now()); err != nil {
		return p, err
	}
	event := audit.Event{Kind: audit.ProcessorAdded, Outcome: audit.Done, Recipient: p.Recipient, List: sha256.Sum256([]byte(fetched))}
	if _, err := l.store.SetCertificate(ctx, p.ID, fetched, event); err != nil {
		return p, fmt.Errorf("keeping processor's certificate: %w", err)
	}
	return p, nil
}

func verify(p Processor, m Signed, at time.Time) error {
	roots, err := ParseRoots([]byte(p.Roots))
	if err != nil {
		return err
	}
	chain, err := ParseChain([]byte(p.Certificate))
	if err != nil {
		return err
	}
	return Verifier{Roots: roots}.Verify(p.Domain, m.Body, m.Signature, chain, at)
}

// mayRefresh keeps senders of nonsense from having us fetch certificates all day.
func (l *Listener) mayRefresh(processor string) bool {
	if l.config.Refresher == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.config.Now()
	if last, ok := l.refreshed[processor]; ok && now.Sub(last) < l.config.RefreshEvery {
		return false
	}
	l.refreshed[processor] = now
	return true
}

// refuse logs a refusal and returns it; any other error it returns as it is. Anybody may
// send nonsense, so a flood of it is logged as a count.
func (l *Listener) refuse(ctx context.Context, body []byte, err error) error {
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok {
		return fmt.Errorf("taking OpenDSR message: %w", err)
	}
	count, logged := l.countRefusal()
	if !logged {
		return refusal
	}
	event := audit.Event{Kind: audit.RequestRefused, Outcome: audit.Denied, Checks: []string{refusal.Check}, List: messageDigest(body), Count: count}
	if _, err := l.log.Append(ctx, event); err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	return refusal
}

// countRefusal reports whether a refusal is logged, and how many it stands for.
func (l *Listener) countRefusal() (uint64, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.config.Now(); now.Sub(l.minute) >= time.Minute || now.Before(l.minute) {
		l.minute, l.refusals = now, 0
	}
	if l.refusals >= l.config.RefusalsAMinute {
		l.silent++
		return 0, false
	}
	l.refusals++
	count := 1 + l.silent
	l.silent = 0
	return count, true
}

// messageDigest stands in the log for a message.
func messageDigest(body []byte) audit.Digest {
	h := sha256.New()
	_, _ = h.Write([]byte("mahrem/opendsr-message/v1\x00"))
	_, _ = h.Write(body)
	return audit.Digest(h.Sum(nil))
}
