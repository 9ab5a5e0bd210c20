// Package fetch reads policy bundles from a URL. What is fetched is believed as little as
// a file is: the engine verifies who signed it.
package fetch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Config tunes a [Source]. The zero value is ready to use.
type Config struct {
	// Timeout bounds one fetch, from connecting to the last byte; 0 means 10 seconds.
	Timeout time.Duration
	// Transport makes the requests; nil means one like http.DefaultTransport.
	Transport http.RoundTripper
}

// Source is a [policies.Source] over HTTP. It is for one goroutine.
type Source struct {
	url    string
	client *http.Client
	etag   string
	given  [sha256.Size]byte
}

var _ policies.Source = (*Source)(nil)

// New returns the source at an http or https URL. Over plain http somebody on the way can
// hold a bundle back until the one before it expires, but not change it.
func New(rawURL string, config Config) (*Source, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		// The text may hold a password.
		return nil, fmt.Errorf("reading URL of policies: not an http or https URL: %w", privacy.ErrInvalid)
	}
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	if config.Transport == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		// A bundle is gzip itself; a server that says so in a header must not have it unpacked.
		transport.DisableCompression = true
		transport.MaxResponseHeaderBytes = 64 << 10
		config.Transport = transport
	}
	return &Source{url: rawURL, client: &http.Client{Transport: config.Transport, Timeout: config.Timeout, CheckRedirect: redirect}}, nil
}

// maxRedirects is one for a new name and one for a mirror.
const maxRedirects = 3

func redirect(next *http.Request, before []*http.Request) error {
	if len(before) > maxRedirects {
		return errors.New("too many redirects")
	}
	if before[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return errors.New("redirected from https to " + next.URL.Scheme)
	}
	return nil
}

// Read implements [policies.Source]. A server that sends an ETag is asked with
// If-None-Match, so that what did not change is not sent again.
func (s *Source) Read(ctx context.Context) (*policies.Content, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, unavailable(errors.New("not a URL"))
	}
	request.Header.Set("User-Agent", "mahrem")
	if s.etag != "" {
		request.Header.Set("If-None-Match", s.etag)
	}
	response, err := s.client.Do(request)
	if err != nil {
		// url.Error repeats the URL, which may hold a token.
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		return nil, unavailable(err)
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusNotModified:
		if s.etag != "" {
			return nil, policies.ErrUnchanged
		}
		return nil, unavailable(errors.New("not modified, though nothing was fetched before"))
	case http.StatusOK:
	default:
		return nil, unavailable(fmt.Errorf("status %d", response.StatusCode))
	}
	archive, err := io.ReadAll(io.LimitReader(response.Body, policies.MaxArchive+1))
	if err != nil {
		return nil, unavailable(errors.New("the answer broke off"))
	}
	s.etag = response.Header.Get("ETag")
	found := sha256.Sum256(archive)
	if found == s.given {
		return nil, policies.ErrUnchanged
	}
	s.given = found
	return policies.ParseArchive(archive)
}

func unavailable(err error) error {
	return &policies.Refusal{Check: policies.BundleUnavailable, Err: fmt.Errorf("fetching policy bundle: %w: %w", err, privacy.ErrUnavailable)}
}
