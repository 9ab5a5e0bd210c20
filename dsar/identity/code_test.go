package identity

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

func TestNewCode(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	var firsts [10]int
	for range 2000 {
		code, err := newCode(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parsed, err := ParseCode(code); err != nil || parsed.RevealPersonalData() != code {
			t.Fatalf("%q does not read back: %v", code, err)
		}
		seen[code] = true
		firsts[code[0]-'0']++
	}
	if len(seen) < 1990 {
		t.Errorf("of 2000 codes %d differ", len(seen))
	}
	for digit, n := range firsts {
		if n < 100 { // 200 are expected; less than half of that is no accident
			t.Errorf("%d of 2000 codes begin with %d", n, digit)
		}
	}
	if _, err := newCode(strings.NewReader("")); err == nil {
		t.Error("a code was drawn from nothing")
	}
}

func TestParseCode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"12345678": "12345678", "1234 5678": "12345678", "1234-5678": "12345678", "00000000": "00000000",
		"": "", "1234567": "", "123456789": "", "1234567a": "", " 12345678": "", "12345678 ": "", "１２３４５６７８": "", "+2345678": "",
	} {
		code, err := ParseCode(text)
		if code.RevealPersonalData() != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%q: %q, %v", text, code.RevealPersonalData(), err)
		}
	}
}

func FuzzParseCode(f *testing.F) {
	f.Add("1234 5678")
	f.Add("--------")
	f.Fuzz(func(t *testing.T, text string) {
		code, err := ParseCode(text)
		if err == nil && (len(code.RevealPersonalData()) != codeDigits || strings.Trim(code.RevealPersonalData(), "0123456789") != "") {
			t.Errorf("%q became %q", text, code.RevealPersonalData())
		}
	})
}

func TestLettersSayTheSame(t *testing.T) {
	t.Parallel()
	id, err := dsar.NewRequestID(bytes.NewReader(make([]byte, 16)))
	if err != nil {
		t.Fatal(err)
	}
	to := privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("a@example.com")}
	for _, language := range append(dsar.Languages(), "de") {
		letter := letterOf(language, id, to, privacy.NewPlain("12345678"))
		if _, err := letter.Encode(); err != nil {
			t.Fatal(err)
		}
		text := letter.Text.RevealPersonalData()
		if !strings.Contains(text, "1234 5678") || !strings.Contains(text, id.String()) || strings.ContainsAny(text, "{}") {
			t.Errorf("%s: %s", language, text)
		}
		if strings.Contains(letter.Subject, "1234") {
			t.Errorf("%s: the code stands in the subject, which screens show", language)
		}
	}
	if letterOf("de", id, to, privacy.NewPlain("12345678")).Language != "en" {
		t.Error("a language without a letter is not answered in English")
	}
}
