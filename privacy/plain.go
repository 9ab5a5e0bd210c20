package privacy

import (
	"fmt"
	"io"
	"log/slog"
	"unique"
)

// Redacted is what personal data says of itself wherever it is printed, logged or
// marshalled without an explicit reveal.
const Redacted = "REDACTED"

// Plain is one personal value in clear: a name, a city, a product group. Every way in
// which Go turns a value into text says [Redacted]; the value is reached only through
// [Plain.RevealPersonalData], whose name is long so that a search finds each use.
//
// Two Plain values compare with ==. The zero value is the empty text.
//
// The text is held by reference, because package fmt reads unexported fields without
// calling their methods: printing a struct that has a Plain inside shows an address and
// not a person.
type Plain struct{ value unique.Handle[string] }

// NewPlain wraps a value that is personal data from here on.
func NewPlain(value string) Plain {
	if value == "" {
		return Plain{}
	}
	return Plain{value: unique.Make(value)}
}

// RevealPersonalData returns the value in clear. A caller must either seal it again or
// release it to somebody whom the gate has allowed to see it.
func (p Plain) RevealPersonalData() string {
	if p.IsEmpty() {
		return ""
	}
	return p.value.Value()
}

// IsEmpty reports whether the value is the empty text.
func (p Plain) IsEmpty() bool { return p == Plain{} }

// String says REDACTED.
func (Plain) String() string { return Redacted }

// Format says REDACTED for every verb and flag.
func (Plain) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// MarshalJSON says REDACTED.
func (Plain) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// MarshalText says REDACTED, also as a map key and in encodings other than JSON.
func (Plain) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// LogValue says REDACTED.
func (Plain) LogValue() slog.Value { return slog.StringValue(Redacted) }
