package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Why a witness does not sign.
var (
	// ErrForked says that the witness knows another history of this log. Somebody has changed
	// the log, or has shown the witness another one.
	ErrForked = errors.New("witness knows another history of the log")
	// ErrUnknownLog says that nobody has told the witness about this log.
	ErrUnknownLog = errors.New("witness does not know the log")
	// ErrKeyRefused says that the witness knows the log by another key.
	ErrKeyRefused = errors.New("witness does not accept the key of the log")
)

// SizeError says that the witness has last seen another size of the log than was thought.
type SizeError struct {
	// Size is what it has seen.
	Size uint64
}

// Error implements error.
func (e *SizeError) Error() string { return fmt.Sprintf("witness has cosigned size %d", e.Size) }

// ClientConfig configures a [Client]. The zero value is ready for use.
type ClientConfig struct {
	// Timeout bounds one request; zero means 5 seconds.
	Timeout time.Duration
	// Transport carries the requests; nil means one of its own that keeps connections.
	Transport http.RoundTripper
}

// Client asks one witness.
type Client struct {
	witness Witness
	url     string
	http    *http.Client
}

// maxAnswer is more than the answer of a witness with several keys takes.
const maxAnswer = 1 << 16

// NewClient returns the client of a witness, which must have a URL: http or https. What
// comes from there is checked by the witness's key, whoever carried it.
func NewClient(w Witness, config ClientConfig) (*Client, error) {
	u, err := url.Parse(w.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, invalid("witness %q has no http or https address", w.Name)
	}
	if config.Timeout <= 0 {
		config.Timeout = 5 * time.Second
	}
	return &Client{
		witness: w, url: strings.TrimSuffix(w.URL, "/") + "/add-checkpoint",
		http: &http.Client{
			Transport: config.Transport, Timeout: config.Timeout,
			// The policy says where the witness is, and nobody else does.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Add asks for the cosignature of a signed checkpoint, with the proof that it continues the
// tree of size old. It returns a [*SizeError] if the witness has seen another size, and
// errors that wrap [ErrForked], [ErrUnknownLog] or [ErrKeyRefused]. What a later try may
// put right wraps [privacy.ErrUnavailable].
func (c *Client) Add(ctx context.Context, signed []byte, old uint64, proof []tlog.Hash) (Cosignature, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(FormatRequest(old, proof, signed)))
	if err != nil {
		return Cosignature{}, fmt.Errorf("asking witness: %w", err)
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	request.Header.Set("User-Agent", "mahrem")
	response, err := c.http.Do(request)
	if err != nil {
		return Cosignature{}, fmt.Errorf("asking witness: %w: %w", err, privacy.ErrUnavailable)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return Cosignature{}, fmt.Errorf("reading answer of witness: %w: %w", err, privacy.ErrUnavailable)
	}
	if len(body) > maxAnswer {
		return Cosignature{}, fmt.Errorf("answer of witness has more than %d bytes: %w", maxAnswer, privacy.ErrDamaged)
	}
	if response.StatusCode != http.StatusOK {
		return Cosignature{}, refusal(response.StatusCode, body)
	}
	return c.cosignature(signed, body)
}

func refusal(status int, body []byte) error {
	switch status {
	case http.StatusConflict:
		text := strings.TrimSuffix(string(body), "\n")
		size, err := strconv.ParseUint(text, 10, 63)
		if err != nil || strconv.FormatUint(size, 10) != text {
			return fmt.Errorf("witness answered 409 without its size: %w", privacy.ErrDamaged)
		}
		return &SizeError{size}
	case http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: %w", ErrForked, privacy.ErrDamaged)
	case http.StatusNotFound:
		return ErrUnknownLog
	case http.StatusForbidden:
		return ErrKeyRefused
	}
	return fmt.Errorf("witness answered %d: %w", status, privacy.ErrUnavailable)
}

// cosignature takes out of an answer the line that is the witness's own, if it is under
// this checkpoint. Lines by other keys are left alone.
func (c *Client) cosignature(signed, lines []byte) (Cosignature, error) {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	n, err := note.Open([]byte(text+"\n\n"+string(lines)), note.VerifierList(c.witness.Verifier))
	if err != nil || len(n.Sigs) == 0 {
		return Cosignature{}, fmt.Errorf("answer of witness has no cosignature by its key: %w", privacy.ErrDamaged)
	}
	if _, err := audit.ParseCheckpoint(n.Text); err != nil {
		return Cosignature{}, err
	}
	return newCosignature(&c.witness, n.Sigs[0])
}
