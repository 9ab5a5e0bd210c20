package export

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// rezip makes a ZIP of the files, in the order of their names.
func rezip(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// unzip reads a ZIP without checking anything.
func unzip(t testing.TB, file []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(content)
	}
	return files
}

func TestVerifyRefusesWhateverWasChanged(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := ayse(h)
	history(h, p)
	job, file := h.job(p, dsar.Access)
	if _, err := h.Export(t.Context(), dpo, job); err != nil {
		t.Fatal(err)
	}
	whole := h.decrypt(file.Bytes())
	key := h.keys.LogPublicKey()
	verify := func(file []byte) error {
		_, err := Verify(bytes.NewReader(file), int64(len(file)), testOrigin, key, nil)
		return err
	}
	if err := verify(rezip(t, unzip(t, whole))); err != nil {
		t.Fatalf("packed again: %v", err)
	}
	for name := range unzip(t, whole) {
		for what, change := range map[string]func(map[string]string){
			"one byte": func(f map[string]string) {
				text := []byte(f[name])
				text[len(text)/2] ^= 1
				f[name] = string(text)
			},
			"first byte": func(f map[string]string) { f[name] = "\x00" + f[name][1:] },
			"longer":     func(f map[string]string) { f[name] += "\n" },
			"shorter":    func(f map[string]string) { f[name] = f[name][:len(f[name])-1] },
			"empty":      func(f map[string]string) { f[name] = "" },
			"missing":    func(f map[string]string) { delete(f, name) },
			"renamed":    func(f map[string]string) { f["a.html"] = f[name]; delete(f, name) },
			"one more":   func(f map[string]string) { f["zz.html"] = "more" },
			"outside":    func(f map[string]string) { f["../zz.html"] = "more" },
		} {
			files := unzip(t, whole)
			change(files)
			if err := verify(rezip(t, files)); !errors.Is(err, privacy.ErrDamaged) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(bytes.NewReader(whole), int64(len(whole)), testOrigin, other, nil); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("another key: %v", err)
	}
	if _, err := Verify(bytes.NewReader(whole), int64(len(whole)), "example.org/log", key, nil); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("another log: %v", err)
	}
	if err := verify(whole[:len(whole)-40]); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("cut off: %v", err)
	}
	if _, err := Verify(bytes.NewReader(whole), int64(len(whole)), testOrigin, key, func(string, io.Reader) error { return errBroken }); !errors.Is(err, errBroken) {
		t.Errorf("an error of the reader: %v", err)
	}
}

// TestNotesAreNotTakenForEachOther: the log's key signs checkpoints too.
func TestNotesAreNotTakenForEachOther(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.append(audit.Event{Kind: audit.LogStarted, Outcome: audit.Done})
	h.sign()
	key := h.keys.LogPublicKey()
	if _, err := OpenStatement(h.note, testOrigin, key); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a checkpoint as an export: %v", err)
	}
	s := Statement{Origin: testOrigin, Manifest: audit.Digest{1}, Index: 7, LeafHash: [32]byte{2}}
	signed, err := s.sign(key, h.keys.SignLog)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := OpenStatement(signed, testOrigin, key); err != nil || again != s {
		t.Errorf("read back %+v, %v", again, err)
	}
	for _, origin := range []string{testOrigin, noteName(testOrigin)} {
		verifier, err := audit.NewVerifier(origin, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := audit.OpenCheckpoint(signed, verifier); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("an export as a checkpoint of %s: %v", origin, err)
		}
	}
}

// TestStatementKnownAnswer: Ed25519 signs the same twice, so the bytes are fixed.
func TestStatementKnownAnswer(t *testing.T) {
	t.Parallel()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	public := private.Public().(ed25519.PublicKey)
	s := Statement{Origin: "example.com/log", Manifest: audit.Digest{1, 2, 3}, Index: 1742, LeafHash: [32]byte{4, 5, 6}}
	signed, err := s.sign(public, func(m []byte) ([]byte, error) { return ed25519.Sign(private, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	if string(signed) != knownStatement {
		t.Errorf("signed\n%s", signed)
	}
	if opened, err := OpenStatement([]byte(knownStatement), "example.com/log", public); err != nil || opened != s {
		t.Errorf("opened %+v, %v", opened, err)
	}
}

const knownStatement = `example.com/log/export
mahrem-export/1
AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
1742 BAUGAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

— example.com/log/export +VCGpJhU54ybhg/uYSIyj91LwoRpW73Z/VDobKdP2EcrFxYJlMDQF+ep7eeZeKMp599l2708XDdWkS6VFcITHDSeOgY=
`

func FuzzParseManifest(f *testing.F) {
	m := Manifest{Format: Format, Kind: "access", CreatedAt: testTime, Language: "en", Files: []ManifestFile{{"a.html", 1, strings.Repeat("0", 64)}, {"b/c.html", 2, strings.Repeat("a", 64)}}}
	text, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseManifest(text)
		if err != nil {
			if !errors.Is(err, privacy.ErrDamaged) {
				t.Error(err)
			}
			return
		}
		if again, err := m.encode(); err != nil || !bytes.Equal(again, text) {
			t.Errorf("%q was read as %q", text, again)
		}
		for _, file := range m.Files {
			if strings.Contains(file.Name, "..") && strings.HasPrefix(file.Name, ".") || strings.HasPrefix(file.Name, "/") {
				t.Errorf("a file %q", file.Name)
			}
		}
	})
}

func FuzzOpenStatement(f *testing.F) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	public := private.Public().(ed25519.PublicKey)
	f.Add(knownStatement)
	f.Add("example.com/log/export\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := OpenStatement([]byte(text), "example.com/log", public)
		if err != nil && !errors.Is(err, privacy.ErrDamaged) {
			t.Error(err)
		}
		if err == nil && s.text() == "" {
			t.Error("an empty statement")
		}
	})
}

// FuzzVerify: whatever the file is, nothing but an error comes of it.
func FuzzVerify(f *testing.F) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	f.Add([]byte("PK\x03\x04"))
	f.Add(rezip(f, map[string]string{NoteName: knownStatement, ManifestName: "{}"}))
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := Verify(bytes.NewReader(file), int64(len(file)), "example.com/log", private.Public().(ed25519.PublicKey), nil); !errors.Is(err, privacy.ErrDamaged) {
			t.Error(err)
		}
	})
}
