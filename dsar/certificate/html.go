package certificate

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

//go:embed page.html
var pageFile embed.FS

// Languages are those in which a certificate can be printed.
func Languages() []string { return slices.Sorted(maps.Keys(texts)) }

// WriteHTML writes a page to print and file, in English ("en"), Turkish ("tr") or Czech
// ("cs"). It needs no network and no scripts. It is a reading copy: what proves something
// is the signed file, and the page says so. The error wraps [privacy.ErrInvalid] for
// another language.
func WriteHTML(w io.Writer, c *Certificate, language string) error {
	words, known := texts[language]
	if !known {
		return fmt.Errorf("printing certificate: no such language: %w", privacy.ErrInvalid)
	}
	page := struct {
		*Certificate
		T        map[string]string
		Language string
		Rows     []row
	}{c, words, language, nil}
	for _, kind := range slices.Sorted(maps.Keys(c.Erasure.Destroyed)) {
		name := words["row."+kind]
		if name == "" {
			name = kind
		}
		page.Rows = append(page.Rows, row{name, c.Erasure.Destroyed[kind]})
	}
	if err := pageTemplate.Execute(w, page); err != nil {
		return fmt.Errorf("printing certificate: %w", err)
	}
	return nil
}

type row struct {
	Name  string
	Count int64
}

var pageTemplate = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"at": func(t any) string {
		switch t := t.(type) {
		case time.Time:
			return t.UTC().Format("2006-01-02 15:04:05 UTC")
		case *time.Time:
			if t != nil {
				return t.UTC().Format("2006-01-02 15:04:05 UTC")
			}
		}
		return ""
	},
	"day": func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.UTC().Format(time.DateOnly)
	},
	"status": func(words map[string]string, s Status) string { return words["status."+string(s)] },
}).ParseFS(pageFile, "page.html"))
