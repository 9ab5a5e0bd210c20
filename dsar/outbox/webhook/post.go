package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

// NewClient returns a client for calls to addresses that others chose. It follows no
// redirect, takes no proxy from the environment, keeps no cookie, and connects only where
// check allows, which gets the address that is connected to after its name was resolved: so
// a name cannot lead inside. It refuses with an error that wraps [privacy.ErrForbidden]. Nil
// check allows everything.
func NewClient(check func(address string) error) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if check != nil {
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return check(address) }
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    10 * time.Second,
			IdleConnTimeout:        time.Minute,
			MaxIdleConnsPerHost:    16,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		// Whoever answers at the address must not be able to send the message elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// FailureNotPublic is the word for a name that leads inside, where no call may go.
const FailureNotPublic = "address_not_public"

// CheckAddress refuses, with an error that wraps [privacy.ErrInvalid], an address to which
// no call may go: it must be https, or http to this machine, without a password in it.
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return fmt.Errorf("checking address of a webhook: it must be https, without a password in it: %w", privacy.ErrInvalid)
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Poster makes signed calls. It is safe for concurrent use.
type Poster struct {
	client *http.Client
	now    func() time.Time
}

// NewPoster returns a poster that calls by client; now is the clock of its signatures, nil
// means time.Now.
func NewPoster(client *http.Client, now func() time.Time) *Poster {
	if now == nil {
		now = time.Now
	}
	return &Poster{client, now}
}

// Post makes one call and returns nil after the receiver has taken it with any 2xx. 410
// means that it never will; everything else may be tried again. secret is as
// [ParseSecret] reads it.
func (p *Poster) Post(ctx context.Context, address, secret, id string, body []byte) error {
	parsed, err := ParseSecret(secret)
	if err != nil {
		return err
	}
	return p.post(ctx, address, body, Sign(parsed, id, p.now(), body))
}

// Sign returns the headers of one attempt to deliver body.
func Sign(secret Secret, id string, at time.Time, body []byte) http.Header {
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set(headerID, id)
	header.Set(headerTimestamp, strconv.FormatInt(at.Unix(), 10))
	header.Set(headerSignature, secret.signature(id, at.Unix(), body))
	return header
}

func (p *Poster) post(ctx context.Context, address string, body []byte, header http.Header) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return &outbox.Failure{Word: outbox.FailureUnreachable}
	}
	request.Header = header
	response, err := p.client.Do(request)
	if errors.Is(err, privacy.ErrForbidden) {
		return &outbox.Failure{Word: FailureNotPublic}
	}
	if err != nil {
		// The text of the error holds the address, which is the operator's own; the
		// failure's word says what kind it is.
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, 1<<16) // so that the connection can be used again
	if response.StatusCode/100 == 2 {
		return nil
	}
	return &outbox.Failure{
		Word: "status_" + strconv.Itoa(response.StatusCode), Final: response.StatusCode == http.StatusGone,
		After: retryAfter(response.Header.Get("Retry-After"), p.now()),
	}
}
