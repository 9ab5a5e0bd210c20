package courier

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Fetcher fetches the certificates of processors.
type Fetcher struct {
	courier *Courier
	vault   *vault.Vault
}

var _ opendsr.Refresher = (*Fetcher)(nil)

// NewFetcher returns a fetcher that opens the tokens of processors with v.
func NewFetcher(c *Courier, v *vault.Vault) *Fetcher { return &Fetcher{courier: c, vault: v} }

// Sender delivers what the outbox holds for processors and controllers.
type Sender struct {
	*Fetcher
	processors  opendsr.ProcessorStore
	controllers opendsr.ControllerStore
	listener    *opendsr.Listener
	signer      *opendsr.Signer
}

var _ outbox.Sender = (*Sender)(nil)

// NewSender returns a sender. signer may be nil: a house that is nobody's processor has
// none, and calls nobody back.
func NewSender(f *Fetcher, processors opendsr.ProcessorStore, controllers opendsr.ControllerStore, listener *opendsr.Listener, signer *opendsr.Signer) (*Sender, error) {
	if f == nil || processors == nil || controllers == nil || listener == nil {
		return nil, fmt.Errorf("making OpenDSR sender: %w", privacy.ErrInvalid)
	}
	return &Sender{Fetcher: f, processors: processors, controllers: controllers, listener: listener, signer: signer}, nil
}

// Send implements [outbox.Sender].
func (s *Sender) Send(ctx context.Context, d outbox.Delivery, payload []byte) (outbox.Result, error) {
	switch d.Topic {
	case opendsr.TopicRequest:
		return s.sendRequest(ctx, d, payload)
	case opendsr.TopicCallback:
		return outbox.Result{}, s.sendCallback(ctx, d, payload)
	}
	return outbox.Result{}, &outbox.Failure{Word: "unknown_topic", Final: true}
}

// place opens what belongs to a processor.
func (s *Fetcher) place(p *opendsr.Processor) (Place, error) {
	place := Place{Base: p.Base, Domain: p.Domain, Version: p.Version}
	var err error
	if place.Roots, err = opendsr.ParseRoots([]byte(p.Roots)); err != nil {
		return Place{}, err
	}
	if p.SealedToken != nil {
		token, err := s.vault.OpenHouse(opendsr.TokenLabel(p.ID), p.SealedToken)
		if err != nil {
			return Place{}, fmt.Errorf("opening token of a processor: %w", err)
		}
		place.Token = string(token)
	}
	return place, nil
}

// sendRequest hands a request to a processor. If the answer got lost last time, the
// processor says that it has the request already; then its signed status is the answer.
func (s *Sender) sendRequest(ctx context.Context, d outbox.Delivery, body []byte) (outbox.Result, error) {
	p, err := s.processors.Find(ctx, d.Destination)
	if err != nil {
		return outbox.Result{}, err
	}
	if !p.RetiredAt.IsZero() {
		return outbox.Result{}, &outbox.Failure{Word: "processor_retired", Final: true}
	}
	request, err := opendsr.ParseRequest(p.Version, body)
	if err != nil {
		return outbox.Result{}, &outbox.Failure{Word: outbox.FailureDamaged, Final: true, Err: err}
	}
	place, err := s.place(&p)
	if err != nil {
		return outbox.Result{}, err
	}
	answer, err := s.courier.Post(ctx, place, body, d.ID.String())
	if err != nil {
		return outbox.Result{}, failureOf(err)
	}
	event := audit.Event{Kind: audit.ProcessorNotified, Outcome: audit.Done, Recipient: p.Recipient, List: d.Digest()}
	if answer.Status == http.StatusCreated {
		err := s.listener.Accepted(ctx, p.ID, request.ID, body, signed(answer))
		return outbox.Result{Event: event}, failureOf(err)
	}
	if d.Attempts > 1 && (answer.Status == http.StatusBadRequest || answer.Status == http.StatusConflict) {
		if s.ask(ctx, place, p.ID, request.ID) == nil {
			return outbox.Result{Event: event}, nil
		}
	}
	return outbox.Result{}, refusedBy(answer)
}

// ask has a processor say how a request stands.
func (s *Sender) ask(ctx context.Context, place Place, processor string, id opendsr.SubjectRequestID) error {
	answer, err := s.courier.Status(ctx, place, id)
	if err != nil {
		return err
	}
	if answer.Status != http.StatusOK {
		return refusedBy(answer)
	}
	_, err = s.listener.Answer(ctx, processor, id, signed(answer))
	return err
}

// Poll asks processors about requests of which nothing was heard for a while, and returns
// how many answered. One that does not answer is asked again next time.
func (s *Sender) Poll(ctx context.Context, silent time.Duration, limit int) (answered int, err error) {
	tasks, err := s.processors.Waiting(ctx, time.Now().Add(-silent), limit)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, task := range tasks {
		p, err := s.processors.Find(ctx, task.Processor)
		if err != nil {
			return answered, err
		}
		place, err := s.place(&p)
		if err == nil {
			err = s.ask(ctx, place, p.ID, task.ID)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("asking %s: %w", p.ID, err))
			continue
		}
		answered++
	}
	return answered, errors.Join(errs...)
}

// Certificate implements [opendsr.Refresher].
func (s *Fetcher) Certificate(ctx context.Context, p opendsr.Processor, at time.Time) (string, error) {
	place, err := s.place(&p)
	if err != nil {
		return "", err
	}
	_, certificate, err := s.courier.Discover(ctx, place, at)
	return string(certificate), err
}

// sendCallback signs a status and calls a controller back. Any 2xx means that it arrived.
func (s *Sender) sendCallback(ctx context.Context, d outbox.Delivery, payload []byte) error {
	if s.signer == nil {
		return &outbox.Failure{Word: "no_certificate"}
	}
	callback, err := opendsr.ParseCallback(payload)
	if err != nil {
		return err
	}
	controller, err := s.controllers.Controller(ctx, d.Destination)
	if err != nil {
		return err
	}
	roots, err := opendsr.ParseRoots([]byte(controller.Roots))
	if err != nil {
		return err
	}
	signature, err := s.signer.Sign(callback.Body)
	if err != nil {
		return err
	}
	answer, err := s.courier.Callback(ctx, callback.URL, roots, callback.Version, s.signer.Domain(), signature, callback.Body, d.ID.String())
	if err != nil {
		return failureOf(err)
	}
	if answer.Status < 200 || answer.Status > 299 {
		return refusedBy(answer)
	}
	return nil
}

func signed(a Answer) opendsr.Signed {
	return opendsr.Signed{Domain: a.Domain, Signature: a.Signature, Body: a.Body}
}

// refusedBy says what a status means for another attempt.
func refusedBy(a Answer) *outbox.Failure {
	f := &outbox.Failure{Word: fmt.Sprintf("status_%d", a.Status), After: a.RetryAfter}
	switch a.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		// A token may be replaced, and a busy receiver may be free.
	default:
		f.Final = a.Status >= 400 && a.Status < 500
	}
	return f
}

// failureOf gives an error of ours the word under which it is shown; nil stays nil.
func failureOf(err error) error {
	if err == nil {
		return nil
	}
	if refusal, ok := errors.AsType[*opendsr.Refusal](err); ok {
		return &outbox.Failure{Word: "answer_" + strings.NewReplacer(".", "_").Replace(refusal.Check), Err: err}
	}
	switch {
	case errors.Is(err, ErrAddress):
		return &outbox.Failure{Word: "address_not_public", Err: err}
	case errors.Is(err, privacy.ErrInvalid):
		return &outbox.Failure{Word: "address_invalid", Final: true, Err: err}
	case errors.Is(err, privacy.ErrUnavailable):
		return &outbox.Failure{Word: outbox.FailureUnreachable, Err: err}
	}
	return err
}

// Register asks a processor what it supports and completes p with its certificate. The
// token is in clear here and nowhere else.
func (c *Courier) Register(ctx context.Context, p opendsr.Processor, token string, at time.Time) (opendsr.Processor, opendsr.Discovery, error) {
	if err := p.Check(); err != nil {
		return p, opendsr.Discovery{}, err
	}
	var roots *x509.CertPool
	roots, err := opendsr.ParseRoots([]byte(p.Roots))
	if err != nil {
		return p, opendsr.Discovery{}, err
	}
	discovery, certificate, err := c.Discover(ctx, Place{Base: p.Base, Domain: p.Domain, Version: p.Version, Roots: roots, Token: token}, at)
	if err != nil {
		return p, opendsr.Discovery{}, err
	}
	p.Certificate = string(certificate)
	return p, discovery, nil
}
