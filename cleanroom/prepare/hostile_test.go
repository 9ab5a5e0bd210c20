package prepare_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

// A file that is refused begins nothing: the same directory takes the next one.
func TestRefusedFilesBeginNothing(t *testing.T) {
	t.Parallel()
	for name, there := range map[string]bool{"made": false, "there": true} {
		c, verifier := config(t)
		dir := filepath.Join(t.TempDir(), "out")
		if there {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for _, fault := range []func(c *prepare.Config){
			func(c *prepare.Config) { c.ConsentYes = "true" },
			func(c *prepare.Config) { c.Declared = 15 },
			func(c *prepare.Config) { c.Decimals = nil },
		} {
			wrong := c
			fault(&wrong)
			if _, err := prepare.Run(t.Context(), source("x.csv", people(12)), dir, wrong); !errors.Is(err, privacy.ErrInvalid) {
				t.Fatalf("%s: %v", name, err)
			}
			entries, err := os.ReadDir(dir)
			if there && (err != nil || len(entries) > 0) || !there && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %d files are left: %v", name, len(entries), err)
			}
		}
		if _, err := prepare.Run(t.Context(), source("x.csv", people(12)), dir, c); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := open(t, dir, verifier, 3); len(got.tokens) != 12 {
			t.Errorf("%s: %d members", name, len(got.tokens))
		}
	}
}

// Somebody else who may write into a directory does not have a file of the party written over.
func TestLinksAreNotWrittenThrough(t *testing.T) {
	t.Parallel()
	c, _ := config(t)
	dir, victim := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "victim")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(victim, []byte("precious"), 0o600), os.Symlink(victim, filepath.Join(dir, ".state.new"))); err != nil {
		t.Fatal(err)
	}
	if _, err := prepare.Run(t.Context(), source("x.csv", people(12)), dir, c); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "precious" {
		t.Errorf("the file behind the link is %q now: %v", text, err)
	}
}

// What came from somewhere else may have a pipe where a file should be, which never begins.
func TestPipesAreNoFiles(t *testing.T) {
	t.Parallel()
	c, verifier := config(t)
	list := filepath.Join(t.TempDir(), "out")
	if _, err := prepare.Run(t.Context(), source("x.csv", people(12)), list, c); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{prepare.ManifestFile, prepare.MembersFile, prepare.RowsFile} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.CopyFS(dir, os.DirFS(list)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(filepath.Join(dir, name)), syscall.Mkfifo(filepath.Join(dir, name), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := prepare.OpenDelivery(dir); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := prepare.ReadManifest(dir, verifier); name == prepare.ManifestFile && !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// How long a list is, its owner says: whoever masks it once more makes room for what comes.
func TestAClaimedSizeTakesNoMemory(t *testing.T) {
	t.Parallel()
	theirs, verifier := key(t, "brand_partner")
	own, _ := key(t, "retail_media")
	const members = prepare.MaximumMembers
	many := make([]audit.Digest, (members+prepare.ChunkSize-1)/prepare.ChunkSize)
	m := prepare.Manifest{
		ContractVersion: 1, Dataset: "segments", Declared: members, Epoch: 1, Identifier: privacy.Email, Matching: cleanroom.MatchPair,
		Members: members, MemberChunks: many, Owner: "brand_partner", PreparedAt: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC),
		Room: "spring", Rows: members, RowChunks: many,
	}
	from := t.TempDir()
	signed := must(m.Sign(theirs))(t)
	if err := errors.Join(os.WriteFile(filepath.Join(from, prepare.ManifestFile), signed, 0o600), os.WriteFile(filepath.Join(from, prepare.MembersFile), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := prepare.Remask(t.Context(), from, filepath.Join(t.TempDir(), "out"), prepare.RemaskConfig{From: verifier, Signer: own, Now: time.Now})
	runtime.ReadMemStats(&after)
	if !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a list without members: %v", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<30 {
		t.Errorf("%d MiB were taken for people who are not there", took>>20)
	}
}
