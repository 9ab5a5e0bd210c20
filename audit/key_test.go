package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

func FuzzParseKey(f *testing.F) {
	public := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)).Public().(ed25519.PublicKey)
	text, err := audit.FormatKey("example.com/log", public)
	if err != nil {
		f.Fatal(err)
	}
	if origin, key, err := audit.ParseKey("\n" + text + " \n"); err != nil || origin != "example.com/log" || !key.Equal(public) {
		f.Fatalf("read %q, %v", origin, err)
	}
	for _, seed := range []string{
		text, "", "++", text + "x", text[1:], strings.Replace(text, "+", "+0", 1), strings.Replace(text, "+A", "+B", 1), "a+" + text,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		origin, key, err := audit.ParseKey(text)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		if again, err := audit.FormatKey(origin, key); err != nil || again != strings.TrimSpace(text) {
			t.Errorf("%q was read as %q", text, again)
		}
	})
}
