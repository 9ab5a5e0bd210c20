package verdict_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
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
	dir := filepath.Join(t.TempDir(), "bundle")
	verifier, err := audit.NewVerifier(origin, l.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	_, err = bundle.Export(t.Context(), dir, l, bundle.ExportConfig{
		Verifier: verifier, Signer: l.signer(t, bundle.SignerName(origin)), LogKey: l.vkey(t), ManifestKey: l.vkey(t), Begin: begin, End: end,
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
	var broken, status int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusUnauthorized)
		case broken > 0 && strings.Contains(r.URL.Path, "entries"):
			broken--
			w.WriteHeader(status)
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
	broken, status = 1, http.StatusServiceUnavailable
	if v, err := verdict.Of(t.Context(), server.URL, options); err != nil || !v.Whole {
		t.Errorf("busy once: %+v, %v", v, err)
	}
	broken, status = 1, http.StatusNotFound
	if v, err := verdict.Of(t.Context(), server.URL, options); err != nil || v.Whole || v.ExitCode() != 1 || v.Damages[0].Kind != bundle.FileMissing {
		t.Errorf("without a file: %+v, %v", v, err)
	}
	broken, status = 1, http.StatusForbidden
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
