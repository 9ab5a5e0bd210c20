package export

import (
	"archive/zip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/mahrem/mahrem/privacy"
)

// Verified is an export of which every byte is what was signed.
type Verified struct {
	Statement Statement
	Manifest  Manifest
}

// Verify checks a decrypted export against the key of the log of that origin: the signature,
// the manifest, and the name, length and digest of each file. It needs no database and no
// network. Each file is handed to each, which may be nil, while it is read; what was handed
// over counts only if Verify returns no error. Errors wrap [privacy.ErrDamaged], or are
// those of each.
func Verify(file io.ReaderAt, size int64, origin string, key ed25519.PublicKey, each func(name string, content io.Reader) error) (Verified, error) {
	z, err := zip.NewReader(file, size)
	if err != nil {
		return Verified{}, fmt.Errorf("reading export: no ZIP file: %w", privacy.ErrDamaged)
	}
	byName := map[string]*zip.File{}
	for _, f := range z.File {
		if byName[f.Name] != nil || !validName(f.Name) {
			return Verified{}, fmt.Errorf("reading export: file twice, or with a name that is none: %w", privacy.ErrDamaged)
		}
		byName[f.Name] = f
	}
	signed, err := readSmall(byName[NoteName], 64<<10)
	if err != nil {
		return Verified{}, err
	}
	var v Verified
	if v.Statement, err = OpenStatement(signed, origin, key); err != nil {
		return Verified{}, err
	}
	manifest, err := readSmall(byName[ManifestName], maxManifest)
	if err != nil {
		return Verified{}, err
	}
	if sha256.Sum256(manifest) != v.Statement.Manifest {
		return Verified{}, fmt.Errorf("reading export: the manifest is not the signed one: %w", privacy.ErrDamaged)
	}
	if v.Manifest, err = ParseManifest(manifest); err != nil {
		return Verified{}, err
	}
	if len(byName) != len(v.Manifest.Files)+2 {
		return Verified{}, fmt.Errorf("reading export: it has %d files and the manifest %d: %w", len(byName)-2, len(v.Manifest.Files), privacy.ErrDamaged)
	}
	for _, entry := range v.Manifest.Files {
		if err := verifyFile(byName[entry.Name], entry, each); err != nil {
			return Verified{}, err
		}
	}
	return v, nil
}

func verifyFile(f *zip.File, entry ManifestFile, each func(string, io.Reader) error) error {
	damaged := fmt.Errorf("reading %s of export: it is not what was signed: %w", entry.Name, privacy.ErrDamaged)
	if f == nil || f.UncompressedSize64 != uint64(entry.Size) {
		return damaged
	}
	content, err := f.Open()
	if err != nil {
		return damaged
	}
	defer func() { _ = content.Close() }()
	hash := sha256.New()
	// One byte more than there may be, so that a longer file shows.
	source := &verifyReader{r: io.TeeReader(io.LimitReader(content, entry.Size+1), hash)}
	if each != nil {
		if err := each(entry.Name, source); err != nil && !source.failed {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, source); err != nil || source.failed || source.n != entry.Size ||
		hex.EncodeToString(hash.Sum(nil)) != entry.SHA256 {
		return damaged
	}
	return nil
}

// verifyReader tells errors of the file from those of whoever reads it.
type verifyReader struct {
	r      io.Reader
	n      int64
	failed bool
}

func (v *verifyReader) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.n += int64(n)
	v.failed = v.failed || err != nil && err != io.EOF
	return n, err
}

func readSmall(f *zip.File, limit int64) ([]byte, error) {
	if f == nil {
		return nil, fmt.Errorf("reading export: it is not signed: %w", privacy.ErrDamaged)
	}
	r, err := f.Open()
	if err == nil {
		defer func() { _ = r.Close() }()
		var content []byte
		if content, err = io.ReadAll(io.LimitReader(r, limit+1)); err == nil && int64(len(content)) <= limit {
			return content, nil
		}
	}
	return nil, fmt.Errorf("reading %s of export: %w", f.Name, privacy.ErrDamaged)
}
