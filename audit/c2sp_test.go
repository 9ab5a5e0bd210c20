package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// The answers in this file are those of the C2SP texts (c2sp.org, revision 5ba5ee8 of
// 2026-07-22) and of RFC 6962: examples that somebody else wrote down.

func readVector(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/c2sp/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestC2SPSignedNote: the key and note of signed-note.
func TestC2SPSignedNote(t *testing.T) {
	t.Parallel()
	signed, vkey := readVector(t, "signed-note.txt"), strings.TrimSpace(string(readVector(t, "signed-note.vkey")))
	name, key, err := audit.ParseKey(vkey)
	if err != nil || name != "example.com/foo" {
		t.Fatalf("name %q: %v", name, err)
	}
	if again, err := audit.FormatKey(name, key); err != nil || again != vkey {
		t.Errorf("the key is written %q: %v", again, err)
	}
	verifier, err := audit.NewVerifier(name, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := audit.OpenNote(signed, verifier)
	if err != nil || text != "This is an example message.\n" {
		t.Errorf("text %q: %v", text, err)
	}
	for at := range signed {
		bad := bytes.Clone(signed)
		bad[at] ^= 1
		if _, err := audit.OpenNote(bad, verifier); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("byte %d changed: %v, want ErrDamaged", at, err)
		}
	}
	// The key id is the beginning of SHA-256 over name, line feed, type 0x01 and key.
	sum := sha256.Sum256(append([]byte(name+"\n\x01"), key...))
	if got := hex.EncodeToString(sum[:4]); got != "530d903a" || binary.BigEndian.Uint32(sum[:]) != verifier.KeyHash() {
		t.Errorf("key id %s, %08x", got, verifier.KeyHash())
	}
}

// TestC2SPCheckpoint: the example of tlog-checkpoint, cosigned as in tlog-cosignature. The
// texts do not name the keys, so this is about the form.
func TestC2SPCheckpoint(t *testing.T) {
	t.Parallel()
	signed := string(readVector(t, "cosigned-checkpoint.txt"))
	text, signatures, _ := strings.Cut(signed, "\n\n")
	checkpoint, err := audit.ParseCheckpoint(text + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if checkpoint.Origin != "example.com/behind-the-sofa" || checkpoint.Size != 20852163 ||
		checkpoint.Root.String() != "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=" || audit.FormatCheckpoint(checkpoint) != text+"\n" {
		t.Errorf("read %+v", checkpoint)
	}
	// An unknown key, even one of the right name, signs nothing.
	verifier, err := audit.NewVerifier("example.com/behind-the-sofa", ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	var unverified *note.UnverifiedNoteError
	if _, err := audit.OpenCheckpoint([]byte(signed), verifier); !errors.As(err, &unverified) || !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("opened with another key: %v", err)
	} else if n := len(unverified.Note.UnverifiedSigs); n != 2 {
		t.Errorf("%d signatures, want that of the log and that of the witness", n)
	}
	// A cosignature is a key id, a time and an Ed25519 signature.
	lines := strings.Split(strings.TrimSpace(signatures), "\n")
	raw, err := base64.StdEncoding.Strict().DecodeString(lines[1][strings.LastIndex(lines[1], " ")+1:])
	if err != nil || len(raw) != 4+8+ed25519.SignatureSize || binary.BigEndian.Uint64(raw[4:]) != 1679315147 {
		t.Errorf("cosignature of %d bytes: %v", len(raw), err)
	}
}

// TestC2SPTiles: which tiles a tree has, by the examples of tlog-tiles.
func TestC2SPTiles(t *testing.T) {
	t.Parallel()
	for path, name := range map[string]audit.TileName{
		"tile/0/x001/x234/067":           {N: 1234067, Width: 256},
		"tile/entries/x001/x234/067":     {N: 1234067, Width: 256, Entries: true},
		"tile/0/273.p/112":               {N: 273, Width: 112},
		"tile/1/001.p/17":                {Level: 1, N: 1, Width: 17},
		"tile/2/000.p/1":                 {Level: 2, Width: 1},
		"tile/entries/x001/x234/067.p/1": {N: 1234067, Width: 1, Entries: true},
	} {
		if got := name.Path(); got != path {
			t.Errorf("%+v is %s, want %s", name, got, path)
		}
		if got, err := audit.ParseTilePath(path); err != nil || got != name {
			t.Errorf("%s is %+v, want %+v: %v", path, got, name, err)
		}
	}
	// A tree of 70,000: 273 full tiles of level 0 and one of 112, one full tile of level 1
	// and one of 17, one of level 2 of width 1. A tree of 256: one full tile of level 0, and
	// one of level 1 of width 1.
	for size, want := range map[uint64][][2]uint64{ // full tiles and width of the last, by level
		70_000: {{273, 112}, {1, 17}, {0, 1}, {0, 0}},
		256:    {{1, 0}, {0, 1}, {0, 0}},
	} {
		for level, w := range want {
			first, count := audit.Unfinished(size, level)
			if first/audit.TileWidth != w[0] || uint64(count) != w[1] {
				t.Errorf("size %d: level %d has %d full tiles and %d hashes, want %v", size, level, first/audit.TileWidth, count, w)
			}
		}
	}
}

// TestC2SPProof: the parts of the example of tlog-proof that the text does not leave out.
func TestC2SPProof(t *testing.T) {
	t.Parallel()
	const head = `c2sp.org/tlog-proof@v1
extra YWdl
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

example.com/fancylog
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

`
	file := []byte(head + "— example.com/fancylog AAAAAAE=\n— witness1.example AAAAAAI=\n")
	proof, err := audit.ParseProof(file)
	if err != nil {
		t.Fatal(err)
	}
	if proof.Index != 73894 || len(proof.Path) != 5 || string(proof.Leaf) != "age" || proof.Path[4].String() != "AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=" {
		t.Errorf("read %+v", proof)
	}
	if !bytes.Equal(audit.FormatProof(proof), file) {
		t.Error("written again it is another")
	}
	// As the text prints them, with parts left out, the signatures are no base64.
	if _, err := audit.ParseProof([]byte(head + "— example.com/fancylog hI2DJw[...]1roloI=\n")); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("with what is left out: %v", err)
	}
}

// TestRFC6962Tree: the leaves and roots with which implementations of RFC 6962 have been
// tested since the first one.
func TestRFC6962Tree(t *testing.T) {
	t.Parallel()
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var edge audit.Edge
	for i := 0; ; i++ {
		if root := edge.Root(); hex.EncodeToString(root[:]) != roots[i] {
			t.Errorf("root of %d leaves is %x, want %s", i, root, roots[i])
		}
		if i == len(leaves) {
			break
		}
		leaf, err := hex.DecodeString(leaves[i])
		if err != nil {
			t.Fatal(err)
		}
		edge.Append(audit.LeafHash(leaf), nil)
	}
}
