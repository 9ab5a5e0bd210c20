package iys

import (
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Consent is what the registry knows, or shall know, about one recipient, as one of two
// kinds, for one way of reaching them. Its recipient is personal data; the rest is not.
type Consent struct {
	Type          Type
	Recipient     privacy.Plain
	RecipientType RecipientType
	Status        Status
	// Source may be empty for a merchant.
	Source Source
	// At is when it was said, to the second; zero, for a merchant alone: it is not known.
	At time.Time
	// RetailerCode is the dealer who took the consent, RetailerAccess those who may use
	// it; zero and empty for a house without dealers.
	RetailerCode   int64
	RetailerAccess []int64
}

// Identifier is the recipient as the vault finds people.
func (c *Consent) Identifier() privacy.Identifier {
	return privacy.Identifier{Kind: c.Type.Kind(), Value: c.Recipient}
}

// Movement is a change in the registry as it tells us about it.
type Movement struct {
	Consent
	// TransactionID is the registry's own name for the change.
	TransactionID string
	// CreatedAt is when the registry wrote it down.
	CreatedAt time.Time
}

// EffectiveAt is the time by which a movement is folded: when it was said, or, if that is
// not known, when the registry wrote it down.
func (m *Movement) EffectiveAt() time.Time {
	if m.At.IsZero() {
		return m.CreatedAt
	}
	return m.At
}
