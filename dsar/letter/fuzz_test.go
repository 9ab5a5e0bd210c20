package letter_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/dsar/letter"
	"github.com/mahrem/mahrem/privacy"
)

// FuzzLetter types anything into a letter: it is refused, or stands in the text as it was
// typed and in the page as text.
func FuzzLetter(f *testing.F) {
	f.Add("Shop", "privacy@example.com", "")
	f.Add("<script>alert(1)</script>", "a\nb", "{{.Request}}")
	f.Add("A\x1b[2J", "\u202e", "\r\n\r\n")
	f.Add("'\"><svg/onload=x>", "-->", "]]>&lt;")
	f.Fuzz(func(t *testing.T, controller, contact, further string) {
		l := example(letter.Deny, "en", clock.GDPRCZ, dsar.Erasure)
		l.Controller, l.Contact, l.Further = controller, contact, further
		text, err := l.Render()
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) || text != "" {
				t.Fatalf("refused with %v and %q", err, text)
			}
			return
		}
		if strings.ContainsAny(text, "\x00\x1b\r\u202e\u200b") || !strings.Contains(text, controller) {
			t.Fatalf("the letter is %q", text)
		}
		var page bytes.Buffer
		if err := letter.HTML(&page, "en", text); err != nil {
			t.Fatal(err)
		}
		// Whatever was typed, the page has the tags of an empty one: as many paragraphs more
		// as there are empty lines, and nothing else.
		tags := strings.Count(page.String(), "<") - 2*strings.Count(page.String(), "<p>")
		if tags != 14 {
			t.Fatalf("%d tags in\n%s", tags, page.String())
		}
	})
}
