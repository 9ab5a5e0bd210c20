package export

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// The names of the files that every export has.
const (
	DataName     = "data.json"
	IndexName    = "index.html"
	ManifestName = "manifest.json"
	NoteName     = "manifest.note"
)

// Manifest lists what is in an export.
type Manifest struct {
	Format    string         `json:"format"`
	Kind      string         `json:"kind"`
	CreatedAt time.Time      `json:"created_at"`
	Request   string         `json:"request_id,omitempty"`
	Language  string         `json:"language"`
	Files     []ManifestFile `json:"files"`
}

// ManifestFile is one file of an export.
type ManifestFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// maxManifest bounds a manifest that is read: some hundred thousand files.
const maxManifest = 64 << 20

// encode returns the bytes that are signed and stored.
func (m *Manifest) encode() ([]byte, error) {
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encoding manifest: %w", err)
	}
	return append(text, '\n'), nil
}

// ParseManifest reads what an export says it has, and nothing else: unknown fields, a file
// twice, files out of order, names that lead elsewhere and digests of another form are
// errors that wrap [privacy.ErrDamaged].
func ParseManifest(text []byte) (Manifest, error) {
	damaged := func(what string) (Manifest, error) {
		return Manifest{}, fmt.Errorf("reading manifest: %s: %w", what, privacy.ErrDamaged)
	}
	if len(text) > maxManifest {
		return damaged("length")
	}
	var m Manifest
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return damaged("JSON")
	}
	again, err := m.encode()
	if err != nil || !bytes.Equal(again, text) {
		return damaged("spelling")
	}
	if m.Format != Format {
		return damaged("format")
	}
	for i, file := range m.Files {
		digest, err := hex.DecodeString(file.SHA256)
		switch {
		case !validName(file.Name) || file.Name == ManifestName || file.Name == NoteName:
			return damaged("name of a file")
		case i > 0 && m.Files[i-1].Name >= file.Name:
			return damaged("order of files")
		case err != nil || len(digest) != sha256.Size || hex.EncodeToString(digest) != file.SHA256 || file.Size < 0:
			return damaged("digest of a file")
		}
	}
	return m, nil
}

// validName keeps a file inside the folder that an export is unpacked to.
func validName(name string) bool {
	folder, file, nested := strings.Cut(name, "/")
	if !nested {
		return plainName(name)
	}
	return plainName(folder) && plainName(file) && !strings.Contains(file, "/")
}

func plainName(name string) bool {
	return name != "" && len(name) <= 128 && name[0] != '.' &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == ""
}

// Statement is what is signed about an export: the digest of its manifest, and the entry of
// the log that says that it was made.
type Statement struct {
	// Origin is the name of the log.
	Origin   string
	Manifest audit.Digest
	Index    uint64
	LeafHash [32]byte
}

// noteName is the name under which the key of a log signs exports. It is another than the
// log's own, so that no export is ever taken for a checkpoint, nor the other way round.
func noteName(origin string) string { return origin + "/export" }

// text is what is signed, of four lines.
func (s *Statement) text() string {
	return noteName(s.Origin) + "\n" + Format + "\n" + base64.StdEncoding.EncodeToString(s.Manifest[:]) + "\n" +
		strconv.FormatUint(s.Index, 10) + " " + base64.StdEncoding.EncodeToString(s.LeafHash[:]) + "\n"
}

// sign returns the statement as a C2SP signed note.
func (s *Statement) sign(key ed25519.PublicKey, sign func([]byte) ([]byte, error)) ([]byte, error) {
	signer, err := audit.NewSigner(noteName(s.Origin), key, sign)
	if err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: s.text()}, signer)
	if err != nil {
		return nil, fmt.Errorf("signing export: %w", err)
	}
	return signed, nil
}

// OpenStatement checks the signature under a statement, by the key of the log of that
// origin. The error wraps [privacy.ErrDamaged] for anything that does not fit.
func OpenStatement(signed []byte, origin string, key ed25519.PublicKey) (Statement, error) {
	damaged := func(what string) (Statement, error) {
		return Statement{}, fmt.Errorf("opening statement of export: %s: %w", what, privacy.ErrDamaged)
	}
	verifier, err := audit.NewVerifier(noteName(origin), key)
	if err != nil {
		return Statement{}, err
	}
	text, err := audit.OpenNote(signed, verifier)
	if err != nil {
		return damaged("signature")
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 5 {
		return damaged("number of lines")
	}
	s := Statement{Origin: origin}
	place, leaf, _ := strings.Cut(lines[3], " ")
	if s.Index, err = strconv.ParseUint(place, 10, 63); err != nil {
		return damaged("index")
	}
	if !decodeDigest(s.Manifest[:], lines[2]) || !decodeDigest(s.LeafHash[:], leaf) {
		return damaged("digest")
	}
	if s.text() != text {
		return damaged("spelling")
	}
	return s, nil
}

func decodeDigest(to []byte, text string) bool {
	digest, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && copy(to, digest) == sha256.Size && len(digest) == sha256.Size
}
