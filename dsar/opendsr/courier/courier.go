// Package courier carries OpenDSR messages over HTTPS to others: requests to processors,
// statuses to controllers.
//
// Addresses come from other parties. So a connection is made only to an address that
// anybody could reach, after its name was resolved and at the moment of connecting; a
// redirect is not followed, no proxy and no cookie is used, and an answer is read to a
// limit. Otherwise a callback could be turned against the inside of the house (server-side
// request forgery).
package courier

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/privacy"
)

// Config holds what a courier may be told otherwise.
type Config struct {
	// DangerPrivateAddresses lets messages go to this machine and to private networks. It
	// is for tests, and for a processor inside the house.
	DangerPrivateAddresses bool
	// Timeout bounds one message with its answer; zero means 20 seconds.
	Timeout time.Duration
	// UserAgent names the sender; empty means "mahrem".
	UserAgent string
}

// Courier carries messages. It is safe for concurrent use and keeps no connection.
type Courier struct{ config Config }

// New returns a courier.
func New(config Config) *Courier {
	if config.Timeout == 0 {
		config.Timeout = 20 * time.Second
	}
	if config.UserAgent == "" {
		config.UserAgent = "mahrem"
	}
	return &Courier{config: config}
}

// Message is what goes out.
type Message struct {
	Method string
	URL    string
	// Roots are the authorities that are believed for the connection. Nil means those of
	// the machine.
	Roots *x509.CertPool
	// Token, if it is not empty, is sent as a bearer token.
	Token string
	// Domain and Signature are the headers of a signed message, in the words of Version;
	// empty for one that is not signed.
	Version           opendsr.Version
	Domain, Signature string
	// IdempotencyKey says which messages are repetitions of one another.
	IdempotencyKey string
	Body           []byte
}

// Answer is what came back. The body is as it came: nobody has believed it yet.
type Answer struct {
	Status            int
	ContentType       string
	Domain, Signature string
	RetryAfter        time.Duration
	Body              []byte
}

// ErrAddress is wrapped by the error for an address to which no message may go.
var ErrAddress = errors.New("address is not public")

// Carry sends a message and returns the answer, whatever its status is. The error wraps
// [privacy.ErrInvalid] if the address is none for messages, [ErrAddress] if the name
// leads to an address that is not public, and [privacy.ErrUnavailable] if nothing came
// back. Its text does not repeat the address.
func (c *Courier) Carry(ctx context.Context, m Message) (Answer, error) {
	u, err := url.Parse(m.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return Answer{}, fmt.Errorf("sending OpenDSR message: the address is not an https address: %w", privacy.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	var body io.Reader
	if m.Body != nil {
		body = bytes.NewReader(m.Body)
	}
	request, err := http.NewRequestWithContext(ctx, m.Method, m.URL, body)
	if err != nil {
		return Answer{}, fmt.Errorf("sending OpenDSR message: %w", privacy.ErrInvalid)
	}
	c.addHeaders(request.Header, &m)
	client := &http.Client{
		Transport:     c.transport(m.Roots),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, failure(err)
	}
	defer func() { _ = response.Body.Close() }()
	return read(response)
}

func (c *Courier) addHeaders(h http.Header, m *Message) {
	h.Set("Accept", "application/json")
	h.Set("User-Agent", c.config.UserAgent)
	if m.Body != nil {
		h.Set("Content-Type", "application/json")
	}
	if m.Token != "" {
		h.Set("Authorization", "Bearer "+m.Token)
	}
	if m.Signature != "" {
		h.Set(m.Version.DomainHeader(), m.Domain)
		h.Set(m.Version.SignatureHeader(), m.Signature)
	}
	if m.IdempotencyKey != "" {
		h.Set("Idempotency-Key", m.IdempotencyKey)
	}
}

func (c *Courier) transport(roots *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{Timeout: c.config.Timeout}
	if !c.config.DangerPrivateAddresses {
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return CheckAddress(address) }
	}
	return &http.Transport{
		DialContext:       dialer.DialContext,
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
		// What is unpacked here could be larger than what was read.
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      false,
	}
}

func read(response *http.Response) (Answer, error) {
	a := Answer{Status: response.StatusCode, ContentType: response.Header.Get("Content-Type")}
	// Both names of the headers are in use, whatever the version.
	for _, v := range opendsr.Versions() {
		if a.Signature == "" {
			a.Domain, a.Signature = response.Header.Get(v.DomainHeader()), response.Header.Get(v.SignatureHeader())
		}
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 && seconds <= 7*24*3600 {
		a.RetryAfter = time.Duration(seconds) * time.Second
	}
	var err error
	if a.Body, err = io.ReadAll(io.LimitReader(response.Body, 2*opendsr.MaxBody+1)); err != nil {
		return Answer{}, failure(err)
	}
	if len(a.Body) > 2*opendsr.MaxBody {
		return Answer{}, fmt.Errorf("reading answer to OpenDSR message: %w",
			&opendsr.Refusal{Check: opendsr.CheckBodySize, Reason: "the answer is too large"})
	}
	return a, nil
}

// failure keeps the kind of an error and drops its text, which holds the address.
func failure(err error) error {
	switch {
	case errors.Is(err, ErrAddress):
		return fmt.Errorf("sending OpenDSR message: %w", ErrAddress)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("sending OpenDSR message: no answer in time: %w", privacy.ErrUnavailable)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("sending OpenDSR message: the certificate of the connection is not believed: %w", privacy.ErrUnavailable)
	}
	return fmt.Errorf("sending OpenDSR message: no connection: %w", privacy.ErrUnavailable)
}

// notPublic are networks beyond those that [netip.Addr] can name.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared by carriers (RFC 6598)
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), // leads to any IPv4 address (RFC 6052)
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("fec0::/10"),
}

// CheckAddress refuses to connect to what is not public, with an error that wraps
// [ErrAddress]. It is for the Control of a [net.Dialer]: the name has been resolved by then,
// and what is checked is what is connected to.
func CheckAddress(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return ErrAddress
	}
	ip := at.Addr().Unmap()
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.Zone() != "" {
		return ErrAddress
	}
	for _, prefix := range notPublic {
		if prefix.Contains(ip) {
			return ErrAddress
		}
	}
	return nil
}
