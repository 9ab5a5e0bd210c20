package vault

import (
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/mahrem/mahrem/privacy"
)

// Limits of RFC 5321 section 4.5.3.1, in bytes.
const (
	maxEmail     = 254
	maxEmailPart = 64
)

// domains turns a domain into ASCII by UTS #46, non-transitional: "straße.de" and
// "strasse.de" are two domains, as registries have it since IDNA 2008 (RFC 5891).
var domains = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.BidiRule(),
	idna.VerifyDNSLength(true),
	idna.StrictDomainName(true),
)

func normalizeEmail(raw string) (string, error) {
	text := trim(norm.NFKC.String(trim(raw)))
	at := strings.LastIndexByte(text, '@')
	if at <= 0 || at == len(text)-1 {
		return "", invalid(privacy.Email, "not of the form name@domain")
	}
	local, domain := norm.NFKC.String(strings.Map(lowerLocal, dotlessPairs.Replace(text[:at]))), text[at+1:]
	switch {
	case len(local) > maxEmailPart:
		return "", invalid(privacy.Email, "the part before the @ is longer than 64 bytes")
	case strings.ContainsFunc(local, invisible):
		return "", invalid(privacy.Email, "contains white space, a control or an invisible character")
	case strings.ContainsAny(local, `()<>[]:;@\,"`):
		return "", invalid(privacy.Email, "contains a character that a mailbox name has only inside quotes")
	}
	ascii, err := domains.ToASCII(strings.TrimSuffix(domain, "."))
	if err != nil || !strings.Contains(ascii, ".") {
		return "", invalid(privacy.Email, "the domain is not a full domain name")
	}
	ascii = strings.ToLower(ascii)
	if len(local)+1+len(ascii) > maxEmail {
		return "", invalid(privacy.Email, "longer than 254 bytes")
	}
	return local + "@" + ascii, nil
}

// dotlessPairs undoes what lower-casing U+0130 in a Unicode-aware program leaves: an i
// followed by a combining dot above.
var dotlessPairs = strings.NewReplacer("i\u0307", "i", "I\u0307", "i", "ı\u0307", "i")

// lowerLocal lower-cases one rune of a mailbox name without a locale, and makes one
// letter of the four that Turkish and other languages write as i: i, I, ı, İ.
func lowerLocal(r rune) rune {
	switch r {
	case 'I', 'İ', 'ı':
		return 'i'
	}
	return unicode.ToLower(r)
}
