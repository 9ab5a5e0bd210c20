package bundle_test

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
)

// TestVerifyAfterAnotherKey: checkpoints from before a change of the log's key count for who
// brings the former key along, and are named, with that key, for who does not.
func TestVerifyAfterAnotherKey(t *testing.T) {
	t.Parallel()
	log, dir := newLog(t, 1), filepath.Join(t.TempDir(), "bundle")
	log.grow(t, 300)
	before := log.sign(t)
	former := log.vkey(t, origin)
	house := newLog(t, 1).signer(t, bundle.SignerName(origin))
	log.key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	log.grow(t, 300)
	log.sign(t)
	current := log.vkey(t, origin)

	config := log.config(t)
	_, formerPublic, err := audit.ParseKey(former)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := audit.NewVerifier(origin, formerPublic)
	if err != nil {
		t.Fatal(err)
	}
	config.Former, config.LogKey = []note.Verifier{verifier}, current+"\n"+former
	config.Signer = house // goes on signing documents
	if _, err := bundle.Export(t.Context(), dir, log, config); err != nil {
		t.Fatal(err)
	}
	verify := func(kept [][]byte, keys ...string) bundle.Report {
		t.Helper()
		report, err := bundle.Verify(t.Context(), bundle.Dir(dir), bundle.VerifyConfig{Keys: keys, Kept: kept})
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	if report := verify([][]byte{before}, current, former); !report.Whole() || report.Checkpoints != 2 || report.Kept.Size != 300 {
		t.Errorf("with both keys: %+v", report)
	}
	if report := verify(nil); !report.Whole() || !report.OwnKeys {
		t.Errorf("with its own keys: %+v", report)
	}
	report := verify(nil, current)
	if bad, _ := report.FirstBad(); bad.Kind != bundle.SignatureWrong || bad.Path != bundle.ManifestPath || !strings.Contains(bad.Detail, house.Name()+"+") || !strings.Contains(bad.Detail, "not given") {
		t.Errorf("with the new key alone: %+v", report.Damages)
	}
	documents, err := audit.FormatKey(house.Name(), formerPublic)
	if err != nil {
		t.Fatal(err)
	}
	report = verify(nil, current, documents)
	missing := strings.Join(strings.Split(former, "+")[:2], "+")
	bad, _ := report.FirstBad()
	if bad.Kind != audit.CheckpointAltered || bad.Index != 0 || !strings.Contains(bad.Detail, "size 300") || !strings.Contains(bad.Detail, missing+", and that key was not given") || len(report.Damages) != 1 {
		t.Errorf("without the former key: %+v", report.Damages)
	}

	// Whoever is given all keys and finds a signature that does not hold is told nothing of keys.
	path := filepath.Join(dir, bundle.CheckpointPath)
	alter(t, path)
	report = verify(nil, current, former)
	if bad, _ := report.FirstBad(); report.Whole() || strings.Contains(bad.Detail, "not given") {
		t.Errorf("altered: %+v", report.Damages)
	}
}

// alter changes the last signature of a note.
func alter(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := len(b) - 12
	if b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
