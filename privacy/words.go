package privacy

import "fmt"

// Purpose is a registered reason for processing (GDPR Article 5(1)(b)), such as
// "newsletter" or "recommendations". The catalogue lists the purposes that exist.
type Purpose string

// Channel is a way of reaching a person: "web", "email", "postal". The catalogue says
// who else sees it.
type Channel string

// AnyChannel stands for every channel in a consent record; a query never names it.
const AnyChannel Channel = "*"

// DataCategory groups attributes that are sealed and judged together: "contact",
// "purchases", "health". The catalogue says which are special (GDPR Article 9, KVKK
// Article 6).
type DataCategory string

// AttributeName names one fact about a person, within a category: "first_name".
type AttributeName string

// RecipientID names an organisation or service that receives data or pseudonyms (GDPR
// Article 4(9)).
type RecipientID string

// Jurisdiction is a catalogue key, mostly an ISO 3166 code: "EU", "CZ", "TR", "US-CA".
type Jurisdiction string

// IdentifierKind names a kind of identifier by which a person is found.
type IdentifierKind string

// The identifier kinds. Their normal forms are in the documentation of the vault.
const (
	Email          IdentifierKind = "email"
	Phone          IdentifierKind = "phone"
	CustomerNumber IdentifierKind = "customer_number"
	CookieID       IdentifierKind = "cookie_id"
)

// IdentifierKinds lists every kind, in the order in which they are shown.
func IdentifierKinds() []IdentifierKind {
	return []IdentifierKind{Email, Phone, CustomerNumber, CookieID}
}

// ParseIdentifierKind returns the kind that s names, or an error wrapping [ErrInvalid].
func ParseIdentifierKind(s string) (IdentifierKind, error) {
	for _, kind := range IdentifierKinds() {
		if s == string(kind) {
			return kind, nil
		}
	}
	return "", fmt.Errorf("parsing identifier kind: %w", ErrInvalid)
}

// LegalBasis is one of the six grounds of GDPR Article 6(1), points (a) to (f); KVKK
// Article 5 has the same six in substance.
type LegalBasis string

// The legal bases, in the order of Article 6(1).
const (
	Consent             LegalBasis = "consent"
	Contract            LegalBasis = "contract"
	LegalObligation     LegalBasis = "legal_obligation"
	VitalInterests      LegalBasis = "vital_interests"
	PublicTask          LegalBasis = "public_task"
	LegitimateInterests LegalBasis = "legitimate_interests"
)

// ParseLegalBasis returns the basis that s names, or an error wrapping [ErrInvalid].
func ParseLegalBasis(s string) (LegalBasis, error) {
	switch basis := LegalBasis(s); basis {
	case Consent, Contract, LegalObligation, VitalInterests, PublicTask, LegitimateInterests:
		return basis, nil
	}
	return "", fmt.Errorf("parsing legal basis: %w", ErrInvalid)
}

// Identifier is one identifier of one person as it was given: not yet normalized.
type Identifier struct {
	Kind  IdentifierKind
	Value Plain
}
