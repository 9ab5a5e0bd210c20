package policies

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

func ExampleParsePeriod() {
	p, err := ParsePeriod("P1Y6M")
	if err != nil {
		panic(err)
	}
	fmt.Println(p.After(time.Date(2024, 8, 31, 9, 0, 0, 0, time.UTC)).Format(time.DateTime))
	// Output: 2026-02-28 09:00:00
}

func TestParsePeriod(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Period{
		"P3Y": {Years: 3}, "P18M": {Months: 18}, "P30D": {Days: 30}, "P1Y6M": {1, 6, 0}, "P1Y2M3D": {1, 2, 3}, "P1Y1D": {Years: 1, Days: 1},
	} {
		if got, err := ParsePeriod(text); got != want || err != nil || got.String() != text {
			t.Errorf("%s: %+v (%s), %v", text, got, got, err)
		}
	}
	for _, text := range []string{
		"", "P", "3Y", "P3", "PY", "P0Y", "P03Y", "P3y", "P3W", "P3M1Y", "P1Y1Y", "P-1Y", "P+1Y", "P1.5Y", "P131Y", "P99999Y", "P100000D", "PT1H", "P1YT1H", " P1Y", "P1Y ", "P1٣Y",
	} {
		if p, err := ParsePeriod(text); !errors.Is(err, privacy.ErrInvalid) || !p.IsZero() {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
}

func FuzzParsePeriod(f *testing.F) {
	for _, text := range []string{"P3Y", "P18M", "P1Y6M2D", "P", "PT1H"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePeriod(text)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		if p.String() != text || p.IsZero() {
			t.Fatalf("%q became %q", text, p)
		}
		at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
		if end := p.After(at); !end.After(at) || end.Sub(at) > time.Duration(p.days())*24*time.Hour {
			t.Fatalf("%q ends at %v", text, end)
		}
		if start := p.Before(at); !start.Before(at) {
			t.Fatalf("%q begins at %v", text, start)
		}
	})
}

func TestPeriodEndsWithTheMonth(t *testing.T) {
	t.Parallel()
	day := func(text string) time.Time {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, test := range []struct{ period, from, after, before string }{
		{"P1M", "2025-01-31", "2025-02-28", "2024-12-31"},
		{"P1M", "2024-01-31", "2024-02-29", "2023-12-31"},
		{"P1M", "2024-03-31", "2024-04-30", "2024-02-29"},
		{"P1Y", "2024-02-29", "2025-02-28", "2023-02-28"},
		{"P4Y", "2024-02-29", "2028-02-29", "2020-02-29"},
		{"P1M1D", "2025-01-31", "2025-03-01", "2024-12-30"},
		{"P30D", "2025-12-15", "2026-01-14", "2025-11-15"},
	} {
		p, err := ParsePeriod(test.period)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.After(day(test.from)); !got.Equal(day(test.after)) {
			t.Errorf("%s after %s: %v, want %s", test.period, test.from, got, test.after)
		}
		if got := p.Before(day(test.from)); !got.Equal(day(test.before)) {
			t.Errorf("%s before %s: %v, want %s", test.period, test.from, got, test.before)
		}
	}
}

func TestRetentionPeriodFollowsRefusals(t *testing.T) {
	t.Parallel()
	c, err := LoadCatalogue(Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	views, ok := c.RetentionPeriod("views")
	if !ok || !c.Retains() || c.ReportEvery() != (Period{Months: 6}) {
		t.Fatal("the catalogue has no periods")
	}
	refused := func(purposes ...privacy.Purpose) func(privacy.Purpose) bool {
		return func(p privacy.Purpose) bool { return slices.Contains(purposes, p) }
	}
	for _, test := range []struct {
		refused func(privacy.Purpose) bool
		want    string
	}{
		{refused(), "P13M"},
		{refused("recommendations"), "P13M"},
		{refused("recommendations", "analytics"), "P6M"},
		{refused("recommendations", "analytics", "content"), "P1M"},
		{refused("newsletter"), "P13M"},
	} {
		if got := views.For(test.refused).String(); got != test.want {
			t.Errorf("views are kept %s, want %s", got, test.want)
		}
	}
	contact, _ := c.RetentionPeriod("contact")
	if got := contact.For(func(privacy.Purpose) bool { return true }); got != contact.Keep {
		t.Errorf("contacts are kept %s", got)
	}
	if _, ok := c.RetentionPeriod("nothing"); ok {
		t.Error("an unknown category has a period")
	}
	for _, kind := range RecordKinds() {
		if r, ok := c.RetentionRecord(kind); !ok || r.Keep.IsZero() || r.Kind != kind {
			t.Errorf("%s: %+v", kind, r)
		}
	}
}

// The ends of exceptions, worked out by hand from the texts of the laws.
func TestRetentionExceptions(t *testing.T) {
	t.Parallel()
	c, err := LoadCatalogue(Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	day := func(text string) time.Time {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, test := range []struct {
		jurisdiction                   privacy.Jurisdiction
		decided, bought, id, kept, law string
	}{
		// Ten years from the end of the calendar year.
		{"TR", "2026-03-01", "2020-05-05", "tr_accounts", "2031-01-01", "TR-6102-82"},
		{"TR", "2026-03-01", "2020-12-31", "tr_accounts", "2031-01-01", "TR-6102-82"},
		{"TR", "2026-03-01", "2021-01-01", "tr_accounts", "2032-01-01", "TR-6102-82"},
		{"CZ", "2026-03-01", "2024-02-29", "cz_vat", "2035-01-01", "CZ-235-2004-35"},
		// Germany shortened ten years to eight on 1 January 2025.
		{"DE", "2024-12-31", "2020-05-05", "de_vouchers_until_2024", "2031-01-01", "DE-AO-147-3"},
		{"DE", "2025-01-01", "2020-05-05", "de_vouchers", "2029-01-01", "DE-AO-147-3"},
		{"FR", "2026-03-01", "2020-05-05", "fr_vouchers", "2031-01-01", "FR-CCOM-L123-22"},
		{"UK", "2026-03-01", "2020-05-05", "uk_vat", "2027-01-01", "UK-VATA-1994-sch11-6"},
		{"US-CA", "2026-03-01", "2024-02-29", "us_ca_sales_tax", "2028-02-29", "US-CA-18CCR-1698"},
		{"BR", "2026-03-01", "2023-07-07", "br_tax", "2029-01-01", "BR-5172-195"},
	} {
		found := c.RetentionExceptions(test.jurisdiction, day(test.decided))
		if len(found) != 1 || string(found[0].ID) != test.id || found[0].Article != test.law {
			t.Errorf("%s on %s: %d exceptions", test.jurisdiction, test.decided, len(found))
			continue
		}
		if got := found[0].Ends(day(test.bought)); !got.Equal(day(test.kept)) {
			t.Errorf("%s: bought %s, kept until %v, want %s", test.id, test.bought, got, test.kept)
		}
		if !found[0].Covers("purchases", "purchase") || found[0].Covers("purchases", "coupon_redeemed") || found[0].Covers("views", "purchase") {
			t.Errorf("%s covers something else", test.id)
		}
	}
	for _, nothing := range []privacy.Jurisdiction{"EU", UnknownJurisdiction} {
		if found := c.RetentionExceptions(nothing, day("2026-03-01")); len(found) != 0 {
			t.Errorf("%s has %d exceptions", nothing, len(found))
		}
	}
	if found := c.RetentionExceptions("TR", day("2012-06-30")); len(found) != 0 {
		t.Error("a law applies before it is in force")
	}
}

// A bundle from before there were periods keeps everything, and loads.
func TestCatalogueWithoutRetention(t *testing.T) {
	t.Parallel()
	bundle := fstest.MapFS{}
	for _, name := range Schemas() {
		content, err := fs.ReadFile(Bundle(), "catalogue/"+name+".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if name != "retention" {
			bundle["catalogue/"+name+".yaml"] = &fstest.MapFile{Data: content}
		}
	}
	c, err := LoadCatalogue(bundle, "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	if c.Retains() || len(c.Keys("retention")) != 0 || len(c.RetentionExceptions("TR", time.Now())) != 0 {
		t.Error("a catalogue without periods has some")
	}
	bundle["catalogue/retention.yaml"] = &fstest.MapFile{Data: []byte("{}\n")}
	if _, err := LoadCatalogue(bundle, "catalogue"); !errors.Is(err, privacy.ErrInvalid) || !namesALine(err) {
		t.Errorf("an empty file: %v", err)
	}
}

func TestRetentionComplaintsNameTheLine(t *testing.T) {
	t.Parallel()
	text, err := fs.ReadFile(Bundle(), "catalogue/retention.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ old, changed, want string }{
		{"report_every: P6M", "report_every: P7M", "at most six months"},
		{"report_every: P6M", "report_every: 6 months", "such as P3Y"},
		{"  core: {keep: P3Y, from: last_contact,", "  cores: {keep: P3Y, from: last_contact,", `unknown category "cores"`},
		{"  core: {keep: P3Y, from: last_contact, laws: [GDPR-5-1-e, KVKK-4-2-d]}\n", "", `category "core" has no period`},
		{"  devices: {keep: P13M, from: event,", "  devices: {from: event,", "no period to keep"},
		{"  devices: {keep: P13M, from: event,", "  devices: {keep: P13M, from: birth,", `"birth" is none of`},
		{"  devices: {keep: P13M, from: event,", "  devices: {keep: P13M, from: event, after_refusal: P1M,", "need each other"},
		{"purposes: {social_engagement: P6M}", "purposes: {social_engagement: P7M}", "longer than it is kept"},
		{"purposes: {social_engagement: P6M}", "purposes: {social_engagement: P5M}", "no purpose needs it as long"},
		{"purposes: {social_engagement: P6M}", "purposes: {newsletter: P6M}", `no use for category "social"`},
		{"purposes: {social_engagement: P6M}", "purposes: {gossip: P6M}", `unknown purpose "gossip"`},
		{"ground: legal_obligation", "ground: curiosity", `"curiosity" is none of`},
		{"article: TR-6102-82", "article: the law", "want an article"},
		{"source: https://www.mevzuat", "source: http://www.mevzuat", "want the https address"},
		{"jurisdictions: [TR]", "jurisdictions: [XX]", `unknown jurisdiction "XX"`},
		{"jurisdictions: [TR]", "jurisdictions: []", "needs jurisdictions and events"},
		{"in_force: 2012-07-01", "until: 2012-07-01", "want the first day"},
		{"until: 2024-12-31", "until: 1997-12-31", "no end before it"},
		{"years: 10", "years: 0", "want years from 1"},
		{"counts_from: year_end", "counts_from: birth", `"birth" is none of`},
		{"events: [purchases]", "events: [purchase]", `unknown category "purchase"`},
		{"types: [purchase]", "types: [Purchase]", "not a well-formed type"},
		{"attributes: [first_name, last_name, postal_address]", "attributes: [nickname]", `unknown attribute "nickname"`},
		{"attributes: [first_name, last_name, postal_address]", "attributes: [spend.total]", "made of events"},
		{"  closed_request:", "  open_request:", `"open_request" is none of`},
		{"    keep: P14M", "    keep: P13M", "has a longer look-back"},
	} {
		if !strings.Contains(string(text), test.old) {
			t.Fatalf("the file has no %q", test.old)
		}
		changed := strings.Replace(string(text), test.old, test.changed, 1)
		_, err := LoadCatalogue(bundleWith(t, "retention", changed), "catalogue")
		if !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(fmt.Sprint(err), test.want) || !namesALine(err) || !strings.Contains(fmt.Sprint(err), "retention.yaml:") {
			t.Errorf("%s: %v, want %s", test.changed, err, test.want)
		}
	}
}

// A catalogue that keeps something longer is weaker.
func TestLongerRetentionIsWeaker(t *testing.T) {
	t.Parallel()
	before := compiled(t).catalogue
	for _, test := range []struct{ old, replacement, less string }{
		{"  devices: {keep: P13M", "  devices: {keep: P14M", "devices is kept longer"},
		{"    keep: P14M", "    keep: P15M", "rows of kind exposure are kept longer"},
		{"  devices: {keep: P13M", "  devices: {keep: P12M", ""},
	} {
		now := compiled(t, [3]string{"catalogue/retention.yaml", test.old, test.replacement}).catalogue
		if got := before.tellsLess(now); !strings.Contains(got, test.less) || (got == "") != (test.less == "") {
			t.Errorf("%s: %q", test.replacement, got)
		}
	}
}
