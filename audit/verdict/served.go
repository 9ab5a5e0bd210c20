package verdict

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/privacy"
)

// served is a log under the paths of C2SP tlog-tiles on a server.
type served struct {
	base   string
	token  string
	client *http.Client
}

var _ bundle.Files = (*served)(nil)

// newServed reads the address of a log: of the server, or of the log on it.
func newServed(address, token string) (*served, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("reading address of a log, such as https://HOST or https://HOST/log: %w", privacy.ErrInvalid)
	}
	if u.Path = strings.TrimSuffix(u.Path, "/"); !strings.HasSuffix(u.Path, "/log") {
		u.Path += "/log"
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = atOnce
	return &served{u.String() + "/", strings.TrimSpace(token), &http.Client{
		Transport: transport, Timeout: time.Minute,
		// A log does not move while it is checked, and a token belongs to one server.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// atOnce is how many tiles are asked for at a time.
const atOnce = 16

// patience is how often a server that is busy is asked again.
const patience = 5

// Read implements [bundle.Files]. There are only a checkpoint and tiles to be had.
func (s *served) Read(ctx context.Context, path string, limit int) ([]byte, error) {
	if path != bundle.CheckpointPath && !strings.HasPrefix(path, "tile/") {
		return nil, fs.ErrNotExist
	}
	for tries := 1; ; tries++ {
		content, err := s.read(ctx, path, limit)
		if err == nil || tries == patience || !errors.Is(err, privacy.ErrUnavailable) {
			return content, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(tries) * 200 * time.Millisecond):
		}
	}
}

func (s *served) read(ctx context.Context, path string, limit int) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return nil, err
	}
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w: %w", path, privacy.ErrUnavailable, err)
	}
	defer func() { _ = response.Body.Close() }()
	switch status := response.StatusCode; {
	case status == http.StatusNotFound, status == http.StatusGone:
		return nil, fmt.Errorf("fetching %s: %w", path, fs.ErrNotExist)
	case status == http.StatusUnauthorized:
		return nil, fmt.Errorf("fetching %s: %w", path, privacy.ErrUnauthenticated)
	case status == http.StatusForbidden:
		return nil, fmt.Errorf("fetching %s: %w", path, privacy.ErrForbidden)
	case status == http.StatusTooManyRequests, status >= 500:
		return nil, fmt.Errorf("fetching %s: the server answers %d: %w", path, status, privacy.ErrUnavailable)
	case status != http.StatusOK:
		return nil, fmt.Errorf("fetching %s: the server answers %d", path, status)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w: %w", path, privacy.ErrUnavailable, err)
	}
	if len(content) > limit {
		return nil, fmt.Errorf("fetching %s: more than %d bytes: %w", path, limit, privacy.ErrDamaged)
	}
	return content, nil
}
