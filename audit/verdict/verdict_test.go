package verdict_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/audit/verdict"
	"github.com/mahrem/mahrem/privacy"
)

const origin = "shop.example/audit"

// log is a log in memory.
type log struct {
	entries []audit.StoredEntry
	edge    audit.Edge
	notes   []audit.StoredCheckpoint
	key     ed25519.PrivateKey
}

func newLog(t *testing.T, n int) *log {
	t.Helper()
	l := &log{key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))}
	encoder, err := audit.NewEncoder(audit.EncoderConfig{Actor: func(privacy.Principal) [16]byte { return [16]byte{} }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		leaf, _, err := encoder.AppendLeaf(nil, &audit.Event{Kind: audit.ServerStarted, Outcome: audit.Done})
		if err != nil {
			t.Fatal(err)
		}
		hash := tlog.Hash(audit.LeafHash(leaf))
		l.entries = append(l.entries, audit.StoredEntry{Index: uint64(i), Leaf: leaf, LeafHash: hash})
		l.edge.Append(hash, nil)
	}
	c := audit.Checkpoint{Origin: origin, Size: l.edge.Size(), Root: l.edge.Root()}
	signed, err := audit.SignCheckpoint(c, l.signer(t, origin))
	if err != nil {
		t.Fatal(err)
	}
	l.notes = append(l.notes, audit.StoredCheckpoint{Size: c.Size, Root: c.Root, Note: signed})
	return l
}

func (l *log) signer(t *testing.T, name string) note.Signer {
	t.Helper()
	signer, err := audit.NewSigner(name, l.key.Public().(ed25519.PublicKey), func(m []byte) ([]byte, error) { return ed25519.Sign(l.key, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (l *log) vkey(t *testing.T) string {
	t.Helper()
	text, err := audit.FormatKey(origin, l.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (l *log) Entries(_ context.Context, from uint64, limit int) ([]audit.StoredEntry, error) {
	return l.entries[from:min(from+uint64(limit), uint64(len(l.entries)))], nil
}

func (l *log) Checkpoints(context.Context, uint64, int) ([]audit.StoredCheckpoint, error) {
	return nil, nil
}

func (l *log) LatestCheckpoint(context.Context) ([]byte, error) { return l.notes[0].Note, nil }

func (l *log) Tile(_ context.Context, name audit.TileName) (tile []byte, err error) {
	for i := range name.Width {
		if name.Level == 0 {
			tile = append(tile, l.entries[name.N*audit.TileWidth+uint64(i)].LeafHash[:]...)
			continue
		}
		edge := audit.Edge{}
		for _, e := range l.entries[i*audit.TileWidth : (i+1)*audit.TileWidth] {
			edge.Append(e.LeafHash, nil)
		}
		root := edge.Root()
		tile = append(tile, root[:]...)
	}
	return tile, nil
}

// export writes entries from begin to end, all for zero.
func (l *log) export(t *testing.T, begin, end uint64) string {
	t.Helper()
	return l.exportWith(t, begin, end, l.vkey(t))
}

// exportWith puts another key into the bundle.
func (l *log) exportWith(t *testing.T, begin, end uint64, key string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundle")
	verifier, err := audit.NewVerifier(origin, l.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	_, err = bundle.Export(t.Context(), dir, l, bundle.ExportConfig{
		Verifier: verifier, Signer: l.signer(t, bundle.SignerName(origin)), LogKey: key, ManifestKey: l.vkey(t), Begin: begin, End: end,
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestServed: a log that is served gives the verdict that its files give, by whatever address, and
// what cannot be fetched is no verdict.
func TestServed(t *testing.T) {
	t.Parallel()
	l := newLog(t, 700)
	dir := l.export(t, 0, 0)
	files := http.StripPrefix("/log", http.FileServer(http.Dir(dir)))
	var broken, status atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusUnauthorized)
		case strings.Contains(r.URL.Path, "entries") && broken.CompareAndSwap(1, 0):
			w.WriteHeader(int(status.Load()))
		default:
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	options := verdict.Options{Keys: []string{l.vkey(t)}, Token: "secret\n"}
	for _, address := range []string{server.URL, server.URL + "/", server.URL + "/log", server.URL + "/log/"} {
		v, err := verdict.Of(t.Context(), address, options)
		if err != nil || !v.Whole || v.Entries != 700 || v.ExitCode() != 0 || v.Files != 0 && v.OwnKeys {
			t.Errorf("%s: %+v, %v", address, v, err)
		}
	}
	d, err := verdict.Diff(t.Context(), dir, server.URL, options)
	if err != nil || d.Relation != bundle.Same {
		t.Errorf("%+v, %v", d, err)
	}
	status.Store(http.StatusServiceUnavailable)
	broken.Store(1)
	if v, err := verdict.Of(t.Context(), server.URL, options); err != nil || !v.Whole {
		t.Errorf("busy once: %+v, %v", v, err)
	}
	status.Store(http.StatusNotFound)
	broken.Store(1)
	if v, err := verdict.Of(t.Context(), server.URL, options); err != nil || v.Whole || v.ExitCode() != 1 || v.Damages[0].Kind != bundle.FileMissing {
		t.Errorf("without a file: %+v, %v", v, err)
	}
	status.Store(http.StatusForbidden)
	broken.Store(1)
	if _, err := verdict.Of(t.Context(), server.URL, options); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("forbidden: %v", err)
	}
	options.Token = ""
	if _, err := verdict.Of(t.Context(), server.URL, options); !errors.Is(err, privacy.ErrUnauthenticated) {
		t.Errorf("without a token: %v", err)
	}
	for _, address := range []string{"ftp://host/log", "https://user:secret@host/log", "https://host/log?x=1", "https:///log"} {
		if _, err := verdict.Open(address, ""); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestOfParts: parts are whole together only if they meet and are of one log.
func TestOfParts(t *testing.T) {
	t.Parallel()
	l, other := newLog(t, 700), newLog(t, 700)
	options := verdict.Options{Keys: []string{l.vkey(t)}}
	first, gap, rest, foreign := l.export(t, 0, 512), l.export(t, 0, 256), l.export(t, 512, 0), other.export(t, 512, 0)
	for name, test := range map[string]struct {
		places []string
		kind   audit.DamageKind
	}{
		"whole":         {[]string{first, rest}, ""},
		"in any order":  {[]string{rest, first}, ""},
		"with a gap":    {[]string{gap, rest}, audit.EntryMissing},
		"twice":         {[]string{first, first}, audit.EntryRepeated},
		"of other logs": {[]string{first, foreign}, audit.KeptForked},
	} {
		verdicts, err := verdict.OfParts(t.Context(), test.places, options)
		if err != nil || len(verdicts) != 2 || !verdicts[0].Whole {
			t.Errorf("%s: %+v, %v", name, verdicts, err)
			continue
		}
		var text strings.Builder
		_, _ = verdicts[1].WriteTo(&text)
		if last := &verdicts[1]; last.Whole != (test.kind == "") || test.kind != "" && last.Damages[0].Kind != test.kind ||
			strings.HasPrefix(text.String(), "OK") != last.Whole {
			t.Errorf("%s: %v\n%s", name, last.Damages, text.String())
		}
	}
}

// TestForkedParts: parts of two histories that one key signed are no log, whichever part the
// checkpoint of the other can be compared with, and whatever key lies in the bundle.
func TestForkedParts(t *testing.T) {
	t.Parallel()
	a, b := newLog(t, 700), newLog(t, 700)
	options := verdict.Options{Keys: []string{a.vkey(t)}}
	stranger, err := audit.FormatKey(origin, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32)).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	rest := b.export(t, 512, 0)
	for name, places := range map[string][]string{
		"the checkpoint ends behind the next part": {a.export(t, 0, 256), b.export(t, 256, 512), rest},
		"another key in the bundle":                {a.exportWith(t, 0, 512, stranger), rest},
	} {
		verdicts, err := verdict.OfParts(t.Context(), places, options)
		if err != nil || len(verdicts) != len(places) {
			t.Fatalf("%s: %+v, %v", name, verdicts, err)
		}
		last := &verdicts[len(verdicts)-1]
		if last.ExitCode() != 1 || last.Damages[0].Kind != audit.KeptForked {
			t.Errorf("%s: %+v", name, verdicts)
		}
	}
}

// TestPartAlone: a part of a log is whole only for who said that a part is enough, and a
// checkpoint that was to be compared and could not be is no success.
func TestPartAlone(t *testing.T) {
	t.Parallel()
	l, small := newLog(t, 700), newLog(t, 100)
	keys := []string{l.vkey(t)}
	whole, first, middle, rest := l.export(t, 0, 0), l.export(t, 0, 256), l.export(t, 256, 512), l.export(t, 512, 0)
	old := [][]byte{small.notes[0].Note}
	for name, test := range map[string]struct {
		places  []string
		options verdict.Options
		code    int
		word    string
	}{
		"whole":                      {[]string{whole}, verdict.Options{}, 0, "OK,"},
		"truncated":                  {[]string{first}, verdict.Options{}, 2, "NOT ALL CHECKED"},
		"without its beginning":      {[]string{rest}, verdict.Options{}, 2, "NOT ALL CHECKED"},
		"from the middle":            {[]string{middle}, verdict.Options{}, 2, "NOT ALL CHECKED"},
		"two, without the last":      {[]string{first, middle}, verdict.Options{}, 2, "NOT ALL CHECKED"},
		"two, without the first":     {[]string{middle, rest}, verdict.Options{}, 2, "NOT ALL CHECKED"},
		"a part that is enough":      {[]string{middle}, verdict.Options{Part: true}, 0, "OK,"},
		"three":                      {[]string{first, middle, rest}, verdict.Options{}, 0, "OK,"},
		"kept, and not in this part": {[]string{rest}, verdict.Options{Part: true, Kept: old}, 2, "NOT ALL CHECKED"},
		"kept, and in no part":       {[]string{middle, rest}, verdict.Options{Part: true, Kept: old}, 2, "NOT ALL CHECKED"},
		"kept, and of another log":   {[]string{whole}, verdict.Options{Kept: old}, 1, "NOT WHOLE"},
	} {
		test.options.Keys = keys
		verdicts, err := verdict.OfAll(t.Context(), test.places, test.options)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		code, text := 0, strings.Builder{}
		for i := range verdicts {
			code = max(code, verdicts[i].ExitCode())
			_, _ = verdicts[i].WriteTo(&text)
			if verdicts[i].Whole != (verdicts[i].ExitCode() == 0) {
				t.Errorf("%s: %+v", name, verdicts[i])
			}
		}
		if code != test.code || !strings.Contains(text.String(), test.word) || (code == 0) != !strings.Contains(text.String(), "NOT ") {
			t.Errorf("%s: exit code %d\n%s", name, code, text.String())
		}
	}
}

// TestNothingGiven: a file without a key or a policy is no key and no policy, and does not
// make the check a weaker one.
func TestNothingGiven(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, input := range map[string]verdict.Input{
		"empty key":       {Keys: []string{empty}},
		"no key":          {Keys: []string{""}},
		"empty witnesses": {Witnesses: empty},
	} {
		if o, err := input.Read(); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

// TestDiffSwappedKey: without a key that was given, two bundles with two keys cannot be
// compared, and of two with one key it is said that it is theirs.
func TestDiffSwappedKey(t *testing.T) {
	t.Parallel()
	l := newLog(t, 300)
	old := l.export(t, 0, 0)
	if d, err := verdict.Diff(t.Context(), old, old, verdict.Options{}); err != nil || !d.OwnKeys || d.Relation != bundle.Same {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := verdict.Diff(t.Context(), old, old, verdict.Options{Keys: []string{l.vkey(t)}}); err != nil || d.OwnKeys {
		t.Errorf("%+v, %v", d, err)
	}
	l.key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	signed, err := audit.SignCheckpoint(audit.Checkpoint{Origin: origin, Size: 300, Root: l.edge.Root()}, l.signer(t, origin))
	if err != nil {
		t.Fatal(err)
	}
	l.notes[0].Note = signed
	if d, err := verdict.Diff(t.Context(), old, l.export(t, 0, 0), verdict.Options{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("with another key: %+v, %v", d, err)
	}
}

// TestHostileNames: what a file is called does not write on the auditor's screen, and a
// directory may be named by a link.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	l := newLog(t, 3)
	dir := l.export(t, 0, 0)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	options := verdict.Options{Keys: []string{l.vkey(t)}}
	if v, err := verdict.Of(t.Context(), link, options); err != nil || !v.Whole {
		t.Errorf("by a link: %+v, %v", v, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "\x1b[2J\nOK, 3 entries"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := verdict.Of(t.Context(), dir, options)
	var text strings.Builder
	_, _ = v.WriteTo(&text)
	if err != nil || v.ExitCode() != 1 || strings.Contains(text.String(), "\x1b") || strings.Contains(text.String(), "\nOK") {
		t.Errorf("%v: %q", err, text.String())
	}
}

// TestServedNonsense: a signed checkpoint of a log that cannot be, and one of another key of
// the house, are broken and nothing worse.
func TestServedNonsense(t *testing.T) {
	t.Parallel()
	l := newLog(t, 3)
	house, err := audit.FormatKey(bundle.SignerName(origin), l.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		size uint64
		name string
		kind audit.DamageKind
	}{
		"size":   {1<<63 - 1, origin, audit.CheckpointAltered},
		"size 2": {1 << 56, origin, audit.CheckpointAltered},
		"house":  {3, bundle.SignerName(origin), bundle.SignatureWrong},
	} {
		signed, err := audit.SignCheckpoint(audit.Checkpoint{Origin: test.name, Size: test.size, Root: l.edge.Root()}, l.signer(t, test.name))
		if err != nil {
			t.Fatal(err)
		}
		dir := l.export(t, 0, 0)
		if err := os.WriteFile(filepath.Join(dir, "checkpoint"), signed, 0o600); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(http.StripPrefix("/log", http.FileServer(http.Dir(dir))))
		v, err := verdict.Of(t.Context(), server.URL, verdict.Options{Keys: []string{l.vkey(t), house}})
		server.Close()
		if err != nil || v.ExitCode() != 1 || v.Damages[0].Kind != test.kind {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}
