package export

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// elements are all that a page may have, each with its attributes.
var elements = map[string]string{
	"html": "lang", "head": "", "meta": "charset http-equiv content name", "title": "", "style": "", "body": "", "h1": "", "h2": "",
	"p": "class", "a": "href", "table": "", "thead": "", "tbody": "", "tr": "", "th": "", "td": "",
}

var localLink = regexp.MustCompile(`^(\.\./)?([a-z_.]+/)?[a-z_.]+(-[0-9]{5})?\.html$`)

// checkPage holds a page to what it may be made of and returns its text.
func checkPage(t testing.TB, name, page string) string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(page))
	var text strings.Builder
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return text.String()
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return text.String()
		}
		switch token := token.(type) {
		case xml.StartElement:
			allowed, known := elements[token.Name.Local]
			if !known {
				t.Errorf("%s has <%s>", name, token.Name.Local)
			}
			for _, a := range token.Attr {
				if !strings.Contains(" "+allowed+" ", " "+a.Name.Local+" ") {
					t.Errorf("%s has <%s %s>", name, token.Name.Local, a.Name.Local)
				}
				if a.Name.Local == "href" && !localLink.MatchString(a.Value) {
					t.Errorf("%s leads to %q", name, a.Value)
				}
			}
		case xml.CharData:
			text.Write(token)
		case xml.Comment, xml.ProcInst:
			t.Errorf("%s has %T", name, token)
		}
	}
}

// hostile are values that somebody might type in order to get out of the page.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</td></tr></table><h1>`, `<!--`, `]]>`, `&lt;b&gt;`,
	`javascript:alert(1)`, "a\x00b\x08c", "\u202egnp.exe", "{{.}}", `'+alert(1)+'`, "</title></style>", "<?xml?>",
}

func TestPagesHoldWhateverWasTyped(t *testing.T) {
	t.Parallel()
	for _, language := range Languages() {
		h := newHouse(t)
		p := ayse(h)
		history(h, p)
		var values []privacy.Plain
		for i, value := range hostile {
			values = append(values, privacy.NewPlain(value))
			p.events["purchases"] = append(p.events["purchases"], vault.Event{
				Type: value, At: testTime, Fields: map[privacy.AttributeName]privacy.Plain{privacy.AttributeName(hostile[(i+1)%len(hostile)]): privacy.NewPlain(value)},
			})
		}
		p.records["preferences"] = vault.Record{"preferences.brands": {Values: values, Source: vault.Declared, Quality: vault.Unverified}}
		p.consents[0].NoticeVersion, p.consents[0].Source = hostile[0], hostile[1]
		job, file := h.job(p, dsar.Access)
		job.Language = language
		if _, err := h.Export(t.Context(), dpo, job); err != nil {
			t.Fatal(err)
		}
		files, _ := h.open(file)
		pages := 0
		for name, content := range files {
			if !strings.HasSuffix(name, ".html") {
				continue
			}
			pages++
			text := checkPage(t, name, content)
			if !strings.Contains(content, `<html lang="`+language+`">`) || !strings.Contains(content, "default-src 'none'") {
				t.Errorf("%s is of another language, or open", name)
			}
			if name == IndexName && !strings.Contains(text, `<script>alert(1)</script>`) {
				t.Errorf("%s: what was typed is not there to read", name)
			}
			if strings.ContainsAny(text, "\x00\x08\u202e") {
				t.Errorf("%s has control characters", name)
			}
		}
		if pages != 4 {
			t.Errorf("%d pages", pages)
		}
		parseData(t, files[DataName])
	}
}

func TestLongListsAreSplit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.add(1)
	p.many = 2*pageRows + 1
	for range 2 {
		h.append(audit.Event{Kind: audit.PersonShown, Outcome: audit.Done, Principal: dpo, Subject: p.key.Subject()})
	}
	job, file := h.job(p, dsar.Access)
	if _, err := h.Export(t.Context(), dpo, job); err != nil {
		t.Fatal(err)
	}
	files, verified := h.open(file)
	for n, rows := range []int{pageRows, pageRows, 1} {
		name := fmt.Sprintf("events/purchases-%05d.html", n+1)
		page := files[name]
		checkPage(t, name, page)
		if got := strings.Count(page, "<tr><td>"); got != rows {
			t.Errorf("%s has %d rows", name, got)
		}
		if !strings.Contains(files[IndexName], `href="`+name+`"`) {
			t.Errorf("nothing leads to %s", name)
		}
	}
	if page := files["events/purchases-00002.html"]; !strings.Contains(page, "purchases-00001.html") || !strings.Contains(page, "purchases-00003.html") {
		t.Error("a page in the middle leads nowhere")
	}
	if len(verified.Manifest.Files) != 6 {
		t.Errorf("%d files", len(verified.Manifest.Files))
	}
}
