package vault

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/mahrem/mahrem/privacy"
)

// The rules below are part of the stored format: a changed rule is a changed blind
// index, and a person who is not found any more. They therefore depend on nothing that
// is updated from outside (no phone number plan, no locale, no list of mail providers)
// except the Unicode tables. docs/identifiers.md gives each with its reason.

// Limits of cookie ids and customer numbers.
const (
	minCookie         = 8
	maxCookie         = 256
	maxCustomerNumber = 64
	maxRawIdentifier  = 1024
)

// Normalize returns the normal form of an identifier, without a default region: a phone
// number must carry its country code. The error wraps [privacy.ErrInvalid] and does not
// repeat the identifier. Normalizing a normal form changes nothing.
func Normalize(kind privacy.IdentifierKind, raw string) (string, error) {
	return normalize(kind, raw, "")
}

func normalize(kind privacy.IdentifierKind, raw, region string) (string, error) {
	if len(raw) > maxRawIdentifier {
		return "", invalid(kind, "longer than 1024 bytes")
	}
	if !utf8.ValidString(raw) {
		return "", invalid(kind, "not UTF-8")
	}
	switch kind {
	case privacy.Email:
		return stable(kind, raw, normalizeEmail)
	case privacy.Phone:
		return normalizePhone(raw, region)
	case privacy.CustomerNumber:
		return stable(kind, raw, normalizeCustomerNumber)
	case privacy.CookieID:
		return normalizeCookieID(raw)
	}
	return "", fmt.Errorf("normalizing an identifier of unknown kind: %w", privacy.ErrInvalid)
}

// stable applies f until the result stays the same. Unicode mappings can uncover each
// other; one or two rounds settle everything that occurs, and what does not settle is
// refused, so that a normal form is always its own normal form.
func stable(kind privacy.IdentifierKind, raw string, f func(string) (string, error)) (string, error) {
	for range 4 {
		next, err := f(raw)
		if err != nil {
			return "", err
		}
		if next == raw {
			return next, nil
		}
		raw = next
	}
	return "", invalid(kind, "has no stable normal form")
}

func normalizeCustomerNumber(raw string) (string, error) {
	text := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return -1
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		}
		return r
	}, trim(norm.NFKC.String(trim(raw))))
	switch {
	case text == "":
		return "", invalid(privacy.CustomerNumber, "empty")
	case len(text) > maxCustomerNumber:
		return "", invalid(privacy.CustomerNumber, "longer than 64 bytes")
	case strings.ContainsFunc(text, invisible):
		return "", invalid(privacy.CustomerNumber, "contains a control or invisible character")
	}
	return text, nil
}

// normalizeCookieID changes nothing: a cookie id is made by a machine, and any two that
// differ are two.
func normalizeCookieID(raw string) (string, error) {
	switch {
	case len(raw) < minCookie || len(raw) > maxCookie:
		return "", invalid(privacy.CookieID, "shorter than 8 or longer than 256 bytes")
	case strings.ContainsFunc(raw, invisible):
		return "", invalid(privacy.CookieID, "contains white space, a control or an invisible character")
	}
	return raw, nil
}

// trim removes from both ends what copying from a web page or a spreadsheet leaves
// behind: white space and format characters (zero width space, byte order mark,
// direction marks).
func trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
}

// invisible reports what no identifier has inside: white space, control and format
// characters, and the replacement character, which says that the text was broken before
// it came here.
func invisible(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError
}

func invalid(kind privacy.IdentifierKind, reason string) error {
	return fmt.Errorf("normalizing %s: %s: %w", kind, reason, privacy.ErrInvalid)
}
