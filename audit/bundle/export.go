package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Log is what a bundle is made of. Nothing of it is believed: a log that does not prove
// itself is not exported.
type Log interface {
	// Entries returns up to limit entries from an index on, in order.
	Entries(ctx context.Context, from uint64, limit int) ([]audit.StoredEntry, error)
	// Checkpoints returns up to limit signed checkpoints from a size on, in ascending order,
	// each with what witnesses put under it.
	Checkpoints(ctx context.Context, from uint64, limit int) ([]audit.StoredCheckpoint, error)
	// LatestCheckpoint returns the newest, with what witnesses put under it.
	LatestCheckpoint(ctx context.Context) ([]byte, error)
	// Tile returns a tile of hashes. It is asked only for those that do not follow from the
	// entries of the range.
	Tile(ctx context.Context, name audit.TileName) ([]byte, error)
}

// ExportConfig says what goes into a bundle. Verifier and Signer are required.
type ExportConfig struct {
	// Verifier is the log's key.
	Verifier note.Verifier
	// Former are keys that signed checkpoints of the log before.
	Former []note.Verifier
	// LogKey and ManifestKey are the public keys in the form of [audit.FormatKey], to lie in
	// the bundle. Whoever checks it should have got them some other way.
	LogKey, ManifestKey string
	// Signer signs the manifest. It is called [SignerName].
	Signer note.Signer
	// Begin and End are which entries; an End of zero means all that are signed for.
	Begin, End uint64
	// Policies returns the policy bundle with a digest, or an error that wraps
	// [privacy.ErrNotFound]: then it is left out. Nil leaves all out.
	Policies func(ctx context.Context, policy audit.Digest) ([]byte, error)
	// Facts returns what lies at [FactsPath] for those of the pairs that were kept. Nil
	// leaves all out.
	Facts func(ctx context.Context, pairs []Pair) (map[Pair][]byte, error)
	// Files are others that go along: the page and the witnesses' policy.
	Files map[string][]byte
	// Commit is called with the signed manifest before the bundle is one, and an error of
	// it ends the export: this is where the log learns of it. Nil does nothing.
	Commit func(ctx context.Context, manifest []byte) error
	// Progress is told how many entries are done; it may be nil.
	Progress func(done, total uint64)
}

// Export writes a bundle into a directory, which must be new, empty or a bundle of the same
// log. One that is there already is extended by what came since; an export that was broken off,
// however it ended, is finished by the next, at the checkpoint for which it was begun. It
// returns the manifest.
//
// Errors wrap [privacy.ErrInvalid] if the directory holds something else or the range is
// not to be had, [privacy.ErrConflict] if another export is writing there, [privacy.ErrNotFound]
// if nothing is signed yet, and [privacy.ErrDamaged] if the log does not prove itself, or
// does not begin with what is in the directory: then the bundle there is left as it was.
func Export(ctx context.Context, dir string, log Log, config ExportConfig) (Manifest, error) {
	if config.Verifier == nil || config.Signer == nil {
		return Manifest{}, fmt.Errorf("exporting log without its keys: %w", privacy.ErrInvalid)
	}
	e := &exporter{log: log, config: &config, files: map[string]File{}, pairs: map[Pair]bool{}, policies: map[audit.Digest]bool{}}
	var err error
	if e.out, err = openWriter(dir); err != nil {
		return Manifest{}, fmt.Errorf("exporting log: %w", err)
	}
	err = e.run(ctx)
	if err = errors.Join(err, e.out.close()); err != nil {
		return Manifest{}, fmt.Errorf("exporting log: %w", err)
	}
	return e.manifest, nil
}

// exporter is the state of one [Export].
type exporter struct {
	log      Log
	config   *ExportConfig
	out      *writer
	note     []byte // of the checkpoint up to which it goes
	old      *Manifest
	manifest Manifest
	edge     audit.Edge
	next     uint64          // first entry that is not written yet
	files    map[string]File // outside the tree
	pairs    map[Pair]bool
	policies map[audit.Digest]bool
}

func (e *exporter) run(ctx context.Context) error {
	if err := e.readOld(ctx); err != nil {
		return err
	}
	if err := e.aim(ctx); err != nil {
		return err
	}
	if err := e.begin(ctx); err != nil {
		return err
	}
	if err := e.writeTree(ctx); err != nil {
		if e.old != nil && errors.Is(err, privacy.ErrDamaged) {
			err = errors.Join(err, e.out.revert(e.old.Range))
		}
		return err
	}
	if err := e.writeRest(ctx); err != nil {
		return err
	}
	return e.finish(ctx)
}

// readOld reads the bundle that is there, if one is.
func (e *exporter) readOld(ctx context.Context) error {
	signed, err := e.out.dir.Read(ctx, ManifestPath, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	old, err := ParseManifest(string(text) + "\n")
	if err != nil {
		return err
	}
	if old.Origin != e.config.Verifier.Name() {
		return fmt.Errorf("the directory holds a bundle of another log: %w", privacy.ErrInvalid)
	}
	e.old = &old
	for _, file := range old.Files {
		content, err := e.out.dir.Read(ctx, file.Path, maxManifest)
		if err == nil && sha256.Sum256(content) == file.SHA256 {
			e.files[file.Path] = file
			continue
		}
		// An extension that was broken off may have written it; facts and policies never change.
		if !e.out.has(unfinishedPath) || strings.HasPrefix(file.Path, factsDir) || strings.HasPrefix(file.Path, policiesDir) {
			return fmt.Errorf("%s of the bundle that is there was changed; export into another directory: %w", file.Path, privacy.ErrDamaged)
		}
	}
	return nil
}

// aim settles up to which checkpoint the bundle goes: that of an export that was broken off,
// or the newest.
func (e *exporter) aim(ctx context.Context) error {
	begin, end, signed, err := e.out.readUnfinished(ctx)
	if err != nil {
		return err
	}
	c, err := audit.OpenCheckpoint(signed, e.config.Verifier)
	if err != nil || begin != e.config.Begin || e.config.End != 0 && end != e.config.End {
		if signed, err = e.log.LatestCheckpoint(ctx); err != nil {
			return err
		}
		if c, err = audit.OpenCheckpoint(signed, e.config.Verifier); err != nil {
			return err
		}
		if begin, end = e.config.Begin, e.config.End; end == 0 {
			end = c.Size
		}
	}
	e.note = signed
	e.manifest = Manifest{Origin: c.Origin, Range: Range{begin, end, c.Size}, Root: c.Root}
	switch {
	case !e.manifest.valid():
		return fmt.Errorf("entries %d to %d are no part of a log of %d: %w", begin, end, c.Size, privacy.ErrInvalid)
	case e.old == nil:
	case e.old.Begin != begin || e.old.End != e.old.Size && e.old.Range != e.manifest.Range:
		return fmt.Errorf("the directory holds a bundle of other entries: %w", privacy.ErrInvalid)
	case e.old.Size > c.Size || e.old.End > end:
		return fmt.Errorf("the bundle has %d entries, but the log only %d: %w", e.old.Size, c.Size, privacy.ErrDamaged)
	case e.old.Size == c.Size && e.old.Root != c.Root:
		return fmt.Errorf("the log is another than that of the bundle, of the same size: %w", privacy.ErrDamaged)
	}
	return e.out.writeUnfinished(begin, end, signed)
}

// begin makes the right edge of the tree behind which entries are still to be written.
func (e *exporter) begin(ctx context.Context) error {
	e.next = e.manifest.Begin
	read := func(name audit.TileName) ([]byte, error) { return e.log.Tile(ctx, name) }
	size := e.next
	if e.old != nil && e.old.End == e.old.Size && e.old.Size < e.manifest.End {
		size = e.old.Size
		read = func(name audit.TileName) ([]byte, error) { return e.out.dir.Read(ctx, name.Path(), audit.TileBytes) }
	}
	var tiles [audit.TileLevels][]byte
	for level := range tiles {
		first, count := audit.Unfinished(size, level)
		if count == 0 {
			continue
		}
		tile, err := read(audit.TileName{Level: level, N: first / audit.TileWidth, Width: count})
		if err != nil {
			return fmt.Errorf("reading hashes up to entry %d: %w", size, err)
		}
		tiles[level] = tile
	}
	edge, err := audit.LoadEdge(size, tiles)
	if err != nil {
		return err
	}
	if size != e.next {
		if edge.Root() != e.old.Root {
			return fmt.Errorf("hashes of the bundle that is there were changed; export into another directory: %w", privacy.ErrDamaged)
		}
		// The unfinished files of level 0 are written anew.
		e.next, tiles[0] = size&^(audit.TileWidth-1), nil
		if edge, err = audit.LoadEdge(e.next, tiles); err != nil {
			return err
		}
	}
	e.edge = edge
	return nil
}

// entriesAtOnce is how many entries are read in one go.
const entriesAtOnce = 4096

// writeTree writes entries and tiles, and proves on the way that the log is what the
// checkpoint says and begins with what was there before.
func (e *exporter) writeTree(ctx context.Context) error {
	end := e.manifest.End
	resumed := e.old == nil || e.old.Range != e.manifest.Range
	for e.next < end && resumed {
		if e.config.Progress != nil {
			e.config.Progress(e.next, end)
		}
		width := int(min(audit.TileWidth, end-e.next))
		leaves, ok := e.out.readLeaves(ctx, e.next/audit.TileWidth, width)
		if ok { // written before the export was broken off
			if err := e.writeEntries(leaves, false); err != nil {
				return err
			}
			continue
		}
		page, err := e.log.Entries(ctx, e.next, int(min(entriesAtOnce, end-e.next)))
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return fmt.Errorf("entry %d of the log is missing: %w", e.next, privacy.ErrDamaged)
		}
		for i := range page {
			if page[i].Index != e.next+uint64(i) {
				return fmt.Errorf("entry %d of the log is missing: %w", e.next+uint64(i), privacy.ErrDamaged)
			}
			if page[i].LeafHash != tlog.Hash(audit.LeafHash(page[i].Leaf)) {
				return fmt.Errorf("entry %d of the log was altered: %w", page[i].Index, privacy.ErrDamaged)
			}
		}
		for len(page) > 0 {
			width := int(min(audit.TileWidth, end-e.next))
			if len(page) < width {
				break // the rest comes with the next page
			}
			leaves = leaves[:0]
			for i := range page[:width] {
				leaves = append(leaves, page[i].Leaf)
			}
			if err := e.writeEntries(leaves, true); err != nil {
				return err
			}
			page = page[width:]
		}
	}
	if e.config.Progress != nil {
		e.config.Progress(end, end)
	}
	return e.writeTiles(ctx)
}

// writeEntries writes the entries of one tile, unless they lie there already, and the tiles
// that are full with them.
func (e *exporter) writeEntries(leaves [][]byte, fresh bool) error {
	n := e.next / audit.TileWidth
	content := make([]byte, 0, 512*len(leaves))
	var full []audit.FullTile
	for _, leaf := range leaves {
		entry, err := audit.ParseEntry(leaf)
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.next, err)
		}
		if entry.Policy != (audit.Digest{}) {
			e.policies[entry.Policy] = true
			if entry.Facts != (audit.Digest{}) {
				e.pairs[Pair{entry.Policy, entry.Facts}] = true
			}
		}
		content = audit.AppendBundled(content, leaf)
		full = e.edge.Append(tlog.Hash(audit.LeafHash(leaf)), full)
		e.next++
		if e.old != nil && e.next == e.old.Size && e.edge.Root() != e.old.Root {
			return fmt.Errorf("the log no longer begins with the %d entries of the bundle: %w", e.old.Size, privacy.ErrDamaged)
		}
	}
	if fresh {
		if err := e.out.write(audit.EntriesPath(n, len(leaves)), content); err != nil {
			return err
		}
	}
	for i := range full {
		if !fresh && full[i].Level == 0 {
			continue
		}
		if err := e.out.write(audit.TilePath(full[i].Level, full[i].N, audit.TileWidth), full[i].Hashes); err != nil {
			return err
		}
	}
	return nil
}

// writeTiles writes what no entry of the range completes, and compares with the checkpoint.
func (e *exporter) writeTiles(ctx context.Context) error {
	whole := e.manifest.End == e.manifest.Size
	if whole && e.next == e.manifest.Size && e.edge.Root() != e.manifest.Root {
		return fmt.Errorf("entries and the checkpoint of %d do not fit each other: %w", e.manifest.Size, privacy.ErrDamaged)
	}
	if whole && e.next == e.manifest.Size {
		for level := range audit.TileLevels {
			if tile := e.edge.Tile(level); len(tile) > 0 {
				if err := e.out.write(audit.TilePath(level, e.manifest.Size>>(8*level)/audit.TileWidth, len(tile)/tlog.HashSize), tile); err != nil {
					return err
				}
			}
		}
	}
	for name := range e.manifest.tree() {
		if name.Entries || e.out.has(name.Path()) {
			continue
		}
		tile, err := e.log.Tile(ctx, name)
		if err != nil {
			return fmt.Errorf("reading tile of hashes: %w", err)
		}
		if err := e.out.write(name.Path(), tile); err != nil {
			return err
		}
	}
	if e.manifest.isPart() {
		return e.provePart(ctx)
	}
	return nil
}

// sortedFiles are the files outside the tree.
func (e *exporter) sortedFiles() []File {
	files := make([]File, 0, len(e.files))
	for _, file := range e.files {
		files = append(files, file)
	}
	slices.SortFunc(files, func(a, b File) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	return files
}
