package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/mahrem/mahrem/consent"
	receipts "github.com/mahrem/mahrem/consent/receipt"
	"github.com/mahrem/mahrem/privacy"
)

// The paths of consent receipts.
const (
	pathReceipt = "/v1/consents/{consent_id}/receipt"
	pathKeys    = "/.well-known/jwks.json"
)

// ReceiptIssuer issues consent receipts; [receipts.Issuer] is one. It must log each before it
// returns it, and must not tell a recipient of choices that are none of its business.
type ReceiptIssuer interface {
	Issue(ctx context.Context, by privacy.Principal, request receipts.Request) (receipts.Issued, error)
	// Ready says beforehand whether receipts can be issued at all.
	Ready() error
	PublicKeys() ([]byte, error)
}

// showReceipt issues a receipt of one choice.
func showReceipt(ctx context.Context, c *call) error {
	issuer := c.server.services.Receipts
	if issuer == nil {
		return refuse(unavailable)
	}
	request, err := receiptQuery(c.request.URL.RawQuery)
	if err != nil {
		return err
	}
	id, err := consent.ParseID(c.request.PathValue("consent_id"))
	if err != nil {
		// What is no id is the id of nothing.
		return privacy.ErrNotFound
	}
	request.Consent = id
	issued, err := issuer.Issue(ctx, c.principal, request)
	if err != nil {
		return err
	}
	if issued.Receipt.IsZero() {
		return errors.New("a consent receipt was issued without evidence")
	}
	return c.writeJSON(http.StatusOK, issuedReceipt(issued))
}

// mayReceipt refuses a change with which a receipt is asked for that there can never be,
// before anything is recorded.
func (c *call) mayReceipt(request *consentRequest) error {
	switch issuer := c.server.services.Receipts; {
	case request.Receipt == "":
		return nil
	case c.principal.Recipient == "":
		return refuseField(invalid, "/receipt", "is for services; ask for the receipt by its own path and name a recipient")
	case request.Receipt == string(receipts.Kantara) && !consent.Action(request.Action).IsYes():
		return refuseField(invalid, "/receipt", "as kantara is for a consent that was given; of any other choice there is one as iso27560")
	case issuer == nil:
		return refuse(unavailable)
	default:
		return issuer.Ready()
	}
}

// receiptOf issues a receipt of what was just recorded. That it was recorded stands in any
// case: without a receipt the caller asks for one by its own path.
func (c *call) receiptOf(ctx context.Context, id [16]byte, format string) *issuedReceipt {
	issued, err := c.server.services.Receipts.Issue(ctx, c.principal, receipts.Request{Consent: id, Format: receipts.Format(format), Recorded: true})
	if err != nil || issued.Receipt.IsZero() {
		return nil
	}
	return (*issuedReceipt)(&issued)
}

// receiptQuery reads the query string: format and recipient, each once at most.
func receiptQuery(raw string) (receipts.Request, error) {
	parameters, err := url.ParseQuery(raw)
	if err != nil {
		return receipts.Request{}, refuse(malformed)
	}
	for name, values := range parameters {
		if name != "format" && name != "recipient" || len(values) != 1 {
			return receipts.Request{}, refuseField(malformed, "", "the query string may have format and recipient, each once")
		}
	}
	format, known := receipts.ParseFormat(parameters.Get("format"))
	if !known {
		return receipts.Request{}, refuseField(invalid, "/format", "is not iso27560 or kantara")
	}
	return receipts.Request{Format: format, Recipient: privacy.RecipientID(parameters.Get("recipient"))}, nil
}

type issuedReceipt receipts.Issued

func (r issuedReceipt) appendJSON(b []byte) ([]byte, error) { return r.append(b), nil }

func (r *issuedReceipt) append(b []byte) []byte {
	b = append(b, '{')
	b = appendString(appendKey(b, "receipt_id"), r.ID)
	b = appendString(appendKey(b, "format"), string(r.Format))
	b = appendString(appendKey(b, "issued_at"), r.IssuedAt.UTC().Format(time.RFC3339))
	b = appendString(appendKey(b, "expires_at"), r.ExpiresAt.UTC().Format(time.RFC3339))
	b = appendString(appendKey(b, "receipt"), r.Token)
	return append(appendLog(appendKey(b, "log"), r.Receipt), '}')
}

var (
	headerKeySet = []string{"application/jwk-set+json"}
	// headerFiveMinutes lets readers keep the keys for a while: a new key is published when it
	// begins to sign, so whoever meets one that they do not know asks again.
	headerFiveMinutes = []string{"public, max-age=300"}
)

// showKeys publishes the keys by which receipts are checked, to everybody.
func showKeys(_ context.Context, c *call) error {
	if c.request.URL.RawQuery != "" {
		return refuse(malformed)
	}
	issuer := c.server.services.Receipts
	if issuer == nil {
		return refuse(unavailable)
	}
	set, err := issuer.PublicKeys()
	if err != nil {
		return err
	}
	c.writer.Header()["Cache-Control"] = headerFiveMinutes
	c.write(http.StatusOK, headerKeySet, set)
	return nil
}
