package letter

import (
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// page is a letter to print. It needs no network, no scripts and no fonts, and tells a
// browser that it has none.
var page = template.Must(template.New("letter").Parse(`<!doctype html>
<html lang="{{.Language}}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>{{.Title}}</title>
<style>
body { font: 12pt/1.5 serif; max-width: 42em; margin: 3em auto; padding: 0 1em; }
p { white-space: pre-line; overflow-wrap: anywhere; }
@page { margin: 2.5cm; }
</style>
</head>
<body>
{{range .Paragraphs}}<p>{{.}}</p>
{{end}}</body>
</html>
`))

// HTML writes a letter that [Letter.Render] made as a page to print. Nothing of the text
// is markup, whatever stands in it.
func HTML(w io.Writer, language, text string) error {
	if language != "en" && language != "tr" && language != "cs" {
		return fmt.Errorf("printing letter: no such language: %w", privacy.ErrInvalid)
	}
	paragraphs := strings.Split(strings.TrimSpace(text), "\n\n")
	title, _, _ := strings.Cut(paragraphs[0], "\n")
	if err := page.Execute(w, struct {
		Language, Title string
		Paragraphs      []string
	}{language, title, paragraphs}); err != nil {
		return fmt.Errorf("printing letter: %w", err)
	}
	return nil
}
