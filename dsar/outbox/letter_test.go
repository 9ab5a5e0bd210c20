package outbox_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

func newLetter() outbox.Letter {
	return outbox.Letter{
		To: privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("ayse@example.com")}, Language: "tr",
		Subject: "Kod", Text: privacy.NewPlain("12345678\n"), Code: privacy.NewPlain("12345678"),
	}
}

func TestLetter(t *testing.T) {
	t.Parallel()
	payload, err := newLetter().Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := outbox.DecodeLetter(payload)
	if again, _ := read.Encode(); err != nil || !bytes.Equal(again, payload) {
		t.Errorf("read %s, %v", again, err)
	}
	for name, spoil := range map[string]func(*outbox.Letter){
		"to a cookie":     func(l *outbox.Letter) { l.To.Kind = privacy.CookieID },
		"to nobody":       func(l *outbox.Letter) { l.To.Value = privacy.Plain{} },
		"to two lines":    func(l *outbox.Letter) { l.To.Value = privacy.NewPlain("a@example.com\r\nBcc: b@example.com") },
		"too long":        func(l *outbox.Letter) { l.To.Value = privacy.NewPlain(strings.Repeat("a", 321)) },
		"language":        func(l *outbox.Letter) { l.Language = "de" },
		"two-line title":  func(l *outbox.Letter) { l.Subject = "Kod\nBcc: b@example.com" },
		"no title":        func(l *outbox.Letter) { l.Subject = "" },
		"no text":         func(l *outbox.Letter) { l.Text = privacy.Plain{} },
		"text in Latin-1": func(l *outbox.Letter) { l.Text = privacy.NewPlain("\xff") },
	} {
		l := newLetter()
		spoil(&l)
		if _, err := l.Encode(); !errors.Is(err, privacy.ErrInvalid) || strings.Contains(err.Error(), "example.com") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeLetter(f *testing.F) {
	payload, err := newLetter().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add([]byte(`{"to_kind":"email"}`))
	f.Add(append(payload, '{'))
	f.Fuzz(func(t *testing.T, payload []byte) {
		l, err := outbox.DecodeLetter(payload)
		if err != nil {
			if !errors.Is(err, privacy.ErrDamaged) {
				t.Error(err)
			}
			return
		}
		if _, err := l.Encode(); err != nil || strings.ContainsAny(l.Subject+l.To.Value.RevealPersonalData(), "\r\n") {
			t.Errorf("what was read cannot be sent: %v", err)
		}
	})
}
