package page

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
)

// Whatever a house signs holds, for trees of every shape.
func TestGoodFilesAreAccepted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 300, "one")
	var questions []question
	for _, size := range []int{1, 2, 3, 4, 5, 7, 8, 64, 65, 255, 256, 257, 300} {
		note := h.checkpoint(size, 2)
		questions = append(questions, question{[][]byte{note}, h.vkey, h.policy("2")})
		for index := 0; index < size; index += 1 + size/9 {
			questions = append(questions, question{[][]byte{h.proof(index, size, note)}, h.vkey, h.policy("any")})
		}
		questions = append(questions, question{[][]byte{h.proof(size-1, size, note)}, h.vkey, ""})
		for old := 1; old <= size; old += 1 + size/9 {
			files := [][]byte{h.growth(old, size, note), h.checkpoint(old, 0)}
			questions = append(questions, question{files, "\n " + h.vkey + "\n", ""})
		}
	}
	tab := open(t)
	for i, v := range ask(t, tab, questions) {
		if !v.Good {
			t.Errorf("refused with %q: %s", v.Codes, questions[i].Files[0])
		}
	}
	t.Logf("%d sets of good files", len(questions))
	isQuiet(t, tab)
}

// changes returns a text with each of its bytes changed in several ways (the next letter is
// one that base64 without care takes for the same), taken out, and doubled, and cut off there.
func changes(text []byte) [][]byte {
	var all [][]byte
	for i, b := range text {
		for _, other := range []byte{b + 1, b ^ 1, b ^ 0x20, b ^ 0x80, 'A', '\n'} {
			if other != b {
				changed := bytes.Clone(text)
				changed[i] = other
				all = append(all, changed)
			}
		}
		all = append(all, append(bytes.Clone(text[:i]), text[i+1:]...), append(bytes.Clone(text[:i+1]), text[i:]...), bytes.Clone(text[:i]))
	}
	return all
}

// No byte of a proof, a checkpoint or a proof of growth may be changed.
func TestEveryChangedByteIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 40, "one")
	latest := h.checkpoint(37, 2)
	old := h.checkpoint(20, 2)
	var questions []question
	var originals [][]byte
	add := func(original []byte, beside ...[]byte) {
		for i, changed := range changes(original) {
			if bytes.Equal(changed, original) {
				continue // one of two equal neighbours doubled
			}
			if testing.Short() && i%5 != 0 {
				continue // still each byte in one way or another
			}
			questions = append(questions, question{append([][]byte{changed}, beside...), h.vkey, h.policy("all")})
			originals = append(originals, original)
		}
	}
	add(h.proof(11, 37, latest))
	add(latest)
	add(h.growth(20, 37, latest), old)
	tab := open(t)
	accepted := 0
	for i, v := range ask(t, tab, questions) {
		if v.Codes[0] == "" {
			if accepted++; accepted < 10 {
				t.Errorf("accepted:\n%s\nof\n%s", questions[i].Files[0], originals[i])
			}
		}
		if v.Codes[0] == "failed" {
			t.Errorf("the page broke over %q", questions[i].Files[0])
		}
	}
	t.Logf("%d changed files, %d accepted", len(questions), accepted)
	isQuiet(t, tab)
}

// What is wrong is said by its name.
func TestRefusalsHaveNames(t *testing.T) {
	t.Parallel()
	h, other := newHouse(t, 40, "one"), newHouse(t, 40, "another")
	note, old := h.checkpoint(37, 1), h.checkpoint(20, 0)
	proof := h.proof(11, 37, note)
	replace := func(text []byte, from, to string) []byte {
		if !bytes.Contains(text, []byte(from)) {
			t.Fatalf("%q is not in the text", from)
		}
		return bytes.Replace(text, []byte(from), []byte(to), 1)
	}
	foreign, err := audit.FormatKey("elsewhere.example/audit", seed("log").Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	bare := h.checkpoint(37, 0)
	tests := []struct {
		name, want   string
		files        [][]byte
		keys, policy string
	}{
		{"no key", "no_key", [][]byte{note}, " \n", ""},
		{"a key that is none", "key", [][]byte{note}, "shop.example/audit+00000000+AAAA", ""},
		{"a key with another hash", "key", [][]byte{note}, strings.Replace(h.vkey, "+", "+0", 1), ""},
		{"a key of a witness as that of a log", "key", [][]byte{note}, strings.Fields(h.policy("any"))[8], ""},
		{"another key", "unknown_key", [][]byte{note}, foreign, ""},
		{"a policy that cannot be read", "policy", [][]byte{note}, h.vkey, "quorum somebody"},
		{"too few witnesses", "quorum", [][]byte{note}, h.vkey, h.policy("all")},
		{"a witness of another tree", "cosignature", [][]byte{append(bytes.Clone(bare), h.cosign(0, h.checkpoint(36, 0), 9)...)}, h.vkey, h.policy("any")},
		{"a witness without a time", "cosignature", [][]byte{append(bytes.Clone(bare), h.cosign(0, bare, 0)...)}, h.vkey, h.policy("any")},
		{"another size", "signature", [][]byte{replace(note, "\n37\n", "\n38\n")}, h.vkey, ""},
		{"an entry of another log", "inclusion", [][]byte{other.proof(11, 37, note)}, h.vkey, ""},
		{"an entry at another place", "inclusion", [][]byte{replace(proof, "index 11", "index 12")}, h.vkey, ""},
		{"the last entry at a place with as long a path", "inclusion", [][]byte{replace(h.proof(4, 5, h.checkpoint(5, 0)), "index 4", "index 1")}, h.vkey, ""},
		{"an entry behind the end", "index_beyond", [][]byte{replace(proof, "index 11", "index 37")}, h.vkey, ""},
		{"an index with a zero before it", "proof", [][]byte{replace(proof, "index 11", "index 011")}, h.vkey, ""},
		{"no entry", "no_entry", [][]byte{replace(proof, "\nextra ", "\nother ")}, h.vkey, ""},
		{"no checkpoint", "proof", [][]byte{proof[:bytes.Index(proof, []byte("\n\n"))]}, h.vkey, ""},
		{"neither this nor that", "note", [][]byte{[]byte("nothing")}, h.vkey, ""},
		{"a version to come", "proof", [][]byte{replace(proof, "@v1", "@v2")}, h.vkey, ""},
		{"a checkpoint with a line more", "checkpoint", [][]byte{h.sign(origin + "\n1\n" + strings.Repeat("A", 43) + "=\nmore\n")}, h.vkey, ""},
		{"a checkpoint of another origin", "origin", [][]byte{h.sign("elsewhere.example/audit\n1\n" + strings.Repeat("A", 43) + "=\n")}, h.vkey, ""},
		{"no text", "not_text", [][]byte{{0xff, 0xfe}}, h.vkey, ""},
		{"too long", "too_long", [][]byte{make([]byte, 1<<20+1)}, h.vkey, ""},
		{"growth without its beginning", "no_old", [][]byte{h.growth(20, 37, note)}, h.vkey, ""},
		{"growth from another history", "growth", [][]byte{h.growth(20, 37, note), other.checkpoint(20, 0)}, h.vkey, ""},
		{"growth by another path", "growth", [][]byte{other.growth(20, 37, note), old}, h.vkey, ""},
		{"growth backwards", "old_size", [][]byte{append([]byte("old 20\n\n"), h.checkpoint(15, 0)...), old}, h.vkey, ""},
		{"growth of nothing into a fork", "fork", [][]byte{append([]byte("old 20\n\n"), other.checkpoint(20, 0)...), old}, h.vkey, ""},
		{"two histories", "fork", [][]byte{note, other.checkpoint(37, 0)}, h.vkey, ""},
		{"a proof from another history", "fork", [][]byte{other.proof(3, 37, other.checkpoint(37, 0)), note}, h.vkey, ""},
	}
	questions := make([]question, len(tests))
	for i, test := range tests {
		questions[i] = question{test.files, test.keys, test.policy}
	}
	tab := open(t)
	for i, v := range ask(t, tab, questions) {
		if v.Good || v.Codes[0] != tests[i].want {
			t.Errorf("%s: good %t, %q, want %s", tests[i].name, v.Good, v.Codes, tests[i].want)
		}
	}
	isQuiet(t, tab)
}

// The page and package audit agree on what an entry is: of each vector and of every one
// of its bytes changed in several ways.
func TestEntriesAreReadAsInGo(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../testdata/entries.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors map[string]struct{ Leaf string }
	if err := json.Unmarshal(content, &vectors); err != nil {
		t.Fatal(err)
	}
	var leaves [][]byte
	for _, vector := range vectors {
		leaf := []byte(vector.Leaf)
		leaves = append(leaves, leaf)
		leaves = append(leaves, changes(leaf)...)
		for _, word := range []string{`"v":1`, `"t":1795325000123`, `"allow"`, `"service"`, `"query.answered"`, `,"ch":"web"`, `"window.open"`, `"n":"11-100"`} {
			for _, other := range []string{
				`"v":2`, `"t":-5`, `"t":-0`, `"t":007`, `"t":9223372036854775807`, `"t":9223372036854775808`, `"t":-9223372036854775808`, `"t":1e3`,
				`"deny"`, `""`, `"dpo"`, `"root"`, `"token.minted"`, `"toString"`, `,"ch":"a b"`, `,"ch":"` + strings.Repeat("x", 128) + `"`,
				`,"ch":"` + strings.Repeat("x", 129) + `"`, `"window.open","window.open"`, `"a","b"`, `"z","inference.health"`, `"n":"11-101"`, `"n":"1"`, ``, `,"x":1`,
			} {
				leaves = append(leaves, []byte(strings.Replace(vector.Leaf, word, other, 1)))
			}
		}
		// A list as long as one may be, and longer by one.
		for _, n := range []int{64, 65, 128, 129} {
			words := make([]string, n)
			for i := range words {
				words[i] = fmt.Sprintf("w%03d", i)
			}
			list := `["` + strings.Join(words, `","`) + `"]`
			leaves = append(leaves, []byte(strings.Replace(vector.Leaf, `["inference.health","window.open"]`, list, 1)),
				[]byte(strings.Replace(vector.Leaf, `["first_name","purchases.product_groups"]`, list, 1)))
		}
	}
	tab := open(t)
	good := 0
	for part := range chunks(leaves, 2000) {
		encoded, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		var read []string
		tab.Eval(t, `(`+string(encoded)+`).map((s) => {
			try {
				return readEntry(Uint8Array.from(atob(s), (c) => c.charCodeAt(0))).map((f) => f[0]).join(" ");
			} catch (e) {
				return e instanceof Refusal ? "" : "broken: " + e;
			}
		})`, &read)
		for i, fields := range read {
			_, err := audit.ParseEntry(part[i])
			if (err == nil) != (fields != "") || strings.HasPrefix(fields, "broken") {
				t.Errorf("page: %q, Go: %v, of\n%s", fields, err, part[i])
			}
			if err == nil {
				good++
			}
		}
	}
	t.Logf("%d leaves, %d of them good", len(leaves), good)
	if good < 100 {
		t.Errorf("only %d good leaves", good)
	}
}
