package vault

import (
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Record is what is held about a person in one data category.
type Record map[privacy.AttributeName]Field

// Field is one attribute of one person: its values, and what is known about them.
// Accuracy travels with the value (GDPR Article 5(1)(d)).
type Field struct {
	// Values has at least one element in every record that was sealed.
	Values []privacy.Plain
	// Source says how the values were come by.
	Source Source
	// Quality says how far they can be trusted.
	Quality Quality
	// ObservedAt is the UTC day on which the values were known to hold; zero: unknown.
	ObservedAt time.Time
}

// Source says how a value was come by.
type Source string

// The sources.
const (
	// Declared by the person.
	Declared Source = "declared"
	// Observed in what the person did with us.
	Observed Source = "observed"
	// Inferred from other data.
	Inferred Source = "inferred"
	// Social: seen in a social network.
	Social Source = "social"
	// Imported from somebody else.
	Imported Source = "imported"
)

// Quality says how far a value can be trusted.
type Quality string

// The qualities.
const (
	// Verified with the person or a document.
	Verified Quality = "verified"
	// Unverified: as it came.
	Unverified Quality = "unverified"
	// Disputed by the person; not used until rectified (GDPR Article 18(1)(a)).
	Disputed Quality = "disputed"
)

// sources and qualities give each word its byte. Bytes are never reused and zero is
// never given, so that a forgotten field does not decode as a meaning.
var (
	sources   = [...]Source{1: Declared, 2: Observed, 3: Inferred, 4: Social, 5: Imported}
	qualities = [...]Quality{1: Verified, 2: Unverified, 3: Disputed}
)

// Event is one thing that happened with a person: a purchase, a view.
type Event struct {
	// Type is "purchase", "view" and the like.
	Type string
	// At is when it happened, kept to the millisecond in UTC.
	At time.Time
	// Fields are the values that came with it, such as the product group.
	Fields map[privacy.AttributeName]privacy.Plain
}
