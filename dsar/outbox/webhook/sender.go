package webhook

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

// Config holds what a sender may be told otherwise.
type Config struct {
	// Client sends; nil: one that follows no redirect and takes no proxy from the
	// environment.
	Client *http.Client
	// Now is the clock of the signature; nil: time.Now.
	Now func() time.Time
	// Random draws nonces; nil: crypto/rand.
	Random io.Reader
}

// Sender calls one address.
type Sender struct {
	address string
	secret  Secret
	config  Config
}

var _ outbox.Sender = (*Sender)(nil)

// New returns a sender. The address must be https, or http to this machine; the error
// wraps [privacy.ErrInvalid].
func New(address string, secret Secret, config Config) (*Sender, error) {
	if err := CheckAddress(address); err != nil {
		return nil, fmt.Errorf("making webhook sender: %w", err)
	}
	if secret.IsZero() {
		return nil, fmt.Errorf("making webhook sender without secret: %w", privacy.ErrInvalid)
	}
	if config.Client == nil {
		config.Client = NewClient(nil)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	return &Sender{address, secret, config}, nil
}

// Send implements [outbox.Sender]. Any 2xx means that the receiver has taken the message,
// 410 that it never will; everything else is tried again.
func (s *Sender) Send(ctx context.Context, d outbox.Delivery, payload []byte) (outbox.Result, error) {
	if _, err := outbox.DecodeLetter(payload); err != nil {
		return outbox.Result{}, err
	}
	body, header, err := newCall(s.secret, s.config.Random, &d, payload, s.config.Now())
	if err != nil {
		return outbox.Result{}, err
	}
	return outbox.Result{}, NewPoster(s.config.Client, s.config.Now).post(ctx, s.address, body, header)
}

// longestRetry bounds what a receiver can ask for.
const longestRetry = 24 * time.Hour

// retryAfter reads seconds or a date (RFC 9110 section 10.2.3).
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, longestRetry)
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return min(at.Sub(now), longestRetry)
	}
	return 0
}
