package bundle

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// manifestVersion is the first line of a manifest.
const manifestVersion = "mahrem.audit-bundle/v1"

// SignerName is the name under which manifests of a log are signed: the key may be the log's
// own, and a signed manifest must never pass for a checkpoint.
func SignerName(origin string) string { return origin + "/bundle" }

// File is a file of a bundle that lies outside the tree.
type File struct {
	Path   string
	Size   uint64
	SHA256 [32]byte
}

// Manifest says what belongs to a bundle.
type Manifest struct {
	// Origin names the log.
	Origin string
	// Range is which entries are there.
	Range
	// Root is that of the tree of Size, as the checkpoint says too.
	Root tlog.Hash
	// Checkpoints is how many older checkpoints lie in packs.
	Checkpoints uint64
	// Files are those outside the tree, in ascending order of their paths.
	Files []File
}

// Format writes the text of the manifest, in its one spelling.
func (m *Manifest) Format() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\norigin %s\nentries %d %d\ncheckpoint %d %s\ncheckpoints %d\n", manifestVersion, m.Origin, m.Begin, m.End,
		m.Size, base64.StdEncoding.EncodeToString(m.Root[:]), m.Checkpoints)
	for i := range m.Files {
		f := &m.Files[i]
		fmt.Fprintf(&b, "file %x %d %s\n", f.SHA256, f.Size, f.Path)
	}
	return b.String()
}

// ParseManifest reads what [Manifest.Format] writes and nothing else. The error wraps
// [privacy.ErrDamaged].
func ParseManifest(text string) (Manifest, error) {
	damaged := func(what string) (Manifest, error) {
		return Manifest{}, fmt.Errorf("reading manifest: %s: %w", what, privacy.ErrDamaged)
	}
	var m Manifest
	next := func(name string) []string {
		line, rest, ok := strings.Cut(text, "\n")
		fields := strings.Split(line, " ")
		if !ok || fields[0] != name {
			return nil
		}
		text = rest
		return fields[1:]
	}
	number := func(s string) (n uint64) {
		n, _ = strconv.ParseUint(s, 10, 55) // the spelling is compared at the end
		return n
	}
	whole := text
	if next(manifestVersion) == nil {
		return damaged("version")
	}
	if f := next("origin"); len(f) == 1 && f[0] != "" {
		m.Origin = f[0]
	} else {
		return damaged("origin")
	}
	if f := next("entries"); len(f) == 2 {
		m.Begin, m.End = number(f[0]), number(f[1])
	}
	if f := next("checkpoint"); len(f) == 2 {
		m.Size = number(f[0])
		root, _ := base64.StdEncoding.DecodeString(f[1])
		copy(m.Root[:], root)
	}
	if !m.valid() {
		return damaged("range of entries")
	}
	if f := next("checkpoints"); len(f) == 1 {
		m.Checkpoints = number(f[0])
	}
	for text != "" {
		f := next("file")
		if len(f) != 3 {
			return damaged("line of a file")
		}
		file := File{Path: f[2], Size: number(f[1])}
		sum, _ := hex.DecodeString(f[0])
		copy(file.SHA256[:], sum)
		tile, err := audit.ParseTilePath(file.Path)
		if !validPath(file.Path) && (err != nil || !m.isUnder(tile)) || len(m.Files) > 0 && m.Files[len(m.Files)-1].Path >= file.Path {
			return damaged("path of a file")
		}
		m.Files = append(m.Files, file)
	}
	if m.Format() != whole {
		return damaged("spelling")
	}
	return m, nil
}

// validPath reports whether a path may stand in a manifest: inside the bundle, outside the
// tree, and nothing that a file system or a terminal could take for something else.
func validPath(p string) bool {
	if p == "" || len(p) > 200 || path.Clean(p) != p || p[0] == '/' || p[0] == '.' {
		return false
	}
	for i := range len(p) {
		switch c := p[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.' && p[i-1] != '/', c == '_', c == '-', c == '/':
		default:
			return false
		}
	}
	return p != ManifestPath && p != unfinishedPath && !strings.HasPrefix(p, "tile/")
}

// Sign returns the manifest as a signed note. The signer is called [SignerName].
func (m *Manifest) Sign(signer note.Signer) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: m.Format()}, signer)
	if err != nil {
		return nil, fmt.Errorf("signing manifest: %w", err)
	}
	return signed, nil
}

// OpenManifest checks the signature of a manifest and reads it. Errors wrap
// [privacy.ErrDamaged].
func OpenManifest(signed []byte, verifier note.Verifier) (Manifest, error) {
	text, err := audit.OpenNote(signed, verifier)
	if err != nil {
		return Manifest{}, fmt.Errorf("opening manifest: %w", err)
	}
	m, err := ParseManifest(text)
	if err == nil && SignerName(m.Origin) != verifier.Name() {
		return Manifest{}, fmt.Errorf("opening manifest: it is of another log than its key: %w", privacy.ErrDamaged)
	}
	return m, err
}
