package tally

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/wording"
	"github.com/mahrem/mahrem/privacy"
)

// memory is a log in memory, with a clock that is set by hand.
type memory struct {
	t       testing.TB
	now     time.Time
	encoder *audit.Encoder
	entries []audit.StoredEntry
	edge    audit.Edge
}

func newMemory(t testing.TB) *memory {
	t.Helper()
	m := &memory{t: t, now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	var err error
	m.encoder, err = audit.NewEncoder(audit.EncoderConfig{
		Now:   func() time.Time { return m.now },
		Actor: func(p privacy.Principal) (tag [16]byte) { copy(tag[:], p.ID); return tag },
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *memory) add(event audit.Event) {
	m.t.Helper()
	entry, err := m.encoder.NewEntry(event)
	if err != nil {
		m.t.Fatal(err)
	}
	m.raw(entry.Leaf())
}

func (m *memory) raw(leaf []byte) {
	hash := audit.LeafHash(leaf)
	m.edge.Append(hash, nil)
	m.entries = append(m.entries, audit.StoredEntry{Index: uint64(len(m.entries)), Leaf: leaf, LeafHash: hash})
}

func (m *memory) Size(context.Context) (uint64, error) { return uint64(len(m.entries)), nil }

func (m *memory) Entries(_ context.Context, from uint64, limit int) ([]audit.StoredEntry, error) {
	end := min(from+uint64(limit), uint64(len(m.entries)))
	return m.entries[min(from, end):end], nil
}

func (m *memory) checkpoint() audit.Checkpoint {
	return audit.Checkpoint{Origin: "shop.example/audit", Size: m.edge.Size(), Root: m.edge.Root()}
}

var (
	shop  = privacy.Principal{ID: "shop-service", Role: privacy.RoleService, Recipient: "shop"}
	ads   = privacy.Principal{ID: "ads-service", Role: privacy.RoleService, Recipient: "ads"}
	dana  = privacy.Principal{ID: "dana", Role: privacy.RoleDPO}
	rules = audit.Digest{31: 7}
)

func answered(by privacy.Principal, purpose privacy.Purpose, attributes ...privacy.AttributeName) audit.Event {
	return audit.Event{Kind: audit.QueryAnswered, Outcome: audit.Allowed, Principal: by, Purpose: purpose, Channel: "web", Attributes: attributes, Policy: rules}
}

func refusedBy(by privacy.Principal, purpose privacy.Purpose, checks ...string) audit.Event {
	return audit.Event{Kind: audit.QueryDenied, Outcome: audit.Denied, Principal: by, Purpose: purpose, Channel: "web", Checks: checks, Policy: rules}
}

// aDay is a log of which every number is known.
func aDay(t testing.TB) *memory {
	m := newMemory(t)
	m.add(audit.Event{Kind: audit.LogStarted, Outcome: audit.Done})
	m.now = m.now.Add(time.Minute)
	m.add(audit.Event{Kind: audit.TokenMinted, Outcome: audit.Done, Principal: dana, Recipient: "shop", Minted: privacy.RoleService})
	for range 3 {
		m.now = m.now.Add(time.Hour)
		m.add(answered(shop, "recommendations", "affinity", "segment"))
	}
	m.add(refusedBy(shop, "recommendations", "consent.missing"))
	m.add(refusedBy(ads, "advertising", "consent.missing", "window.open"))
	m.add(audit.Event{Kind: audit.AudienceAnswered, Outcome: audit.Allowed, Principal: ads, Purpose: "advertising", Channel: "email", Count: 5000, List: audit.Digest{1}})
	m.add(audit.Event{Kind: audit.AudienceDenied, Outcome: audit.Denied, Principal: ads, Purpose: "advertising", Channel: "email"})
	m.now = m.now.Add(24 * time.Hour)
	m.add(audit.Event{Kind: audit.PersonReidentified, Outcome: audit.Done, Principal: dana, Recipient: "ads"})
	m.add(audit.Event{Kind: audit.ServerStopped, Outcome: audit.Done})
	return m
}

func read(t testing.TB, m *memory, config Config) (Report, Proof) {
	t.Helper()
	report, proof, err := Read(t.Context(), m, config)
	if err != nil {
		t.Fatal(err)
	}
	return report, proof
}

func TestRead(t *testing.T) {
	t.Parallel()
	m := aDay(t)
	report, proof := read(t, m, Config{Checkpoint: m.checkpoint()})
	at := func(days, hours, minutes int) time.Time {
		return time.Date(2026, 3, 1+days, 9+hours, minutes, 0, 0, time.UTC)
	}
	tag := func(name string) string {
		return fmt.Sprintf("%x", append([]byte(name), make([]byte, 16-len(name))...))
	}
	first, last := uint64(0), uint64(10)
	policy := strings.Repeat("00", 31) + "07"
	want := Report{
		Entries: 11, First: &first, Last: &last, Answered: 5, Refused: 3,
		Asked: []Asked{
			{"dpo", "", Identity, "", "", 1, 0},
			{"service", "ads", Audience, "advertising", "email", 1, 1},
			{"service", "ads", Query, "advertising", "web", 0, 1},
			{"service", "shop", Query, "recommendations", "web", 3, 1},
		},
		Reasons: []Refused{
			{"", Audience, "advertising", 1},
			{"consent.missing", Query, "advertising", 1},
			{"consent.missing", Query, "recommendations", 1},
			{"window.open", Query, "advertising", 1},
		},
		Released: []Released{{"affinity", "shop", "recommendations", 3}, {"segment", "shop", "recommendations", 3}},
		Sizes:    []Sizes{{audit.AudienceAnswered, "1001-10000", 1}},
		Callers: []Caller{
			{tag("dana"), "dpo", "", 1, 0, 1, at(0, 0, 1), at(1, 3, 1)},
			{tag("ads-service"), "service", "ads", 1, 2, 0, at(0, 3, 1), at(0, 3, 1)},
			{tag("shop-service"), "service", "shop", 3, 1, 0, at(0, 1, 1), at(0, 3, 1)},
		},
		Done: []Done{
			{audit.AudienceAnswered, "service", 1},
			{audit.AudienceDenied, "service", 1},
			{audit.LogStarted, "", 1},
			{audit.PersonReidentified, "dpo", 1},
			{audit.QueryAnswered, "service", 3},
			{audit.QueryDenied, "service", 2},
			{audit.ServerStopped, "", 1},
			{audit.TokenMinted, "dpo", 1},
		},
		Revisions: []Revision{{policy, 3, 2, at(0, 1, 1), at(0, 3, 1)}},
		Notables: []Notable{
			{0, at(0, 0, 0), audit.LogStarted, ""},
			{1, at(0, 0, 1), audit.TokenMinted, "dpo"},
			{9, at(1, 3, 1), audit.PersonReidentified, "dpo"},
		},
		Unit: Hour,
	}
	moments := report.Moments
	report.Moments = nil
	if diff := cmp.Diff(want, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if len(moments) != 28 || moments[0].Other != 2 || moments[3].Answered != 2 || moments[3].Refused != 3 || moments[10] != (Moment{Start: at(0, 10, 0)}) || moments[27].Answered != 1 {
		t.Errorf("moments: %+v", moments)
	}
	root := m.edge.Root()
	if want := (Proof{Size: 11, Root: fmt.Sprintf("%x", root[:]), Signed: 11}); proof != want {
		t.Errorf("got proof %+v, want %+v", proof, want)
	}
}

// Only the time of an entry counts, the first moment does, and the last does not.
func TestReadPeriod(t *testing.T) {
	t.Parallel()
	m := aDay(t)
	report, proof := read(t, m, Config{From: time.Date(2026, 3, 1, 10, 1, 0, 0, time.UTC), To: time.Date(2026, 3, 1, 12, 1, 0, 0, time.UTC)})
	if report.Entries != 2 || *report.First != 2 || *report.Last != 3 || proof.Size != 11 || proof.Signed != 0 {
		t.Errorf("got %d entries, %+v", report.Entries, proof)
	}
	empty, _ := read(t, m, Config{From: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)})
	text, err := json.Marshal(empty)
	if err != nil || empty.Entries != 0 || empty.First != nil || bytes.Contains(text, []byte("null")) {
		t.Errorf("an empty period: %s, %v", text, err)
	}
}

// There is no report on a log that is not whole.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(m *memory, c *Config){
		"a gap": func(m *memory, _ *Config) { m.entries = append(m.entries[:4], m.entries[5:]...) },
		"a gap, and nothing to compare with": func(m *memory, c *Config) {
			m.entries, c.Checkpoint = append(m.entries[:4], m.entries[5:]...), audit.Checkpoint{}
		},
		"an entry twice": func(m *memory, _ *Config) { m.entries[4] = m.entries[3] },
		"another leaf":   func(m *memory, _ *Config) { m.entries[4].Leaf = m.entries[3].Leaf },
		"another log":    func(m *memory, c *Config) { c.Checkpoint.Root[0] ^= 1 },
		"a longer log":   func(m *memory, c *Config) { c.Checkpoint.Size++ },
		"a kind of tomorrow": func(m *memory, c *Config) {
			leaf := bytes.Replace(m.entries[0].Leaf, []byte("log.started"), []byte("log.dreamed"), 1)
			m.entries[0].Leaf, m.entries[0].LeafHash = leaf, audit.LeafHash(leaf)
			c.Checkpoint = audit.Checkpoint{}
		},
		"both rewritten": func(m *memory, _ *Config) {
			leaf := bytes.Replace(m.entries[2].Leaf, []byte("segment"), []byte("segmena"), 1)
			m.entries[2].Leaf, m.entries[2].LeafHash = leaf, audit.LeafHash(leaf)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := aDay(t)
			config := Config{Checkpoint: m.checkpoint()}
			damage(m, &config)
			if _, _, err := Read(t.Context(), m, config); !errors.Is(err, privacy.ErrDamaged) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A log of which the beginning is in the archive is counted from where it begins.
func TestReadFromBegin(t *testing.T) {
	t.Parallel()
	m := aDay(t)
	report, proof := read(t, m, Config{Begin: 5, Checkpoint: m.checkpoint()})
	if report.Entries != 6 || *report.First != 5 || proof != (Proof{Begin: 5, Size: 11}) {
		t.Errorf("got %d entries, %+v", report.Entries, proof)
	}
}

// Whatever a log holds, a report has bounded tables and says what it left out.
func TestReadIsBounded(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	for i := range maxRows + 500 {
		m.now = m.now.Add(999 * time.Hour)
		m.add(refusedBy(privacy.Principal{ID: "x", Role: privacy.RoleService, Recipient: privacy.RecipientID(fmt.Sprintf("r%d", i))}, "p", fmt.Sprintf("c%d", i)))
	}
	report, _ := read(t, m, Config{})
	if len(report.Asked) != maxRows || report.More["asked"] != 500 || report.More["reasons"] != 500 || report.More["callers"] != 500 || len(report.Moments) > limits[Year] {
		t.Errorf("%d rows, %d moments, more: %v", len(report.Asked), len(report.Moments), report.More)
	}
	if report.Refused != maxRows+500 || report.Unit != Year {
		t.Errorf("%d refused, by %s", report.Refused, report.Unit)
	}
	var page bytes.Buffer
	if err := report.WriteHTML(&page, Proof{}, wording.English); err != nil || !strings.Contains(page.String(), "500 more did not fit into this table.") {
		t.Errorf("the page does not say what is missing: %v", err)
	}
}

// The parts of the time do not depend on the order of the entries.
func TestSeriesIgnoresOrder(t *testing.T) {
	t.Parallel()
	begin := time.Date(2024, 12, 30, 23, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		step  time.Duration
		n     int
		unit  Unit
		parts int
	}{{time.Hour, 1, Hour, 1}, {time.Hour, 96, Hour, 96}, {time.Hour, 97, Day, 5}, {24 * time.Hour, 400, Day, 400}, {24 * time.Hour, 401, Month, 15}, {24 * 30 * time.Hour, 1000, Year, 84}} {
		var forth, back series
		for i := range c.n {
			forth.add(begin.Add(time.Duration(i)*c.step), i%2 == 0, i%2 == 1)
			back.add(begin.Add(time.Duration(c.n-1-i)*c.step), (c.n-1-i)%2 == 0, (c.n-1-i)%2 == 1)
		}
		if diff := cmp.Diff(forth.moments(), back.moments()); diff != "" || forth.unit != c.unit || len(forth.moments()) != c.parts {
			t.Errorf("%d times %v: unit %s, %d parts, want %s, %d; diff %s", c.n, c.step, forth.unit, len(forth.moments()), c.unit, c.parts, diff)
		}
		var total uint64
		for _, m := range forth.moments() {
			total += m.Answered + m.Refused + m.Other
		}
		if total != uint64(c.n) {
			t.Errorf("%d of %d entries in the parts", total, c.n)
		}
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	report, _ := read(t, aDay(t), Config{})
	for i, table := range report.Tables("") {
		english := report.Tables(wording.English)[i]
		for _, column := range table.Columns {
			if column.Key == "" || column.Title == "" {
				t.Errorf("table %s has a column without a name", table.Name)
			}
		}
		if table.Title == "" || len(table.Rows) != len(english.Rows) {
			t.Errorf("table %s has %d rows in English, %d without words", table.Name, len(english.Rows), len(table.Rows))
		}
		var out bytes.Buffer
		if err := table.WriteCSV(&out); err != nil {
			t.Fatal(err)
		}
		back, err := csv.NewReader(&out).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(table.Rows, back[1:]); diff != "" {
			t.Errorf("table %s as CSV (-want +got):\n%s", table.Name, diff)
		}
	}
	asked := report.Tables(wording.Czech)[0]
	if got := asked.Rows[1]; got[0] != "služba" || got[2] != "publikum" || got[7] != "50.0" {
		t.Errorf("a row in Czech: %q", got)
	}
	if got := report.Tables("")[0].Rows[1]; got[0] != "service" || got[2] != "audience" {
		t.Errorf("a row for programs: %q", got)
	}
}

func TestEveryTextIsThere(t *testing.T) {
	t.Parallel()
	w := newWords(wording.English)
	for name, text := range w.texts {
		for i := range text {
			if strings.TrimSpace(text[i]) == "" {
				t.Errorf("%s has no words in language %d", name, i)
			}
		}
	}
	report, proof := read(t, aDay(t), Config{})
	for _, language := range []wording.Language{wording.English, wording.Turkish, wording.Czech} {
		var page bytes.Buffer
		if err := report.WriteHTML(&page, proof, language); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{`<html lang="` + string(language) + `">`, newWords(language).say("title"), template.HTMLEscapeString(newWords(language).say("limits")), "recommendations", "consent.missing", proof.Root, "<svg"} {
			if !strings.Contains(page.String(), part) {
				t.Errorf("the page in %s does not have %q", language, part)
			}
		}
		// Nothing runs, nothing is loaded, nothing is left unsaid, and only the style may be a style.
		if found := regexp.MustCompile(`<script|https?:|src=|url\(|style="|ZgotmplZ|\{|%!|<(h2|th|dt|p)[^>]*></`).FindString(regexp.MustCompile(`(?s)<style>.*</style>`).ReplaceAllString(page.String(), "")); found != "" {
			t.Errorf("the page in %s has %q", language, found)
		}
		if !strings.Contains(page.String(), "<style>"+styleText+"</style>") {
			t.Error("the style in the page is not the one that its policy allows")
		}
	}
}

// A million entries take no more memory than a thousand.
func TestReadIsFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 400,000 entries")
	}
	m := aDay(t)
	one := m.entries
	repeat := func(n int) *repeated { return &repeated{entries: one, n: uint64(n)} }
	peak := func(s Source) (most uint64) {
		var stats runtime.MemStats
		_, _, err := Read(t.Context(), s, Config{Progress: func(done, _ uint64) {
			if done%(1<<16) == 0 || done < 4096 {
				runtime.GC()
				runtime.ReadMemStats(&stats)
				most = max(most, stats.HeapAlloc)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		return most
	}
	small, large := peak(repeat(4000)), peak(repeat(400_000))
	t.Logf("%d KiB for 4,000 entries, %d KiB for 400,000", small>>10, large>>10)
	if large > small+2<<20 {
		t.Errorf("%d bytes for 4,000 entries, %d for 400,000", small, large)
	}
}

// repeated is a long log of a few entries.
type repeated struct {
	entries []audit.StoredEntry
	n       uint64
	page    []audit.StoredEntry
}

func (r *repeated) Size(context.Context) (uint64, error) { return r.n, nil }

func (r *repeated) Entries(_ context.Context, from uint64, limit int) ([]audit.StoredEntry, error) {
	r.page = r.page[:0]
	for i := from; i < min(from+uint64(limit), r.n); i++ {
		e := r.entries[i%uint64(len(r.entries))]
		e.Index = i
		r.page = append(r.page, e)
	}
	return r.page, nil
}

func BenchmarkRead(b *testing.B) {
	m := aDay(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Read(b.Context(), &repeated{entries: m.entries, n: 10_000}, Config{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(10_000*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
