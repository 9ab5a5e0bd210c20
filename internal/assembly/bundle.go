package assembly

import (
	"context"
	"io/fs"

	"github.com/mahrem/mahrem/policies"
)

// Bundle is the policy bundle at a place: a directory, or a file that holds one; the one
// in the binary when place is empty. Nothing but its form is checked: it is for those who
// write and try rules, not for answering queries.
func Bundle(place string) (fs.FS, error) {
	if place == "" {
		return policies.Bundle(), nil
	}
	content, err := policies.NewFileSource(place).Read(context.Background())
	if err != nil {
		return nil, err
	}
	return content.FS(), nil
}
