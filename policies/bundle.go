package policies

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

//go:embed rego catalogue cases
var bundled embed.FS

// Bundle returns the bundle that is built into the program: rego/, catalogue/ and
// cases/. A directory with the same three folders can take its place.
func Bundle() fs.FS { return bundled }

// Folders of a bundle.
const (
	regoDir      = "rego"
	catalogueDir = "catalogue"
	casesDir     = "cases"
)

// Limits of a bundle.
const (
	maxBundleFiles = 2000
	maxBundleBytes = 32 << 20
)

// BundleDigest returns the SHA-256 that stands for a bundle: over the sorted lines
// "hex-sha256  path\n" of its files, as golang.org/x/mod/sumdb/dirhash does it. Files
// outside the three folders, and files whose names begin with a dot, do not count.
func BundleDigest(bundle fs.FS) ([sha256.Size]byte, error) {
	content, err := readBundle(bundle)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return content.digest(), nil
}

// bundleContent holds a bundle's files by path.
type bundleContent map[string][]byte

func readBundle(bundle fs.FS) (bundleContent, error) {
	content, total := bundleContent{}, 0
	for _, dir := range [...]string{regoDir, catalogueDir, casesDir} {
		err := fs.WalkDir(bundle, dir, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || strings.HasPrefix(path.Base(name), ".") {
				return err
			}
			if entry.IsDir() {
				return nil
			}
			file, err := fs.ReadFile(bundle, name)
			if err != nil {
				return err
			}
			if total += len(file); len(content) >= maxBundleFiles || total > maxBundleBytes {
				return fmt.Errorf("more than %d files or %d bytes: %w", maxBundleFiles, maxBundleBytes, privacy.ErrInvalid)
			}
			content[name] = file
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading policy bundle: %w", err)
		}
	}
	return content, nil
}

func (c bundleContent) names() []string {
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c bundleContent) digest() [sha256.Size]byte {
	hash := sha256.New()
	for _, name := range c.names() {
		_, _ = fmt.Fprintf(hash, "%x  %s\n", sha256.Sum256(c[name]), name)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}
