package intake

import (
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Item is one accepted row: what it says of one person, in the catalogue's words.
type Item struct {
	// Row is where it came from.
	Row int64
	// Identifiers find the person; at least one.
	Identifiers []privacy.Identifier
	// Jurisdiction is that of the person if they are new.
	Jurisdiction privacy.Jurisdiction
	Attributes   []Attribute
	Events       []Event
	Consents     []Consent

	changed bool // it held something new
}

// Attribute is one attribute with the category it is sealed in.
type Attribute struct {
	Name     privacy.AttributeName
	Category privacy.DataCategory
	Field    vault.Field
}

// Event is one event with the category its stream is sealed in, and what tells it from
// the person's other events.
type Event struct {
	Stream   privacy.DataCategory
	Event    vault.Event
	Identity []string
}

// Consent is one validated choice, without its person and ID.
type Consent struct {
	Record   consent.Record
	Identity []string
}

// Catalogue says which words exist, and in which category an attribute is sealed.
type Catalogue interface {
	consent.Catalogue
	// CategoryOf returns the category of an attribute; ok is false for an unknown one.
	CategoryOf(privacy.AttributeName) (category privacy.DataCategory, ok bool)
	KnowsJurisdiction(privacy.Jurisdiction) bool
}

// Classifier translates a retailer's words for a product into a product group of the
// catalogue: by its department, category and type, byte for byte, and by what the shop
// calls it, in free text. It returns [UnknownGroup] when it does not know: a product that
// nobody can judge is never treated as harmless.
type Classifier interface {
	ProductGroup(department, category, productType, text string) string
}

// UnknownGroup is the product group of what cannot be classified.
const UnknownGroup = "unknown"

// The most one row may say. More than that is not one row about one person.
const (
	maxIdentifiers = 16
	maxValues      = 256
	maxEvents      = 256
	maxConsents    = 64
	maxFields      = 64
	// Bytes of one event and of one attribute, so that 64 events fit a chunk and all
	// attributes of a category a record.
	maxEventBytes     = 4 << 10
	maxAttributeBytes = 4 << 10
)

// Times outside these are not mistakes of anybody's clock but of the format.
var (
	firstTime = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

func plausible(at time.Time) bool { return !at.Before(firstTime) && at.Before(lastTime) }

// fault is a rejection on its way out of a row.
type fault struct {
	reason Reason
	field  string
}

// bound refuses what a record or a chunk could not hold.
func (i *Item) bound() *fault {
	if len(i.Identifiers) > maxIdentifiers {
		return &fault{TooMuch, "/identifiers"}
	}
	for _, attribute := range i.Attributes {
		size := 0
		for _, v := range attribute.Field.Values {
			size += len(v.RevealPersonalData())
		}
		if size > maxAttributeBytes || len(attribute.Field.Values) > maxValues {
			return &fault{TooMuch, "/attributes"}
		}
	}
	if len(i.Events) > maxEvents {
		return &fault{TooMuch, "/events"}
	}
	for _, event := range i.Events {
		size := 0
		for name, v := range event.Event.Fields {
			size += len(name) + len(v.RevealPersonalData())
		}
		if size > maxEventBytes || len(event.Event.Fields) > maxFields {
			return &fault{TooMuch, "/events"}
		}
	}
	if len(i.Consents) > maxConsents {
		return &fault{TooMuch, "/consents"}
	}
	return nil
}
