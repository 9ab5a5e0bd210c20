package bundle_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/privacy"
)

// TestExportAndVerify: logs of sizes around every edge, with checkpoints in between, are whole,
// file by file what a mirror would have, and extended rather than written anew.
func TestExportAndVerify(t *testing.T) {
	t.Parallel()
	for _, steps := range [][]int{{1}, {255}, {256}, {257}, {700, 68}, {5, 1, 249, 1, 1, 600}, {65536, 1}, {3, 65535, 300}} {
		log, dir := newLog(t, 1), filepath.Join(t.TempDir(), "bundle")
		var kept [][]byte
		for i, n := range steps {
			log.grow(t, n)
			kept = append(kept, log.sign(t))
			manifest := log.export(t, dir)
			report := log.verify(t, dir, kept...)
			size := log.edge.Size()
			if !report.Whole() || report.Size != size || report.Root != log.edge.Root() || report.Signed.Size != size || report.Kept.Size != size {
				t.Fatalf("%v, step %d: %+v", steps, i, report)
			}
			if report.Checkpoints != uint64(len(kept)) || manifest.Checkpoints != uint64(len(kept)-1) || report.OwnKeys || !report.Manifest {
				t.Errorf("%v, step %d: %+v", steps, i, report)
			}
			fresh := filepath.Join(t.TempDir(), "fresh")
			log.export(t, fresh)
			if diff := cmp.Diff(content(t, fresh), content(t, dir)); diff != "" {
				t.Errorf("%v, step %d: extending is not the same as writing anew:\n%s", steps, i, diff)
			}
			if files := content(t, dir); uint64(len(files)) != report.Files {
				t.Errorf("%v, step %d: %d files, told %d", steps, i, len(files), report.Files)
			}
		}
	}
}

// TestVerifyEveryByte flips a bit of every byte of every file of a bundle: the file is named, and
// of entries the index.
func TestVerifyEveryByte(t *testing.T) {
	t.Parallel()
	log, dir := newLog(t, 1), filepath.Join(t.TempDir(), "bundle")
	log.grow(t, 258)
	log.sign(t)
	log.grow(t, 10)
	kept := log.sign(t)
	log.grow(t, 2)
	log.sign(t)
	log.export(t, dir)
	flips := 0
	for path, was := range content(t, dir) {
		step := 1
		if testing.Short() {
			step = 1 + len(was)/16
		}
		for at := 0; at < len(was); at += step {
			flip(t, dir, path, at)
			report := log.verify(t, dir, kept)
			named := false
			for _, d := range report.Damages {
				named = named || d.Path == path
				if strings.HasPrefix(path, "tile/entries/") && d.Path == path {
					if want := indexAt(path, []byte(was), at); d.Index != want && d.Kind == audit.EntryAltered {
						t.Errorf("%s, byte %d: got index %d, want %d", path, at, d.Index, want)
					}
				}
			}
			if !named || report.ExitCode() != 1 {
				t.Errorf("%s, byte %d of %d: %v", path, at, len(was), report.Damages)
			}
			if len(report.Damages) != 1 && path != bundle.CheckpointPath && path != bundle.ManifestPath {
				t.Errorf("%s, byte %d of %d: more is named than was changed: %v", path, at, len(was), report.Damages)
			}
			flip(t, dir, path, at)
			flips++
		}
	}
	if report := log.verify(t, dir, kept); !report.Whole() {
		t.Errorf("put back: %v", report.Damages)
	}
	t.Logf("%d bytes changed, each found and its file named", flips)
}

// indexAt is the index of the entry that has a byte of a file of entries.
func indexAt(path string, b []byte, at int) uint64 {
	name, _ := audit.ParseTilePath(path)
	index := name.N * audit.TileWidth
	for from := 0; ; index++ {
		if from += 2 + lengthAt(b[from:]); from > at {
			return index
		}
	}
}

// TestVerifyFiles: a missing, extra, cut, longer or swapped file is named exactly, and what is wrong with it.
func TestVerifyFiles(t *testing.T) {
	t.Parallel()
	log, dir := newLog(t, 1), filepath.Join(t.TempDir(), "bundle")
	for range 300 {
		log.grow(t, 3)
		log.sign(t)
	}
	log.export(t, dir)
	whole := content(t, dir)
	write := func(path, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(what, path string, kinds ...audit.DamageKind) {
		t.Helper()
		report := log.verify(t, dir)
		if len(report.Damages) == 0 || report.ExitCode() != 1 {
			t.Errorf("%s %s: nothing was found", what, path)
			return
		}
		for _, d := range report.Damages {
			if d.Path == path {
				for _, kind := range kinds {
					if d.Kind == kind {
						return
					}
				}
			}
		}
		t.Errorf("%s %s: %v, want %v", what, path, report.Damages, kinds)
	}
	for path, was := range whole {
		name := filepath.Join(dir, path)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if path == bundle.ManifestPath || path == bundle.CheckpointPath {
			verify("without", path, bundle.FileMissing)
		} else {
			verify("without", path, bundle.FileMissing, audit.TileMissing)
		}
		// A link is no file of a bundle, even to what was there.
		elsewhere := filepath.Join(t.TempDir(), "elsewhere")
		if err := os.WriteFile(elsewhere, []byte(was), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(elsewhere, name); err != nil {
			t.Fatal(err)
		}
		if report := log.verify(t, dir); report.Whole() {
			t.Errorf("%s is a link", path)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		signed := []audit.DamageKind{bundle.SignatureWrong}
		if path != bundle.ManifestPath && path != bundle.CheckpointPath {
			signed = nil
		}
		for _, n := range []int{0, 1, len(was) / 2, len(was) - 1} {
			write(path, was[:n])
			verify("cut", path, append(signed, bundle.FileCut, bundle.FileSwapped)...)
		}
		for _, more := range []string{"\x00", "x", was} {
			write(path, was+more)
			verify("lengthened", path, append(signed, bundle.FileLonger)...)
		}
		write(path, was)
	}
	for _, path := range []string{
		"notes.txt", "tile/0/004", "tile/0/000.p/200", "tile/1/000.p/2", "tile/entries/004", "tile/entries/003.p/131", "tile/0/0", "policies/x.tar.gz", "keys/other.vkey", "tile/x",
	} {
		write(path, "something")
		verify("with", path, bundle.FileExtra)
		if err := os.Remove(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(filepath.Dir(filepath.Join(dir, path)))
	}
	for _, pair := range [][2]string{
		{"tile/entries/000", "tile/entries/001"},
		{"tile/entries/000", "tile/entries/003.p/132"},
		{"tile/0/000", "tile/0/001"},
		{"checkpoints/000", "checkpoints/001"},
		{bundle.FactsPath(bundle.Pair{Policy: policyA, Facts: factsOf(0)}), bundle.FactsPath(bundle.Pair{Policy: policyA, Facts: factsOf(1)})},
		{bundle.KeyPath, bundle.PagePath},
		{bundle.CheckpointPath, bundle.ManifestPath},
	} {
		write(pair[0], whole[pair[1]])
		write(pair[1], whole[pair[0]])
		for _, path := range pair {
			verify("swapped", path, bundle.FileSwapped, audit.TileAltered, bundle.SignatureWrong, bundle.FileLonger, bundle.FileCut)
		}
		write(pair[0], whole[pair[0]])
		write(pair[1], whole[pair[1]])
	}
	if report := log.verify(t, dir); !report.Whole() {
		t.Errorf("put back: %v", report.Damages)
	}
}

// TestVerifyAnotherHistory: what no single file gives away, what is kept elsewhere does.
func TestVerifyAnotherHistory(t *testing.T) {
	t.Parallel()
	log := newLog(t, 1)
	log.grow(t, 300)
	log.sign(t)
	log.grow(t, 300)
	kept := log.sign(t)

	// Whoever holds the key signs another log, and everything in it fits.
	fork, dir := newLog(t, 1), filepath.Join(t.TempDir(), "fork")
	fork.entries, fork.random = nil, counter{}
	for _, e := range log.entries[:400] {
		fork.add(e.Leaf)
	}
	fork.grow(t, 400)
	fork.checkpoints = append(fork.checkpoints, log.checkpoints[0])
	fork.sign(t)
	fork.export(t, dir)
	if report := log.verify(t, dir); !report.Whole() {
		t.Errorf("%v", report.Damages)
	}
	report := log.verify(t, dir, kept)
	if bad, _ := report.FirstBad(); bad.Kind != audit.KeptForked || bad.Index != 300 {
		t.Errorf("forked: %v", report.Damages)
	}

	// A shorter one.
	short, dir := newLog(t, 1), filepath.Join(t.TempDir(), "short")
	for _, e := range log.entries[:500] {
		short.add(e.Leaf)
	}
	short.sign(t)
	short.export(t, dir)
	report = log.verify(t, dir, kept)
	if bad, _ := report.FirstBad(); bad.Kind != audit.EntriesCut || bad.Index != 500 {
		t.Errorf("cut off: %v", report.Damages)
	}
	if _, err := bundle.Verify(context.Background(), bundle.Dir(dir), bundle.VerifyConfig{Keys: []string{log.vkey(t, origin)}, Kept: [][]byte{newLog(t, 2).signed(t)}}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("kept checkpoint of somebody else: %v", err)
	}

	// Somebody else's log in its place.
	other, dir := newLog(t, 9), filepath.Join(t.TempDir(), "other")
	other.grow(t, 600)
	other.sign(t)
	other.export(t, dir)
	report = log.verify(t, dir)
	if bad, _ := report.FirstBad(); bad.Kind != bundle.SignatureWrong {
		t.Errorf("by another key: %v", report.Damages)
	}
	report, err := bundle.Verify(context.Background(), bundle.Dir(dir), bundle.VerifyConfig{})
	if err != nil || !report.Whole() || !report.OwnKeys {
		t.Errorf("by its own key: %+v, %v", report, err)
	}
}

func (l *memoryLog) signed(t testing.TB) []byte {
	l.grow(t, 1)
	return l.sign(t)
}

func TestVerifyCannot(t *testing.T) {
	t.Parallel()
	log := newLog(t, 1)
	for name, test := range map[string]struct {
		prepare func(dir string)
		want    error
	}{
		"nothing":    {func(string) {}, fs.ErrNotExist},
		"unfinished": {func(dir string) { _ = os.WriteFile(filepath.Join(dir, "unfinished"), nil, 0o600) }, bundle.ErrUnfinished},
	} {
		dir := t.TempDir()
		test.prepare(dir)
		if _, err := bundle.Verify(t.Context(), bundle.Dir(dir), bundle.VerifyConfig{Keys: []string{log.vkey(t, origin)}}); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	dir := filepath.Join(t.TempDir(), "bundle")
	log.signed(t)
	log.export(t, dir)
	if _, err := bundle.Verify(t.Context(), bundle.Dir(dir), bundle.VerifyConfig{Keys: []string{"no key"}}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("no key: %v", err)
	}
}

// TestVerifyFormerKey: a key that another has followed signs no more, neither an older
// checkpoint nor the newest.
func TestVerifyFormerKey(t *testing.T) {
	t.Parallel()
	former, current := newLog(t, 1).key, newLog(t, 2).key
	for name, test := range map[string]struct {
		signers []ed25519.PrivateKey
		bad     string
	}{
		"changed once":         {[]ed25519.PrivateKey{former, former, current, current}, ""},
		"not changed":          {[]ed25519.PrivateKey{former, former, former}, ""},
		"newest by the former": {[]ed25519.PrivateKey{former, current, former}, bundle.CheckpointPath},
		"older by the former":  {[]ed25519.PrivateKey{former, current, former, current}, bundle.PackPath(0)},
	} {
		log, dir := newLog(t, 1), filepath.Join(t.TempDir(), "bundle")
		for _, key := range test.signers {
			log.key = key
			log.signed(t)
		}
		config := log.config(t)
		for _, key := range []ed25519.PrivateKey{former, current} {
			verifier, err := audit.NewVerifier(origin, key.Public().(ed25519.PublicKey))
			if err != nil {
				t.Fatal(err)
			}
			config.Former = append(config.Former, verifier)
		}
		if _, err := bundle.Export(t.Context(), dir, log, config); err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, key := range []ed25519.PrivateKey{former, current} {
			log.key = key
			keys = append(keys, log.vkey(t, origin))
		}
		report, err := bundle.Verify(t.Context(), bundle.Dir(dir), bundle.VerifyConfig{Keys: keys})
		if err != nil || report.Whole() != (test.bad == "") {
			t.Errorf("%s: %v, %v", name, report.Damages, err)
		} else if bad, found := report.FirstBad(); found && (bad.Kind != audit.CheckpointAltered || bad.Path != test.bad) {
			t.Errorf("%s: %v", name, bad)
		}
	}
}

// TestDiffShorter: a log that is shorter than a checkpoint that was kept is told, also if
// nothing but the checkpoint was.
func TestDiffShorter(t *testing.T) {
	t.Parallel()
	log, dir := newLog(t, 1), filepath.Join(t.TempDir(), "bundle")
	log.grow(t, 300)
	log.sign(t)
	log.export(t, dir)
	log.grow(t, 300)
	verifier := log.config(t).Verifier
	kept, err := bundle.CheckpointState(log.sign(t), verifier)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(t.Context(), bundle.Dir(dir), verifier)
	if err != nil {
		t.Fatal(err)
	}
	d, err := bundle.Diff(t.Context(), kept, bundle.StateOf(b))
	if err != nil || d.Relation != bundle.Truncated || d.Whole() || d.First != 300 {
		t.Errorf("%+v, %v", d, err)
	}
}
