package clock_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

func day(t testing.TB, text string) clock.Date {
	t.Helper()
	d, err := clock.ParseDate(text)
	if err != nil {
		t.Fatalf("parsing %q: %v", text, err)
	}
	return d
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]clock.Date{
		"2026-03-05": {Year: 2026, Month: time.March, Day: 5},
		"2024-02-29": {Year: 2024, Month: time.February, Day: 29},
		"1900-01-01": {Year: 1900, Month: time.January, Day: 1},
		"2199-12-31": {Year: 2199, Month: time.December, Day: 31},
	} {
		if d := day(t, text); d != want || d.String() != text {
			t.Errorf("%s was read as %s", text, d)
		}
	}
	for _, text := range []string{"", "2026-3-5", "2026-02-29", "2026-13-01", "2026-00-10", "05.03.2026", "2026-03-05 ", "1899-12-31", "2200-01-01", "-001-01-01", "2026-03-05T00:00:00Z"} {
		if d, err := clock.ParseDate(text); !errors.Is(err, privacy.ErrInvalid) || !d.IsZero() {
			t.Errorf("%q was read as %s, %v", text, d, err)
		}
	}
}

func TestAddMonths(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from   string
		months int
		want   string
	}{
		{"2026-03-05", 1, "2026-04-05"},
		{"2026-08-31", 1, "2026-09-30"},
		{"2026-01-31", 1, "2026-02-28"},
		{"2024-01-31", 1, "2024-02-29"},
		{"2024-01-29", 1, "2024-02-29"},
		{"2025-01-29", 1, "2025-02-28"},
		{"2026-12-31", 1, "2027-01-31"},
		{"2026-11-30", 3, "2027-02-28"},
		{"2027-11-30", 3, "2028-02-29"},
		{"2026-02-28", 1, "2026-03-28"},
		{"2026-12-31", 2, "2027-02-28"},
		{"2026-01-31", 3, "2026-04-30"},
	} {
		if got := day(t, test.from).AddMonths(test.months).String(); got != test.want {
			t.Errorf("%s and %d months: got %s, want %s", test.from, test.months, got, test.want)
		}
	}
}

func TestDateArithmetic(t *testing.T) {
	t.Parallel()
	// Over the day on which clocks change, and over a leap day.
	for _, test := range []struct {
		from string
		days int
		want string
	}{{"2026-03-28", 2, "2026-03-30"}, {"2026-10-24", 2, "2026-10-26"}, {"2024-02-28", 2, "2024-03-01"}, {"2025-12-31", 1, "2026-01-01"}, {"2026-01-01", -1, "2025-12-31"}} {
		from, want := day(t, test.from), day(t, test.want)
		if got := from.AddDays(test.days); got != want || from.DaysUntil(want) != test.days {
			t.Errorf("%s and %d days: got %s; counted back %d", test.from, test.days, got, from.DaysUntil(want))
		}
	}
	if a, b := day(t, "2026-01-31"), day(t, "2026-02-01"); !a.Before(b) || a.After(b) || !b.After(a) || a.Compare(a) != 0 {
		t.Error("days are not in order")
	}
	if day(t, "2026-11-22").Weekday() != time.Sunday {
		t.Error("22 November 2026 is a Sunday")
	}
	// A day begins at another moment in another place.
	istanbul := time.FixedZone("", 3*60*60)
	late := time.Date(2026, time.March, 4, 22, 30, 0, 0, time.UTC)
	if got := clock.DateIn(late, istanbul).String(); got != "2026-03-05" {
		t.Errorf("in Istanbul it was %s", got)
	}
}

func TestDateAsText(t *testing.T) {
	t.Parallel()
	type document struct {
		A clock.Date `json:"a"`
		B clock.Date `json:"b,omitzero"`
	}
	text, err := json.Marshal(document{A: day(t, "2026-03-05")})
	if err != nil || string(text) != `{"a":"2026-03-05"}` {
		t.Fatalf("wrote %s, %v", text, err)
	}
	var back document
	if err := json.Unmarshal(text, &back); err != nil || back.A != day(t, "2026-03-05") || !back.B.IsZero() {
		t.Errorf("read back %v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"a":"5 March"}`), &back); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("read 5 March: %v", err)
	}
	if (clock.Date{}).String() != "" {
		t.Error("no day has a text")
	}
}

func FuzzParseDate(f *testing.F) {
	for _, seed := range []string{"2026-03-05", "2024-02-29", "2026-02-30", "", "0000-00-00", "2026-03-05x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := clock.ParseDate(text)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) || !d.IsZero() {
				t.Fatalf("refused with %v and %s", err, d)
			}
			return
		}
		if d.String() != text {
			t.Fatalf("%q was read as %s", text, d)
		}
		if next := d.AddMonths(1); !next.After(d) || d.DaysUntil(next) > 31 || next.Day > d.Day {
			t.Fatalf("a month after %s is %s", d, next)
		}
	})
}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, r := range clock.Regimes() {
		if again, err := clock.ParseRegime(string(r)); err != nil || again != r {
			t.Errorf("%s: %s, %v", r, again, err)
		}
	}
	for _, r := range clock.Rights() {
		if again, err := clock.ParseRight(string(r)); err != nil || again != r {
			t.Errorf("%s: %s, %v", r, again, err)
		}
	}
	for _, text := range []string{"", "GDPR", "gdpr", "uk"} {
		if _, err := clock.ParseRegime(text); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("regime %q: %v", text, err)
		}
		if _, err := clock.ParseRight(text); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("right %q: %v", text, err)
		}
	}
	for jurisdiction, want := range map[privacy.Jurisdiction]clock.Regime{
		"EU": clock.GDPREU, "CZ": clock.GDPRCZ, "DE": clock.GDPRDE, "FR": clock.GDPRFR, "TR": clock.KVKK, "UK": clock.UKEngland,
		"UK-SCT": clock.UKScotland, "UK-NIR": clock.UKNorthernIreland, "US-CA": clock.CCPA, "BR": clock.LGPD,
	} {
		if got, err := clock.RegimeOf(jurisdiction); err != nil || got != want {
			t.Errorf("%s: %s, %v", jurisdiction, got, err)
		}
	}
	for _, unknown := range []privacy.Jurisdiction{"", "unknown", "US", "GB"} {
		if got, err := clock.RegimeOf(unknown); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%q has the law %s, %v", unknown, got, err)
		}
	}
}
