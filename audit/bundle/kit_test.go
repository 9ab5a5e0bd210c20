package bundle_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/privacy"
)

const origin = "shop.example/audit"

// memoryLog is a log in memory, signed with a key of its own.
type memoryLog struct {
	key         ed25519.PrivateKey
	entries     []audit.StoredEntry
	checkpoints []audit.StoredCheckpoint
	edge        audit.Edge
	tiles       map[audit.TileName][]byte // full ones
	encoder     *audit.Encoder
	clock       time.Time
	random      counter
}

// counter is a source of bytes that nobody has to remember.
type counter struct{ n uint64 }

func (c *counter) Read(b []byte) (int, error) {
	for i := range b {
		if i%8 == 0 {
			c.n++
		}
		b[i] = byte(c.n >> (8 * (i % 8)))
	}
	return len(b), nil
}

func newLog(t testing.TB, seed byte) *memoryLog {
	t.Helper()
	l := &memoryLog{
		key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)), tiles: map[audit.TileName][]byte{},
		clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), random: counter{uint64(seed) << 32},
	}
	var err error
	l.encoder, err = audit.NewEncoder(audit.EncoderConfig{
		Now: func() time.Time { l.clock = l.clock.Add(time.Millisecond); return l.clock }, Random: &l.random,
		Actor: func(privacy.Principal) (tag [16]byte) { return tag },
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// policyA and factsOf are what the decisions of the log were made of.
var policyA = audit.Digest{0xaa}

func factsOf(i int) audit.Digest { return audit.Digest{0xfa, byte(i % 3)} }

// grow appends n entries.
func (l *memoryLog) grow(t testing.TB, n int) {
	t.Helper()
	for range n {
		i := len(l.entries)
		event := audit.Event{
			Kind: audit.QueryAnswered, Outcome: audit.Allowed, Purpose: "greeting", Channel: "web",
			Principal:  privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "web_shop"},
			Attributes: []privacy.AttributeName{"first_name", "title"}, Policy: policyA, Facts: factsOf(i),
			Subject: audit.Subject{Unknown: true},
		}
		leaf, _, err := l.encoder.AppendLeaf(nil, &event)
		if err != nil {
			t.Fatal(err)
		}
		l.add(leaf)
	}
}

func (l *memoryLog) add(leaf []byte) {
	hash := tlog.Hash(audit.LeafHash(leaf))
	l.entries = append(l.entries, audit.StoredEntry{Index: uint64(len(l.entries)), Leaf: leaf, LeafHash: hash})
	for _, tile := range l.edge.Append(hash, nil) {
		l.tiles[audit.TileName{Level: tile.Level, N: tile.N, Width: audit.TileWidth}] = tile.Hashes
	}
}

func (l *memoryLog) signer(t testing.TB, name string) note.Signer {
	t.Helper()
	signer, err := audit.NewSigner(name, l.key.Public().(ed25519.PublicKey), func(m []byte) ([]byte, error) { return ed25519.Sign(l.key, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (l *memoryLog) vkey(t testing.TB, name string) string {
	t.Helper()
	text, err := audit.FormatKey(name, l.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sign adds a checkpoint of what is there.
func (l *memoryLog) sign(t testing.TB) []byte {
	t.Helper()
	c := audit.Checkpoint{Origin: origin, Size: l.edge.Size(), Root: l.edge.Root()}
	signed, err := audit.SignCheckpoint(c, l.signer(t, origin))
	if err != nil {
		t.Fatal(err)
	}
	l.checkpoints = append(l.checkpoints, audit.StoredCheckpoint{Size: c.Size, Root: c.Root, Note: signed})
	return signed
}

func (l *memoryLog) Entries(_ context.Context, from uint64, limit int) ([]audit.StoredEntry, error) {
	from = min(from, uint64(len(l.entries)))
	return l.entries[from:min(from+uint64(limit), uint64(len(l.entries)))], nil
}

func (l *memoryLog) Checkpoints(_ context.Context, from uint64, limit int) (page []audit.StoredCheckpoint, err error) {
	for _, c := range l.checkpoints {
		if c.Size >= from && len(page) < limit {
			page = append(page, c)
		}
	}
	return page, nil
}

func (l *memoryLog) LatestCheckpoint(context.Context) ([]byte, error) {
	if len(l.checkpoints) == 0 {
		return nil, privacy.ErrNotFound
	}
	return l.checkpoints[len(l.checkpoints)-1].Note, nil
}

// Tile makes unfinished tiles of the full ones below, at any width.
func (l *memoryLog) Tile(_ context.Context, name audit.TileName) ([]byte, error) {
	if tile := l.tiles[audit.TileName{Level: name.Level, N: name.N, Width: audit.TileWidth}]; tile != nil {
		return tile[:name.Width*tlog.HashSize], nil
	}
	var tile []byte
	for i := range name.Width {
		n := name.N*audit.TileWidth + uint64(i)
		if name.Level == 0 {
			tile = append(tile, l.entries[n].LeafHash[:]...)
			continue
		}
		below := l.tiles[audit.TileName{Level: name.Level - 1, N: n, Width: audit.TileWidth}]
		if below == nil {
			return nil, privacy.ErrNotFound
		}
		edge := audit.Edge{}
		for ; len(below) > 0; below = below[tlog.HashSize:] {
			edge.Append(tlog.Hash(below), nil)
		}
		root := edge.Root()
		tile = append(tile, root[:]...)
	}
	return tile, nil
}

func (l *memoryLog) config(t testing.TB) bundle.ExportConfig {
	t.Helper()
	verifier, err := audit.NewVerifier(origin, l.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return bundle.ExportConfig{
		Verifier: verifier, Signer: l.signer(t, bundle.SignerName(origin)), LogKey: l.vkey(t, origin), ManifestKey: l.vkey(t, bundle.SignerName(origin)),
		Policies: func(_ context.Context, policy audit.Digest) ([]byte, error) {
			return append([]byte("policy "), policy[:]...), nil
		},
		Facts: func(_ context.Context, pairs []bundle.Pair) (map[bundle.Pair][]byte, error) {
			made := map[bundle.Pair][]byte{}
			for _, p := range pairs {
				made[p] = fmt.Appendf(nil, "facts %x", p.Facts)
			}
			return made, nil
		},
		Files: map[string][]byte{bundle.PagePath: []byte("<html>")},
	}
}

func (l *memoryLog) export(t testing.TB, dir string) bundle.Manifest {
	t.Helper()
	m, err := bundle.Export(context.Background(), dir, l, l.config(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (l *memoryLog) verify(t testing.TB, dir string, kept ...[]byte) bundle.Report {
	t.Helper()
	report, err := bundle.Verify(context.Background(), bundle.Dir(dir), bundle.VerifyConfig{Keys: []string{l.vkey(t, origin)}, Kept: kept})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// content reads all files of a directory.
func content(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		b, err := io.ReadAll(file)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// flip changes one bit of a file.
func flip(t testing.TB, dir, path string, at int) {
	t.Helper()
	name := filepath.Join(dir, path)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// lengthAt is the length of an entry in a file of entries.
func lengthAt(b []byte) int { return int(binary.BigEndian.Uint16(b)) }
