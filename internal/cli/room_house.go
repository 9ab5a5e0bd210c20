package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// houseFlags say where a party reaches the house.
type houseFlags struct{ server, tokenFile string }

func (f *houseFlags) add(cmd *cobra.Command, when string) {
	cmd.Flags().StringVar(&f.server, "server", "", when+"where the house is, such as https://mahrem.example")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", when+"the party's bearer token; - reads it from stdin")
}

// houseClient is how a party's tool speaks to the house.
type houseClient struct {
	base   *url.URL
	token  string
	client *http.Client
	// patience is how long the house may say nothing: to a small call, or while it is sent to.
	patience time.Duration
	// admitting is how long it may take to let in what has come.
	admitting time.Duration
	// sleep waits for a while, or returns an error when the context ends.
	sleep func(ctx context.Context, while time.Duration) error
}

// The house answers within seconds, but for a delivery that has come: letting it in may take it
// an hour.
const (
	housePatience = 2 * time.Minute
	admitPatience = time.Hour + 5*time.Minute
)

// roomPath is a path of the house's API about a room.
func roomPath(room cleanroom.RoomID, rest string) string {
	return "/v1/rooms/" + url.PathEscape(string(room)) + "/" + rest
}

func (a *app) houseClient(f *houseFlags) (*houseClient, error) {
	base, err := url.Parse(f.server)
	local := err == nil && (base.Hostname() == "localhost" || base.Hostname() == "127.0.0.1" || base.Hostname() == "::1")
	if err != nil || base.Host == "" || base.User != nil || base.Scheme != "https" && (base.Scheme != "http" || !local) {
		return nil, usagef("--server wants an https address; http is for this machine alone")
	}
	token, err := a.readSmall(f.tokenFile, maxTokenFile)
	if err != nil {
		return nil, fmt.Errorf("reading token: %w", err)
	}
	return &houseClient{base, strings.TrimSpace(string(token)), &http.Client{
		// A token must not go to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, housePatience, admitPatience, cleanroom.Sleep}, nil
}

// errAway is wrapped by errors of a house that does not answer, or not now.
var errAway = fmt.Errorf("calling the house: %w", privacy.ErrUnavailable)

// maxAnswer bounds what the house may answer.
const maxAnswer = 1 << 20

// wait ends a call to a house that says nothing.
func (c *houseClient) wait(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.patience, fmt.Errorf("no answer within %s", c.patience))
}

// post sends a body and decodes the answer into out. It is for the context to end it.
func (c *houseClient) post(ctx context.Context, path, contentType string, body io.Reader, size int64, out any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath(path).String(), body)
	if err != nil {
		return fmt.Errorf("calling the house: %w", err)
	}
	request.ContentLength = size
	request.Header.Set("Content-Type", contentType)
	return c.do(request, out)
}

// get decodes an answer into out. What is not there is an error that wraps
// [privacy.ErrNotFound].
func (c *houseClient) get(ctx context.Context, path string, out any) error {
	ctx, cancel := c.wait(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath(path).String(), nil)
	if err != nil {
		return fmt.Errorf("calling the house: %w", err)
	}
	return c.do(request, out)
}

func (c *houseClient) do(request *http.Request, out any) error {
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w: reading its answer: %w", errAway, err)
	}
	if response.StatusCode/100 != 2 {
		return refusalOf(response.StatusCode, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("reading the house's answer: %w", privacy.ErrDamaged)
	}
	return nil
}

// refusal is what the house says instead of an answer. It wraps the error of package privacy
// that says what to do about it, if there is one.
type refusal struct {
	text string
	kind error
}

func (r *refusal) Error() string { return r.text }

func (r *refusal) Unwrap() error { return r.kind }

func refusalOf(status int, text []byte) error {
	var problem struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Errors []struct {
			Pointer string `json:"pointer"`
			Reason  string `json:"reason"`
		} `json:"errors"`
		Checks []string `json:"checks"`
	}
	_ = json.Unmarshal(text, &problem) // without a problem document the status must do
	r := &refusal{text: fmt.Sprintf("the house refuses: %d %s", status, problem.Title)}
	for _, e := range problem.Errors {
		r.text += "; " + strings.TrimSpace(e.Pointer+" "+e.Reason)
	}
	if len(problem.Checks) > 0 {
		r.text += "; it does not pass " + strings.Join(problem.Checks, ", ")
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		r.kind = errAway
	case http.StatusNotFound:
		r.kind = privacy.ErrNotFound
	case http.StatusConflict:
		if problem.Type == "urn:mahrem:problem:conflict" {
			r.kind = privacy.ErrConflict
		}
	}
	return r
}

// evaluateTries is how often a batch is sent that did not come through.
const evaluateTries = 6

func (c *houseClient) evaluateOnce(ctx context.Context, room cleanroom.RoomID, body []byte, answer any) error {
	ctx, cancel := c.wait(ctx)
	defer cancel()
	return c.post(ctx, roomPath(room, "oprf:evaluate"), "application/json", bytes.NewReader(body), int64(len(body)), answer)
}

// evaluate has the house mask blindly.
func (c *houseClient) evaluate(room cleanroom.RoomID, dataset cleanroom.DatasetID, members int64) match.Evaluate {
	return func(ctx context.Context, epoch int, blinded [][]byte) (match.Evaluation, error) {
		elements := make([]string, len(blinded))
		for i, b := range blinded {
			elements[i] = base64.StdEncoding.EncodeToString(b)
		}
		body, err := json.Marshal(map[string]any{"dataset": dataset, "members": members, "epoch": epoch, "elements": elements})
		if err != nil {
			return match.Evaluation{}, fmt.Errorf("writing blinded elements: %w", err)
		}
		var answer struct {
			Elements [][]byte `json:"elements"`
			Proof    []byte   `json:"proof"`
		}
		for try := 1; ; try++ {
			err := c.evaluateOnce(ctx, room, body, &answer)
			if err == nil {
				return match.Evaluation{Elements: answer.Elements, Proof: answer.Proof}, nil
			}
			if !errors.Is(err, privacy.ErrUnavailable) || try == evaluateTries {
				return match.Evaluation{}, err
			}
			if err := c.sleep(ctx, pause(try)); err != nil {
				return match.Evaluation{}, err
			}
		}
	}
}
