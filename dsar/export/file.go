package export

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mahrem/mahrem/dsar"
)

// CreateFile begins a file that appears under its name when it is kept, whole and durable,
// and never in the place of another. Only its owner may read it.
func CreateFile(path string) (File, error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".export-*")
	if err != nil {
		return nil, fmt.Errorf("creating export file: %w", err)
	}
	return &diskFile{File: temporary, path: path}, nil
}

type diskFile struct {
	*os.File
	path string
	over bool
}

// Keep implements [File].
func (f *diskFile) Keep() error {
	err := f.Sync()
	if err == nil {
		// A link refuses to replace, where a rename would overwrite.
		err = os.Link(f.Name(), f.path)
	}
	if err != nil {
		return fmt.Errorf("keeping export file: %w", err)
	}
	if err := f.Drop(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(f.path))
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		return fmt.Errorf("keeping export file: %w", err)
	}
	return nil
}

// Drop implements [File].
func (f *diskFile) Drop() error {
	if f.over {
		return nil
	}
	f.over = true
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return fmt.Errorf("closing export file: %w", err)
	}
	return nil
}

// Dir is the directory of the exports that wait to be fetched.
type Dir string

const exportSuffix = ".zip.age"

func (d Dir) path(id ID) string { return filepath.Join(string(d), id.String()+exportSuffix) }

func (d Dir) create(id ID) (File, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, fmt.Errorf("creating export file: %w", err)
	}
	return CreateFile(d.path(id))
}

func (d Dir) open(id ID) (*os.File, error) { return os.Open(d.path(id)) }

func (d Dir) remove(id ID) error {
	if err := os.Remove(d.path(id)); err != nil {
		return fmt.Errorf("removing export: %w", err)
	}
	return nil
}

// older returns the exports that were written before a time. Remains of writes that broke
// off are removed on the way.
func (d Dir) older(before time.Time) ([]ID, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("sweeping exports: %w", err)
	}
	var ids []ID
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || !info.ModTime().Before(before) {
			continue
		}
		if strings.HasPrefix(entry.Name(), ".export-") {
			_ = os.Remove(filepath.Join(string(d), entry.Name()))
			continue
		}
		name, ok := strings.CutSuffix(entry.Name(), exportSuffix)
		id, err := dsar.ParseRequestID(name)
		if !ok || err != nil {
			continue
		}
		ids = append(ids, ID(id))
	}
	return ids, nil
}
