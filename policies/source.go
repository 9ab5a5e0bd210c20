package policies

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mahrem/mahrem/privacy"
)

// Source is where bundles come from, for [Engine.Watch].
type Source interface {
	// Read returns the bundle as it is now, or [ErrUnchanged] if the last bundle or
	// refusal that it returned is still the newest. It must bound its own time and memory. Any
	// other error is a [*Refusal]; one with [BundleUnavailable] says that the next Read may
	// do better.
	Read(ctx context.Context) (*Content, error)
}

// ErrUnchanged: a source has nothing new.
var ErrUnchanged = errors.New("unchanged")

// NewFileSource returns the source that a path is: a directory, or a file that holds a
// bundle. It is for one goroutine.
//
// The first Read returns what is there. From then on something new is returned when two
// Reads found the same, so that what is being written is left alone.
func NewFileSource(path string) Source { return &fileSource{path: path} }

type fileSource struct {
	path        string
	given, seen [sha256.Size]byte
}

func (s *fileSource) Read(context.Context) (*Content, error) {
	content, err := readPath(s.path)
	if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.Check == BundleUnavailable {
		return nil, err
	}
	var found [sha256.Size]byte
	if err != nil {
		found = sha256.Sum256([]byte(err.Error()))
	} else {
		found = content.identity()
	}
	first := s.given == [sha256.Size]byte{}
	settled := found == s.seen
	s.seen = found
	if found == s.given || !settled && !first {
		return nil, ErrUnchanged
	}
	s.given = found
	return content, err
}

func readPath(path string) (*Content, error) {
	unavailable := func(err error) (*Content, error) {
		return nil, refuse(BundleUnavailable, fmt.Errorf("reading policy bundle: %w: %w", err, privacy.ErrUnavailable))
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return unavailable(err)
	case info.IsDir():
		return ReadBundleDir(path)
	case !info.Mode().IsRegular():
		return nil, refuse(BundleMalformed, fmt.Errorf("reading policy bundle: neither a file nor a directory: %w", privacy.ErrInvalid))
	}
	file, err := os.Open(path)
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = file.Close() }()
	archive, err := io.ReadAll(io.LimitReader(file, MaxArchive+1))
	if err != nil {
		return unavailable(err)
	}
	return ParseArchive(archive)
}

// identity tells one bundle from another, statement and all.
func (c *Content) identity() [sha256.Size]byte { return identityOf(c.Digest(), c.note) }

func identityOf(digest [sha256.Size]byte, note []byte) [sha256.Size]byte {
	return sha256.Sum256(append(digest[:], note...))
}
