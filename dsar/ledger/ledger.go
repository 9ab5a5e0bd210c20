package ledger

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Config holds what a ledger needs beside its file.
type Config struct {
	// Seal is a keyed hash that only the key directory can compute. Required.
	Seal func(Hash) Tag
	// Random draws the id of a new ledger; nil means crypto/rand.
	Random io.Reader
	// Wait is how long an append waits for another process to let go of the file; zero
	// means ten seconds.
	Wait time.Duration
}

func (c Config) withDefaults() (Config, error) {
	if c.Seal == nil {
		return c, fmt.Errorf("opening erasure ledger without a seal: %w", privacy.ErrInvalid)
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Wait <= 0 {
		c.Wait = 10 * time.Second
	}
	return c, nil
}

// Head is where a ledger ends.
type Head struct {
	// Sequence is that of the last record; 0 if there is none.
	Sequence uint64
	// Hash covers all lines.
	Hash Hash
}

// Ledger is an open ledger. It is safe for concurrent use, and several processes may have
// the same file open.
type Ledger struct {
	path   string
	config Config
	id     ID
	file   *os.File

	turn chan struct{} // held by whoever writes; guards head, end and broken
	head Head
	end  int64 // length of the file up to head
	// broken is why nothing may be written any more: what is on disk is not known.
	broken error

	mu      sync.Mutex
	waiting []*pending
}

// Create makes an empty ledger. It never replaces one: the error then wraps
// [privacy.ErrConflict].
func Create(path string, config Config) error {
	config, err := config.withDefaults()
	if err != nil {
		return err
	}
	var id ID
	if _, err := io.ReadFull(config.Random, id[:]); err != nil {
		return fmt.Errorf("drawing id of erasure ledger: %w", err)
	}
	// A link appears whole and refuses to replace, where a rename would overwrite.
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("creating erasure ledger: %w", err)
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(appendHeader(id, config.Seal))
	if err == nil {
		err = temporary.Sync()
	}
	if err := errors.Join(err, temporary.Close()); err != nil {
		return fmt.Errorf("creating erasure ledger: %w", err)
	}
	if err := os.Link(temporary.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is there already and is left as it is: %w", path, privacy.ErrConflict)
		}
		return fmt.Errorf("creating erasure ledger: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("syncing directory of erasure ledger: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("syncing directory of erasure ledger: %w", err)
	}
	return nil
}

// Open opens the ledger at path. It reads the first line and the last ones, which is quick
// for any length; [Ledger.Scan] reads and checks all. Errors wrap [privacy.ErrNotFound] if
// there is no file, [privacy.ErrForbidden] if others than its owner may write to it, and
// [privacy.ErrDamaged] if it is no ledger of this key directory or its end does not verify.
func Open(path string, config Config) (*Ledger, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no erasure ledger at %s: %w", path, privacy.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("opening erasure ledger: %w", err)
	}
	l := &Ledger{path: path, config: config, file: file, turn: make(chan struct{}, 1)}
	if err := l.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening erasure ledger %s: %w", path, err), file.Close())
	}
	l.turn <- struct{}{}
	return l, nil
}

func (l *Ledger) open() error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return damaged("not a file")
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write to it; run: chmod go-w %s: %w", l.path, privacy.ErrForbidden)
	}
	header := make([]byte, headerSize)
	if _, err := l.file.ReadAt(header, 0); err != nil {
		if errors.Is(err, io.EOF) {
			return damaged("no erasure ledger of version 1")
		}
		return err
	}
	var first Hash
	if l.id, first, err = parseHeader(header, l.config.Seal); err != nil {
		return err
	}
	l.head, l.end, err = l.findEnd(info.Size(), first)
	return err
}

// Path is the file.
func (l *Ledger) Path() string { return l.path }

// ID is what the first line names it.
func (l *Ledger) ID() ID { return l.id }

// Close closes the file. Every append that returned is on disk.
func (l *Ledger) Close() error {
	<-l.turn
	defer func() { l.turn <- struct{}{} }()
	l.broken = fmt.Errorf("erasure ledger is closed: %w", privacy.ErrUnavailable)
	return l.file.Close()
}

// findEnd reads the last line that is complete, and the one before it, whose hash it needs.
// What follows the last newline was being written when a machine stopped; nobody was told
// that it stands.
func (l *Ledger) findEnd(size int64, first Hash) (Head, int64, error) {
	for window := int64(16 << 10); ; window *= 8 {
		from := max(int64(headerSize), size-window)
		tail := make([]byte, size-from)
		if _, err := l.file.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
			return Head{}, 0, err
		}
		tail = tail[:bytes.LastIndexByte(tail, '\n')+1]
		lines := bytes.SplitAfter(tail, []byte("\n"))
		lines = lines[:len(lines)-1] // the empty one after the last newline
		whole := from == int64(headerSize)
		switch {
		case whole && len(lines) == 0:
			return Head{Hash: first}, int64(headerSize), nil
		case whole && len(lines) == 1:
			return l.lastLine(lines[0], first, from+int64(len(tail)))
		case whole || len(lines) > 2: // the first may lack its beginning
			before := lines[len(lines)-2]
			var previous Hash
			if len(before) <= endSize || !decodeHex(previous[:], before[len(before)-endSize+1:][:64]) {
				return Head{}, 0, damaged("last line but one")
			}
			return l.lastLine(lines[len(lines)-1], previous, from+int64(len(tail)))
		case window > 4*maxLine:
			return Head{}, 0, damaged("lines that do not end")
		}
	}
}

func (l *Ledger) lastLine(line []byte, previous Hash, end int64) (Head, int64, error) {
	record, err := parseLine(line, previous, l.config.Seal)
	if err != nil {
		return Head{}, 0, fmt.Errorf("last line: %w", err)
	}
	return Head{Sequence: record.Sequence, Hash: record.Hash}, end, nil
}
