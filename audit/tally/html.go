package tally

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/mahrem/mahrem/audit/wording"
)

//go:embed report.html
var pageText string

//go:embed report.css
var styleText string

// page is what the template sees.
type page struct {
	Language  wording.Language
	Style     template.CSS
	StyleHash string
	Say       func(name string, pairs ...string) string
	Summary   [][2]string
	Proof     []string
	Plots     []plot
	Tables    []Table
}

// WriteHTML writes the report as one page that can be kept, printed and sent: its plots
// are drawn in it, it has no scripts, and it asks for nothing.
func (r *Report) WriteHTML(w io.Writer, proof Proof, language wording.Language) error {
	words := newWords(language)
	sum := sha256.Sum256([]byte(styleText))
	p := page{
		Language: language, Style: template.CSS(styleText), StyleHash: "sha256-" + base64.StdEncoding.EncodeToString(sum[:]),
		Say: words.say, Summary: r.Summary(language), Proof: proof.Text(language), Plots: r.plots(words), Tables: r.Tables(language),
	}
	parsed, err := template.New("report").Funcs(template.FuncMap{"number": number}).Parse(pageText)
	if err != nil {
		panic("tally: " + err.Error()) // part of the program
	}
	if err := parsed.Execute(w, p); err != nil {
		return fmt.Errorf("writing report: %w", err)
	}
	return nil
}

// PeriodText says which period the report is about.
func (r *Report) PeriodText(language wording.Language) string {
	w := newWords(language)
	var parts []string
	if !r.From.IsZero() {
		parts = append(parts, w.say("period_from")+" "+r.From.Format(time.DateTime))
	}
	if !r.To.IsZero() {
		parts = append(parts, w.say("period_to")+" "+r.To.Format(time.DateTime))
	}
	if len(parts) == 0 {
		return w.say("period_all")
	}
	return strings.Join(parts, ", ")
}

// Text says what the numbers were counted from.
func (p Proof) Text(language wording.Language) []string {
	w := newWords(language)
	var lines []string
	if p.Root != "" {
		lines = append(lines, w.say("proof_root", "{size}", number(p.Size))+" "+p.Root)
	} else {
		lines = append(lines, w.say("proof_begin", "{begin}", number(p.Begin), "{last}", number(max(p.Size, p.Begin+1)-1)))
	}
	if p.Signed > 0 {
		return append(lines, w.say("proof_signed", "{signed}", number(p.Signed)))
	}
	return append(lines, w.say("proof_unsigned"))
}

// Summary is the head of a report, as names and values.
func (r *Report) Summary(language wording.Language) [][2]string {
	w := newWords(language)
	lines := [][2]string{{w.say("period"), r.PeriodText(language)}, {w.say("entries"), number(r.Entries)}}
	if r.First != nil {
		lines = append(lines, [2]string{w.say("indexes"), number(*r.First) + " – " + number(*r.Last)})
	}
	return append(lines, [2]string{w.say("questions"), number(r.Answered) + " " + w.say("answered") + ", " + number(r.Refused) + " " + w.say("refused")})
}

// MoreText says that n things did not fit into a table.
func MoreText(n uint64, language wording.Language) string {
	return newWords(language).say("more", "{n}", number(n))
}
