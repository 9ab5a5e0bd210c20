package export

import (
	"archive/zip"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// bundle writes the files of an export into a ZIP, one after the other, and keeps the
// digest of each.
type bundle struct {
	zip   *zip.Writer
	at    time.Time
	files []ManifestFile
	open  *bundleFile
}

// bundleFile is the file that is being written.
type bundleFile struct {
	name string
	to   io.Writer
	hash hash.Hash
	size int64
}

func newBundle(w io.Writer, at time.Time) *bundle {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, compressor)
	return &bundle{zip: z, at: at}
}

// create begins a file, and ends the one before.
func (b *bundle) create(name string) (io.Writer, error) {
	b.end()
	to, err := b.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: b.at})
	if err != nil {
		return nil, fmt.Errorf("beginning %s of export: %w", name, err)
	}
	b.open = &bundleFile{name: name, to: to, hash: sha256.New()}
	return b.open, nil
}

// Write implements io.Writer.
func (f *bundleFile) Write(p []byte) (int, error) {
	n, err := f.to.Write(p)
	_, _ = f.hash.Write(p[:n])
	f.size += int64(n)
	return n, err
}

func (b *bundle) end() {
	if f := b.open; f != nil {
		b.files = append(b.files, ManifestFile{f.name, f.size, hex.EncodeToString(f.hash.Sum(nil))})
		b.open = nil
	}
}

// contents returns the files so far, in the order of their names.
func (b *bundle) contents() []ManifestFile {
	b.end()
	slices.SortFunc(b.files, func(x, y ManifestFile) int { return strings.Compare(x.Name, y.Name) })
	return b.files
}

func (b *bundle) write(name string, content []byte) error {
	w, err := b.create(name)
	if err == nil {
		_, err = w.Write(content)
	}
	return err
}

func (b *bundle) close() error {
	if err := b.zip.Close(); err != nil {
		return fmt.Errorf("ending export: %w", err)
	}
	return nil
}

// deflaters are kept, because one takes most of a megabyte and a page takes a millisecond.
var deflaters sync.Pool

type pooledDeflater struct{ *flate.Writer }

func compressor(w io.Writer) (io.WriteCloser, error) {
	if f, ok := deflaters.Get().(*flate.Writer); ok {
		f.Reset(w)
		return pooledDeflater{f}, nil
	}
	f, err := flate.NewWriter(w, flate.BestSpeed)
	return pooledDeflater{f}, err
}

// Close gives the writer back.
func (p pooledDeflater) Close() error {
	err := p.Writer.Close()
	deflaters.Put(p.Writer)
	return err
}
