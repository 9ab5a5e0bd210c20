package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

// Add reports one consent and returns the registry's name for the change. The error is a
// [Refusal] when the registry does not take it.
func (c *Client) Add(ctx context.Context, consent *iys.Consent) (transaction string, err error) {
	body, err := iys.EncodeConsent(consent)
	if err != nil {
		return "", err
	}
	answer, err := c.call(ctx, http.MethodPost, c.brand()+"/consents", body)
	if err != nil {
		return "", err
	}
	return iys.DecodeAdded(answer)
}

// Submit reports a batch. How each of its consents fared, [Client.Results] says later. A
// batch that was sent and not answered may have arrived: sent again it does no harm,
// because the registry refuses what it holds.
func (c *Client) Submit(ctx context.Context, consents []iys.Consent) (request string, err error) {
	body, err := iys.EncodeBatch(consents)
	if err != nil {
		return "", err
	}
	answer, err := c.call(ctx, http.MethodPost, c.brand()+"/consents/request", body)
	if err != nil {
		return "", err
	}
	return iys.DecodeSubmitted(answer)
}

// Results says how the consents of a batch fared, by their places in it, from 0.
func (c *Client) Results(ctx context.Context, request string, size int) ([]iys.Result, error) {
	answer, err := c.call(ctx, http.MethodGet, c.brand()+"/consents/request/"+url.PathEscape(request), nil)
	if err != nil {
		return nil, err
	}
	return iys.DecodeResults(answer, size)
}

// Status asks what the registry holds. The error wraps [privacy.ErrNotFound] if that is
// nothing.
func (c *Client) Status(ctx context.Context, identifier privacy.Plain, as iys.RecipientType, t iys.Type) (iys.Movement, error) {
	body, err := iys.EncodeConsent(&iys.Consent{Recipient: identifier, RecipientType: as, Type: t})
	if err != nil {
		return iys.Movement{}, err
	}
	answer, err := c.call(ctx, http.MethodPost, c.brand()+"/consents/status", body)
	if err != nil {
		return iys.Movement{}, err
	}
	return iys.DecodeStatus(answer)
}

// Origin is where movements were made.
type Origin string

// The origins: what senders reported, what recipients said at the registry.
const (
	BySender    Origin = "HS"
	ByRecipient Origin = "IYS"
)

// Changes returns the movements behind a place in the list; "" is its beginning. The
// registry shows the last seven days without the last hour.
func (c *Client) Changes(ctx context.Context, origin Origin, after string) (iys.Page, error) {
	query := url.Values{"source": {string(origin)}}
	if after != "" {
		query.Set("after", after)
	}
	answer, err := c.call(ctx, http.MethodGet, c.brand()+"/consents/changes?"+query.Encode(), nil)
	if err != nil {
		return iys.Page{}, err
	}
	return iys.DecodePage(answer)
}

// File opens the change file of a day, which is one of the last seven. Whoever gets it
// closes it.
func (c *Client) File(ctx context.Context, day clock.Date) (io.ReadCloser, error) {
	response, cancel, err := c.send(ctx, http.MethodGet, c.brand()+"/changes/"+day.String()+"/file", nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 == 2 {
		return &file{response.Body, cancel}, nil
	}
	content, _ := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	discard(response, cancel)
	return nil, fmt.Errorf("opening a change file: %w", refusal(response.StatusCode, content))
}

type file struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (f *file) Close() error {
	defer f.cancel()
	return f.ReadCloser.Close()
}
