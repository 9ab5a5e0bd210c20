package audit

import (
	"encoding/json"
	"os"
	"testing"
)

// FuzzPeekTag holds the short look at a leaf to the whole one.
func FuzzPeekTag(f *testing.F) {
	content, err := os.ReadFile("testdata/entries.json")
	if err != nil {
		f.Fatal(err)
	}
	var vectors map[string]struct {
		Leaf string `json:"leaf"`
	}
	if err := json.Unmarshal(content, &vectors); err != nil || len(vectors) == 0 {
		f.Fatal("no vectors", err)
	}
	for _, v := range vectors {
		f.Add([]byte(v.Leaf))
	}
	f.Fuzz(func(t *testing.T, leaf []byte) {
		id, tag, ok := peekTag(leaf)
		entry, err := ParseEntry(leaf)
		if err == nil && (!ok || id != entry.ID || tag != entry.Person) {
			t.Errorf("%s: %v %v %t", leaf, id, tag, ok)
		}
	})
}
