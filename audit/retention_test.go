package audit

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

const retentionText = `mahrem.log-retention/v1
keep 3 years
cosignatures 1

Claims are time-barred after three years.
`

func TestParseRetentionPolicy(t *testing.T) {
	t.Parallel()
	p, err := ParseRetentionPolicy(retentionText)
	if err != nil || p.Keep != (Keep{3, "years"}) || p.Cosignatures != 1 || p.Text != retentionText {
		t.Fatalf("got %+v, %v", p, err)
	}
	at := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	for keep, want := range map[string]string{"3 years": "2027-03-01", "18 months": "2025-08-29", "90 days": "2024-05-29"} {
		p, err := ParseRetentionPolicy(strings.Replace(retentionText, "3 years", keep, 1))
		if err != nil || p.Keep.After(at).Format(time.DateOnly) != want {
			t.Errorf("keep %s: got %v, %v, want %s", keep, p.Keep.After(at), err, want)
		}
	}
	for _, change := range [][2]string{
		{"v1", "v2"},
		{"3 years", "89 days"},
		{"3 years", "2 months"},
		{"3 years", "101 years"},
		{"3 years", "03 years"},
		{"3 years", "-3 years"},
		{"3 years", "3 weeks"},
		{"3 years", "3 years "},
		{"3 years", "3"},
		{"keep", "keeps"},
		{"keep 3 years\n", ""},
		{"keep 3 years\n", "keep 3 years\nkeep 4 years\n"},
		{"cosignatures 1", "cosignatures 17"},
		{"cosignatures 1", "cosignatures"},
		{"cosignatures 1", "cosignatures +1"},
		{"\n\nClaims are time-barred after three years.\n", "\n"},
		{"Claims are time-barred after three years.\n", "  \n"},
		{"three years.\n", "three years."},
		{"Claims", "\xff"},
		{"Claims", "\r\n"},
		{"Claims", strings.Repeat("x", maxRetentionText)},
	} {
		text := strings.Replace(retentionText, change[0], change[1], 1)
		if text == retentionText {
			t.Fatalf("%q changes nothing", change)
		}
		if _, err := ParseRetentionPolicy(text); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%q in the place of %q: got %v", change[1], change[0], err)
		}
	}
}

func FuzzParseRetentionPolicy(f *testing.F) {
	f.Add(retentionText)
	f.Add("mahrem.log-retention/v1\nkeep 90 days\ncosignatures 0\n\nx\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseRetentionPolicy(text)
		if err != nil {
			return
		}
		head := fmt.Sprintf("%s\nkeep %s\ncosignatures %d\n\n", retentionVersion, p.Keep, p.Cosignatures)
		if !strings.HasPrefix(text, head) || p.Text != text {
			t.Errorf("%q was read as %q", text, head)
		}
		if days := p.Keep.After(time.Unix(0, 0)).Sub(time.Unix(0, 0)).Hours() / 24; days < minKeepDays-1 {
			t.Errorf("%q keeps %v days", text, days)
		}
	})
}

func ExampleParseRetentionPolicy() {
	p, err := ParseRetentionPolicy("mahrem.log-retention/v1\nkeep 3 years\ncosignatures 1\n\nClaims are time-barred after three years.\n")
	if err != nil {
		fmt.Println(err)
		return
	}
	written := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	fmt.Println(p.Keep, "until", p.Keep.After(written).Format(time.DateOnly))
	// Output: 3 years until 2029-03-01
}
