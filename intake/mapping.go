package intake

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"

	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Mapping says what the columns of a file mean. It is read from YAML by [ParseMapping];
// docs/intake.md describes each key.
type Mapping struct {
	// Version of the format: 1.
	Version int `yaml:"version"`
	// Source names where the rows come from. It is part of every event's fingerprint:
	// two maps with one source describe the same events.
	Source string `yaml:"source"`
	// Format is "csv" or "ndjson"; empty: by the file's name.
	Format string `yaml:"format"`
	// Delimiter separates cells; empty: a comma.
	Delimiter string `yaml:"delimiter"`
	// Jurisdiction is that of a new person, unless JurisdictionFrom gives one.
	Jurisdiction     privacy.Jurisdiction `yaml:"jurisdiction"`
	JurisdictionFrom *ValueMap            `yaml:"jurisdiction_from"`
	// Joins add columns of lookup files. A row without a match gets empty cells.
	Joins []JoinMap `yaml:"joins"`
	// Identifiers by which the person of a row is found; at least one.
	Identifiers []IdentifierMap `yaml:"identifiers"`
	// Attributes, Events and Consents are what a row says of the person.
	Attributes []AttributeMap `yaml:"attributes"`
	Events     []EventMap     `yaml:"events"`
	Consents   []ConsentMap   `yaml:"consents"`

	digest [32]byte
}

// JoinMap is a lookup file: its columns appear as "name.column".
type JoinMap struct {
	Name string `yaml:"name"`
	// File lies beside the file that is loaded.
	File string `yaml:"file"`
	// On is the column of the row, Key the column of the lookup file.
	On  string `yaml:"on"`
	Key string `yaml:"key"`
	// Columns are those to keep.
	Columns []string `yaml:"columns"`
}

// IdentifierMap makes an identifier of a column. An empty cell gives none.
type IdentifierMap struct {
	Kind   privacy.IdentifierKind `yaml:"kind"`
	Column string                 `yaml:"column"`
	// Prefix goes before the value: customer numbers of two systems may collide.
	Prefix string `yaml:"prefix"`
	// Optional lets a row without this identifier pass if it has another one.
	Optional bool `yaml:"optional"`
}

// ValueMap makes a value of a column. An empty result means that there is none.
type ValueMap struct {
	Column string `yaml:"column"`
	// Const is used in the place of a column.
	Const string `yaml:"const"`
	// Trim drops white space around the value.
	Trim bool `yaml:"trim"`
	// Lower folds it to lower case.
	Lower bool `yaml:"lower"`
	// Drop lists values that mean nothing: "", "unknown", "-".
	Drop []string `yaml:"drop"`
	// Map replaces values. A value that is not in it is dropped, or, if Strict, the row
	// is rejected.
	Map    map[string]string `yaml:"map"`
	Strict bool              `yaml:"strict"`
	// Date gives the layout of a date that is rewritten as YYYY-MM-DD.
	Date string `yaml:"date"`
	// Split makes several values of one cell.
	Split string `yaml:"split"`
	// ProductGroup translates a retailer's words into a product group of the catalogue.
	ProductGroup *ProductGroupMap `yaml:"product_group"`
}

// ProductGroupMap names the columns that a classifier decides by. Text is the column with
// what the shop calls the product, in free text.
type ProductGroupMap struct {
	Department string `yaml:"department"`
	Category   string `yaml:"category"`
	Type       string `yaml:"type"`
	Text       string `yaml:"text"`
}

// AttributeMap makes an attribute of the catalogue.
type AttributeMap struct {
	Name privacy.AttributeName `yaml:"name"`
	// Value says where it comes from.
	ValueMap `yaml:",inline"`
	// Source defaults to imported, Quality to unverified.
	Source  vault.Source  `yaml:"source"`
	Quality vault.Quality `yaml:"quality"`
	// Observed is when the value was known to hold; default: the day of the load.
	Observed *TimeMap `yaml:"observed"`
}

// TimeMap reads a time.
type TimeMap struct {
	Column string `yaml:"column"`
	// Layout is Go's, or "rfc3339", "date", "unix", "unix_ms"; empty: rfc3339.
	Layout string `yaml:"layout"`
	// Zone is the IANA name of the zone of times that do not carry one; empty: UTC.
	Zone string `yaml:"zone"`
}

// EventMap makes an event.
type EventMap struct {
	// Type is "purchase", "view" and the like; Stream the data category it is sealed in.
	Type   string               `yaml:"type"`
	Stream privacy.DataCategory `yaml:"stream"`
	// At is when it happened.
	At TimeMap `yaml:"at"`
	// ID are the columns that tell one event of a person from another; empty: all
	// that the event holds.
	ID []string `yaml:"id"`
	// When lets only rows with one of the values give an event.
	When *Condition `yaml:"when"`
	// Fields are what the event holds.
	Fields map[privacy.AttributeName]ValueMap `yaml:"fields"`
}

// Condition is a column that must have one of the values.
type Condition struct {
	Column string   `yaml:"column"`
	In     []string `yaml:"in"`
}

// ConsentMap makes a consent record.
type ConsentMap struct {
	Purpose       privacy.Purpose        `yaml:"purpose"`
	Channel       privacy.Channel        `yaml:"channel"`
	Action        ValueMap               `yaml:"action"`
	Basis         privacy.LegalBasis     `yaml:"legal_basis"`
	Explicit      bool                   `yaml:"explicit"`
	Categories    []privacy.DataCategory `yaml:"categories"`
	NoticeVersion string                 `yaml:"notice_version"`
	Source        string                 `yaml:"source"`
	Incentive     bool                   `yaml:"incentive"`
	EffectiveAt   *TimeMap               `yaml:"effective_at"`
	ValidUntil    *TimeMap               `yaml:"valid_until"`
}

// maxMapping bounds a mapping file.
const maxMapping = 1 << 20

// ParseMapping reads a mapping. Unknown keys, several documents and contradictions are
// errors that wrap [privacy.ErrInvalid] and say where.
func ParseMapping(text []byte) (*Mapping, error) {
	if len(text) > maxMapping {
		return nil, fmt.Errorf("parsing mapping: larger than %d bytes: %w", maxMapping, privacy.ErrInvalid)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	m := &Mapping{digest: sha256.Sum256(text)}
	if err := decoder.Decode(m); err != nil {
		return nil, fmt.Errorf("parsing mapping: %w: %w", privacy.ErrInvalid, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("parsing mapping: more than one document: %w", privacy.ErrInvalid)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("checking mapping: %w", err)
	}
	return m, nil
}

var (
	sourceName = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)
	fieldName  = regexp.MustCompile(`^[a-z][a-z0-9_.]{0,63}$`)
)

// check finds what is wrong whatever the file and the catalogue are.
func (m *Mapping) check() error {
	switch {
	case m.Version != 1:
		return invalid("/version", "must be 1")
	case !sourceName.MatchString(m.Source):
		return invalid("/source", "must be a lower-case word of at most 64 letters, digits and . _ -")
	case m.Format != "" && m.Format != "csv" && m.Format != "ndjson":
		return invalid("/format", "must be csv or ndjson")
	case len(m.Delimiter) > 1 || m.Delimiter == `"` || m.Delimiter == "\n" || m.Delimiter == "\r":
		return invalid("/delimiter", "must be one ASCII character")
	case len(m.Identifiers) == 0:
		return invalid("/identifiers", "must name at least one")
	case m.Jurisdiction == "" && m.JurisdictionFrom == nil:
		return invalid("/jurisdiction", "must be given")
	}
	for i, join := range m.Joins {
		at := fmt.Sprintf("/joins/%d", i)
		switch {
		case !fieldName.MatchString(join.Name):
			return invalid(at+"/name", "must be a lower-case word")
		case join.File == "" || join.On == "" || join.Key == "" || len(join.Columns) == 0:
			return invalid(at, "must have file, on, key and columns")
		case bytes.ContainsAny([]byte(join.File), `/\`) || join.File == "..":
			return invalid(at+"/file", "must be a name without folders: it lies beside the file that is loaded")
		}
	}
	for i, identifier := range m.Identifiers {
		at := fmt.Sprintf("/identifiers/%d", i)
		if _, err := privacy.ParseIdentifierKind(string(identifier.Kind)); err != nil {
			return invalid(at+"/kind", "must be email, phone, customer_number or cookie_id")
		}
		if identifier.Column == "" {
			return invalid(at+"/column", "must be given")
		}
	}
	for i, attribute := range m.Attributes {
		at := fmt.Sprintf("/attributes/%d", i)
		if err := attribute.check(at); err != nil {
			return err
		}
		if !knownSource(attribute.Source) {
			return invalid(at+"/source", "must be declared, observed, inferred, social or imported")
		}
		if !knownQuality(attribute.Quality) {
			return invalid(at+"/quality", "must be verified, unverified or disputed")
		}
	}
	for i, event := range m.Events {
		at := fmt.Sprintf("/events/%d", i)
		switch {
		case !fieldName.MatchString(event.Type):
			return invalid(at+"/type", "must be a lower-case word")
		case event.Stream == "":
			return invalid(at+"/stream", "must name a data category")
		case event.At.Column == "":
			return invalid(at+"/at/column", "must be given")
		case len(event.Fields) > vault.MaxFields:
			return invalid(at+"/fields", "too many")
		}
		for name, value := range event.Fields {
			if !fieldName.MatchString(string(name)) {
				return invalid(at+"/fields", "must have lower-case names")
			}
			if err := value.check(fmt.Sprintf("%s/fields/%s", at, name)); err != nil {
				return err
			}
			if value.Split != "" {
				return invalid(fmt.Sprintf("%s/fields/%s/split", at, name), "an event's field has one value")
			}
		}
	}
	for i, c := range m.Consents {
		at := fmt.Sprintf("/consents/%d", i)
		if err := c.Action.check(at + "/action"); err != nil {
			return err
		}
		if _, known := consent.ParseAction(c.Action.Const); c.Action.Const != "" && !known {
			return invalid(at+"/action/const", "must be granted, refused, withdrawn or objected")
		}
	}
	return nil
}

func (v *ValueMap) check(at string) error {
	sources := 0
	for _, given := range []bool{v.Column != "", v.Const != "", v.ProductGroup != nil} {
		if given {
			sources++
		}
	}
	if sources != 1 {
		return invalid(at, "must have exactly one of column, const and product_group")
	}
	if v.Strict && v.Map == nil {
		return invalid(at+"/strict", "needs a map")
	}
	return nil
}

func knownSource(s vault.Source) bool {
	switch s {
	case "", vault.Declared, vault.Observed, vault.Inferred, vault.Social, vault.Imported:
		return true
	}
	return false
}

func knownQuality(q vault.Quality) bool {
	switch q {
	case "", vault.Verified, vault.Unverified, vault.Disputed:
		return true
	}
	return false
}

func invalid(pointer, reason string) error {
	return &privacy.FieldError{Pointer: pointer, Reason: reason}
}
