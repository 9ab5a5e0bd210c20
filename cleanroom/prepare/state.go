package prepare

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// The files of a prepared directory.
const (
	ManifestFile = "manifest"
	RemaskedFile = "remasked"
	MembersFile  = "members.ndjson"
	RowsFile     = "rows.ndjson"
	manifestOf   = "manifest.of" // of what was masked once more
	stateFile    = ".state"
	digestsFile  = ".digests"
	spillDir     = ".rows"
)

// state is what is needed to go on with work that broke off. Its seed is the key to the order.
type state struct {
	Version int    `json:"version"`
	Plan    string `json:"plan"` // digest of what decides on the outcome
	Seed    []byte `json:"seed,omitempty"`
	File    string `json:"file,omitempty"` // digest of the input, once it was read
}

// openState makes a directory, or finds what was begun there.
func openState(dir string, plan string, random io.Reader) (*state, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making directory: %w", err)
	}
	for _, done := range []string{ManifestFile, RemaskedFile} {
		if _, err := os.Lstat(filepath.Join(dir, done)); err == nil {
			// It may have been broken off between the note and the end.
			if _, err := os.Lstat(filepath.Join(dir, stateFile)); err == nil {
				if err := forget(dir); err != nil {
					return nil, err
				}
			}
			return nil, fmt.Errorf("the directory has a list that is complete; send it, or take another directory: %w", privacy.ErrConflict)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("reading directory: %w", err)
		}
		// A state that was being written when everything ended says nothing yet.
		entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == stateFile+".new" })
		if len(entries) > 0 {
			return nil, fmt.Errorf("the directory has other files; take an empty one: %w", privacy.ErrConflict)
		}
		s := &state{Version: 1, Plan: plan}
		if random != nil {
			s.Seed = make([]byte, seedSize)
			if _, err := io.ReadFull(random, s.Seed); err != nil {
				return nil, fmt.Errorf("drawing seed: %w", err)
			}
		}
		return s, s.save(dir)
	case err != nil:
		return nil, fmt.Errorf("reading what was begun: %w", err)
	}
	s := &state{}
	if err := json.Unmarshal(text, s); err != nil || s.Version != 1 || random != nil && len(s.Seed) != seedSize {
		return nil, fmt.Errorf("reading what was begun: the file .state cannot be read; begin anew in an empty directory: %w", privacy.ErrDamaged)
	}
	if s.Plan != plan {
		return nil, fmt.Errorf("something else was begun in the directory; begin anew in an empty one: %w", privacy.ErrConflict)
	}
	return s, nil
}

// save writes the state so that there is always a whole one.
func (s *state) save(dir string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("writing what was begun: %w", err)
	}
	return replace(dir, stateFile, text)
}

// forget removes what said how to go on: in a complete directory nothing tells of an order.
func forget(dir string) error {
	for _, name := range []string{stateFile, stateFile + ".new", digestsFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing state: %w", err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, spillDir)); err != nil {
		return fmt.Errorf("removing rows: %w", err)
	}
	return syncDir(dir)
}

// abandon forgets what was begun and refused, with the directory if it was made for it.
func abandon(refused error, dir string, made bool) error {
	err := forget(dir)
	if err == nil && made {
		err = os.Remove(dir)
	}
	if err != nil {
		return errors.Join(refused, err)
	}
	return refused
}

// replace writes a file at once, and durably. It makes the new one itself: what somebody else
// has put in its place, a link perhaps, is not written through.
func replace(dir, name string, content []byte) error {
	path := filepath.Join(dir, name)
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing directory: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
