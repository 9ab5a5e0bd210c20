package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Files are the files of a bundle, wherever they lie.
type Files interface {
	// Read returns the content of a file. A file that is not there is an error that wraps
	// [fs.ErrNotExist]; one that is longer than limit bytes wraps [privacy.ErrDamaged]. It
	// must be safe for concurrent use.
	Read(ctx context.Context, path string, limit int) ([]byte, error)
}

// Dir is a bundle in a directory.
type Dir string

var _ Files = Dir("")

// Read implements [Files]. What is no regular file, such as a link, is as good as missing.
func (d Dir) Read(_ context.Context, path string, limit int) ([]byte, error) {
	return d.readInto(nil, path, limit)
}

// readInto is Read into memory that is there already, if it suffices.
func (d Dir) readInto(buffer []byte, path string, limit int) ([]byte, error) {
	name := filepath.Join(string(d), filepath.FromSlash(path))
	info, err := os.Lstat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file: %w", path, fs.ErrNotExist)
	case info.Size() > int64(limit):
		return nil, fmt.Errorf("%s has %d bytes: %w", path, info.Size(), privacy.ErrDamaged)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if need := int(info.Size()) + bytes.MinRead; cap(buffer) < need {
		buffer = make([]byte, 0, need)
	}
	content := bytes.NewBuffer(buffer[:0])
	_, err = content.ReadFrom(io.LimitReader(file, int64(limit)+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return content.Bytes(), nil
}

// walk calls visit for everything in the directory but folders, with its path.
func (d Dir) walk(visit func(path string, entry fs.DirEntry) error) error {
	// The directory may be named by a link to it; nothing in it may be one.
	return filepath.WalkDir(string(d)+string(filepath.Separator), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		path, err := filepath.Rel(string(d), name)
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(path), entry)
	})
}

// How long files may be. What a bundle has beyond is no bundle, and is not read into memory.
const (
	maxEntriesFile = audit.TileWidth * (2 + audit.MaxLeaf)
	maxNote        = 1 << 16
	maxManifest    = 1 << 30
	maxKey         = 1 << 12
)
