package intake

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/mahrem/mahrem/privacy"
)

// Source is a file that can be read from its beginning as often as need be: once for its
// digest, once for its rows, and again when a load was broken off.
type Source struct {
	// Name ends in .csv, .ndjson or .jsonl, with .gz or without.
	Name string
	// Size in bytes, for the progress; 0 if it is not known.
	Size int64
	// Open begins anew.
	Open func() (io.ReadCloser, error)
	// Sibling finds a joined file. Nil: there are none.
	Sibling func(name string) (Source, error)
}

// FileSource is a file on disk; joined files lie in its folder.
func FileSource(path string) (Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Source{}, fmt.Errorf("finding input: %w", err)
	}
	if info.IsDir() {
		return Source{}, fmt.Errorf("finding input: it is a folder: %w", privacy.ErrInvalid)
	}
	return Source{
		Name: filepath.Base(path),
		Size: info.Size(),
		Open: func() (io.ReadCloser, error) { return os.Open(path) },
		Sibling: func(name string) (Source, error) {
			return FileSource(filepath.Join(filepath.Dir(path), name))
		},
	}, nil
}

// format tells CSV from NDJSON by the name.
func (s Source) format() (string, error) {
	name := strings.TrimSuffix(strings.ToLower(s.Name), ".gz")
	switch filepath.Ext(name) {
	case ".csv", ".tsv", ".txt":
		return "csv", nil
	case ".ndjson", ".jsonl", ".json":
		return "ndjson", nil
	}
	return "", fmt.Errorf("telling CSV from NDJSON by the name of the file; the mapping's format would say: %w", privacy.ErrInvalid)
}

// digest is the SHA-256 of the file as it is stored.
func (s Source) digest(ctx context.Context) ([sha256.Size]byte, error) {
	in, err := s.Open()
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("opening input: %w", err)
	}
	defer in.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, &interruptible{ctx, in}); err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("reading input: %w", err)
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}

// open begins reading, through gzip where the file is compressed. Stored bytes are
// written to tee and counted in read, where they are given.
func (s Source) open(ctx context.Context, tee io.Writer, read *atomic.Int64) (io.ReadCloser, error) {
	file, err := s.Open()
	if err != nil {
		return nil, fmt.Errorf("opening input: %w", err)
	}
	var in io.Reader = &interruptible{ctx, file}
	if tee != nil {
		in = io.TeeReader(in, tee)
	}
	if read != nil {
		in = &counter{in, read}
	}
	buffered := bufio.NewReaderSize(in, 128<<10)
	// The content decides, not the name: a renamed file is an everyday mistake.
	if magic, _ := buffered.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("opening compressed input: %w: %w", privacy.ErrInvalid, err)
		}
		return &stacked{unzipped, file}, nil
	}
	return &stacked{buffered, file}, nil
}

// stacked reads from the top and closes the bottom.
type stacked struct {
	io.Reader
	bottom io.Closer
}

func (s *stacked) Close() error { return s.bottom.Close() }

// interruptible ends reading when the context does.
type interruptible struct {
	ctx context.Context
	in  io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.in.Read(p)
}

// counter counts what passes.
type counter struct {
	in   io.Reader
	read *atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.read.Add(int64(n))
	return n, err
}
