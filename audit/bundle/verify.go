package bundle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// VerifyConfig says what [Verify] checks against.
type VerifyConfig struct {
	// Keys are public keys in the form of [audit.FormatKey]: the log's, former ones of the log,
	// and that of the house if another signs its documents. None takes the keys that lie in the
	// bundle.
	Keys []string
	// Kept are signed checkpoints that somebody kept. The log must begin with each of them.
	Kept [][]byte
	// Witnessed checks the cosignatures of the checkpoint, which one of the log's keys signed;
	// nil asks for none.
	Witnessed func(signed []byte, logs []note.Verifier) error
	// Visit is called with the entries, in order, at most 256 at a time; it may be nil. They
	// are those of the bundle, whole or not. It must not keep the slice. An error ends the check.
	Visit func(first uint64, entries []audit.Entry) error
	// Workers is how many tiles are checked at a time; zero means one for each processor. Over a
	// network there should be more.
	Workers int
	// Progress is told how many entries are done; it may be nil.
	Progress func(done, total uint64)
}

// Verify checks a bundle, or a log that is served: that every entry that should be there is,
// in its order, unaltered and well formed; that every tile fits the entries below it and the root
// of the signed checkpoint; that every older checkpoint, and each that was kept, is one of
// the same log; and that in a directory there is nothing else. It reads everything once, in
// bounded memory, with all processors.
//
// The report names what is wrong by index and by file. An error says that the check could
// not be made, and nothing about the log: no bundle, an unfinished one ([ErrUnfinished]), a
// file that cannot be read, a key that is none.
func Verify(ctx context.Context, files Files, config VerifyConfig) (Report, error) {
	v := &verification{files: files, config: &config}
	if err := v.run(ctx); err != nil {
		return Report{}, fmt.Errorf("verifying bundle of the log: %w", err)
	}
	v.report.Damages, v.report.MoreDamages = v.findings.sorted()
	return v.report, nil
}

// verification is the state of one [Verify].
type verification struct {
	files     Files
	config    *VerifyConfig
	report    Report
	findings  findings
	logKeys   []note.Verifier
	known     map[string]bool // name+hash of what the given keys sign
	manifest  Manifest
	signed    []byte // the checkpoint
	key       int    // of the log, that signed it
	turns     turns
	kept      []audit.Checkpoint // by size
	good      uint64             // size of the last checkpoint that fitted
	isAltered map[string]bool    // files that are not what the manifest says
}

func (v *verification) run(ctx context.Context) error {
	if _, err := v.files.Read(ctx, unfinishedPath, 2*maxNote); err == nil {
		return ErrUnfinished
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	keys, err := v.keys(ctx)
	if err != nil {
		return err
	}
	if err := v.readManifest(ctx, keys); err != nil {
		return err
	}
	checkpoint, ok, err := v.readCheckpoint(ctx)
	if err != nil || !ok {
		return err
	}
	if err := v.openKept(); err != nil {
		return err
	}
	if err := v.checkFiles(ctx); err != nil {
		return err
	}
	v.report.Range = v.manifest.Range
	for path := range v.isAltered {
		if strings.HasPrefix(path, "tile/") {
			v.report.NotChecked = append(v.report.NotChecked, "entries and checkpoints, because a tile that would prove them was changed")
			return nil
		}
	}
	return v.checkTree(ctx, checkpoint)
}

// keys reads the keys that were given, or those of the bundle.
func (v *verification) keys(ctx context.Context) ([]string, error) {
	keys := v.config.Keys
	if len(keys) > 0 {
		return keys, nil
	}
	v.report.OwnKeys = true
	for _, path := range []string{KeyPath, ManifestKey} {
		text, err := v.files.Read(ctx, path, maxKey)
		if err != nil {
			if path == KeyPath {
				return nil, fmt.Errorf("no key was given, and there is none to read: %w", err)
			}
			continue
		}
		keys = append(keys, strings.Fields(string(text))...)
	}
	return keys, nil
}

// readManifest reads the manifest, and the keys in the roles that they can have.
func (v *verification) readManifest(ctx context.Context, keys []string) error {
	signed, err := v.files.Read(ctx, ManifestPath, maxManifest)
	_, isDir := v.files.(walker)
	switch {
	case errors.Is(err, fs.ErrNotExist) && isDir:
		if _, err := v.files.Read(ctx, CheckpointPath, maxNote); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no bundle: %w", err)
		}
		v.findings.found(audit.Damage{Kind: FileMissing, Path: ManifestPath})
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	for _, text := range keys {
		name, key, err := audit.ParseKey(text)
		if err != nil {
			return err
		}
		verifier, err := audit.NewVerifier(name, key)
		if err != nil {
			return err
		}
		if err := v.know(name, key); err != nil {
			return err
		}
		if !slices.ContainsFunc(keys, func(log string) bool { return strings.HasPrefix(text, SignerName(nameOf(log))+"+") }) {
			v.logKeys = append(v.logKeys, verifier) // others sign manifests, and must not sign checkpoints
		}
	}
	if signed == nil {
		return nil
	}
	v.report.Manifest = true
	for _, text := range keys {
		name, key, _ := audit.ParseKey(text)
		for _, signer := range []string{name, SignerName(name)} {
			verifier, err := audit.NewVerifier(signer, key)
			if err != nil {
				return err
			}
			if v.manifest, err = OpenManifest(signed, verifier); err == nil {
				return nil
			}
		}
		// The house's key has another name when an outside signer holds the log's.
		text, _, _ := strings.Cut(string(signed), "\n\n")
		if unproved, err := ParseManifest(text + "\n"); err == nil {
			if verifier, err := audit.NewVerifier(SignerName(unproved.Origin), key); err == nil {
				if v.manifest, err = OpenManifest(signed, verifier); err == nil {
					return nil
				}
			}
		}
	}
	v.manifest = Manifest{}
	v.findings.found(audit.Damage{Kind: SignatureWrong, Path: ManifestPath, Detail: v.missingKeys(signed)})
	return nil
}

// nameOf is the name of a key.
func nameOf(key string) string {
	name, _, _ := strings.Cut(key, "+")
	return name
}

// openCheckpoint opens a checkpoint with any of the log's keys.
func (v *verification) openCheckpoint(signed []byte) (audit.Checkpoint, error) {
	c, _, err := v.openSigned(signed)
	return c, err
}

// openSigned also returns which of the log's keys it was.
func (v *verification) openSigned(signed []byte) (c audit.Checkpoint, key int, err error) {
	for key, verifier := range v.logKeys {
		if c, err = audit.OpenCheckpoint(signed, verifier); err == nil {
			return c, key, nil
		}
	}
	return audit.Checkpoint{}, 0, err
}

// turns follows the keys of a log through its checkpoints: once another has followed a key,
// it signs no more.
type turns struct {
	now   int
	any   bool
	ended map[int]bool
}

// take reports whether the key may sign the next checkpoint.
func (t *turns) take(key int) bool {
	if t.ended[key] {
		return false
	}
	if t.any && t.now != key {
		if t.ended == nil {
			t.ended = map[int]bool{}
		}
		t.ended[t.now] = true
	}
	t.now, t.any = key, true
	return true
}

// readCheckpoint reads the newest checkpoint, and reports whether there is one to check against.
func (v *verification) readCheckpoint(ctx context.Context) (audit.Checkpoint, bool, error) {
	var err error
	damage := audit.Damage{Kind: FileMissing, Path: CheckpointPath}
	v.signed, err = v.files.Read(ctx, CheckpointPath, maxNote)
	if err != nil {
		if !v.report.Manifest || unreadable(err) != nil {
			return audit.Checkpoint{}, false, err
		}
		v.findings.found(damage)
		return v.withoutCheckpoint()
	}
	c, key, err := v.openSigned(v.signed)
	v.key = key
	if err != nil {
		damage.Kind, damage.Detail = SignatureWrong, v.missingKeys(v.signed)
		v.findings.found(damage)
		return v.withoutCheckpoint()
	}
	if v.manifest.Origin == "" {
		if c.Size >= maxSize {
			damage.Kind, damage.Detail = audit.CheckpointAltered, fmt.Sprintf("no log has %d entries", c.Size)
			v.findings.found(damage)
			return v.withoutCheckpoint()
		}
		v.manifest = Manifest{Origin: c.Origin, Range: Range{End: c.Size, Size: c.Size}, Root: c.Root}
		v.report.Manifest = false
	}
	v.report.Origin = c.Origin
	if v.manifest.Origin != c.Origin || v.manifest.Size != c.Size || v.manifest.Root != c.Root {
		damage.Index, damage.Kind, damage.Detail = min(c.Size, v.manifest.Size), FileAltered, "it is of another size or log than the manifest"
		v.findings.found(damage)
		return v.withoutCheckpoint()
	}
	v.report.Signed, v.report.Note = c, v.signed
	if v.config.Witnessed != nil {
		if err := v.config.Witnessed(v.signed, v.logKeys); err != nil {
			v.findings.found(audit.Damage{Index: c.Size, Kind: NoQuorum, Path: CheckpointPath, Detail: err.Error()})
		}
	}
	return c, true, nil
}

// withoutCheckpoint goes on with what the manifest says, if that verified.
func (v *verification) withoutCheckpoint() (audit.Checkpoint, bool, error) {
	m := &v.manifest
	v.report.Origin = m.Origin
	return audit.Checkpoint{Origin: m.Origin, Size: m.Size, Root: m.Root}, m.Origin != "" && m.valid(), nil
}

func (v *verification) openKept() error {
	for i, signed := range v.config.Kept {
		c, err := v.openCheckpoint(signed)
		if err != nil {
			return fmt.Errorf("a checkpoint that was kept was not signed by a known key: %w", errors.Join(err, privacy.ErrInvalid))
		}
		v.kept = append(v.kept, c)
		switch {
		case c.Size > v.manifest.Size:
			v.findings.found(audit.Damage{Index: v.manifest.Size, Kind: audit.EntriesCut, Detail: fmt.Sprintf("a checkpoint of size %d was kept", c.Size)})
		case c.Size >= v.manifest.Begin && c.Size <= v.manifest.End: // compared with the tree
		case c.Size < v.manifest.Size:
			v.report.KeptUnchecked = append(v.report.KeptUnchecked, i)
		case c.Root != v.manifest.Root:
			v.findings.found(audit.Damage{Index: v.good, Kind: audit.KeptForked, Detail: fmt.Sprintf("size %d", c.Size)})
		case c.Size > v.report.Kept.Size:
			v.report.Kept = c
		}
	}
	return nil
}

// walker is a place that can be listed.
type walker interface {
	walk(visit func(path string, entry fs.DirEntry) error) error
}

// checkFiles compares the files outside the tree with the manifest, and looks for files
// that belong nowhere.
func (v *verification) checkFiles(ctx context.Context) error {
	if !v.report.Manifest {
		return nil
	}
	known := make(map[string]bool, len(v.manifest.Files)+1)
	known[ManifestPath] = true
	sums := map[[32]byte]string{}
	for i := range v.manifest.Files {
		sums[v.manifest.Files[i].SHA256] = v.manifest.Files[i].Path
	}
	v.isAltered = map[string]bool{}
	for i := range v.manifest.Files {
		file := &v.manifest.Files[i]
		known[file.Path] = true
		damage := audit.Damage{Index: v.manifest.End, Path: file.Path}
		content, err := v.files.Read(ctx, file.Path, maxManifest)
		if err := unreadable(err); err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		switch elsewhere := sums[sum]; {
		case errors.Is(err, fs.ErrNotExist):
			damage.Kind = FileMissing
		case err == nil && sum == file.SHA256:
			continue
		case elsewhere != "":
			damage.Kind, damage.Detail = FileSwapped, "it is "+elsewhere
		case err == nil && uint64(len(content)) < file.Size:
			damage.Kind = FileCut
		case err != nil, uint64(len(content)) > file.Size:
			damage.Kind = FileLonger
		default:
			damage.Kind = FileAltered
		}
		v.isAltered[file.Path] = true
		v.findings.found(damage)
	}
	dir, ok := v.files.(walker)
	if !ok {
		return nil
	}
	return dir.walk(func(path string, entry fs.DirEntry) error {
		tile, err := audit.ParseTilePath(path)
		if known[path] || err == nil && v.manifest.has(tile) {
			if !entry.Type().IsRegular() && !known[path] {
				v.findings.found(audit.Damage{Index: first(tile, 0), Kind: FileExtra, Path: path, Detail: "it is no file"})
			}
			return nil
		}
		damage := audit.Damage{Index: v.manifest.End, Kind: FileExtra, Path: path}
		if err == nil {
			damage.Index = first(tile, 0)
		}
		v.findings.found(damage)
		return nil
	})
}
