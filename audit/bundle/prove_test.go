package bundle

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// mapFiles is a bundle in memory.
type mapFiles map[string][]byte

func (m mapFiles) Read(_ context.Context, path string, limit int) ([]byte, error) {
	content, found := m[path]
	if !found || len(content) > limit {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return content, nil
}

// servedLog is a log of n entries as a server gives it out: checkpoint and tiles.
func servedLog(t testing.TB, n int) (mapFiles, note.Verifier) {
	t.Helper()
	encoder, err := audit.NewEncoder(audit.EncoderConfig{
		Now:   func() time.Time { return time.UnixMilli(1795325000123) },
		Actor: func(privacy.Principal) [16]byte { return [16]byte{7} },
	})
	if err != nil {
		t.Fatal(err)
	}
	const origin = "shop.example/audit"
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := key.Public().(ed25519.PublicKey)
	verifier, err := audit.NewVerifier(origin, public)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := audit.NewSigner(origin, public, func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	files := mapFiles{}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i := range n {
		entry, err := encoder.NewEntry(audit.Event{Kind: audit.ServerStarted, Outcome: audit.Done, List: audit.Digest{byte(i), byte(i >> 8), 1}})
		if err != nil {
			t.Fatal(err)
		}
		more, err := tlog.StoredHashesForRecordHash(int64(i), audit.LeafHash(entry.Leaf()), reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		tile := uint64(i / audit.TileWidth)
		path := audit.EntriesPath(tile, min(audit.TileWidth, n-int(tile)*audit.TileWidth))
		files[path] = audit.AppendBundled(files[path], entry.Leaf())
	}
	for _, tile := range tlog.NewTiles(8, 0, int64(n)) {
		if files[audit.TilePath(tile.L, uint64(tile.N), tile.W)], err = tlog.ReadTileData(tile, reader); err != nil {
			t.Fatal(err)
		}
	}
	root, err := tlog.TreeHash(int64(n), reader)
	if err != nil {
		t.Fatal(err)
	}
	if files[CheckpointPath], err = audit.SignCheckpoint(audit.Checkpoint{Origin: origin, Size: uint64(n), Root: root}, signer); err != nil {
		t.Fatal(err)
	}
	return files, verifier
}

func openServed(t *testing.T, files mapFiles, verifier note.Verifier) *Bundle {
	t.Helper()
	b, err := Open(t.Context(), files, verifier)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestProveFromFiles(t *testing.T) {
	t.Parallel()
	files, verifier := servedLog(t, 700)
	b := openServed(t, files, verifier)
	for _, index := range []uint64{0, 1, 255, 256, 511, 512, 698, 699} {
		proof, err := b.Prove(t.Context(), index)
		if err != nil {
			t.Fatalf("entry %d: %v", index, err)
		}
		read, err := audit.ParseProof(audit.FormatProof(proof))
		if err != nil {
			t.Fatal(err)
		}
		entry, err := read.Verify(verifier)
		if err != nil || entry.List != (audit.Digest{byte(index), byte(index >> 8), 1}) {
			t.Errorf("entry %d: %v", index, err)
		}
	}
	for _, index := range []uint64{700, 1 << 40, 1<<64 - 1} {
		if _, err := b.Prove(t.Context(), index); !errors.Is(err, privacy.ErrNotFound) {
			t.Errorf("entry %d: %v, want ErrNotFound", index, err)
		}
	}
	// A changed or missing file on the way is not proved from.
	for _, path := range []string{"tile/entries/001", "tile/0/001", "tile/1/000.p/2"} {
		good := files[path]
		for what, content := range map[string][]byte{
			"changed": append(bytes.Clone(good[:len(good)-9]), bytes.Repeat([]byte{'x'}, 9)...),
			"cut":     good[:len(good)-1],
			"longer":  append(bytes.Clone(good), 0),
		} {
			files[path] = content
			if _, err := openServed(t, files, verifier).Prove(t.Context(), 511); !errors.Is(err, privacy.ErrDamaged) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s %s: %v", path, what, err)
			}
		}
		delete(files, path)
		if _, err := openServed(t, files, verifier).Prove(t.Context(), 511); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s missing: %v", path, err)
		}
		files[path] = good
	}
}

// answerWith is an answer as a caller keeps it.
func answerWith(index uint64, hash tlog.Hash) string {
	return fmt.Sprintf(`{"decision_id":"6f1c","decision":"allow","attributes":{"first_name":{"value":"Ayşe"}},"log":{"index":%d,"leaf_hash":"%x"}}`, index, hash[:])
}

func TestCheckReceipts(t *testing.T) {
	t.Parallel()
	files, verifier := servedLog(t, 700)
	b := openServed(t, files, verifier)
	hash := func(index uint64) tlog.Hash {
		tile := files[audit.TilePath(0, index/256, int(min(256, 700-index/256*256)))]
		return tlog.Hash(tile[index%256*32:][:32])
	}
	for i := range uint64(3) { // entries are not needed
		delete(files, audit.EntriesPath(i, 256))
	}
	var kept strings.Builder
	for _, index := range []uint64{699, 0, 255, 256, 400, 0} {
		kept.WriteString(answerWith(index, hash(index)) + "\n")
	}
	// Other forms: many in one document, and an answer without one.
	fmt.Fprintf(&kept, "[%s,\n %s]\n", answerWith(1, hash(1)), strings.Replace(answerWith(2, hash(2)), `"log":`, `"context":{"log":`, 1)+"}")
	kept.WriteString(`{"type":"urn:mahrem:problem:unavailable","status":503}` + "\n")
	kept.WriteString(answerWith(3, hash(4)) + answerWith(700, hash(1)) + answerWith(1<<62, hash(1)))

	receipts, without, err := ReadReceipts(strings.NewReader(kept.String()))
	if err != nil || len(receipts) != 11 || without != 1 {
		t.Fatalf("%d receipts, %d answers without: %v", len(receipts), without, err)
	}
	report, err := b.CheckReceipts(t.Context(), receipts)
	if err != nil {
		t.Fatal(err)
	}
	want := ReceiptReport{Checkpoint: b.Checkpoint(), Fit: 8, Unfit: []Unfit{
		{Receipt{Answer: 9, Index: 3, LeafHash: hash(4)}, ReceiptOther},
		{Receipt{Answer: 10, Index: 700, LeafHash: hash(1)}, ReceiptMissing},
		{Receipt{Answer: 11, Index: 1 << 62, LeafHash: hash(1)}, ReceiptMissing},
	}}
	if diff := cmp.Diff(want, report); diff != "" || !report.Broken() {
		t.Errorf("broken %t (-want +got):\n%s", report.Broken(), diff)
	}
	files["tile/0/000"][9] ^= 1
	if _, err := openServed(t, files, verifier).CheckReceipts(t.Context(), receipts); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("with a changed tile: %v, want ErrDamaged", err)
	}
	delete(files, "tile/0/000")
	if _, err := openServed(t, files, verifier).CheckReceipts(t.Context(), receipts); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a tile: %v, want ErrNotExist", err)
	}
}

func TestReadReceiptsRefuses(t *testing.T) {
	t.Parallel()
	const name = "Ayşe Yılmaz"
	for _, text := range []string{
		name, `{"name":"` + name + `"`, `{"log":{"index":1,"leaf_hash":"` + name + `"}}`, `{"index":-1,"leaf_hash":"00"}`,
		`{"index":"1","leaf_hash":"` + strings.Repeat("00", 32) + `"}`, `{"index":1.5,"leaf_hash":"` + strings.Repeat("00", 32) + `"}`,
		`{"index":1,"leaf_hash":7}`, `{"index":18446744073709551616,"leaf_hash":"` + strings.Repeat("00", 32) + `"}`,
		strings.Repeat("[", 100) + strings.Repeat("]", 100),
	} {
		_, _, err := ReadReceipts(strings.NewReader(text))
		if !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%.40s: %v, want ErrInvalid", text, err)
		}
		if err != nil && strings.Contains(err.Error(), "Ay") {
			t.Errorf("the error repeats what was read: %v", err)
		}
	}
	if receipts, without, err := ReadReceipts(strings.NewReader("")); err != nil || len(receipts) != 0 || without != 0 {
		t.Errorf("an empty file: %d, %d, %v", len(receipts), without, err)
	}
}

func FuzzReadReceipts(f *testing.F) {
	f.Add(answerWith(3, tlog.Hash{1}))
	f.Add(`[{"index":0,"leaf_hash":"` + strings.Repeat("Ab", 32) + `"}]`)
	f.Fuzz(func(t *testing.T, text string) {
		receipts, _, err := ReadReceipts(strings.NewReader(text))
		if err != nil && !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%v, want ErrInvalid", err)
		}
		for _, r := range receipts {
			if r.Index >= 1<<63 || r.Answer < 1 {
				t.Errorf("read %+v", r)
			}
		}
	})
}
