package export

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"strings"
	"time"
	"unicode"
)

// pageRows is how many rows a page has: more than a browser shows at once, and less than
// makes it slow.
const pageRows = 1000

// pageWriter writes one HTML page. Everything but the words of this package goes through
// text, so nothing that somebody typed can become markup. The result is well-formed XML as
// well. There is no script, no picture and no address of another site, and the page itself
// forbids all three.
type pageWriter struct {
	w        *bufio.Writer
	language string
}

func newPage(w io.Writer, language, title, root string) *pageWriter {
	p := &pageWriter{bufio.NewWriterSize(w, 32<<10), language}
	p.raw(`<!DOCTYPE html>` + "\n" + `<html lang="` + language + `"><head><meta charset="utf-8"/>` +
		`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>` +
		`<meta name="referrer" content="no-referrer"/><meta name="viewport" content="width=device-width, initial-scale=1"/><title>`)
	p.text(title)
	p.raw(`</title><style>` + style + `</style></head><body>` + "\n<h1>")
	p.text(title)
	p.raw("</h1>\n")
	if root != "" {
		p.raw(`<p>`)
		p.link(root+IndexName, p.say("back"))
		p.raw("</p>\n")
	}
	return p
}

const style = `body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1b1b1b;background:#fff}` +
	`h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}table{border-collapse:collapse;width:100%;font-size:.9rem}` +
	`th,td{text-align:left;vertical-align:top;border-bottom:1px solid #ddd;padding:.3rem .6rem .3rem 0;overflow-wrap:anywhere}` +
	`th{border-bottom:2px solid #888}p.note{color:#555}@media print{body{margin:0;max-width:none}}`

func (p *pageWriter) raw(markup string) { _, _ = p.w.WriteString(markup) } // bufio keeps the error

// text writes what is no markup. Control characters, which could not stand in XML and say
// nothing to a reader, become a replacement sign.
func (p *pageWriter) text(s string) {
	if strings.IndexFunc(s, isControl) >= 0 {
		s = strings.Map(func(r rune) rune {
			if isControl(r) {
				return unicode.ReplacementChar
			}
			return r
		}, s)
	}
	p.raw(html.EscapeString(s))
}

// isControl reports what must not reach a page: controls, marks that turn the direction of
// the text around, and what XML forbids.
func isControl(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfffe, r == 0xffff, r == 0x2028, r == 0x2029:
		return true
	}
	return false
}

func (p *pageWriter) say(key string) string { return say(p.language, key, key) }

func (p *pageWriter) heading(key string) {
	p.raw("<h2>")
	p.text(p.say(key))
	p.raw("</h2>\n")
}

func (p *pageWriter) note(key string) {
	p.raw(`<p class="note">`)
	p.text(p.say(key))
	p.raw("</p>\n")
}

// link writes a link to a file of the export. The address is one of ours, never data.
func (p *pageWriter) link(to, text string) {
	p.raw(`<a href="` + html.EscapeString(to) + `">`)
	p.text(text)
	p.raw("</a> ")
}

// table writes the head of a table; end ends it.
func (p *pageWriter) table(keys ...string) {
	p.raw("<table><thead><tr>")
	for _, key := range keys {
		p.raw("<th>")
		p.text(p.say(key))
		p.raw("</th>")
	}
	p.raw("</tr></thead><tbody>\n")
}

func (p *pageWriter) row(cells ...string) {
	p.raw("<tr>")
	for _, cell := range cells {
		p.raw("<td>")
		p.text(cell)
		p.raw("</td>")
	}
	p.raw("</tr>\n")
}

func (p *pageWriter) end() { p.raw("</tbody></table>\n") }

// close ends the page.
func (p *pageWriter) close() error {
	p.raw("</body></html>\n")
	if err := p.w.Flush(); err != nil {
		return fmt.Errorf("writing page of export: %w", err)
	}
	return nil
}

func (p *pageWriter) yesNo(yes bool) string {
	if yes {
		return p.say("yes")
	}
	return p.say("no")
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05") + " UTC"
}

// pager spreads rows over pages of one folder.
type pager struct {
	bundle   *bundle
	language string
	title    string
	prefix   string
	columns  []string
	total    int64

	rows int64
	page *pageWriter
}

// pages is how many there will be.
func (p *pager) pages() int64 { return (p.total + pageRows - 1) / pageRows }

func (p *pager) name(n int64) string { return fmt.Sprintf("%s-%05d.html", p.prefix, n) }

// row writes one row, on a new page where the last one is full.
func (p *pager) row(cells ...string) error {
	if p.rows%pageRows == 0 {
		if err := p.turn(); err != nil {
			return err
		}
	}
	p.page.row(cells...)
	p.rows++
	return nil
}

func (p *pager) turn() error {
	if err := p.close(); err != nil {
		return err
	}
	n := p.rows/pageRows + 1
	w, err := p.bundle.create(p.name(n))
	if err != nil {
		return err
	}
	p.page = newPage(w, p.language, fmt.Sprintf("%s (%s %d/%d)", p.title, say(p.language, "page", ""), n, max(n, p.pages())), "../")
	p.page.raw("<p>")
	if n > 1 {
		p.page.link("../"+p.name(n-1), p.page.say("previous"))
	}
	if n < p.pages() {
		p.page.link("../"+p.name(n+1), p.page.say("next"))
	}
	p.page.raw("</p>\n")
	p.page.table(p.columns...)
	return nil
}

// close ends the last page.
func (p *pager) close() error {
	if p.page == nil {
		return nil
	}
	page := p.page
	p.page = nil
	page.end()
	return page.close()
}
