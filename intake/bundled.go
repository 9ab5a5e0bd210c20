package intake

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// The mappings that ship with the program. They are for the data set "The Complete
// Journey" (dunnhumby / 84.51°, CC0), a household panel: the person of a row is a
// household. The data itself is not part of the product.
//
//go:embed maps/*.yaml
var bundled embed.FS

// BundledMappings lists the names of the mappings that ship with the program.
func BundledMappings() []string {
	files, err := fs.Glob(bundled, "maps/*.yaml")
	if err != nil {
		panic("intake: " + err.Error()) // the pattern is well formed
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = strings.TrimSuffix(strings.TrimPrefix(file, "maps/"), ".yaml")
	}
	return names
}

// BundledMapping returns a mapping that ships with the program.
func BundledMapping(name string) (*Mapping, error) {
	text, err := bundled.ReadFile("maps/" + name + ".yaml")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, fmt.Errorf("finding mapping: %w", privacy.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("reading mapping: %w", err)
	}
	return ParseMapping(text)
}
