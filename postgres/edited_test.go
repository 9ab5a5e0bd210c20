package postgres

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mahrem/mahrem/policies"
)

// mustEdited is the bundle of the program with the first occurrence of a text in one of
// its files replaced.
func mustEdited(t *testing.T, file, from, to string) *policies.Content {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(policies.Bundle(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(policies.Bundle(), name)
		files[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	before := string(files[file].Data)
	after := strings.Replace(before, from, to, 1)
	if after == before {
		t.Fatalf("%s does not say %s", file, from)
	}
	files[file].Data = []byte(after)
	content, err := policies.ReadBundle(files)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
