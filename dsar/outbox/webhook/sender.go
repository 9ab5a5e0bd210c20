package webhook

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, fmt.Errorf("making webhook sender: the address must be https, without a password in it: %w", privacy.ErrInvalid)
	}
	if secret.IsZero() {
		return nil, fmt.Errorf("making webhook sender without secret: %w", privacy.ErrInvalid)
	}
	if config.Client == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.Proxy = nil
		config.Client = &http.Client{
			Transport: transport,
			// Whoever answers at the address must not be able to send the message elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	return &Sender{address, secret, config}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
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
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address, bytes.NewReader(body))
	if err != nil {
		return outbox.Result{}, &outbox.Failure{Word: outbox.FailureUnreachable}
	}
	request.Header = header
	response, err := s.config.Client.Do(request)
	if err != nil {
		// The text of the error holds the address, which is the operator's own; the
		// failure's word says what kind it is.
		return outbox.Result{}, err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, 1<<16) // so that the connection can be used again
	if response.StatusCode/100 == 2 {
		return outbox.Result{}, nil
	}
	return outbox.Result{}, &outbox.Failure{
		Word: "status_" + strconv.Itoa(response.StatusCode), Final: response.StatusCode == http.StatusGone,
		After: retryAfter(response.Header.Get("Retry-After"), s.config.Now()),
	}
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
