package letter_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/dsar/letter"
	"github.com/mahrem/mahrem/privacy"
)

var update = flag.Bool("update", false, "write the letters in testdata anew; read them while doing so")

// example is a letter of which every part is filled.
func example(kind letter.Kind, language string, regime clock.Regime, right dsar.Kind) letter.Letter {
	l := letter.Letter{
		Kind: kind, Language: language, Regime: regime, Right: right, Request: dsar.RequestID{0xab, 6: 0x40, 8: 0x80},
		Controller: "Bakkal & Oğulları A.Ş.", Contact: "Çiçek Sokak 5\n34000 İstanbul\nkvkk@example.com",
		Today:    time.Date(2026, time.March, 6, 9, 0, 0, 0, time.UTC),
		Received: time.Date(2026, time.March, 5, 12, 0, 0, 0, time.UTC),
		Due:      time.Date(2026, time.April, 7, 12, 0, 0, 0, time.UTC),
		Reason:   clock.Complexity, Denial: dsar.ClaimNotCovered,
	}
	if right == dsar.Complaint {
		l.Number, l.Category = dsar.ComplaintNumber{Year: 2026, Count: 123}, dsar.UnwantedMarketing
		if kind == letter.Fulfil {
			l.Outcome = dsar.PartlyUpheld
		}
	}
	return l
}

func render(t *testing.T, l letter.Letter) string {
	t.Helper()
	text, err := l.Render()
	if err != nil {
		t.Fatalf("%s %s %s %s: %v", l.Kind, l.Language, l.Regime, l.Right, err)
	}
	return text
}

// TestLetters compares every letter with testdata: one file a kind and language.
func TestLetters(t *testing.T) {
	t.Parallel()
	for _, language := range letter.Languages() {
		for _, kind := range letter.Kinds() {
			var b strings.Builder
			add := func(title string, l letter.Letter) { fmt.Fprintf(&b, "==== %s\n%s\n", title, render(t, l)) }
			for _, regime := range clock.Regimes() {
				l := example(kind, language, regime, dsar.Erasure)
				if kind == letter.Extend && (regime == clock.KVKK || regime == clock.LGPD) {
					continue
				}
				add(string(regime), l)
			}
			switch kind {
			case letter.Acknowledge:
				for _, ground := range clock.Grounds() {
					for _, regime := range []clock.Regime{clock.GDPRCZ, clock.UKEngland, clock.CCPA} {
						l := example(kind, language, regime, dsar.Access)
						if l.Waiting = ground; regime != clock.CCPA {
							l.Due = time.Time{}
						}
						add(string(regime)+", waiting for "+string(ground), l)
					}
				}
				for i, category := range dsar.Categories() {
					l := example(kind, language, clock.Regimes()[i%len(clock.Regimes())], dsar.Complaint)
					l.Category = category
					add("complaint, "+string(category), l)
				}
			case letter.Extend:
				l := example(kind, language, clock.GDPRDE, dsar.Access)
				l.Reason, l.Further = clock.NumberOfRequests, "We need to look through three archives."
				add("number of requests, and more", l)
			case letter.Fulfil:
				for i, right := range dsar.Kinds() {
					l := example(kind, language, clock.GDPRFR, right)
					if i%2 == 0 {
						l.Evidence[0], l.Evidence[31] = 0xab, 0xcd
					}
					add(string(right), l)
				}
				for _, outcome := range dsar.ComplaintOutcomes() {
					l := example(kind, language, clock.UKEngland, dsar.Complaint)
					l.Outcome = outcome
					add("complaint, "+string(outcome), l)
				}
			case letter.Deny:
				for _, reason := range dsar.DenialReasons() {
					l := example(kind, language, clock.GDPRCZ, dsar.Access)
					l.Denial, l.Further = reason, "You can ask us by phone what is meant."
					add(string(reason), l)
				}
			}
			compare(t, fmt.Sprintf("testdata/%s.%s.txt", kind, language), b.String())
		}
	}
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestEveryLetter writes every letter that there can be: it has the reference, an article,
// where to complain, and no hole.
func TestEveryLetter(t *testing.T) {
	t.Parallel()
	complain := map[string]string{
		"gdpr_eu": "edpb.europa.eu", "gdpr_cz": "uoou.gov.cz", "gdpr_de": "datenschutzkonferenz-online.de", "gdpr_fr": "cnil.fr", "kvkk": "kvkk.gov.tr",
		"uk_england": "ico.org.uk", "uk_scotland": "ico.org.uk", "uk_northern_ireland": "ico.org.uk", "ccpa": "cppa.ca.gov", "lgpd": "gov.br/anpd",
	}
	letters := 0
	for _, language := range letter.Languages() {
		for _, regime := range clock.Regimes() {
			for _, right := range dsar.Kinds() {
				for _, kind := range letter.Kinds() {
					for _, reason := range dsar.DenialReasons() {
						l := example(kind, language, regime, right)
						l.Denial, l.Further = reason, "More."
						text, err := l.Render()
						article, denies := reason.Article(string(regime), right)
						law, lawErr := clock.LawOf(regime, clock.Right(right), l.Received)
						if lawErr != nil {
							t.Fatal(lawErr)
						}
						extends, _ := law.Extends()
						if kind == letter.Deny && !denies || kind == letter.Extend && !extends {
							if !errors.Is(err, privacy.ErrInvalid) || text != "" {
								t.Errorf("%s %s %s %s %s was written: %v", kind, language, regime, right, reason, err)
							}
							continue
						}
						if err != nil {
							t.Fatalf("%s %s %s %s %s: %v", kind, language, regime, right, reason, err)
						}
						letters++
						for _, hole := range []string{"<no value>", "{{", "}}", "%!", "()", "\n\n\n", " \n", "Art. "} {
							if strings.Contains(text, hole) {
								t.Fatalf("%s %s %s %s %s has %q:\n%s", kind, language, regime, right, reason, hole, text)
							}
						}
						wants := []string{l.Request.String(), "2026", "Bakkal & Oğulları A.Ş.\nÇiçek Sokak 5\n"}
						if right == dsar.Complaint && (kind == letter.Acknowledge || kind == letter.Fulfil) {
							wants = append(wants, "2026-000123", letter.CategoryTitle(language, dsar.UnwantedMarketing))
						}
						if kind != letter.Acknowledge || right == dsar.Complaint {
							wants = append(wants, complain[string(regime)])
						}
						if kind == letter.Deny && language == "en" && strings.Contains(article, "GDPR") {
							wants = append(wants, article)
						}
						for _, want := range wants {
							if !strings.Contains(text, want) {
								t.Fatalf("%s %s %s %s %s lacks %q:\n%s", kind, language, regime, right, reason, want, text)
							}
						}
					}
				}
			}
		}
	}
	if letters < 3000 {
		t.Errorf("only %d letters", letters)
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind   letter.Kind
		change func(*letter.Letter)
		want   string
	}{
		"no kind":              {"", func(*letter.Letter) {}, "/kind"},
		"no language":          {letter.Deny, func(l *letter.Letter) { l.Language = "de" }, "/language"},
		"no request":           {letter.Deny, func(l *letter.Letter) { l.Request = dsar.RequestID{} }, "/request"},
		"no law":               {letter.Deny, func(l *letter.Letter) { l.Regime = "gdpr" }, "finding the law"},
		"no controller":        {letter.Deny, func(l *letter.Letter) { l.Controller = " " }, "/controller"},
		"two controllers":      {letter.Deny, func(l *letter.Letter) { l.Controller = "A\nB" }, "/controller"},
		"an escape sequence":   {letter.Deny, func(l *letter.Letter) { l.Controller = "A\x1b[2J" }, "/controller"},
		"a turned direction":   {letter.Deny, func(l *letter.Letter) { l.Controller = "A\u202egnp" }, "/controller"},
		"a hidden character":   {letter.Deny, func(l *letter.Letter) { l.Contact = "a\u200b@example.com" }, "/contact"},
		"not UTF-8":            {letter.Deny, func(l *letter.Letter) { l.Contact = "a\xff" }, "/contact"},
		"no contact":           {letter.Deny, func(l *letter.Letter) { l.Contact = "" }, "/contact"},
		"a long contact":       {letter.Deny, func(l *letter.Letter) { l.Contact = strings.Repeat("a\n", 9) }, "/contact"},
		"a long text":          {letter.Deny, func(l *letter.Letter) { l.Further = strings.Repeat("ü", 4001) }, "/further"},
		"a carriage return":    {letter.Deny, func(l *letter.Letter) { l.Further = "a\rb" }, "/further"},
		"denied for nothing":   {letter.Deny, func(l *letter.Letter) { l.Denial = "" }, "/denial"},
		"other, and no more":   {letter.Deny, func(l *letter.Letter) { l.Denial = dsar.OtherReason }, "/further"},
		"complaint, no number": {letter.Acknowledge, func(l *letter.Letter) { l.Right = dsar.Complaint }, "/number"},
		"number of an access": {letter.Acknowledge, func(l *letter.Letter) {
			l.Number, l.Category = dsar.ComplaintNumber{Year: 2026, Count: 1}, dsar.WrongData
		}, "/number"},
		"complaint, no outcome": {letter.Fulfil, func(l *letter.Letter) {
			*l = example(letter.Fulfil, "en", clock.GDPRCZ, dsar.Complaint)
			l.Outcome = ""
		}, "/outcome"},
		"outcome of an access": {letter.Fulfil, func(l *letter.Letter) { l.Outcome = dsar.Upheld }, "/outcome"},
		"complaint that waits": {letter.Acknowledge, func(l *letter.Letter) {
			*l = example(letter.Acknowledge, "en", clock.GDPRCZ, dsar.Complaint)
			l.Waiting = clock.Identity
		}, "/due"},
		"due never":             {letter.Acknowledge, func(l *letter.Letter) { l.Due = time.Time{} }, "/due"},
		"waiting for the rain":  {letter.Acknowledge, func(l *letter.Letter) { l.Waiting = "rain" }, "/waiting"},
		"extended for nothing":  {letter.Extend, func(l *letter.Letter) { l.Reason = "" }, "/reason"},
		"extended to nowhere":   {letter.Extend, func(l *letter.Letter) { l.Due = time.Time{} }, "/reason"},
		"extended in Türkiye":   {letter.Extend, func(l *letter.Letter) { l.Regime = clock.KVKK }, "extension.exists"},
		"too many in Türkiye":   {letter.Deny, func(l *letter.Letter) { l.Regime, l.Denial = clock.KVKK, dsar.TooManyRequests }, "/denial"},
		"an unknown right":      {letter.Fulfil, func(l *letter.Letter) { l.Right = "silence" }, "finding the law"},
		"before there were any": {letter.Fulfil, func(l *letter.Letter) { l.Received = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) }, "rule.in_force"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := example(test.kind, "en", clock.GDPRCZ, dsar.Access)
			test.change(&l)
			text, err := l.Render()
			if !errors.Is(err, privacy.ErrInvalid) || text != "" || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, %v", text, err)
			}
		})
	}
}

// TestHTML: nothing of a letter is markup, whatever stands in it.
func TestHTML(t *testing.T) {
	t.Parallel()
	l := example(letter.Deny, "tr", clock.KVKK, dsar.Erasure)
	l.Controller = `</title><script>alert("1")</script>`
	l.Contact = `<img src=x onerror=alert(1)>`
	l.Further = "{{.Controller}} ' \" & <b>bold</b> javascript:alert(1)"
	var page bytes.Buffer
	if err := letter.HTML(&page, "tr", render(t, l)); err != nil {
		t.Fatal(err)
	}
	got := page.String()
	for _, markup := range []string{"<script", "<img", "<b>", "</title><", "onerror=alert(1)>"} {
		if strings.Contains(got, markup) {
			t.Errorf("the page has %q:\n%s", markup, got)
		}
	}
	for _, want := range []string{`<html lang="tr">`, "default-src &#39;none&#39;", "&lt;script&gt;", "&lt;b&gt;bold", "{{.Controller}}", "www.kvkk.gov.tr"} {
		if !strings.Contains(got, want) && !strings.Contains(got, strings.ReplaceAll(want, "&#39;", "'")) {
			t.Errorf("the page lacks %q:\n%s", want, got)
		}
	}
	if err := letter.HTML(&page, `en"><script>`, "text"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a language that is markup: %v", err)
	}
}

// TestOf: a letter says what the request says, and not what it will.
func TestOf(t *testing.T) {
	t.Parallel()
	digest := [32]byte{1, 31: 2}
	r := dsar.Request{
		ID: dsar.RequestID{1}, Kind: dsar.Access, State: dsar.InProgress, Regime: "gdpr_cz", Language: "cs",
		ReceivedAt: time.Date(2026, time.March, 5, 12, 0, 0, 0, time.UTC), DueAt: time.Date(2026, time.April, 7, 21, 59, 59, 0, time.UTC),
	}
	extended, fulfilled, denied, waiting := r, r, r, r
	extended.State, extended.ExtendedAt = dsar.Extended, r.ReceivedAt.AddDate(0, 0, 3)
	fulfilled.State = dsar.Fulfilled
	denied.State, denied.Denial = dsar.Denied, dsar.NoMatch
	waiting.Pauses = []clock.Pause{{Ground: clock.Fee, From: r.ReceivedAt, Until: r.ReceivedAt}, {Ground: clock.Identity, From: r.ReceivedAt}}
	steps := []dsar.ShownStep{{Detail: dsar.Detail{Extension: "complexity"}}, {Detail: dsar.Detail{Evidence: hex.EncodeToString(digest[:])}}}
	for _, test := range []struct {
		kind letter.Kind
		r    *dsar.Request
		ok   bool
	}{
		{letter.Acknowledge, &r, true},
		{letter.Acknowledge, &waiting, true},
		{letter.Acknowledge, &extended, true},
		{letter.Acknowledge, &denied, false},
		{letter.Acknowledge, &fulfilled, false},
		{letter.Extend, &extended, true},
		{letter.Extend, &r, false},
		{letter.Extend, &denied, false},
		{letter.Fulfil, &fulfilled, true},
		{letter.Fulfil, &r, false},
		{letter.Fulfil, &denied, false},
		{letter.Deny, &denied, true},
		{letter.Deny, &r, false},
		{letter.Deny, &fulfilled, false},
	} {
		l, err := letter.Of(test.kind, test.r, steps)
		if (err == nil) != test.ok || err != nil && !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s of one that is %s: %v", test.kind, test.r.State, err)
			continue
		}
		if err != nil {
			continue
		}
		want := letter.Letter{
			Kind: test.kind, Language: "cs", Regime: clock.GDPRCZ, Right: dsar.Access, Request: r.ID, Received: r.ReceivedAt, Due: r.DueAt,
			Denial: test.r.Denial, Reason: clock.Complexity, Evidence: digest,
		}
		if test.r == &waiting {
			want.Waiting = clock.Identity
		}
		if diff := cmp.Diff(want, l); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.kind, diff)
		}
		l.Controller, l.Contact, l.Today = "Obchod", "info@example.cz", r.ReceivedAt
		if text := render(t, l); !strings.Contains(text, r.ID.String()) {
			t.Errorf("the letter is\n%s", text)
		}
	}
}

func TestParseKind(t *testing.T) {
	t.Parallel()
	for _, kind := range letter.Kinds() {
		if got, err := letter.ParseKind(string(kind)); err != nil || got != kind {
			t.Errorf("%s: %s, %v", kind, got, err)
		}
	}
	if _, err := letter.ParseKind("threaten"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a threat: %v", err)
	}
}

func ExampleLetter_Render() {
	text, err := letter.Letter{
		Kind: letter.Deny, Language: "en", Regime: clock.GDPRCZ, Right: dsar.Erasure, Request: dsar.RequestID{0x6f, 6: 0x40, 8: 0x80},
		Controller: "Shop s.r.o.", Contact: "privacy@example.cz",
		Today:    time.Date(2026, time.March, 9, 9, 0, 0, 0, time.UTC),
		Received: time.Date(2026, time.March, 5, 9, 0, 0, 0, time.UTC), Denial: dsar.ClaimNotCovered,
	}.Render()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(text)
	// Output:
	// Shop s.r.o.
	// privacy@example.cz
	//
	// 9 March 2026
	//
	// Reference: 6f000000-0000-4000-8000-000000000000
	// Subject: erasure of personal data
	// Law: GDPR in Czechia
	//
	// Dear Sir or Madam,
	//
	// We received your request on 5 March 2026 and do not grant it, because the law does not grant the request, or makes an exception (GDPR Article 17(3)).
	//
	// You may lodge a complaint with the Office for Personal Data Protection (Úřad pro ochranu osobních údajů, Pplk. Sochora 27, 170 00 Praha 7, www.uoou.gov.cz; GDPR Article 77), and go to court (GDPR Article 79).
	//
	// Yours faithfully,
	// Shop s.r.o.
}

func ExampleHTML() {
	var page strings.Builder
	if err := letter.HTML(&page, "en", "Shop <b>s.r.o.</b>\n\nDear Sir or Madam,"); err != nil {
		fmt.Println(err)
		return
	}
	_, body, _ := strings.Cut(page.String(), "<body>\n")
	fmt.Print(body)
	// Output:
	// <p>Shop &lt;b&gt;s.r.o.&lt;/b&gt;</p>
	// <p>Dear Sir or Madam,</p>
	// </body>
	// </html>
}

func ExampleOf() {
	r := dsar.Request{ID: dsar.RequestID{1}, Kind: dsar.Erasure, State: dsar.InProgress, Regime: "kvkk", Language: "tr"}
	_, err := letter.Of(letter.Deny, &r, nil)
	fmt.Println(err)
	// Output:
	// writing letter: /request: has not been denied
}
