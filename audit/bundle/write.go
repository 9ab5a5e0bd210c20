package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// temporary begins the names of files that are being written.
const temporary = ".writing-"

// writer puts files into the directory of a bundle, each whole or not at all.
type writer struct {
	dir  Dir
	lock *os.File
	made map[string]bool // folders that are there
	// unsynced are the files that were written, and may not be on the disk yet.
	unsynced []string
}

// openWriter takes the directory for this process. What is in it must be a bundle, begun or
// finished, or nothing.
func openWriter(dir string) (*writer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	w := &writer{dir: Dir(dir), lock: lock, made: map[string]bool{}}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another export is writing into %s: %w", dir, privacy.ErrConflict), w.close())
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	known := slices.ContainsFunc(names, func(e fs.DirEntry) bool {
		return e.Name() == ManifestPath || e.Name() == unfinishedPath || e.Name() == temporary+unfinishedPath
	})
	if len(names) > 0 && !known {
		return nil, errors.Join(fmt.Errorf("%s holds something that is no bundle: %w", dir, privacy.ErrInvalid), w.close())
	}
	return w, nil
}

func (w *writer) close() error { return w.lock.Close() }

func (w *writer) name(path string) string {
	return filepath.Join(string(w.dir), filepath.FromSlash(path))
}

func (w *writer) has(path string) bool {
	_, err := os.Lstat(w.name(path))
	return err == nil
}

// write puts a file in its place in one step.
func (w *writer) write(path string, content []byte) error {
	name := w.name(path)
	folder := filepath.Dir(name)
	if !w.made[folder] {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		w.made[folder] = true
	}
	unnamed := filepath.Join(folder, temporary+filepath.Base(name))
	if err := os.WriteFile(unnamed, content, 0o600); err != nil {
		return err
	}
	w.unsynced = append(w.unsynced, name)
	return os.Rename(unnamed, name)
}

// sync waits until everything that was written is on the disk. Many files are asked for at a
// time, because a disk confirms them together.
func (w *writer) sync() error {
	names := append(w.unsynced, slices.Collect(maps.Keys(w.made))...)
	w.unsynced = nil
	errs := make([]error, 16)
	var work sync.WaitGroup
	for i := range errs {
		work.Go(func() {
			for j := i; j < len(names); j += len(errs) {
				file, err := os.Open(names[j])
				if errors.Is(err, fs.ErrNotExist) {
					continue // removed since
				}
				if err == nil {
					err = errors.Join(file.Sync(), file.Close())
				}
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

// readLeaves returns the entries of a tile if they and the tile are there and fit each other.
func (w *writer) readLeaves(ctx context.Context, n uint64, width int) ([][]byte, bool) {
	tile, err := w.dir.Read(ctx, audit.TilePath(0, n, width), audit.TileBytes)
	if err != nil || len(tile) != width*tlog.HashSize {
		return nil, false
	}
	content, err := w.dir.Read(ctx, audit.EntriesPath(n, width), maxEntriesFile)
	if err != nil {
		return nil, false
	}
	leaves, err := audit.SplitBundle(nil, content, width)
	if err != nil {
		return nil, false
	}
	for i, leaf := range leaves {
		if hash := audit.LeafHash(leaf); !bytes.Equal(hash[:], tile[i*tlog.HashSize:][:tlog.HashSize]) {
			return nil, false
		}
	}
	return leaves, true
}

// readUnfinished returns what [writer.writeUnfinished] wrote, or nothing.
func (w *writer) readUnfinished(ctx context.Context) (begin, end uint64, signed []byte, err error) {
	content, err := w.dir.Read(ctx, unfinishedPath, 2*maxNote)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil, nil
	}
	if err != nil {
		return 0, 0, nil, err
	}
	line, signed, _ := bytes.Cut(content, []byte("\n"))
	if _, err := fmt.Sscanf(string(line), "entries %d %d", &begin, &end); err != nil {
		return 0, 0, nil, nil // what it says is checked anyway; nonsense is as good as nothing
	}
	return begin, end, signed, nil
}

// writeUnfinished says that an export is being written, and of what.
func (w *writer) writeUnfinished(begin, end uint64, signed []byte) error {
	return w.write(unfinishedPath, append(fmt.Appendf(nil, "entries %d %d\n", begin, end), signed...))
}

// finish puts the manifest in place once all files are on the disk, and takes away what
// belonged to an older state of the bundle.
func (w *writer) finish(manifest []byte, r Range) error {
	if err := w.sync(); err != nil {
		return err
	}
	if err := w.write(ManifestPath, manifest); err != nil {
		return err
	}
	if err := w.sweep(r); err != nil {
		return err
	}
	if err := w.sync(); err != nil { // the manifest before what says that it is not there yet
		return err
	}
	if err := os.Remove(w.name(unfinishedPath)); err != nil {
		return err
	}
	return w.lock.Sync()
}

// sweep removes unfinished tiles of an older size, and files that were being written when an
// export was broken off. What is no file of ours it leaves, for [Verify] to name.
func (w *writer) sweep(r Range) error {
	var gone []string
	err := w.dir.walk(func(path string, _ fs.DirEntry) error {
		name := path[strings.LastIndexByte(path, '/')+1:]
		tile, err := audit.ParseTilePath(path)
		if strings.HasPrefix(name, temporary) || err == nil && tile.Width < audit.TileWidth && !r.has(tile) {
			gone = append(gone, path)
		}
		return nil
	})
	for _, path := range gone {
		err = errors.Join(err, os.Remove(w.name(path)))
		_ = os.Remove(filepath.Dir(w.name(path))) // the folder of unfinished tiles, if it is empty now
	}
	return err
}

// revert takes away what an extension added that came to nothing.
func (w *writer) revert(old Range) error {
	var gone []string
	err := w.dir.walk(func(path string, _ fs.DirEntry) error {
		if tile, err := audit.ParseTilePath(path); err == nil && !old.has(tile) {
			gone = append(gone, path)
		}
		return nil
	})
	for _, path := range gone {
		err = errors.Join(err, os.Remove(w.name(path)))
	}
	if err == nil {
		err = os.Remove(w.name(unfinishedPath))
	}
	return err
}
