package assembly

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/mahrem/mahrem/policies"
)

// Bundle is the policy bundle at a place: a directory, or a file that holds one; the one
// in the binary when place is empty. Nothing but its form is checked: it is for those who
// write and try rules, not for answering queries.
func Bundle(place string) (fs.FS, error) {
	if place == "" {
		return policies.Bundle(), nil
	}
	content, err := readBundle(place)
	if err != nil {
		return nil, err
	}
	return content.FS(), nil
}

func readBundle(place string) (*policies.Content, error) {
	file, err := os.Open(place)
	if err != nil {
		return nil, fmt.Errorf("opening policy bundle: %w", err)
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return policies.ReadBundleDir(place)
	}
	archive, err := io.ReadAll(io.LimitReader(file, policies.MaxArchive+1))
	if err != nil {
		return nil, fmt.Errorf("reading policy bundle: %w", err)
	}
	return policies.ParseArchive(archive)
}
