package anchor_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/anchor"
	"github.com/mahrem/mahrem/privacy"
	"golang.org/x/mod/sumdb/note"
)

const origin = "example.com/log"

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune(seed)), 32)))
}

func signed(t testing.TB, seed byte, size uint64, root byte) []byte {
	t.Helper()
	private := key(seed)
	signer, err := audit.NewSigner(origin, private.Public().(ed25519.PublicKey), func(m []byte) ([]byte, error) { return ed25519.Sign(private, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	text, err := audit.SignCheckpoint(audit.Checkpoint{Origin: origin, Size: size, Root: [32]byte{root}}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func verifier(t testing.TB) note.Verifier { return verifierOf(t, 'k') }

func verifierOf(t testing.TB, seed byte) note.Verifier {
	t.Helper()
	v, err := audit.NewVerifier(origin, key(seed).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func at(t testing.TB, size uint64, root byte) anchor.Anchor {
	return anchor.Anchor{At: time.UnixMilli(1795325000123).UTC(), Note: signed(t, 'k', size, root)}
}

// TestKnownAnswer is the line of docs/spec/anchor.md.
func TestKnownAnswer(t *testing.T) {
	t.Parallel()
	line, err := at(t, 7, 9).Line()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/spec/anchor.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), string(line)) {
		t.Errorf("docs/spec/anchor.md lacks\n%s", line)
	}
	again, err := anchor.Parse(line)
	if err != nil || !again.At.Equal(at(t, 7, 9).At) || string(again.Note) != string(at(t, 7, 9).Note) {
		t.Errorf("read back as %v: %v", again, err)
	}
}

// TestEveryChangedByteIsRefused: a line that is not what was written does not read, or is
// not signed; only its time, which proves nothing, may be another.
func TestEveryChangedByteIsRefused(t *testing.T) {
	t.Parallel()
	line, err := at(t, 7, 9).Line()
	if err != nil {
		t.Fatal(err)
	}
	time := strings.Index(string(line), "1795325000123")
	for i := range line {
		if time <= i && i < time+13 {
			continue
		}
		changed := append([]byte(nil), line...)
		changed[i] ^= 1
		a, err := anchor.Parse(changed)
		if err == nil {
			_, err = anchor.Open([]anchor.Anchor{a}, verifier(t))
		}
		if err == nil {
			t.Errorf("byte %d of %q changed, and it opens", i, line)
		}
	}
}

func TestReadNamesTheLine(t *testing.T) {
	t.Parallel()
	line, err := at(t, 7, 9).Line()
	if err != nil {
		t.Fatal(err)
	}
	file := string(line) + string(line)
	for _, test := range []struct {
		name, text string
		want       int
		wrong      string
	}{
		{"empty", "", 0, ""},
		{"two", file, 2, ""},
		{"an unfinished line", file + string(line[:40]), 2, ""},
		{"an empty line", file + "\n", 0, "line 3"},
		{"white space", " " + file, 0, "line 1"},
		{"another field", string(line) + strings.Replace(string(line), `"v":1,`, `"v":1,"w":2,`, 1), 0, "line 2"},
		{"another version", strings.Replace(file, `"v":1`, `"v":2`, 1), 0, "line 1"},
		{"too long", `{"v":1,"t":1,"note":"` + strings.Repeat("x", anchor.MaxLine) + "\"}\n", 0, "line 1"},
	} {
		anchors, err := anchor.Read(strings.NewReader(test.text))
		if len(anchors) != test.want || (err == nil) != (test.wrong == "") || err != nil && (!strings.Contains(err.Error(), test.wrong) || !errors.Is(err, privacy.ErrDamaged)) {
			t.Errorf("%s: %d anchors, %v", test.name, len(anchors), err)
		}
	}
}

// TestOpenRefuses: an unknown key, an old checkpoint replayed, a forked one.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		anchors []anchor.Anchor
		wrong   string
	}{
		{"growing", []anchor.Anchor{at(t, 7, 9), at(t, 7, 9), at(t, 8, 1)}, ""},
		{"unknown key", []anchor.Anchor{at(t, 7, 9), {Note: signed(t, 'x', 8, 1)}}, "anchor 2"},
		{"replayed", []anchor.Anchor{at(t, 8, 9), at(t, 7, 9)}, "anchor 2: of 7 entries, after one of 8"},
		{"forked", []anchor.Anchor{at(t, 7, 9), at(t, 7, 8)}, "anchor 2: another history"},
	} {
		_, err := anchor.Open(test.anchors, verifier(t))
		if (err == nil) != (test.wrong == "") || err != nil && (!strings.Contains(err.Error(), test.wrong) || !errors.Is(err, privacy.ErrDamaged)) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	changed := []anchor.Anchor{{Note: signed(t, 'x', 6, 1)}, at(t, 7, 9)}
	if c, err := anchor.Open(changed, verifier(t), verifierOf(t, 'x')); err != nil || len(c) != 2 || c[0].Size != 6 {
		t.Errorf("by a former key, then by the one after it: %v, %v", c, err)
	}
	if _, err := anchor.Open(changed); err == nil {
		t.Error("without a key anchors open")
	}
}

// TestPrintHasTheWholeNote: what is typed from the page verifies, in each language.
func TestPrintHasTheWholeNote(t *testing.T) {
	t.Parallel()
	a := at(t, 7, 9)
	c, err := audit.OpenCheckpoint(a.Note, verifier(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range anchor.Languages() {
		page, err := a.Print(language, c)
		if err != nil || !strings.HasSuffix(page, "\n\n"+string(a.Note)) || !strings.Contains(page, "0900 0000") {
			t.Errorf("%s: %v\n%s", language, err, page)
		}
	}
	if _, err := a.Print("de", c); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a language that is not there: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	line, err := at(f, 7, 9).Line()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := anchor.Parse(text)
		if err != nil {
			return
		}
		if again, err := a.Line(); err != nil || string(again) != string(text) {
			t.Errorf("%q is written as %q: %v", text, again, err)
		}
	})
}

func ExampleRead() {
	anchors, err := anchor.Read(strings.NewReader(`{"v":1,"t":1795325000123,"note":"x"}` + "\n"))
	fmt.Println(len(anchors), anchors[0].At, err)
	// Output: 1 2026-11-22 05:23:20.123 +0000 UTC <nil>
}
