package receipt

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

const (
	// Type is the typ of every receipt: a bearer token, or any other JWT by the same key,
	// cannot pass for one (RFC 8725 section 3.11).
	Type = "consent-receipt+jwt"
	// Algorithm is the only one.
	Algorithm = "ES256"
	// MaxSize bounds a receipt.
	MaxSize = 1 << 18
	// Lifetime is how long a receipt is good for. A new one can be had for as long as the
	// ledger has the choice; the end makes sure that no key must be believed for ever.
	Lifetime = 3 * 365 * 24 * time.Hour
)

// claims are what is signed.
type claims struct {
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	Audience  string          `json:"aud"`
	IssuedAt  int64           `json:"iat"`
	ExpiresAt int64           `json:"exp"`
	ID        string          `json:"jti"`
	Format    Format          `json:"format"`
	State     string          `json:"state"`
	Receipt   json.RawMessage `json:"receipt"`
}

// SignerConfig configures [NewSigner]. The zero value is ready for use.
type SignerConfig struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Random draws the ids of receipts; nil means crypto/rand.Reader.
	Random io.Reader
}

// Signer makes receipts under one keyset. It is safe for concurrent use.
type Signer struct {
	issuer string
	signer jwt.Signer
	config SignerConfig
}

// NewSigner returns a signer with the primary key of a keyset of ES256 keys, which must have
// Tink's prefix, because a receipt names its key. issuer stands in every receipt.
func NewSigner(issuer string, handle *keyset.Handle, config SignerConfig) (*Signer, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	if issuer == "" {
		return nil, fmt.Errorf("opening receipt keyset: no issuer: %w", privacy.ErrInvalid)
	}
	signer, err := jwt.NewSigner(handle)
	if err != nil {
		return nil, fmt.Errorf("opening receipt keyset: %w", err)
	}
	return &Signer{issuer: issuer, signer: signer, config: config}, nil
}

// Signed is a new receipt.
type Signed struct {
	// Token is the receipt: a JWS in compact form.
	Token string
	// ID names it.
	ID        string
	Format    Format
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Digest is what the log says about it: the SHA-256 of the token.
func (s *Signed) Digest() audit.Digest { return sha256.Sum256([]byte(s.Token)) }

// Sign makes a receipt. The error is a [privacy.FieldError] if the format cannot say what
// happened, and wraps [privacy.ErrInvalid] if the facts do not make a receipt.
func (s *Signer) Sign(facts *Facts, format Format) (Signed, error) {
	var id [16]byte
	if _, err := io.ReadFull(s.config.Random, id[:]); err != nil {
		return Signed{}, fmt.Errorf("drawing receipt id: %w", err)
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // RFC 9562, version 4
	now := s.config.Now().UTC().Truncate(time.Second)
	signed := Signed{ID: consent.FormatID(id), Format: format, IssuedAt: now, ExpiresAt: now.Add(Lifetime)}
	document, err := facts.document(format, signed.ID, now)
	if err != nil {
		return Signed{}, err
	}
	text, err := json.Marshal(claims{
		Issuer: s.issuer, Subject: string(facts.Principal), Audience: string(facts.Recipient), IssuedAt: now.Unix(),
		ExpiresAt: signed.ExpiresAt.Unix(), ID: signed.ID, Format: format, State: string(facts.Standing.State), Receipt: document,
	})
	if err != nil {
		return Signed{}, fmt.Errorf("writing receipt: %w", err)
	}
	// What we would refuse to read we do not sign.
	if _, err := read(text); err != nil {
		return Signed{}, fmt.Errorf("writing receipt: what is known does not make one: %v: %w", err, privacy.ErrInvalid)
	}
	raw, err := jwt.NewRawJWTFromJSON(new(Type), text)
	if err != nil {
		return Signed{}, fmt.Errorf("building receipt: %w", err)
	}
	if signed.Token, err = s.signer.SignAndEncode(raw); err != nil {
		return Signed{}, fmt.Errorf("signing receipt: %w", err)
	}
	if _, err := splitHeader(signed.Token); err != nil {
		return Signed{}, fmt.Errorf("writing receipt: %v: %w", err, privacy.ErrInvalid)
	}
	return signed, nil
}

// document is the receipt itself, in one of the structures.
func (f *Facts) document(format Format, id string, issued time.Time) ([]byte, error) {
	var document any
	switch {
	case format == ISO27560:
		document = f.iso(id, issued)
	case format == Kantara && f.Record.Action.IsYes():
		document = f.kantara(id)
	case format == Kantara:
		return nil, &privacy.FieldError{Pointer: "/format", Reason: "is for a consent that was given; of any other choice there is a receipt as iso27560"}
	default:
		return nil, &privacy.FieldError{Pointer: "/format", Reason: "is not iso27560 or kantara"}
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("writing receipt: %w", err)
	}
	return text, nil
}
