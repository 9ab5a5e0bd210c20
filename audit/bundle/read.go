package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Bundle is a bundle opened for reading. What it returns has not been compared with the
// tree: that is what [Verify] is for.
type Bundle struct {
	files      Files
	manifest   Manifest
	checkpoint audit.Checkpoint
	note       []byte
	verifier   note.Verifier
}

// ErrUnfinished: the export that writes the bundle did not come to its end. Running it
// again finishes it.
var ErrUnfinished = errors.New("the export was not finished; run it again")

// Open opens a bundle. The verifier is the log's; nil takes the key that lies in the bundle,
// which says only that the bundle is one piece. Over HTTP there is no manifest: then
// everything up to the checkpoint is there.
//
// An error wraps [privacy.ErrDamaged] if checkpoint or manifest are not what the key signed,
// [ErrUnfinished], or [fs.ErrNotExist] if there is no bundle.
func Open(ctx context.Context, files Files, verifier note.Verifier) (*Bundle, error) {
	b := &Bundle{files: files, verifier: verifier}
	if err := b.open(ctx); err != nil {
		return nil, fmt.Errorf("opening bundle of the log: %w", err)
	}
	return b, nil
}

func (b *Bundle) open(ctx context.Context) error {
	if _, err := b.files.Read(ctx, unfinishedPath, maxNote); err == nil {
		return ErrUnfinished
	}
	var err error
	if b.verifier == nil {
		if b.verifier, err = readKey(ctx, b.files, KeyPath); err != nil {
			return err
		}
	}
	if b.note, err = b.files.Read(ctx, CheckpointPath, maxNote); err != nil {
		return err
	}
	if b.checkpoint, err = audit.OpenCheckpoint(b.note, b.verifier); err != nil {
		return err
	}
	b.manifest = Manifest{Origin: b.checkpoint.Origin, Range: Range{End: b.checkpoint.Size, Size: b.checkpoint.Size}, Root: b.checkpoint.Root}
	signed, err := b.files.Read(ctx, ManifestPath, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text, _, _ := strings.Cut(string(signed), "\n\n")
	m, err := ParseManifest(text + "\n")
	if err != nil {
		return err
	}
	if m.Origin != b.checkpoint.Origin || m.Size != b.checkpoint.Size || m.Root != b.checkpoint.Root {
		return fmt.Errorf("%s and %s are of different logs: %w", ManifestPath, CheckpointPath, privacy.ErrDamaged)
	}
	b.manifest = m
	return nil
}

// BeginOf is the first entry of a bundle as its manifest says, whoever signed it: to put
// the parts of a log in order before they are checked. Without a manifest it is zero.
func BeginOf(ctx context.Context, files Files) (uint64, error) {
	signed, err := files.Read(ctx, ManifestPath, maxManifest)
	if err != nil {
		return 0, unreadable(err)
	}
	text, _, _ := strings.Cut(string(signed), "\n\n")
	m, err := ParseManifest(text + "\n")
	if err != nil {
		return 0, nil // verifying it says what is wrong
	}
	return m.Begin, nil
}

// readKey reads a public key that lies in a bundle.
func readKey(ctx context.Context, files Files, path string) (note.Verifier, error) {
	text, err := files.Read(ctx, path, maxKey)
	if err != nil {
		return nil, err
	}
	current, _, _ := strings.Cut(string(text), "\n") // former ones follow
	origin, key, err := audit.ParseKey(current)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, privacy.ErrDamaged))
	}
	return audit.NewVerifier(origin, key)
}

// Checkpoint is the newest one, which the log's key signed.
func (b *Bundle) Checkpoint() audit.Checkpoint { return b.checkpoint }

// Note is the newest checkpoint with all its signatures.
func (b *Bundle) Note() []byte { return b.note }

// Range is which entries are there.
func (b *Bundle) Range() Range { return b.manifest.Range }

// Manifest is what the manifest says; without its files over HTTP.
func (b *Bundle) Manifest() Manifest { return b.manifest }

// Size is the index behind the last entry that is there.
func (b *Bundle) Size(context.Context) (uint64, error) { return b.manifest.End, nil }

// Entries returns up to limit entries from an index on, in order, and at least one unless the
// bundle ends there. A bundle that begins later begins with its first.
func (b *Bundle) Entries(ctx context.Context, from uint64, limit int) ([]audit.StoredEntry, error) {
	from = max(from, b.manifest.Begin)
	var entries []audit.StoredEntry
	var leaves [][]byte
	for from < b.manifest.End && len(entries) < limit {
		n := from / audit.TileWidth
		width := int(min(audit.TileWidth, b.manifest.End-n*audit.TileWidth))
		path := audit.EntriesPath(n, width)
		content, err := b.files.Read(ctx, path, maxEntriesFile)
		if err != nil {
			return nil, fmt.Errorf("reading entries: %w", err)
		}
		if leaves, err = audit.SplitBundle(leaves[:0], content, width); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, leaf := range leaves[from%audit.TileWidth:] {
			if len(entries) == limit {
				break
			}
			entries = append(entries, audit.StoredEntry{Index: from, Leaf: leaf, LeafHash: tlog.Hash(audit.LeafHash(leaf))})
			from++
		}
	}
	return entries, nil
}
