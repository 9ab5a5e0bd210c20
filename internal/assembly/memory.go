package assembly

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/postgres"
)

// lastCheckpoint is the file in the key directory that holds the last signed checkpoint:
// what the database says of the log is compared with it. It is beside the log's key
// because whoever reaches the one could sign another history anyway.
const lastCheckpoint = "last-checkpoint"

// checkpointFile is a [postgres.CheckpointMemory] in a file.
type checkpointFile struct{ path string }

var _ postgres.CheckpointMemory = checkpointFile{}

func checkpointFileOf(settings config.Config) checkpointFile {
	return checkpointFile{filepath.Join(settings.Keys, lastCheckpoint)}
}

func (f checkpointFile) String() string { return f.path }

// Load returns the content of the file, or nil if there is no file.
func (f checkpointFile) Load() ([]byte, error) {
	content, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// Keep replaces the file in one step, unless what it has is of a larger log. Processes
// take turns by a lock on the directory.
func (f checkpointFile) Keep(note []byte) (err error) {
	dir, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }() // unlocks
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", dir.Name(), err)
	}
	old, err := f.Load()
	if err != nil {
		return err
	}
	if old != nil {
		before, err := sizeOf(old)
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		if after, err := sizeOf(note); err != nil || after < before {
			return err
		}
	}
	temporary := filepath.Join(dir.Name(), "."+lastCheckpoint)
	if err := writeDurably(temporary, note); err != nil {
		return err
	}
	if err := os.Rename(temporary, f.path); err != nil {
		return err
	}
	return dir.Sync()
}

func writeDurably(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// sizeOf reads the size of the log from a note without checking the signature.
func sizeOf(note []byte) (uint64, error) {
	c, err := audit.PeekCheckpoint(note)
	return c.Size, err
}
