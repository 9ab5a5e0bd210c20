package vault

import (
	"errors"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

func TestNormalize(t *testing.T) {
	t.Parallel()
	groups := []struct {
		kind   privacy.IdentifierKind
		region string
		want   string
		raw    []string
	}{
		// Four letters that Turkish writes as i or ı are one in a mailbox name.
		{privacy.Email, "", "irmak@example.com", []string{
			"irmak@example.com", "IRMAK@example.com", "ırmak@example.com", "İrmak@example.com", "Irmak@EXAMPLE.COM",
			"İRMAK@example.com", "i\u0307rmak@example.com", "I\u0307rmak@example.com", "\tırmak@example.com\r\n",
			"\u200birmak@example.com\ufeff", "ｉｒｍａｋ＠ｅｘａｍｐｌｅ．ｃｏｍ", "irmak@example.com.",
		}},
		{privacy.Email, "", "çağla.şen@example.com", []string{"çağla.şen@example.com", "ÇAĞLA.ŞEN@example.com", "c\u0327ag\u0306la.s\u0327en@example.com"}},
		{privacy.Email, "", "jiří@example.cz", []string{"jiří@example.cz", "JIŘÍ@EXAMPLE.CZ", "Jir\u030ci\u0301@example.cz"}},
		// Domains by UTS 46, non-transitional.
		{privacy.Email, "", "a@xn--gzelkent-65a.com", []string{"a@güzelkent.com", "a@GÜZELKENT.com", "a@gu\u0308zelkent.com", "A@XN--GZELKENT-65A.COM"}},
		{privacy.Email, "", "a@xn--hkyrky-ptac70bc.cz", []string{"a@háčkyčárky.cz", "a@HÁČKYČÁRKY.CZ"}},
		{privacy.Email, "", "a@xn--strae-oqa.de", []string{"a@straße.de"}},
		{privacy.Email, "", "a@strasse.de", []string{"a@STRASSE.de"}},
		{privacy.Email, "", "a@xn--diyarbakr-2pb.tr", []string{"a@diyarbakır.tr"}},
		{privacy.Email, "", "a@diyarbakir.tr", []string{"a@DIYARBAKIR.TR"}},
		// Left as they are: what a provider does with plus signs and dots is its own affair.
		{privacy.Email, "", "a.b+news@gmail.com", []string{"A.B+News@Gmail.com"}},
		{privacy.Email, "", "o'brien_-{x}/=?^`|~!#$%&*@example.com", []string{"O'Brien_-{X}/=?^`|~!#$%&*@example.com"}},
		{privacy.Email, "", "straße@example.com", []string{"straße@example.com", "STRAẞE@example.com"}},

		{privacy.Phone, "TR", "+905321234567", []string{
			"0532 123 45 67", "5321234567", "+90 532 123 45 67", "+90 (0) 532 123 45 67", "0090 532 1234567", "(0532) 123-45-67",
			"0532.123.45.67", "0532/123/4567", "+90\u00a0532\u2011123\u20134567", "＋９０５３２１２３４５６７", " 05321234567 ",
		}},
		{privacy.Phone, "CZ", "+420601123456", []string{"601 123 456", "+420 601 123 456", "00420601123456", "601-123-456"}},
		{privacy.Phone, "TR", "+420601123456", []string{"+420 601 123 456", "00420 601123456"}},
		{privacy.Phone, "", "+420601123456", []string{"+420 601 123 456", "00420 601123456"}},
		{privacy.Phone, "US", "+12125550123", []string{"(212) 555-0123", "1 212 555 0123", "+1 212 555 0123"}},
		{privacy.Phone, "US", "+905321234567", []string{"011 90 532 123 4567", "+905321234567"}},
		{privacy.Phone, "DE", "+4930123456", []string{"030 123456", "+49 (0)30 123456", "+49 30 123456"}},
		{privacy.Phone, "IT", "+390612345678", []string{"06 1234 5678", "+39 06 1234 5678"}},
		{privacy.Phone, "SK", "+421901123456", []string{"0901 123 456", "+421 901 123 456"}},
		{privacy.Phone, "", "+77011234567", []string{"+7 701 123 45 67"}},

		{privacy.CustomerNumber, "", "AB-12/345", []string{"AB-12/345", "ab-12/345", " a b-12 / 345 ", "ＡＢ－１２／３４５", "ab-12\u00a0/345"}},
		{privacy.CustomerNumber, "", "0007", []string{"0007", " 00 07"}},
		{privacy.CustomerNumber, "", "7", []string{"7"}},
		{privacy.CustomerNumber, "", "Iı", []string{"Iı", "iı"}},

		{privacy.CookieID, "", "Ab-12.ab_ID", []string{"Ab-12.ab_ID"}},
		{privacy.CookieID, "", "ab-12.ab_id", []string{"ab-12.ab_id"}},
	}
	for _, group := range groups {
		for _, raw := range group.raw {
			got, err := normalize(group.kind, raw, group.region)
			if err != nil || got != group.want {
				t.Errorf("%s %q in %q: got %q, %v, want %q", group.kind, raw, group.region, got, err, group.want)
			}
		}
	}
}

func TestNormalizeRefuses(t *testing.T) {
	t.Parallel()
	tests := map[privacy.IdentifierKind][]string{
		privacy.Email: {
			"", " ", "@", "a@", "@example.com", "a", "a@b", "a@localhost", "a b@example.com", "a@exa mple.com", `"a b"@example.com`,
			"a@b@example.com", "<a@example.com>", "Ayşe <a@example.com>", "a@example.com, b@example.com", "mailto:a@example.com",
			"a@[127.0.0.1]", "a@-example.com", "a@example-.com", "a@exa_mple.com", "a@example..com", "a@.example.com",
			"a\u200bb@example.com", "a\x00@example.com", "a\u202eb@example.com", "a@xn--a.com", "\xff@example.com",
			strings.Repeat("a", 65) + "@example.com", "a@" + strings.Repeat("a", 64) + ".com",
			"a@" + strings.Repeat("aaaaaaaaa.", 26) + "com", strings.Repeat("a", 2000), "a\ufffd@example.com",
		},
		privacy.Phone: {
			"", "+", "abc", "0532 123 45 67 x12", "0532123456", "05321234567890", "+90 532 123 45 6", "+90 00 532 123 45 67",
			"++905321234567", "90+5321234567", "+0905321234567", "000905321234567", "+1234567890123456", "+999", "tel:+905321234567",
			"0532 123 45 67, 0533 123 45 67", "٠٥٣٢١٢٣٤٥٦٧", "+90 532 1234567\x00", "112", "+420 60112345", "\xff",
		},
		privacy.CustomerNumber: {"", "  ", "a\tb", "a\nb", "a\x00b", "a\u200bb", strings.Repeat("x", 65), "\xff"},
		privacy.CookieID:       {"", "short12", "with space", "with\x00nul", "tab\tbed-x", strings.Repeat("x", 257), "\xffabcdefgh", "zero\u200bwidth"},
		"passport":             {"anything"},
		"":                     {"anything"},
	}
	for kind, list := range tests {
		for _, raw := range list {
			got, err := normalize(kind, raw, "TR")
			if !errors.Is(err, privacy.ErrInvalid) || got != "" {
				t.Errorf("%s %q: got %q, %v, want ErrInvalid", kind, raw, got, err)
				continue
			}
			if len(raw) > 6 && strings.Contains(err.Error(), raw) {
				t.Errorf("%s %q: the error repeats the identifier", kind, raw)
			}
		}
	}
	if _, err := Normalize(privacy.Phone, "0532 123 45 67"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a national number without a region: %v, want ErrInvalid", err)
	}
}

// TestNormalFormsAreStable puts every letter, mark and compatibility form of the basic
// plane outside of the large Asian blocks into an address and a customer number: what
// comes out must come out again.
func TestNormalFormsAreStable(t *testing.T) {
	t.Parallel()
	for r := rune(1); r <= 0xffff; r++ {
		if r == 0x3400 {
			r = 0xf900
		}
		for kind, raw := range map[privacy.IdentifierKind]string{
			privacy.Email: "i" + string(r) + "̇" + string(r) + "@x.cz", privacy.CustomerNumber: string(r) + "̇" + string(r),
		} {
			first, err := normalize(kind, raw, "")
			if err != nil {
				continue
			}
			if second, err := normalize(kind, first, ""); err != nil || second != first {
				t.Errorf("%s with %U: %q, again %q, %v", kind, r, first, second, err)
			}
		}
	}
}

// FuzzNormalize: a normal form is its own normal form, in every region, and an error
// goes with an empty result.
func FuzzNormalize(f *testing.F) {
	for _, seed := range []string{
		"İrmak@Güzelkent.com", "i\u0307\u0307@x.cz", "0532 123 45 67", "+49 (0)30 1", "ab 12", "\u1e9e\u0345@a.b", "ǅ@ǆ.com",
		"a@xn--strae-oqa.de", "00420601123456", "011 420 601123456", "\u0130\u0323\u0307@x.tr", "cookie-1234", "a@℀.com", "ﷺ@x.y",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		for _, kind := range privacy.IdentifierKinds() {
			for _, region := range []string{"", "TR", "CZ", "US", "DE", "IT"} {
				first, err := normalize(kind, raw, region)
				if err != nil {
					if !errors.Is(err, privacy.ErrInvalid) || first != "" {
						t.Fatalf("%s: %q, %v", kind, first, err)
					}
					continue
				}
				for _, again := range []string{region, ""} {
					if second, err := normalize(kind, first, again); err != nil || second != first {
						t.Fatalf("%s in %q: %q, again %q, %v", kind, region, first, second, err)
					}
				}
			}
		}
	})
}
