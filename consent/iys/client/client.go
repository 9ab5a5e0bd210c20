// Package client asks the registry and tells it, over HTTPS.
//
// It goes to the address of the settings and nowhere else: no redirect is followed, no
// proxy taken from the environment, and what comes back is read to a limit and believed
// only as far as package iys can read it. Every failure has one of the sentinels of
// package privacy; no error repeats a recipient, a credential or a text of the other side.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/privacy"
)

// Production is the registry itself; Sandbox is where its customers try things out.
const (
	Production = "https://api.iys.org.tr"
	Sandbox    = "https://api.sandbox.iys.org.tr"
)

// Account is who we are at the registry.
type Account struct {
	// Code is the sender's number, Brand that of the brand.
	Code, Brand int64
	// User and Password are the credentials of the API.
	User, Password privacy.Plain
}

// Config holds what a client may be told otherwise.
type Config struct {
	// Address is the registry; empty: [Production]. It must be https, or http to this
	// machine.
	Address string
	// MayReach refuses, with an error, addresses that must not be connected to (host:port, after
	// the name was resolved). nil: nothing may be reached but this machine, if Address names it.
	MayReach func(address string) error
	// Transport carries requests; nil: one of its own, without a proxy, that asks MayReach.
	Transport http.RoundTripper
	// Timeout bounds one attempt; zero: a minute.
	Timeout time.Duration
	// Attempts is how often a request is tried that the registry could not answer; zero: 4.
	Attempts int
	// Wait waits between attempts; nil: as long as it is told, or until ctx ends.
	Wait func(ctx context.Context, d time.Duration) error
	// Now is the clock for the life of a token; nil: time.Now.
	Now func() time.Time
}

// Client is safe for concurrent use.
type Client struct {
	account Account
	base    string
	config  Config
	http    *http.Client

	mu    sync.Mutex
	token string
	until time.Time
}

// New returns a client. The error wraps [privacy.ErrInvalid] if the address or the account
// makes no sense.
func New(account Account, config Config) (*Client, error) {
	if config.Address == "" {
		config.Address = Production
	}
	u, err := url.Parse(config.Address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, fmt.Errorf("reaching the registry: the address must be https, without a password in it: %w", privacy.ErrInvalid)
	}
	if account.Code <= 0 || account.Brand <= 0 || account.User.IsEmpty() || account.Password.IsEmpty() {
		return nil, fmt.Errorf("reaching the registry: it needs the numbers of sender and brand, and an account: %w", privacy.ErrInvalid)
	}
	if config.Transport == nil {
		if isLoopback(u.Hostname()) {
			config.MayReach = onlyHere
		}
		config.Transport = newTransport(config.MayReach)
	}
	if config.Timeout == 0 {
		config.Timeout = time.Minute
	}
	if config.Attempts == 0 {
		config.Attempts = 4
	}
	if config.Wait == nil {
		config.Wait = wait
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Client{
		account: account, base: strings.TrimRight(config.Address, "/"), config: config,
		http: &http.Client{
			Transport: config.Transport,
			// Whoever answers must not be able to have consents sent elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// newTransport asks about each address that a name leads to, when it is connected to: no name
// server can turn the client against the inside of the house.
func newTransport(mayReach func(address string) error) *http.Transport {
	dialer := &net.Dialer{Timeout: 20 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		if mayReach == nil || mayReach(address) != nil {
			return errAddress
		}
		return nil
	}}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.DialContext = nil, dialer.DialContext
	return transport
}

// onlyHere lets the client reach this machine, where a test's registry is.
func onlyHere(address string) error {
	if to, err := netip.ParseAddrPort(address); err != nil || !to.Addr().Unmap().IsLoopback() {
		return errAddress
	}
	return nil
}

// errAddress says that a name leads where requests must not go.
var errAddress = errors.New("address must not be reached")

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// brand is where everything about the brand is.
func (c *Client) brand() string {
	return fmt.Sprintf("/sps/%d/brands/%d", c.account.Code, c.account.Brand)
}

// maxAnswer bounds what is read of an answer that is held in memory.
const maxAnswer = 16 << 20

// fileTimes is how much longer than an answer a change file may take: it is read while it
// is worked on.
const fileTimes = 60

// maxPause bounds how long the registry may have us wait.
const maxPause = 10 * time.Minute

// call makes a request and returns the body of a success. It renews the token once when
// the registry does not know it, and tries again what the registry could not answer.
func (c *Client) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	response, cancel, err := c.send(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer cancel()
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the registry's answer: %w", privacy.ErrUnavailable)
	}
	if len(content) > maxAnswer {
		return nil, fmt.Errorf("reading the registry's answer: it is too long: %w", privacy.ErrDamaged)
	}
	if response.StatusCode/100 == 2 {
		return content, nil
	}
	return nil, refusal(response.StatusCode, content)
}

// send returns an answer that is neither an invalid token nor a passing failure. Whoever
// gets it closes its body, then calls cancel.
func (c *Client) send(ctx context.Context, method, path string, body []byte) (*http.Response, context.CancelFunc, error) {
	renewed := false
	for attempt := 1; ; attempt++ {
		token, err := c.bearer(ctx)
		if err != nil {
			return nil, nil, err
		}
		response, cancel, err := c.once(ctx, method, path, token, body)
		pause := time.Duration(0)
		switch {
		case err != nil:
		case response.StatusCode == http.StatusUnauthorized && !renewed:
			renewed = true
			attempt--
			c.forget(token)
			discard(response, cancel)
			continue
		case response.StatusCode == http.StatusTooManyRequests || response.StatusCode/100 == 5:
			pause = retryAfter(response.Header)
			discard(response, cancel)
			err = fmt.Errorf("asking the registry: it answers %d: %w", response.StatusCode, privacy.ErrUnavailable)
		default:
			return response, cancel, nil
		}
		if attempt >= c.config.Attempts || ctx.Err() != nil {
			return nil, nil, err
		}
		if pause == 0 {
			pause = time.Second << (attempt - 1)
		}
		if c.config.Wait(ctx, min(pause, maxPause)) != nil {
			return nil, nil, err
		}
	}
}

func (c *Client) once(ctx context.Context, method, path, token string, body []byte) (*http.Response, context.CancelFunc, error) {
	timeout := c.config.Timeout
	if strings.HasSuffix(path, "/file") {
		timeout *= fileTimes
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		cancel()
		return nil, nil, fmt.Errorf("asking the registry: %w", privacy.ErrInvalid)
	}
	request.Header.Set("Accept", "application/json, text/csv")
	request.Header.Set("User-Agent", "mahrem")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		cancel()
		// The text of the error holds the address and may hold more.
		return nil, nil, fmt.Errorf("asking the registry: no answer: %w", privacy.ErrUnavailable)
	}
	return response, cancel, nil
}

func discard(response *http.Response, cancel context.CancelFunc) {
	_, _ = io.CopyN(io.Discard, response.Body, 1<<16)
	_ = response.Body.Close()
	cancel()
}

// retryAfter reads seconds; what is no number is as if it were not there.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > int(maxPause/time.Second) {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// bearer returns a token that lives for another minute at least.
func (c *Client) bearer(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && c.config.Now().Before(c.until) {
		return c.token, nil
	}
	body, err := json.Marshal(map[string]string{
		"username": c.account.User.RevealPersonalData(), "password": c.account.Password.RevealPersonalData(), "grant_type": "password",
	})
	if err != nil {
		return "", fmt.Errorf("logging in at the registry: %w", privacy.ErrInvalid)
	}
	response, cancel, err := c.once(ctx, http.MethodPost, "/oauth2/token", "", body)
	if err != nil {
		return "", err
	}
	defer cancel()
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	switch {
	case err != nil || response.StatusCode == http.StatusTooManyRequests || response.StatusCode/100 == 5:
		return "", fmt.Errorf("logging in at the registry: %w", privacy.ErrUnavailable)
	case response.StatusCode/100 != 2:
		return "", fmt.Errorf("logging in at the registry: it answers %d: %w", response.StatusCode, privacy.ErrUnauthenticated)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if json.Unmarshal(content, &answer) != nil || answer.AccessToken == "" || len(answer.AccessToken) > 8192 ||
		strings.ContainsAny(answer.AccessToken, " \r\n") || answer.ExpiresIn < 0 || answer.ExpiresIn > 30*24*3600 {
		return "", fmt.Errorf("logging in at the registry: its token makes no sense: %w", privacy.ErrDamaged)
	}
	c.token = answer.AccessToken
	c.until = c.config.Now().Add(time.Duration(answer.ExpiresIn)*time.Second - time.Minute)
	return c.token, nil
}

// forget drops a token that the registry does not know, unless there is another already.
func (c *Client) forget(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == token {
		c.token = ""
	}
}

// Refusal is what the registry has against a request. Its text has codes and names of
// fields and nothing that the registry wrote about the recipient.
type Refusal struct {
	Status int
	Errors []iys.Failure
}

func (r *Refusal) Error() string {
	var words []string
	for _, e := range r.Errors {
		words = append(words, e.String())
	}
	return fmt.Sprintf("the registry answers %d: %s", r.Status, strings.Join(words, ", "))
}

// Unwrap tells what is not there from what is wrong.
func (r *Refusal) Unwrap() error {
	switch r.Status {
	case http.StatusNotFound:
		return privacy.ErrNotFound
	case http.StatusUnauthorized:
		return privacy.ErrUnauthenticated
	case http.StatusForbidden:
		return privacy.ErrForbidden
	}
	return privacy.ErrInvalid
}

func refusal(status int, body []byte) error {
	return &Refusal{Status: status, Errors: iys.DecodeFailures(body)}
}

// IsRefusal returns the refusal in err, if there is one.
func IsRefusal(err error) (*Refusal, bool) { return errors.AsType[*Refusal](err) }
