package keydir

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/mahrem/mahrem/privacy"
)

// Create makes a new key directory at dir, which must not exist or be empty. The keys
// are written beside it and moved into place in one step, so that a crash leaves no
// directory with half the keys. The error wraps [privacy.ErrConflict] when something is
// there already: a key directory is never overwritten, because with its keys gone the
// data is gone.
func Create(dir string, _ Config) (err error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("creating key directory: %s is not empty and is left as it is: %w", dir, privacy.ErrConflict)
	} else if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("creating key directory: %w", err)
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("creating key directory: %w", err)
	}
	temporary, err := os.MkdirTemp(parent, ".mahrem-keys-*") // 0700
	if err != nil {
		return fmt.Errorf("creating key directory: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(temporary)
		}
	}()
	for _, sub := range []string{blindIndexDir, pseudonymDir} {
		if err := os.Mkdir(filepath.Join(temporary, sub), 0o700); err != nil {
			return fmt.Errorf("creating key directory: %w", err)
		}
	}
	for _, file := range files() {
		content, err := file.generate()
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(temporary, file.name), content); err != nil {
			return err
		}
	}
	for _, sub := range []string{blindIndexDir, pseudonymDir, "."} {
		if err := syncDir(filepath.Join(temporary, sub)); err != nil {
			return err
		}
	}
	// Both steps refuse a directory that has been filled meanwhile.
	if err := os.Remove(dir); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("creating key directory: %s was filled meanwhile: %w", dir, privacy.ErrConflict)
	}
	if err := os.Rename(temporary, dir); err != nil {
		if os.IsExist(err) {
			return fmt.Errorf("creating key directory: %s was filled meanwhile: %w", dir, privacy.ErrConflict)
		}
		return fmt.Errorf("moving key directory into place: %w", err)
	}
	return syncDir(parent)
}

// writeFile writes a new file of mode 0600 durably.
func writeFile(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing key file: %w", err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("writing key file: %w", err)
	}
	return nil
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing key directory: %w", err)
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("syncing key directory: %w", err)
	}
	return nil
}
