package policies

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/mahrem/mahrem/privacy"
)

// MaxArchive bounds a bundle in one file, as it is on the wire.
const MaxArchive = 8 << 20

// maxTar bounds it without compression: a header and padding for every file.
const maxTar = maxBundleBytes + (maxBundleFiles+1)*(2*tarBlock) + 2*tarBlock

const tarBlock = 512

// AppendArchive appends the bundle as one file: a tar of the statement and then the
// files in ascending order, through gzip. Equal bundles give equal bytes; before
// compression also with every other program that keeps to docs/spec/bundle.md.
func (c *Content) AppendArchive(b []byte) []byte {
	out := bytes.NewBuffer(b)
	compressed, _ := gzip.NewWriterLevel(out, gzip.BestCompression)
	_, _ = compressed.Write(c.tar())
	_ = compressed.Close() // writing into memory does not fail
	return out.Bytes()
}

// tar writes the one tar that there is of a bundle.
func (c *Content) tar() []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(name string, file []byte) {
		err := w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(file)), Format: tar.FormatUSTAR,
		})
		if err != nil {
			panic("policies: a file of a bundle does not fit a tar header") // its name and size were checked
		}
		_, _ = w.Write(file)
	}
	if c.note != nil {
		add(StatementFile, c.note)
	}
	for _, name := range c.files.names() {
		add(name, c.files[name])
	}
	_ = w.Close()
	return out.Bytes()
}

// ParseArchive reads what [Content.AppendArchive] wrote, and nothing else: a tar that is
// not byte by byte the one that its files make is refused, so that no two programs can
// see two bundles in it. The error is a [*Refusal].
func ParseArchive(archive []byte) (*Content, error) {
	content, err := parseArchive(archive)
	if err != nil {
		return nil, refuse(BundleMalformed, fmt.Errorf("reading policy bundle: %w", err))
	}
	return content, nil
}

func parseArchive(archive []byte) (*Content, error) {
	plain, err := decompress(archive)
	if err != nil {
		return nil, err
	}
	content, total := &Content{files: bundleContent{}}, 0
	for r := tar.NewReader(bytes.NewReader(plain)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it is not a tar: %w", privacy.ErrInvalid)
		}
		if err := content.admit(header, &total); err != nil {
			return nil, err
		}
		file, err := io.ReadAll(r)
		if err != nil {
			return nil, fmt.Errorf("it is not a tar: %w", privacy.ErrInvalid)
		}
		if header.Name == StatementFile {
			content.note = file
		} else {
			content.files[header.Name] = file
		}
	}
	for name := range content.files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, both := content.files[dir]; both {
				return nil, fmt.Errorf("a name is both a file and a folder: %w", privacy.ErrInvalid)
			}
		}
	}
	if !bytes.Equal(plain, content.tar()) {
		return nil, fmt.Errorf("it is written in another way than a bundle is: %w", privacy.ErrInvalid)
	}
	return content, nil
}

// admit checks the header of the next file.
func (c *Content) admit(header *tar.Header, total *int) error {
	_, again := c.files[header.Name]
	switch {
	case header.Typeflag != tar.TypeReg:
		return fmt.Errorf("it holds something that is not a file: %w", privacy.ErrInvalid)
	case header.Size > maxBundleBytes-int64(*total), len(c.files) == maxBundleFiles:
		return fmt.Errorf("more than %d files or %d bytes: %w", maxBundleFiles, maxBundleBytes, privacy.ErrInvalid)
	case again, header.Name == StatementFile && c.note != nil:
		return fmt.Errorf("a file is in it twice: %w", privacy.ErrInvalid)
	case header.Name == StatementFile && header.Size > maxStatement:
		return fmt.Errorf("the statement has more than %d bytes: %w", maxStatement, privacy.ErrInvalid)
	case header.Name != StatementFile && !inFolder(header.Name):
		return fmt.Errorf("a file of it is in no folder of a bundle, or has a name that no bundle has: %w", privacy.ErrInvalid)
	}
	*total += int(header.Size)
	return nil
}

// inFolder reports whether a bundle can have a file of that name.
func inFolder(name string) bool {
	if !validName(name) {
		return false
	}
	for _, dir := range bundleDirs {
		if len(name) > len(dir) && name[:len(dir)] == dir && name[len(dir)] == '/' {
			return true
		}
	}
	return false
}

// decompress returns what one gzip member holds, if that is all and not too much.
func decompress(archive []byte) ([]byte, error) {
	if len(archive) > MaxArchive {
		return nil, fmt.Errorf("more than %d bytes: %w", MaxArchive, privacy.ErrInvalid)
	}
	in := bytes.NewReader(archive)
	r, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("it is not gzip: %w", privacy.ErrInvalid)
	}
	r.Multistream(false)
	plain, err := io.ReadAll(io.LimitReader(r, maxTar+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("it is not gzip: %w", privacy.ErrInvalid)
	case len(plain) > maxTar:
		return nil, fmt.Errorf("more than %d bytes: %w", maxBundleBytes, privacy.ErrInvalid)
	case in.Len() > 0:
		return nil, fmt.Errorf("something follows it: %w", privacy.ErrInvalid)
	}
	return plain, nil
}
