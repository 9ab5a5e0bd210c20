package assembly

import (
	"io/fs"
	"os"

	"github.com/mahrem/mahrem/policies"
)

// Bundle is the policy bundle in dir, or the one in the binary when dir is empty.
func Bundle(dir string) fs.FS {
	if dir == "" {
		return policies.Bundle()
	}
	return os.DirFS(dir)
}
