package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/mahrem/mahrem/internal/demo"
)

// stage is a demo's audience: bars on stderr, acts on stdout as they happen.
type stage struct {
	screen *screen
	bar    *bar
	title  string
	acts   int
}

// Notice prints to stderr.
func (s *stage) Notice(text string) { s.screen.notef("%s", text) }

// Progress moves the bar, or starts the next one.
func (s *stage) Progress(title string, rows, bytes, total int64) {
	if s.bar == nil || s.title != title {
		s.lower()
		s.bar, s.title = newBytesBar(s.screen.err, title, total), title
	}
	s.bar.describe(fmt.Sprintf("%s, %d rows", title, rows))
	s.bar.set(bytes, 0)
}

// lower takes the bar away.
func (s *stage) lower() {
	if s.bar != nil {
		s.bar.finish()
		s.bar = nil
	}
}

// Act prints one act.
func (s *stage) Act(act demo.Act) {
	s.lower()
	s.acts++
	if s.screen.json {
		return
	}
	w := s.screen.out
	title := fmt.Sprintf("%d. %s", s.acts, act.Title)
	_, _ = fmt.Fprintf(w, "\n%s\n%s\n", title, strings.Repeat("=", displayWidth(title)))
	paragraph(w, act.Text)
	for _, shown := range act.Tables {
		_, _ = fmt.Fprintln(w)
		if shown.Title != "" {
			_, _ = fmt.Fprintf(w, "  %s\n\n", shown.Title)
		}
		t := table{header: shown.Header, rows: shown.Rows}
		t.writeTo(w, "  ")
	}
	if act.After != "" {
		_, _ = fmt.Fprintln(w)
		paragraph(w, act.After)
	}
	if len(act.Claims) > 0 {
		_, _ = fmt.Fprintln(w)
	}
	for _, claim := range act.Claims {
		mark := "ok  "
		if !claim.Holds {
			mark = "NOT "
		}
		_, _ = fmt.Fprintf(w, "  %s %s\n", mark, claim.Text)
	}
}

// paragraph prints text in lines of at most 96 columns; lines that are indented stay as
// they are.
func paragraph(w io.Writer, text string) {
	const width = 96
	for part := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(part, "  ") {
			_, _ = fmt.Fprintln(w, part)
			continue
		}
		line := ""
		for word := range strings.FieldsSeq(part) {
			if line != "" && displayWidth(line)+1+displayWidth(word) > width {
				_, _ = fmt.Fprintln(w, line)
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		_, _ = fmt.Fprintln(w, line)
	}
}
