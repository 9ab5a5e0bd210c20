package policies

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
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

// bundleDirs are all folders of a bundle, sorted.
var bundleDirs = [...]string{casesDir, catalogueDir, regoDir}

// StatementFile is the file of a bundle, beside its folders, that holds what its signer
// says about it.
const StatementFile = "bundle.note"

// Limits of a bundle.
const (
	maxBundleFiles = 2000
	maxBundleBytes = 32 << 20
	maxBundleName  = 100 // what the name field of a ustar header holds
	maxStatement   = 16 << 10
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

// Content is a bundle that was read once: what is verified, compiled, tested and kept is
// the same bytes, whatever happens to where they came from. It is immutable.
type Content struct {
	files bundleContent
	note  []byte // of StatementFile, nil if there is none
}

// ReadBundle reads a bundle and checks nothing but its form: names of plain letters,
// regular files, and the limits of [docs/spec/bundle.md]. The error is a [*Refusal].
//
// [docs/spec/bundle.md]: https://github.com/mahrem/mahrem/blob/main/docs/spec/bundle.md
func ReadBundle(bundle fs.FS) (*Content, error) {
	files, err := readBundle(bundle)
	if err != nil {
		return nil, refuse(BundleMalformed, err)
	}
	note, err := readRegular(bundle, StatementFile, maxStatement)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, refuse(BundleMalformed, fmt.Errorf("reading policy bundle: %w", err))
	}
	return &Content{files: files, note: note}, nil
}

// ReadBundleDir is [ReadBundle] of a directory. Links that lead out of it are an error.
func ReadBundleDir(dir string) (*Content, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, refuse(BundleUnavailable, fmt.Errorf("reading policy bundle: %w: %w", err, privacy.ErrUnavailable))
	}
	defer func() { _ = root.Close() }()
	return ReadBundle(root.FS())
}

// Digest returns what [BundleDigest] does. The statement is no part of it.
func (c *Content) Digest() [sha256.Size]byte { return c.files.digest() }

// Note returns the statement, nil if there is none.
func (c *Content) Note() []byte { return bytes.Clone(c.note) }

// WithNote returns the bundle with another statement, which is believed as little as any.
func (c *Content) WithNote(note []byte) *Content {
	return &Content{files: c.files, note: bytes.Clone(note)}
}

// FS returns the files, and the statement if there is one.
func (c *Content) FS() fs.FS {
	files := c.files
	if c.note != nil {
		files = bundleContent{StatementFile: c.note}
		for name, file := range c.files {
			files[name] = file
		}
	}
	return newTree(files)
}

// bundleContent holds a bundle's files by path.
type bundleContent map[string][]byte

func readBundle(bundle fs.FS) (bundleContent, error) {
	content, total := bundleContent{}, 0
	for _, dir := range bundleDirs {
		err := fs.WalkDir(bundle, dir, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case strings.HasPrefix(path.Base(name), "."):
				if entry.IsDir() {
					return fs.SkipDir
				}
				return nil
			case !validName(name):
				return fmt.Errorf("a name is longer than %d or has characters other than letters, digits and ._-: %w", maxBundleName, privacy.ErrInvalid)
			case entry.IsDir():
				return nil
			case len(content) == maxBundleFiles:
				return fmt.Errorf("more than %d files: %w", maxBundleFiles, privacy.ErrInvalid)
			}
			file, err := readRegular(bundle, name, maxBundleBytes-total)
			content[name] = file
			total += len(file)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reading policy bundle: %w", err)
		}
	}
	return content, nil
}

// readRegular reads one regular file of at most limit bytes. A pipe would never end, and a
// file with a hole can be larger than any memory.
func readRegular(bundle fs.FS, name string, limit int) ([]byte, error) {
	if info, err := fs.Stat(bundle, name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file: %w", name, privacy.ErrInvalid)
	}
	file, err := bundle.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err == nil && len(content) > limit {
		err = fmt.Errorf("%s: more than the bundle may have, %d bytes: %w", name, maxBundleBytes, privacy.ErrInvalid)
	}
	return content, err
}

// validName reports whether a file of that name can be in a bundle. What is left out
// are names that two programs could read in two ways, and line feeds, which would let
// one file's line in the digest pass for two.
func validName(name string) bool {
	if len(name) > maxBundleName || !fs.ValidPath(name) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part[0] == '.' || strings.Trim(part, nameCharacters) != "" {
			return false
		}
	}
	return true
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

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
