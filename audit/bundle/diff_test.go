package bundle_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/privacy"
)

// state exports a log and opens the bundle.
func (l *memoryLog) state(t *testing.T) bundle.State {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundle")
	l.export(t, dir)
	verifier := l.config(t).Verifier
	b, err := bundle.Open(t.Context(), bundle.Dir(dir), verifier)
	if err != nil {
		t.Fatal(err)
	}
	return bundle.StateOf(b)
}

// copyOf is a log with the first n entries of another, under the same key.
func (l *memoryLog) copyOf(t *testing.T, n int) *memoryLog {
	t.Helper()
	c := newLog(t, 1)
	c.random.n = 1 << 50
	for _, e := range l.entries[:n] {
		c.add(e.Leaf)
	}
	return c
}

// TestDiff finds the first index at which logs differ, wherever it is.
func TestDiff(t *testing.T) {
	t.Parallel()
	log := newLog(t, 1)
	log.grow(t, 1000)
	signed := log.sign(t)
	older := log.state(t)
	check := func(name string, older, newer bundle.State, want bundle.Relation, first uint64, known bool) {
		t.Helper()
		d, err := bundle.Diff(t.Context(), older, newer)
		if err != nil || d.Relation != want || d.First != first || d.Known != known || d.Whole() != (want == bundle.Same || want == bundle.Extended) {
			t.Errorf("%s: %+v, %v, want %s at %d", name, d, err, want, first)
		}
	}
	check("same", older, older, bundle.Same, 1000, true)
	alone, err := bundle.CheckpointState(signed, log.config(t).Verifier)
	if err != nil {
		t.Fatal(err)
	}
	check("same checkpoint", alone, older, bundle.Same, 1000, true)
	for _, at := range []int{0, 1, 255, 256, 511, 512, 767, 900, 999} {
		fork := log.copyOf(t, at)
		fork.grow(t, 1)
		for _, e := range log.entries[at+1:] {
			fork.add(e.Leaf)
		}
		fork.sign(t)
		check("forked, same size", older, fork.state(t), bundle.Forked, uint64(at), true)
		fork.grow(t, 300)
		fork.sign(t)
		check("forked, longer", older, fork.state(t), bundle.Forked, uint64(at), true)
		check("forked, shorter", fork.state(t), older, bundle.Forked, uint64(at), true)
		check("forked, by a checkpoint", alone, fork.state(t), bundle.Forked, 0, false)
	}
	short := log.copyOf(t, 700)
	short.sign(t)
	check("truncated", older, short.state(t), bundle.Truncated, 700, true)
	log.grow(t, 1)
	log.sign(t)
	check("extended", older, log.state(t), bundle.Extended, 1000, true)
	check("extended, by a checkpoint", alone, log.state(t), bundle.Extended, 1000, true)
	if _, err := bundle.Diff(t.Context(), log.state(t), alone); err != nil {
		t.Error(err)
	}
	later, err := bundle.CheckpointState(log.sign(t), log.config(t).Verifier)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Diff(t.Context(), alone, later); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("two checkpoints alone: %v", err)
	}
	if _, err := bundle.CheckpointState(signed, newLog(t, 2).config(t).Verifier); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("by another key: %v", err)
	}
}

// TestPart: a part of a log and the rest of it are whole by themselves and together.
func TestPart(t *testing.T) {
	t.Parallel()
	log := newLog(t, 1)
	log.grow(t, 512)
	log.sign(t)
	log.grow(t, 300)
	log.sign(t)
	for _, part := range [][2]uint64{{0, 256}, {256, 512}, {0, 512}, {256, 812}, {512, 0}, {0, 768}} {
		config, dir := log.config(t), filepath.Join(t.TempDir(), "part")
		config.Begin, config.End = part[0], part[1]
		m, err := bundle.Export(t.Context(), dir, log, config)
		if err != nil {
			t.Fatal(part, err)
		}
		report := log.verify(t, dir)
		end := part[1]
		if end == 0 {
			end = 812
		}
		if files := content(t, dir); !report.Whole() || m.Begin != part[0] || report.Size != end || report.Files != uint64(len(files)) {
			t.Errorf("%v: %+v", part, report)
		}
		for path := range content(t, dir) {
			if tile, err := audit.ParseTilePath(path); err == nil {
				flip(t, dir, path, 5)
				if report := log.verify(t, dir); report.Whole() || report.Damages[0].Path != path {
					t.Errorf("%v: %s changed (%+v): %v", part, path, tile, report.Damages)
				}
				flip(t, dir, path, 5)
			}
		}
	}
	config := log.config(t)
	for _, part := range [][2]uint64{{1, 256}, {0, 300}, {256, 256}, {0, 1000}} {
		config.Begin, config.End = part[0], part[1]
		if _, err := bundle.Export(t.Context(), filepath.Join(t.TempDir(), "part"), log, config); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%v: %v", part, err)
		}
	}
}
