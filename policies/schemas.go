package policies

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

//go:embed schemas
var schemas embed.FS

// Schemas returns the names of the catalogue's files that have a JSON Schema, which are
// all of them: "attributes", "categories" and so on, sorted.
func Schemas() []string {
	entries, err := fs.ReadDir(schemas, "schemas")
	if err != nil {
		return nil // it is built in
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = strings.TrimSuffix(entry.Name(), ".json")
	}
	return names
}

// Schema returns the JSON Schema (draft 2020-12) of a catalogue file, for editors and for
// those who write a catalogue by program. [LoadCatalogue] refuses all that it refuses, and
// what no schema can say besides. The error wraps [privacy.ErrNotFound].
func Schema(name string) ([]byte, error) {
	text, err := schemas.ReadFile("schemas/" + name + ".json")
	if err != nil || strings.ContainsAny(name, "/\\") {
		return nil, fmt.Errorf("reading schema %s: %w", name, privacy.ErrNotFound)
	}
	return text, nil
}
