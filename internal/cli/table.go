package cli

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// table is text in columns: a header, rows, two spaces between. A cell may have several
// lines.
type table struct {
	header []string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// columnGap separates columns.
const columnGap = "  "

// writeTo prints the table indented. Trailing spaces are not printed, so that a
// transcript compares byte for byte.
func (t *table) writeTo(w io.Writer, indent string) {
	var b strings.Builder
	widths := t.widths()
	line := func(cells []string) {
		height := 1
		split := make([][]string, len(widths))
		for i := range widths {
			if i < len(cells) {
				split[i] = strings.Split(cells[i], "\n")
				height = max(height, len(split[i]))
			}
		}
		for h := range height {
			text := indent
			for i, width := range widths {
				cell := ""
				if h < len(split[i]) {
					cell = printable(split[i][h])
				}
				text += cell + strings.Repeat(" ", width-displayWidth(cell)) + columnGap
			}
			b.WriteString(strings.TrimRight(text, " ") + "\n")
		}
	}
	if len(t.header) > 0 {
		line(t.header)
		rule := make([]string, len(widths))
		for i, width := range widths {
			rule[i] = strings.Repeat("-", width)
		}
		line(rule)
	}
	for _, row := range t.rows {
		line(row)
	}
	_, _ = io.WriteString(w, b.String())
}

func (t *table) widths() []int {
	var widths []int
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			for part := range strings.SplitSeq(cell, "\n") {
				widths[i] = max(widths[i], displayWidth(printable(part)))
			}
		}
	}
	return widths
}

// displayWidth is how many columns a terminal takes for s: combining marks take none,
// East Asian wide forms take two.
func displayWidth(s string) int {
	width := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case r >= 0x1100 && unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana), r >= 0x1f300 && r <= 0x1faff:
			width += 2
		default:
			width++
		}
	}
	return width
}

// printable replaces what could drive a terminal: values in tables may come from
// people who typed them into a form.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
