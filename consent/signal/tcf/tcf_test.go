package tcf_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/consent/signal/bits"
	"github.com/mahrem/mahrem/consent/signal/tcf"
)

// published are the strings of the framework's specification, version 2.3.
const published = "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.IDKQA4AAgAKAGQAygAAA"

// draft is a string under construction, written the plain way.
type draft struct {
	version, policy            int
	updated                    time.Time
	global                     bool
	special                    string
	consent, legit             string
	oneUndisclosed             bool
	vendorConsent, vendorLegit string // bits after the greatest number
	restrictions               string
	segments                   []string
}

func number(n, width int) string { return fmt.Sprintf("%0*b", width, n) }

func flags(width int, set ...int) string {
	field := []byte(strings.Repeat("0", width))
	for _, n := range set {
		field[n-1] = '1'
	}
	return string(field)
}

func letters(field string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var b strings.Builder
	for field += strings.Repeat("0", (6-len(field)%6)%6); field != ""; field = field[6:] {
		n := 0
		for _, bit := range field[:6] {
			n = n<<1 | int(bit-'0')
		}
		b.WriteByte(alphabet[n])
	}
	return b.String()
}

func bit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

var monday = time.Date(2026, 3, 2, 10, 0, 0, 500_000_000, time.UTC)

func good() draft {
	return draft{
		version: 2, policy: 5, updated: monday, special: flags(12, 2), consent: flags(24, 1, 3, 4), legit: flags(24, 2, 7),
		vendorConsent: number(3, 16) + "0" + "101", vendorLegit: number(0, 16) + "0", restrictions: number(0, 12),
		segments: []string{letters("001" + number(3, 16) + "0" + "111")},
	}
}

func (d draft) String() string {
	tenths := int(d.updated.UnixMilli() / 100)
	core := number(d.version, 6) + number(tenths, 36) + number(tenths, 36) + number(7, 12) + number(1, 12) + number(2, 6) +
		number('T'-'A', 6) + number('R'-'A', 6) + number(130, 12) + number(d.policy, 6) + bit(!d.global) + "0" + d.special +
		d.consent + d.legit + bit(d.oneUndisclosed) + number('C'-'A', 6) + number('Z'-'A', 6) + d.vendorConsent + d.vendorLegit + d.restrictions
	return strings.Join(append([]string{letters(core)}, d.segments...), ".")
}

// TestPublished reads the example of the specification. It is of the format of version 2.3
// and says that it was made under policies of version 2: so it can be read, and does not count.
func TestPublished(t *testing.T) {
	t.Parallel()
	for _, text := range []string{published, published + ".YAAAAAAAAAAA"} {
		s, err := tcf.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintln(s.LastUpdated.Format(time.DateOnly), s.CMP, s.VendorList, s.Policy, s.Language, s.Country, s.ServiceSpecific,
			s.VendorConsent, s.VendorLegit, s.Disclosed, s.Consent)
		const want = "2025-06-03 880 48 2 EN DE true [{1 4}] [] [{1 5} {100 100} {404 404}] []"
		if strings.TrimSpace(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if s.HasPublisher != (text != published) {
			t.Error("publisher's segment")
		}
		if _, err := tcf.Decode(text); !errors.Is(err, tcf.PolicyVersion) {
			t.Errorf("decoded: %v", err)
		}
	}
	if _, err := tcf.Decode(vendors); err != nil {
		t.Errorf("a vendor's example of 2026: %v", err)
	}
}

// vendors is a string that a vendor publishes as an example, with policies of version 5.
var vendors = "CQd924AQd924AASACCENCNFsAP_gAEIAACiQL6QBAAGAAOANmAcAF9IAIADgAA.IL6" + strings.Repeat("A", 255) + ".YIAAAAAAAAAAA"

func TestPurposes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*draft)
		want   map[int]tcf.Choice
	}{
		{"as it is", func(*draft) {}, map[int]tcf.Choice{1: tcf.Yes, 2: tcf.No, 3: tcf.Yes, 4: tcf.Yes, 5: tcf.No, 6: tcf.No, 7: tcf.No, 8: tcf.Objected, 24: tcf.Objected, 0: tcf.Objected, 25: tcf.Objected}},
		{"purpose one was not disclosed", func(d *draft) { d.oneUndisclosed = true }, map[int]tcf.Choice{1: tcf.No, 3: tcf.Yes}},
		{"legitimate interest for profiles is none", func(d *draft) { d.consent, d.legit = flags(24), flags(24, 1, 2, 3, 4, 5, 6, 7) }, map[int]tcf.Choice{1: tcf.No, 3: tcf.No, 6: tcf.No, 7: tcf.No, 8: tcf.Objected}},
		{"the publisher's own segment says less", func(d *draft) { d.segments = append(d.segments, letters("011"+flags(24, 3)+flags(24)+number(0, 6))) }, map[int]tcf.Choice{1: tcf.No, 3: tcf.Yes, 4: tcf.No, 7: tcf.Objected}},
		{"the publisher's own segment says more", func(d *draft) {
			d.segments = append([]string{letters("011" + flags(24, 3, 9) + flags(24, 7) + number(2, 6) + "10" + "01")}, d.segments...)
		}, map[int]tcf.Choice{3: tcf.Yes, 9: tcf.Objected, 7: tcf.No}},
	}
	for _, test := range tests {
		d := good()
		test.change(&d)
		s, err := tcf.Decode(d.String())
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for purpose, want := range test.want {
			if got := s.Purpose(purpose); got != want {
				t.Errorf("%s: purpose %d is %d, want %d", test.name, purpose, got, want)
			}
		}
	}
}

func TestDecodeFields(t *testing.T) {
	t.Parallel()
	d := good()
	d.vendorLegit = number(900, 16) + "1" + number(2, 12) + "0" + number(7, 16) + "1" + number(800, 16) + number(900, 16)
	d.restrictions = number(1, 12) + number(3, 6) + number(1, 2) + number(1, 12) + "1" + number(5, 16) + number(9, 16)
	s, err := tcf.Decode(d.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]tcf.Restriction{{Purpose: 3, Kind: 1, Vendors: bits.Set{{First: 5, Last: 9}}}}, s.Restrictions); diff != "" {
		t.Error(diff)
	}
	got := fmt.Sprintln(s.LastUpdated.Equal(monday), s.CMP, s.CMPVersion, s.Screen, s.Language, s.VendorList, s.Policy, s.Country, s.SpecialFeatures, s.VendorConsent, s.VendorLegit, s.Disclosed)
	if want := "true 7 1 2 TR 130 5 CZ [{2 2}] [{1 1} {3 3}] [{7 7} {800 900}] [{1 3}]"; strings.TrimSpace(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	whole := good().String()
	tests := []struct {
		name   string
		change func(*draft)
		want   bits.Fault
	}{
		{"version 1", func(d *draft) { d.version = 1 }, tcf.Version},
		{"policies of 2.1", func(d *draft) { d.policy = 3 }, tcf.PolicyVersion},
		{"policies of 2.2", func(d *draft) { d.policy = 4 }, ""},
		{"for many services", func(d *draft) { d.global = true }, tcf.NotServiceSpecific},
		{"nobody disclosed", func(d *draft) { d.segments = nil }, tcf.NoDisclosedVendors},
		{"allowed vendors instead of disclosed ones", func(d *draft) { d.segments = []string{letters("010" + number(3, 16) + "0" + "111")} }, tcf.NoDisclosedVendors},
		{"an empty list of disclosed vendors", func(d *draft) { d.segments = []string{letters("001" + number(0, 16) + "0")} }, ""},
		{"disclosed twice", func(d *draft) { d.segments = append(d.segments, d.segments[0]) }, tcf.SegmentTwice},
		{"unknown segment", func(d *draft) { d.segments = append(d.segments, letters("100")) }, tcf.SegmentType},
		{"an empty segment", func(d *draft) { d.segments = append(d.segments, "") }, bits.Empty},
		{"undated", func(d *draft) { d.updated = time.Unix(0, 0) }, tcf.Undated},
		{"vendor behind the greatest", func(d *draft) { d.vendorConsent = number(3, 16) + "1" + number(1, 12) + "0" + number(4, 16) }, bits.Range},
		{"something behind the core", func(d *draft) { d.restrictions += "0001" }, bits.Trailing},
	}
	for _, test := range tests {
		d := good()
		test.change(&d)
		_, err := tcf.Decode(d.String())
		if test.want == "" && err != nil || test.want != "" && !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	for text, want := range map[string]error{
		"": bits.Empty, ".": bits.Empty, "C": bits.Truncated, "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA": tcf.Version, "CP+": bits.Alphabet,
		strings.Repeat("C", tcf.MaxLength+1): bits.TooLong, whole + "....": tcf.SegmentTwice,
	} {
		if _, err := tcf.Decode(text); !errors.Is(err, want) {
			t.Errorf("%.20q: %v, want %v", text, err, want)
		}
	}
	// Cut anywhere, it is refused.
	for end := range len(whole) {
		if _, err := tcf.Decode(whole[:end]); err == nil {
			t.Errorf("read after it was cut at %d of %d", end, len(whole))
		}
	}
}

// The strings of the reference implementation.
func TestDecodeCanada(t *testing.T) {
	t.Parallel()
	s, err := tcf.DecodeCanada("BPSG_8APSG_8AAyACAENGdCgf_gfgAfgfgBgABABAAABAB4AACACAAA.fHHHA4444ao")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintln(s.LastUpdated.Format(time.DateOnly), s.CMP, s.CMPVersion, s.VendorList, s.OwnTexts, s.SpecialFeatures, s.Consent, s.LegitimateInterest,
		s.VendorConsent, s.VendorLegit, s.PublisherConsent, s.CustomConsent, s.CustomLegit)
	const want = "2022-01-01 50 2 413 true [{7 12}] [{1 6} {13 18}] [{7 12} {19 24}] [{12 12} {24 24} {48 48}] [{18 18} {30 30}] [{1 3} {7 9} {13 15} {19 21}] [{2 2}] [{1 1} {3 3}]"
	if strings.TrimSpace(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if s.Purpose(3) != tcf.Yes || s.Purpose(4) != tcf.No && s.Purpose(4) != tcf.Objected || s.Purpose(10) != tcf.No {
		t.Error(s.Purpose(3), s.Purpose(4), s.Purpose(10))
	}
	if s, err = tcf.DecodeCanada("BPSG_8APSG_8AAAAAAENAACAAAAAAAAAAAAAAAAAAA.YAAAAAAAAAA.IAGO5w"); err != nil || fmt.Sprint(s.Disclosed) != "[{1 3} {5 7} {10 12}]" {
		t.Error(err)
	}
	if s, err = tcf.DecodeCanada("BPSG_8APSG_8AAAAAAENAACAAAAAAAAAAAAAAAAACCgBwABAAOAAoADgAJA.YAAAAAAAAAA"); err != nil || fmt.Sprint(s.Restrictions) != "[{1 1 [{1 3} {5 7} {9 9}]}]" {
		t.Error(err, s.Restrictions)
	}
	if _, err := tcf.DecodeCanada(good().String()); !errors.Is(err, tcf.Version) {
		t.Error(err)
	}
}

func ExampleDecode() {
	s, err := tcf.Decode(good().String())
	fmt.Println(err, s.LastUpdated.Format(time.RFC3339), s.Purpose(4) == tcf.Yes)
	_, err = tcf.Decode("CO052l-O052l-DGAMBFRACBgAIBAAAAABIYgEawAQEagAAAA")
	fmt.Println(err)
	// Output:
	// <nil> 2026-03-02T10:00:00Z true
	// policy_version
}

func FuzzDecode(f *testing.F) {
	f.Add(good().String())
	f.Add(published)
	f.Add(published + ".YAAAAAAAAAAA")
	f.Add(vendors)
	f.Add("BPSG_8APSG_8AAyACAENGdCgf_gfgAfgfgBgABABAAABAB4AACACAAA.fHHHA4444ao")
	f.Fuzz(func(t *testing.T, text string) {
		for _, decode := range []func(string) (*tcf.String, error){tcf.Decode, tcf.DecodeCanada} {
			s, err := decode(text)
			if (s == nil) == (err == nil) {
				t.Fatal("neither a string nor an error, or both")
			}
			var fault bits.Fault
			if err != nil && (!errors.As(err, &fault) || strings.ContainsAny(fault.Error(), " .-") || len(fault) > 32) {
				t.Fatalf("not a word: %v", err)
			}
			if err != nil {
				continue
			}
			for purpose := range 30 {
				if s.Purpose(purpose) == tcf.Yes && !s.Consent.Has(purpose) {
					t.Fatal("a yes that is not in the string")
				}
			}
		}
	})
}
