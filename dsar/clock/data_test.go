package clock

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// broken returns the files of the binary with one of them changed.
func broken(t *testing.T, name, from, to string) fs.FS {
	t.Helper()
	all := fstest.MapFS{}
	for _, dir := range []string{"rules", "calendars"} {
		entries, err := files.ReadDir("data/" + dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			content, err := files.ReadFile("data/" + dir + "/" + e.Name())
			if err != nil {
				t.Fatal(err)
			}
			all[dir+"/"+e.Name()] = &fstest.MapFile{Data: content}
		}
	}
	if name == "" {
		return all
	}
	content := string(all[name].Data)
	if !strings.Contains(content, from) {
		t.Fatalf("%s lacks %q", name, from)
	}
	all[name] = &fstest.MapFile{Data: []byte(strings.Replace(content, from, to, 1))}
	return all
}

// TestDataIsStrict: a slip in a file is an error that names the file, and never a law that
// says something else.
func TestDataIsStrict(t *testing.T) {
	t.Parallel()
	if _, err := load(broken(t, "", "", "")); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ file, from, to, want string }{
		"unknown key":           {"rules/kvkk.yaml", "answer: {period", "answr: {period", "field answr not found"},
		"no answer":             {"rules/kvkk.yaml", "        answer:", "        acknowledge:", "answer or extension is missing"},
		"two lengths":           {"rules/kvkk.yaml", "{days: 30}", "{days: 30, months: 1}", "answer has no period"},
		"negative length":       {"rules/kvkk.yaml", "{days: 30}", "{days: -30}", "answer has no period"},
		"no source":             {"rules/lgpd.yaml", `source: "LGPD Art. 18 para. 4"`, `source: ""`, "extension has no source"},
		"extension, no reasons": {"rules/ccpa.yaml", "reasons: [complexity, number_of_requests], ", "", "a total and reasons"},
		"a right is missing":    {"rules/kvkk.yaml", "[access, portability,", "[access,", "7 of 8 rights"},
		"a right twice":         {"rules/gdpr.yaml", "rights: [portability,", "rights: [access, portability,", "stands twice"},
		"an unknown right":      {"rules/gdpr.yaml", "rights: [portability,", "rights: [silence,", "unknown or stands twice"},
		"a gap between laws":    {"rules/uk.yaml", "until: 2026-02-04", "until: 2026-02-03", "does not begin the day after"},
		"an end without next":   {"rules/lgpd.yaml", "  - from: 2020-09-18", "  - from: 2020-09-18\n    until: 2030-01-01", "until on another than the last"},
		"no end before next":    {"rules/uk.yaml", "    until: 2026-02-04\n", "", "until on another than the last"},
		"unknown place":         {"rules/kvkk.yaml", "Europe/Istanbul", "Europe/Constantinople", "is unknown"},
		"unknown calendar":      {"rules/kvkk.yaml", "calendar: TR", "calendar: TT", "is unknown"},
		"unknown effect":        {"rules/kvkk.yaml", "effect: forbidden", "effect: allowed", "has effect"},
		"pause without count":   {"rules/gdpr.yaml", "effect: suspends, count: between", "effect: suspends", "counts"},
		"missing title":         {"rules/kvkk.yaml", "tr: KVKK (6698 sayılı Kanun), ", "", "lacks a title"},
		"a law renamed":         {"rules/kvkk.yaml", "  kvkk:", "  kvk:", "no rules for kvkk"},
		"a law twice":           {"rules/lgpd.yaml", "  lgpd:", "  kvkk:", "stands twice"},
		"not a day":             {"rules/lgpd.yaml", "2020-09-18", "18.09.2020", "line"},
		"not a weekday":         {"rules/lgpd.yaml", "[sunday]", "[domingo]", "no day of the week"},
		"second document":       {"rules/lgpd.yaml", "versions:", "---\nversions:", "more than one document"},
		"a year too few":        {"calendars/TR.yaml", "2018-06-15, ", "", "12 dates for 13 years"},
		"a year outside":        {"calendars/TR.yaml", "2018-06-15, ", "2031-01-25, ", "outside the years"},
		"an eve without hour":   {"calendars/TR.yaml", "half_days: {", "# {", "eve is half, with half_days"},
		"an hour that is none":  {"calendars/TR.yaml", `"13:00"`, `"noon"`, "no hour and minute"},
		"two ways":              {"calendars/CZ.yaml", "day: 01-01", "day: 01-01, easter: 1", "exactly one of"},
		"no such day":           {"calendars/CZ.yaml", "day: 01-01", "day: 02-30", "parsing a day"},
		"unknown move":          {"calendars/UK-ENG.yaml", "move: next_working_day", "move: somewhere", "is unknown"},
		"announced too far":     {"calendars/UK-ENG.yaml", "announced: 2028", "announced: 2031", "make no sense"},
		"no source of holidays": {"calendars/DE.yaml", "source: Art", "source: \"\" # ", "make no sense"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := load(broken(t, test.file, test.from, test.to))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			// What is wrong with the laws together belongs to no file.
			if name != "a law renamed" && !strings.Contains(err.Error(), strings.SplitAfter(test.file, "/")[1]) {
				t.Errorf("%v does not name the file", err)
			}
		})
	}
}

// TestEaster compares with the table of the Astronomical Almanac.
func TestEaster(t *testing.T) {
	t.Parallel()
	for _, want := range []string{
		"1961-04-02", "1981-04-19", "2000-04-23", "2008-03-23", "2011-04-24", "2018-04-01", "2019-04-21", "2020-04-12", "2021-04-04", "2022-04-17",
		"2023-04-09", "2024-03-31", "2025-04-20", "2026-04-05", "2027-03-28", "2028-04-16", "2029-04-01", "2030-04-21", "2035-03-25", "2038-04-25",
	} {
		d, err := ParseDate(want)
		if err != nil {
			t.Fatal(err)
		}
		if got := easter(d.Year); got != d || got.Weekday() != time.Sunday {
			t.Errorf("Easter of %d: got %s, want %s", d.Year, got, want)
		}
	}
}

// TestHolidaysOfAYear counts the holidays of one year in each calendar, with those that
// stand in for others.
func TestHolidaysOfAYear(t *testing.T) {
	t.Parallel()
	laws, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"EU": 0, "CZ": 13, "DE": 9, "FR": 11, "TR": 15, "UK-ENG": 9, "UK-SCT": 11, "UK-NIR": 12, "US-CA": 10, "BR": 10}
	for _, r := range laws.regimes {
		n := 0
		for d := range r.calendar.full {
			if d.Year == 2026 {
				n++
			}
		}
		if n != want[r.calendar.key] {
			t.Errorf("%s has %d holidays in 2026, want %d", r.calendar.key, n, want[r.calendar.key])
		}
	}
}
