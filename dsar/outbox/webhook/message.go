package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

// The headers of Standard Webhooks.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// tolerance is how far the clocks of both sides may be apart.
const tolerance = 5 * time.Minute

// maxBody bounds what is read of a call.
const maxBody = 1 << 20

// message is the body of a call.
type message struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Request string `json:"request,omitempty"`
	// Sealed is the letter.
	Sealed string `json:"sealed"`
}

// newCall makes the body and the headers of one attempt.
func newCall(secret Secret, random io.Reader, d *outbox.Delivery, letter []byte, now time.Time) ([]byte, http.Header, error) {
	id := d.ID.String()
	sealed, err := secret.seal(random, id, letter)
	if err != nil {
		return nil, nil, err
	}
	m := message{ID: id, Type: "dsar." + d.Topic, Sealed: base64.StdEncoding.EncodeToString(sealed)}
	if d.Request != [16]byte{} {
		m.Request = outbox.ID(d.Request).String()
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding webhook: %w", err)
	}
	return body, Sign(secret, id, now, body), nil
}

// Call is one call as its receiver reads it.
type Call struct {
	// ID is the same whenever the delivery is repeated: act once for each.
	ID outbox.ID
	// Type is "dsar." and the topic.
	Type string
	// Request is the id of the request, as text; empty: none.
	Request string
	Letter  outbox.Letter
}

// Open reads a call as a receiver must: it verifies the signature and the time before it
// looks at anything else. Every refusal is a [*Refusal] that wraps
// [privacy.ErrUnauthenticated] and names the check, or an error that wraps
// [privacy.ErrDamaged] for what was signed and does not open.
func Open(secret Secret, header http.Header, body []byte, now time.Time) (Call, error) {
	id, err := Verify(header, body, now, secret)
	if err != nil {
		return Call{}, fmt.Errorf("opening webhook: %w", err)
	}
	return read(secret, id, body)
}

// read takes apart what was signed.
func read(secret Secret, id string, body []byte) (Call, error) {
	damaged := func(what string) (Call, error) {
		return Call{}, fmt.Errorf("reading %s of a webhook: %w", what, privacy.ErrDamaged)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	var m message
	if decoder.Decode(&m) != nil || m.ID != id {
		return damaged("the body")
	}
	delivery, err := outbox.ParseID(m.ID)
	if err != nil {
		return damaged("the id")
	}
	sealed, err := base64.StdEncoding.Strict().DecodeString(m.Sealed)
	if err != nil {
		return damaged("the sealed part")
	}
	plaintext, err := secret.open(id, sealed)
	if err != nil {
		return Call{}, err
	}
	letter, err := outbox.DecodeLetter(plaintext)
	if err != nil {
		return Call{}, err
	}
	return Call{ID: delivery, Type: m.Type, Request: m.Request, Letter: letter}, nil
}
