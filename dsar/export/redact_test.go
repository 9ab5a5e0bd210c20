package export

import (
	"strings"
	"testing"

	"github.com/mahrem/mahrem/vault"
)

func testRedactor() *redactor {
	return newRedactor([]vault.Record{{
		"first_name": {Values: plain("Ayşe")}, "last_name": {Values: plain("Yılmaz")},
		"email": {Values: plain("Ayse@Example.com")}, "phone": {Values: plain("+90 (532) 111-22-33")},
		"postal_address": {Values: plain("Bağdat Caddesi 12, Kadıköy")},
	}})
}

func TestRedactor(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":              "",
		"grocery.dairy": "grocery.dairy",
		"12.50":         "12.50",
		// The person stays.
		"I am Ayşe Yılmaz.":                       "I am Ayşe Yılmaz.",
		"AYŞE YILMAZ rang":                        "AYŞE YILMAZ rang",
		"write to ayse@example.com":               "write to ayse@example.com",
		"ring 0532 111 22 33":                     "ring 0532 111 22 33",
		"ring +905321112233":                      "ring +905321112233",
		"to Bağdat Caddesi 12 in Kadıköy, please": "to Bağdat Caddesi 12 in Kadıköy, please",
		"Ayşe'nin siparişi":                       "Ayşe'nin siparişi",
		// Others go.
		"my sister Elif called":                   "my sister # called",
		"My sister Elif Nur Demir called":         "My sister # called",
		"Mehmet Bey aradı":                        "# aradı",
		"Elif'in telefonu; sonra Elif aradı":      "#'in telefonu; sonra # aradı",
		"volala Jana Nováková, jana@firma.cz":     "volala #, #",
		"paní Dvořáková-Malá volala":              "paní # volala",
		"Agent: hello. Marta: hi Ayşe":            "Agent: hello. #: hi Ayşe",
		"MARTINA rang":                            "MARTINA rang",
		"and MARTINA rang":                        "and # rang",
		"thanks @zeynep_k and @x":                 "thanks # and @x",
		"card 5310 1234 5678 9012":                "card #",
		"IBAN TR33 0006 1005 1978 6457 8413 26":   "IBAN TR#",
		"call +44 20 7946 0958 or (0533) 4445566": "call # or #",
		// What only looks like it stays.
		"on Monday in March 2026":             "on Monday in March 2026",
		"ordered 2026-03-01 12:30, paid 12.5": "ordered 2026-03-01 12:30, paid 12.5",
		"2026-03-01 20:15":                    "2026-03-01 20:15",
		"Hello. Thanks. The SMS came as PDF":  "Hello. Thanks. The SMS came as PDF",
		"Where is it? Please look":            "Where is it? Please look",
	} {
		r := testRedactor()
		got := r.text(text)
		if want := strings.ReplaceAll(want, "#", ThirdPerson); got != want {
			t.Errorf("%q:\n got %q\nwant %q", text, got, want)
		}
		if n := int64(strings.Count(got, ThirdPerson)); n != r.count {
			t.Errorf("%q: counted %d of %d", text, r.count, n)
		}
	}
}

// FuzzRedactor: an address or number of somebody else never gets through, and what comes
// out stays as it is.
func FuzzRedactor(f *testing.F) {
	for _, seed := range []string{"hello ", "Marta, ", "a@b.cz ", "12 ", "İ", "'", "\xff", ThirdPerson, "@", "+"} {
		f.Add(seed, " bye")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		got := testRedactor().text(before + " jana.novakova@firma.cz 0533 987 65 43 " + after)
		for _, leak := range []string{"novakova@firma", "987 65 43"} {
			if strings.Contains(got, leak) && !strings.Contains(before+after, leak) {
				t.Errorf("%q leaks %q", got, leak)
			}
		}
	})
}
