package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// writeRest writes what lies outside the tree.
func (e *exporter) writeRest(ctx context.Context) error {
	if err := e.writeCheckpoints(ctx); err != nil {
		return err
	}
	if err := e.writePolicies(ctx); err != nil {
		return err
	}
	if err := e.writeFacts(ctx); err != nil {
		return err
	}
	files := maps.Clone(e.config.Files)
	if files == nil {
		files = map[string][]byte{}
	}
	files[KeyPath], files[ManifestKey] = []byte(e.config.LogKey+"\n"), []byte(e.config.ManifestKey+"\n")
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := e.writeFile(path, files[path]); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a file that the manifest names.
func (e *exporter) writeFile(path string, content []byte) error {
	if !validPath(path) {
		return fmt.Errorf("%q is no path of a bundle: %w", path, privacy.ErrInvalid)
	}
	file := File{Path: path, Size: uint64(len(content)), SHA256: sha256.Sum256(content)}
	if e.files[path] == file {
		return nil // as it was
	}
	e.files[path] = file
	return e.out.write(path, content)
}

// writeCheckpoints writes the checkpoints that are older than that of the bundle and not
// older than its first entry, and goes on in the last pack of the bundle that was there.
func (e *exporter) writeCheckpoints(ctx context.Context) error {
	from := max(1, e.manifest.Begin)
	var count uint64
	if e.old != nil {
		count = e.old.Checkpoints / packed * packed
	}
	if count > 0 {
		last, err := readPack(ctx, e.out.dir, count/packed-1, packed)
		if err != nil {
			return err
		}
		c, err := e.openStored(last[packed-1])
		if err != nil {
			return err
		}
		from = c.Size + 1
	}
	var pack []byte
	for {
		page, err := e.log.Checkpoints(ctx, from, packed)
		if err != nil {
			return err
		}
		for _, stored := range page {
			if stored.Size > e.manifest.End || stored.Size >= e.manifest.Size {
				page = nil
				break
			}
			c, err := e.openStored(stored.Note)
			if err != nil || c.Size != stored.Size || len(stored.Note) > audit.MaxLeaf {
				return fmt.Errorf("the stored checkpoint of size %d: %w", stored.Size, errors.Join(err, privacy.ErrDamaged))
			}
			from = stored.Size + 1
			pack = audit.AppendBundled(pack, stored.Note)
			if count++; count%packed == 0 {
				if err := e.writeFile(PackPath(count/packed-1), pack); err != nil {
					return err
				}
				pack = nil
			}
		}
		if len(page) == 0 {
			break
		}
	}
	e.manifest.Checkpoints = count
	if len(pack) == 0 {
		return nil
	}
	return e.writeFile(PackPath(count/packed), pack)
}

// readPack reads a file of checkpoints.
func readPack(ctx context.Context, files Files, n uint64, count int) ([][]byte, error) {
	path := PackPath(n)
	content, err := files.Read(ctx, path, packed*(2+audit.MaxLeaf))
	if err != nil {
		return nil, err
	}
	notes, err := audit.SplitBundle(nil, content, count)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return notes, nil
}

func (e *exporter) writePolicies(ctx context.Context) error {
	if e.config.Policies == nil {
		return nil
	}
	for policy := range e.policies {
		content, err := e.config.Policies(ctx, policy)
		if errors.Is(err, privacy.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := e.writeFile(PolicyPath(policy), content); err != nil {
			return err
		}
	}
	return nil
}

// factsAtOnce bounds what is opened in one go.
const factsAtOnce = 500

func (e *exporter) writeFacts(ctx context.Context) error {
	if e.config.Facts == nil {
		return nil
	}
	pairs := slices.SortedFunc(maps.Keys(e.pairs), func(a, b Pair) int {
		if c := bytes.Compare(a.Policy[:], b.Policy[:]); c != 0 {
			return c
		}
		return bytes.Compare(a.Facts[:], b.Facts[:])
	})
	for chunk := range slices.Chunk(pairs, factsAtOnce) {
		made, err := e.config.Facts(ctx, chunk)
		if err != nil {
			return err
		}
		for pair, content := range made {
			if err := e.writeFile(FactsPath(pair), content); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish makes a bundle of the files: everything is on the disk before the manifest is.
func (e *exporter) finish(ctx context.Context) error {
	if err := e.writeFile(CheckpointPath, e.note); err != nil {
		return err
	}
	e.manifest.Files = e.sortedFiles()
	signed, err := e.manifest.Sign(e.config.Signer)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.config.Commit != nil {
		if err := e.config.Commit(ctx, signed); err != nil {
			return err
		}
	}
	return e.out.finish(signed, e.manifest.Range)
}

// provePart proves what an exporter wrote of a part of a log, of which it did not see every
// entry. What nobody can make again of such a part goes into the manifest.
func (e *exporter) provePart(ctx context.Context) error {
	maps.DeleteFunc(e.files, func(path string, _ File) bool { return strings.HasPrefix(path, "tile/") })
	for name := range e.manifest.tree() {
		if e.manifest.isUnder(name) {
			content, err := e.out.dir.Read(ctx, name.Path(), audit.TileBytes)
			if err != nil {
				return err
			}
			e.files[name.Path()] = File{Path: name.Path(), Size: uint64(len(content)), SHA256: sha256.Sum256(content)}
		}
	}
	var f findings
	t, err := openTree(ctx, e.out.dir, e.manifest.Range, e.manifest.Root, f.found)
	if err != nil {
		return err
	}
	for n := range e.manifest.Size >> 16 {
		if _, _, err := t.tile(ctx, 1, n); err != nil {
			return err
		}
	}
	for n := e.manifest.Begin / audit.TileWidth; n < e.manifest.End/audit.TileWidth; n++ {
		want, _, err := t.hash(ctx, 1, n)
		if err != nil {
			return err
		}
		tile, err := e.out.dir.Read(ctx, audit.TilePath(0, n, audit.TileWidth), audit.TileBytes)
		if err != nil {
			return err
		}
		if len(tile) != audit.TileBytes || rootOf(tile) != want {
			f.found(audit.Damage{Index: n * audit.TileWidth, Kind: audit.TileAltered})
		}
	}
	if !t.proved || len(f.list) > 0 {
		return fmt.Errorf("hashes of the log do not come to the root of checkpoint %d: %w", e.manifest.Size, privacy.ErrDamaged)
	}
	return nil
}

// openStored opens a checkpoint that an earlier key may have signed.
func (e *exporter) openStored(signed []byte) (c audit.Checkpoint, err error) {
	for _, key := range append([]note.Verifier{e.config.Verifier}, e.config.Former...) {
		if c, err = audit.OpenCheckpoint(signed, key); err == nil {
			return c, nil
		}
	}
	return c, err
}
