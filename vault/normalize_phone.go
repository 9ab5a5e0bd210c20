package vault

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/mahrem/mahrem/privacy"
)

// region is how a country writes its own numbers (ITU-T E.164 and its national annexes).
type region struct {
	code string // country code
	// trunk is dialled before a number inside the country and is not part of it.
	trunk string
	// abroad is dialled before the country code of another country.
	abroad string
	// min and max are the lengths of a national number without trunk.
	min, max int
}

// regions are those in which a number without a country code can be read. The table is
// short on purpose; a number with a country code is read from everywhere. Lengths are
// the widest that a country's plan has, since a plan may grow but an index must not move.
var regions = map[string]region{
	"AT": {"43", "0", "00", 4, 13},
	"BE": {"32", "0", "00", 8, 9},
	"BG": {"359", "0", "00", 6, 9},
	"CA": {"1", "1", "011", 10, 10},
	"CH": {"41", "0", "00", 9, 9},
	"CY": {"357", "", "00", 8, 8},
	"CZ": {"420", "", "00", 9, 9},
	"DE": {"49", "0", "00", 4, 13},
	"DK": {"45", "", "00", 8, 8},
	"EE": {"372", "", "00", 7, 8},
	"ES": {"34", "", "00", 9, 9},
	"FI": {"358", "0", "00", 5, 12},
	"FR": {"33", "0", "00", 9, 9},
	"GB": {"44", "0", "00", 9, 10},
	"GR": {"30", "", "00", 10, 10},
	"HR": {"385", "0", "00", 8, 9},
	"IE": {"353", "0", "00", 7, 9},
	"IT": {"39", "", "00", 6, 11},
	"LU": {"352", "", "00", 4, 11},
	"MT": {"356", "", "00", 8, 8},
	"NL": {"31", "0", "00", 9, 9},
	"NO": {"47", "", "00", 8, 8},
	"PL": {"48", "", "00", 9, 9},
	"PT": {"351", "", "00", 9, 9},
	"RO": {"40", "0", "00", 9, 9},
	"SE": {"46", "0", "00", 7, 9},
	"SI": {"386", "0", "00", 8, 8},
	"SK": {"421", "0", "00", 9, 9},
	"TR": {"90", "0", "00", 10, 10},
	"US": {"1", "1", "011", 10, 10},
}

// byCode finds how a country writes its numbers by its code; no code is the beginning of
// another (E.164 codes are prefix-free).
var byCode = func() map[string]region {
	codes := make(map[string]region, len(regions))
	for _, r := range regions {
		codes[r.code] = r
	}
	return codes
}()

// E.164 allows 15 digits; fewer than 7 are no subscriber's number anywhere.
const (
	minPhone = 7
	maxPhone = 15
)

func normalizePhone(raw, home string) (string, error) {
	digits, international, err := phoneDigits(raw)
	if err != nil {
		return "", err
	}
	if !international {
		here, ok := regions[home]
		if !ok {
			return "", invalid(privacy.Phone, "no country code")
		}
		if rest, abroad := strings.CutPrefix(digits, here.abroad); abroad {
			digits = rest
		} else {
			digits = here.code + strings.TrimPrefix(digits, here.trunk)
		}
	}
	if digits == "" || digits[0] == '0' {
		return "", invalid(privacy.Phone, "a country code does not begin with 0")
	}
	if len(digits) < minPhone || len(digits) > maxPhone {
		return "", invalid(privacy.Phone, "not of 7 to 15 digits")
	}
	return nationalPhone(digits)
}

// nationalPhone checks the part after a known country code, and drops a trunk prefix
// left between them, as in "+90 (0) 532 …".
func nationalPhone(digits string) (string, error) {
	for n := 1; n <= 3; n++ {
		country, ok := byCode[digits[:n]]
		if !ok {
			continue
		}
		number := digits[n:]
		if country.trunk == "0" {
			number = strings.TrimPrefix(number, country.trunk)
			if strings.HasPrefix(number, "0") {
				return "", invalid(privacy.Phone, "the national number begins with 0")
			}
		}
		if len(number) < country.min || len(number) > country.max {
			return "", invalid(privacy.Phone, "the national number has a wrong length for its country")
		}
		return "+" + country.code + number, nil
	}
	return "+" + digits, nil
}

// phoneDigits strips what people write between digits. The number is international when
// a plus sign comes first, or "00", which no national number of any region begins with.
func phoneDigits(raw string) (digits string, international bool, err error) {
	var b strings.Builder
	for i, r := range trim(norm.NFKC.String(trim(raw))) {
		switch {
		case '0' <= r && r <= '9':
			b.WriteRune(r)
		case r == '+' && i == 0:
			international = true
		case r == ' ', r == '.', r == '/', r == '(', r == ')', unicode.Is(unicode.Pd, r), unicode.Is(unicode.Zs, r):
		default:
			return "", false, invalid(privacy.Phone, "contains something other than digits and separators")
		}
	}
	digits = b.String()
	if rest, ok := strings.CutPrefix(digits, "00"); ok && !international {
		return rest, true, nil
	}
	return digits, international, nil
}
