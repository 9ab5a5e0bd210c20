package bundle

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/mahrem/mahrem/audit"
)

// checkTree goes once through the tree: one goroutine proves the tiles from the top down and
// deals out those of level 0 with their entries, workers check them, and one gathers what they
// found in the order of the log.
func (v *verification) checkTree(ctx context.Context, checkpoint audit.Checkpoint) error {
	t, err := openTree(ctx, v.files, v.manifest.Range, checkpoint.Root, v.findings.found)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers := v.config.Workers
	if workers <= 0 {
		workers = max(1, runtime.GOMAXPROCS(0))
	}
	work, ordered := make(chan *job, workers), make(chan *job, 8*workers)
	var running sync.WaitGroup
	for range workers {
		w := &worker{files: v.files, keep: v.config.Visit != nil, open: v.openSigned}
		running.Go(func() {
			for j := range work {
				w.check(ctx, j)
				close(j.done)
			}
		})
	}
	var dealing error
	running.Go(func() {
		defer close(ordered)
		defer close(work)
		dealing = v.deal(ctx, t, func(j *job) error {
			j.done = make(chan struct{})
			select {
			case ordered <- j:
			case <-ctx.Done():
				return ctx.Err()
			}
			work <- j // workers never stop before they are told to
			return nil
		})
	})
	var failed error
	for j := range ordered {
		<-j.done
		if failed == nil {
			if failed = v.gather(j); failed != nil {
				cancel()
			}
		}
	}
	running.Wait()
	if failed = cmp.Or(failed, dealing); failed != nil {
		return failed
	}
	v.conclude(t, checkpoint)
	return nil
}

// deal makes a job of each tile of level 0, in order, with the checkpoints that end within it.
func (v *verification) deal(ctx context.Context, t *tree, give func(*job) error) error {
	left, err := t.leftOf(ctx, t.Begin/audit.TileWidth)
	if err != nil {
		return err
	}
	older := &packs{v: v}
	slices.SortFunc(v.kept, func(a, b audit.Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	kept := v.kept
	for n := t.Begin / audit.TileWidth; n*audit.TileWidth < t.End; n++ {
		width := int(min(audit.TileWidth, t.End-n*audit.TileWidth))
		j := &job{name: audit.TileName{N: n, Width: width}, proved: t.proved}
		if width < audit.TileWidth {
			j.edge = t.edge[0]
		} else if j.want, j.proved, err = t.hash(ctx, 1, n); err != nil {
			return err
		}
		end := n*audit.TileWidth + uint64(width)
		if j.roots, err = older.upTo(ctx, end); err != nil {
			return err
		}
		for len(kept) > 0 && kept[0].Size <= end {
			if kept[0].Size >= n*audit.TileWidth {
				j.roots = append(j.roots, rootAt{size: kept[0].Size, checkpoint: kept[0]})
			}
			kept = kept[1:]
		}
		if len(j.roots) > 0 {
			now := left
			j.left = &now
		}
		if err := give(j); err != nil {
			return err
		}
		left.push(j.want)
	}
	return older.rest(ctx)
}

// gather takes what a worker found.
func (v *verification) gather(j *job) error {
	if j.err != nil {
		return j.err
	}
	for _, d := range j.damages {
		v.findings.found(d)
	}
	for i := range j.roots {
		v.gatherRoot(j, &j.roots[i])
	}
	for _, n := range j.noted {
		switch {
		case n.entry.Kind == audit.ClockSetBack:
			v.report.ClockSetBack++
		case len(v.report.Restored) < maxDamages:
			v.report.Restored = append(v.report.Restored, audit.Restored{Index: n.index, Time: n.entry.Time, Lost: n.entry.List})
		}
	}
	first := j.name.N * audit.TileWidth
	if v.config.Progress != nil && j.name.N%64 == 0 {
		v.config.Progress(first-v.manifest.Begin, v.manifest.End-v.manifest.Begin)
	}
	if v.config.Visit != nil {
		return v.config.Visit(first, j.entries)
	}
	return nil
}

const signedLate = "signed by a former key, after another had followed it"

func (v *verification) gatherRoot(j *job, r *rootAt) {
	if r.path != "" {
		v.report.Checkpoints++
	}
	switch {
	case r.err != nil && v.isAltered[r.path]: // told already
	case r.err != nil:
		v.findings.found(audit.Damage{Index: v.good, Kind: audit.CheckpointAltered, Path: r.path, Detail: fmt.Sprintf("size %d: not signed by a known key: %s", r.size, v.missingKeys(r.note))})
	case r.fits && r.path != "" && !v.turns.take(r.key):
		v.findings.found(audit.Damage{Index: v.good, Kind: audit.CheckpointAltered, Path: r.path, Detail: fmt.Sprintf("size %d: %s", r.size, signedLate)})
	case r.fits:
		v.good = r.size
		if r.path == "" && r.size > v.report.Kept.Size {
			v.report.Kept = r.checkpoint
		}
	case !j.sure: // the place is known better
	case r.path == "":
		v.findings.found(audit.Damage{Index: v.good, Kind: audit.KeptForked, Detail: fmt.Sprintf("size %d", r.size)})
	default:
		v.findings.found(audit.Damage{Index: v.good, Kind: audit.CheckpointForked, Path: r.path, Detail: fmt.Sprintf("size %d", r.size)})
	}
}

// conclude says what can be said once everything was read.
func (v *verification) conclude(t *tree, checkpoint audit.Checkpoint) {
	v.report.Size, v.report.Root = v.manifest.End, checkpoint.Root
	if !t.proved {
		v.findings.found(audit.Damage{
			Index: v.good, Kind: audit.CheckpointForked, Path: CheckpointPath, Detail: fmt.Sprintf("size %d: entries and tiles do not come to its root", checkpoint.Size),
		})
		return
	}
	if v.config.Progress != nil {
		v.config.Progress(v.manifest.End-v.manifest.Begin, v.manifest.End-v.manifest.Begin)
	}
	if v.report.Note != nil && !v.turns.take(v.key) {
		v.findings.found(audit.Damage{Index: v.good, Kind: audit.CheckpointAltered, Path: CheckpointPath, Detail: fmt.Sprintf("size %d: %s", checkpoint.Size, signedLate)})
	}
	if v.report.Signed.Size > 0 {
		v.report.Checkpoints++
	}
	if len(v.findings.list) > 0 {
		return
	}
	if v.report.Manifest { // over HTTP nobody knows what else there is
		v.report.Files = uint64(len(v.manifest.Files) + v.manifest.TreeFiles() + 1)
	}
	for tile := range v.manifest.tree() {
		if !tile.Entries {
			v.report.Tiles++
		}
	}
}

// packs goes through the older checkpoints of a bundle.
type packs struct {
	v    *verification
	next uint64 // number of the next checkpoint
	page []rootAt
	last uint64 // size of the last one
}

// upTo returns those of sizes up to one.
func (p *packs) upTo(ctx context.Context, size uint64) (roots []rootAt, err error) {
	for {
		if len(p.page) == 0 {
			if err := p.load(ctx); err != nil || len(p.page) == 0 {
				return roots, err
			}
		}
		if p.page[0].size > size {
			return roots, nil
		}
		roots, p.page = append(roots, p.page[0]), p.page[1:]
	}
}

// load reads the next pack. One that is not what the manifest says has been told already, and
// is passed over.
func (p *packs) load(ctx context.Context) error {
	for p.next < p.v.manifest.Checkpoints && len(p.page) == 0 {
		n, count := p.next/packed, int(min(packed, p.v.manifest.Checkpoints-p.next))
		path := PackPath(n)
		p.next += uint64(count)
		notes, err := readPack(ctx, p.v.files, n, count)
		if err != nil {
			if err := unreadable(err); err != nil {
				return err
			}
			p.damaged(path)
			continue
		}
		for _, signed := range notes {
			c, err := audit.PeekCheckpoint(signed)
			if err != nil || c.Size <= p.last || c.Size < p.v.manifest.Begin {
				p.damaged(path)
				continue
			}
			p.last = c.Size
			p.page = append(p.page, rootAt{size: c.Size, note: signed, path: path})
		}
	}
	return nil
}

func (p *packs) damaged(path string) {
	if !p.v.isAltered[path] {
		p.v.findings.found(audit.Damage{Index: p.v.manifest.End, Kind: FileAltered, Path: path})
	}
}

// rest tells of checkpoints behind the last entry.
func (p *packs) rest(ctx context.Context) error {
	for {
		if len(p.page) == 0 {
			if err := p.load(ctx); err != nil || len(p.page) == 0 {
				return err
			}
		}
		p.damaged(p.page[0].path)
		p.page = nil
	}
}
