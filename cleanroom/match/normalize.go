package match

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// Kinds lists the kinds of identifiers by which people can be matched. All lists of a room
// use the same one.
func Kinds() []privacy.IdentifierKind {
	return []privacy.IdentifierKind{privacy.Email, privacy.Phone, privacy.CustomerNumber}
}

// Normalize returns the form of an identifier in which it is masked, as PAIR 1.1 defines it.
// It is deliberately simpler than the vault's normal form: companies that do not run this
// software must come to the same bytes.
//
//   - email: ASCII only, lower case; nothing is taken out of the local part.
//   - phone: E.164 with its plus sign, at most 15 digits; spaces, dots, hyphens, slashes and
//     parentheses are left out, and a leading 00 is a plus sign. The country code must be there,
//     and a single 0 in parentheses behind it is left out, but in Italy and San Marino: nobody
//     dials it with the country code (ITU-T E.123).
//   - customer_number: what it is, without white space around it; ASCII only.
//
// The error wraps [privacy.ErrInvalid] and does not repeat the identifier.
func Normalize(identifier privacy.Identifier) (privacy.Plain, error) {
	raw := strings.TrimSpace(identifier.Value.RevealPersonalData())
	var normal, fault string
	switch identifier.Kind {
	case privacy.Email:
		normal, fault = normalizeEmail(raw)
	case privacy.Phone:
		normal, fault = normalizePhone(raw)
	case privacy.CustomerNumber:
		normal, fault = normalizeNumber(raw)
	default:
		return privacy.Plain{}, fmt.Errorf("normalizing an identifier: people are not matched by this kind: %w", privacy.ErrInvalid)
	}
	if fault != "" {
		return privacy.Plain{}, fmt.Errorf("normalizing %s: %s: %w", identifier.Kind, fault, privacy.ErrInvalid)
	}
	return privacy.NewPlain(normal), nil
}

func normalizeEmail(raw string) (normal, fault string) {
	local, domain, found := strings.Cut(raw, "@")
	switch {
	case len(raw) > 254:
		return "", "longer than 254 bytes"
	case !visible(raw):
		return "", "not all visible ASCII characters"
	case !found || local == "" || domain == "" || strings.Contains(domain, "@"):
		return "", "no local part and domain"
	}
	return strings.ToLower(raw), ""
}

// trunk matches a country code and the national trunk prefix that is shown behind it.
var trunk = regexp.MustCompile(`^(\(?(?:\+|00) ?([1-9][0-9]{0,2})\)?[ ./-]*)\( ?0 ?\)`)

// Italy and San Marino have numbers that begin with a zero, which is dialled from everywhere.
const (
	italy     = "39"
	sanMarino = "378"
)

func normalizePhone(raw string) (normal, fault string) {
	if found := trunk.FindStringSubmatch(raw); found != nil && found[2] != italy && found[2] != sanMarino {
		raw = found[1] + raw[len(found[0]):]
	}
	digits := strings.NewReplacer(" ", "", ".", "", "-", "", "/", "", "(", "", ")", "").Replace(raw)
	if rest, found := strings.CutPrefix(digits, "00"); found {
		digits = "+" + rest
	}
	rest, found := strings.CutPrefix(digits, "+")
	switch {
	case !found:
		return "", "no country code"
	case strings.ContainsFunc(rest, func(r rune) bool { return r < '0' || r > '9' }):
		return "", "something else than digits"
	case len(rest) < 7 || len(rest) > 15 || rest[0] == '0':
		return "", "not 7 to 15 digits, the first one not zero"
	}
	return digits, ""
}

func normalizeNumber(raw string) (normal, fault string) {
	switch {
	case raw == "" || len(raw) > 64:
		return "", "empty or longer than 64 bytes"
	case !visible(raw):
		return "", "not all visible ASCII characters"
	}
	return raw, ""
}

// visible reports whether all bytes are ASCII characters that one sees.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
