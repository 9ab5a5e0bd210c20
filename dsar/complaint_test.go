package dsar_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

func TestComplaintNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]dsar.ComplaintNumber{
		"2026-000001":    {Year: 2026, Count: 1},
		"2026-000123":    {Year: 2026, Count: 123},
		"2026-999999":    {Year: 2026, Count: 999999},
		"2027-1000000":   {Year: 2027, Count: 1000000},
		"2027-999999999": {Year: 2027, Count: 999999999},
	} {
		got, err := dsar.ParseComplaintNumber(text)
		if err != nil || got != want || got.String() != text || got.IsZero() {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	if text := (dsar.ComplaintNumber{}).String(); text != "" {
		t.Errorf("no number is %q", text)
	}
}

// FuzzComplaintNumber: what is read is written the same, and nothing else is read.
func FuzzComplaintNumber(f *testing.F) {
	for _, text := range []string{"2026-000123", "2026-1000000", "", "2026-123", "2026-000000", "2026-+00123", "0000-000001", "-026-000001", "2026-0001234", "2026-0000000001", "2026_000123", " 2026-000123", "2026-000123\n", "２０２６-000123"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := dsar.ParseComplaintNumber(text)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) || !n.IsZero() {
				t.Fatalf("refused with %v and %+v", err, n)
			}
			return
		}
		if n.String() != text || n.Count < 1 || n.Year < 1 {
			t.Fatalf("%q is %+v", text, n)
		}
	})
}

// TestComplaintWords: what the lists name is known and is a key; titles are with the letters.
func TestComplaintWords(t *testing.T) {
	t.Parallel()
	if dsar.Category("").IsKnown() || dsar.Category("weather").IsKnown() || dsar.ComplaintOutcome("").IsKnown() || dsar.ComplaintOutcome("won").IsKnown() {
		t.Error("what is on no list is known")
	}
	if categories := dsar.Categories(); len(categories) != 12 || !slices.Contains(categories, dsar.UnwantedMarketing) || !categories[11].IsKnown() {
		t.Errorf("the categories are %v", categories)
	}
}

// TestOutcomeDigest is a known answer, computed with sha256sum.
func TestOutcomeDigest(t *testing.T) {
	t.Parallel()
	digest := dsar.OutcomeDigest(dsar.Upheld, privacy.NewPlain("You were right, and we are sorry."))
	if got, want := hex.EncodeToString(digest[:]), "2d2c604087c3dd8cb29687e1863a0227e4cb40715f0b21010e48e0d0ee554c91"; got != want {
		t.Errorf("the digest is %s, not %s", got, want)
	}
	if digest == dsar.OutcomeDigest(dsar.NotUpheld, privacy.NewPlain("You were right, and we are sorry.")) {
		t.Error("another outcome has the same digest")
	}
}

func ExampleParseComplaintNumber() {
	number, err := dsar.ParseComplaintNumber("2026-000123")
	fmt.Println(number.Year, number.Count, err)
	// Output: 2026 123 <nil>
}
