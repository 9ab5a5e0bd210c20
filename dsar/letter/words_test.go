package letter

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// TestWordsAreComplete: a word that is missing in one language is found when the words are
// read, and not when a letter is.
func TestWordsAreComplete(t *testing.T) {
	t.Parallel()
	if _, err := embedded(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ file, from, to, want string }{
		"a right":          {"cs.yaml", "  access: přístup", "  acces: přístup", "rights: access is missing"},
		"a right too many": {"cs.yaml", "rights:\n", "rights:\n  silence: ticho\n", "does not exist"},
		"a reason":         {"tr.yaml", "  no_match: ", "  no_matches: ", "reasons: no_match is missing"},
		"an authority":     {"en.yaml", "  kvkk: ", "  kvk: ", "complaints: kvkk is missing"},
		"a month":          {"en.yaml", "[January, ", "[", "months"},
		"a key":            {"en.yaml", "months:", "moons:", "field moons not found"},
		"a letter":         {"tr.txt", `{{define "deny"}}`, `{{define "denies"}}`, "no letter to deny"},
		"a brace":          {"tr.txt", "{{.Request}}", "{{.Request}", "tr.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := fstest.MapFS{}
			for _, language := range Languages() {
				for _, ext := range []string{".yaml", ".txt"} {
					content, err := fs.ReadFile(files, "data/"+language+ext)
					if err != nil {
						t.Fatal(err)
					}
					all[language+ext] = &fstest.MapFile{Data: content}
				}
			}
			content := string(all[test.file].Data)
			if !strings.Contains(content, test.from) {
				t.Fatalf("%s lacks %q", test.file, test.from)
			}
			all[test.file] = &fstest.MapFile{Data: []byte(strings.Replace(content, test.from, test.to, 1))}
			language, _, _ := strings.Cut(test.file, ".")
			if _, err := load(all, language); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
