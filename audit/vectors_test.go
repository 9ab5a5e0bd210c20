package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/privacy"
)

var update = flag.Bool("update", false, "write the vectors anew")

// counting is a source of "random" bytes 0, 1, 2, ...
type counting struct{ next byte }

func (c *counting) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = c.next
		c.next++
	}
	return len(b), nil
}

func testActor(p privacy.Principal) [16]byte {
	sum := sha256.Sum256([]byte("test key" + p.ID))
	return [16]byte(sum[:])
}

func testEncoder(t testing.TB) *Encoder {
	t.Helper()
	e, err := NewEncoder(EncoderConfig{
		Now:    func() time.Time { return time.UnixMilli(1795325000123) },
		Random: new(counting),
		Actor:  testActor,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func fullEvent() Event {
	return Event{
		Kind: QueryAnswered, Outcome: Allowed,
		Principal: privacy.Principal{ID: "recommender@shop", Role: privacy.RoleService, Recipient: "shop"},
		Subject:   Subject{ID: privacy.DataSubjectID{15: 7}, Blinding: BlindingKey{31: 9}},
		Purpose:   "recommendations", Channel: "web", Recipient: "ads-partner",
		Checks:     []string{"inference.health", "window.open"},
		Attributes: []privacy.AttributeName{"first_name", "purchases.product_groups"},
		Policy:     Digest{1}, Facts: Digest{2}, List: Digest{3}, Count: 17,
	}
}

// entryVectors are events by name; testdata/entries.json holds their leaves and hashes.
func entryVectors() map[string]Event {
	unknown := fullEvent()
	unknown.Kind, unknown.Outcome = QueryDenied, Denied
	unknown.Subject = Subject{Unknown: true}
	erased := Event{
		Kind: PersonErased, Outcome: Done, Principal: privacy.Principal{ID: "dana", Role: privacy.RoleDPO},
		Subject: fullEvent().Subject, Count: 12_345,
	}
	return map[string]Event{
		"every field":    fullEvent(),
		"unknown person": unknown,
		"erasure":        erased,
		"token": {
			Kind: TokenMinted, Outcome: Done, Principal: privacy.Principal{ID: "dana", Role: privacy.RoleDPO},
			Recipient: "shop", Minted: privacy.RoleService,
		},
		"system": {Kind: ServerStarted, Outcome: Done},
	}
}

type entryVector struct {
	Leaf     string `json:"leaf"`
	LeafHash string `json:"leaf_hash"`
}

// TestEntryVectors holds the byte format still: another implementation can check itself
// against the same file. Ids and random tags are the bytes 0, 1, 2, ...
func TestEntryVectors(t *testing.T) {
	t.Parallel()
	path := filepath.Join("testdata", "entries.json")
	got := map[string]entryVector{}
	for name, event := range entryVectors() {
		entry, err := testEncoder(t).NewEntry(event)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		hash := sha256.Sum256(append([]byte{0}, entry.Leaf()...))
		got[name] = entryVector{string(entry.Leaf()), hex.EncodeToString(hash[:])}
		if LeafHash(entry.Leaf()) != hash {
			t.Errorf("%s: leaf hash is not SHA-256(0x00 || leaf)", name)
		}
	}
	if *update {
		text, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte(`\u0026`), []byte(`&`))
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]entryVector{}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) != len(got) {
		t.Errorf("%d vectors, want %d", len(got), len(want))
	}
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got[name], v)
		}
	}
}

// TestTagsByTheLibrary recomputes tags with crypto/hkdf and crypto/hmac.
func TestTagsByTheLibrary(t *testing.T) {
	t.Parallel()
	event := fullEvent()
	entry, err := testEncoder(t).NewEntry(event)
	if err != nil {
		t.Fatal(err)
	}
	b := event.Subject.Blinding
	opening, err := hkdf.Expand(sha256.New, b[:], "mahrem/audit/open/v1"+string(entry.ID[:]), 32)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, opening)
	mac.Write(event.Subject.ID[:])
	if !bytes.Equal(mac.Sum(nil), entry.Person[:]) {
		t.Error("tag differs from the library's")
	}
	mac = hmac.New(sha256.New, b[:])
	mac.Write([]byte("mahrem/audit/erased/v1"))
	if erased := b.ErasedTag(); !bytes.Equal(mac.Sum(nil), erased[:]) {
		t.Error("erased tag differs from the library's")
	}
}

// TestTagIsLostWithTheKey shows what shredding a blinding key does: the tag opens with
// the key, and with nothing that remains after it.
func TestTagIsLostWithTheKey(t *testing.T) {
	t.Parallel()
	event := fullEvent()
	encoder := testEncoder(t)
	first, err := encoder.NewEntry(event)
	if err != nil {
		t.Fatal(err)
	}
	second, err := encoder.NewEntry(event)
	if err != nil {
		t.Fatal(err)
	}
	id, key := event.Subject.ID, event.Subject.Blinding
	if key.Opening(first.ID).Tag(id) != first.Person || key.Opening(second.ID).Tag(id) != second.Person {
		t.Fatal("tags do not open with the key")
	}
	if first.Person == second.Person {
		t.Error("two entries about one person have the same tag")
	}
	if key.Opening(first.ID).Tag(id) == second.Person {
		t.Error("the opening of one entry opens another")
	}
	shredded := BlindingKey{} // all that is left of it
	for _, guess := range []BlindingKey{shredded, sha256.Sum256(id[:]), sha256.Sum256(first.Leaf())} {
		if guess.Opening(first.ID).Tag(id) == first.Person {
			t.Error("the tag can be recomputed without the key")
		}
	}
	event.Subject.Blinding = shredded
	if _, err := encoder.NewEntry(event); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a person without a key was tagged: %v", err)
	}
}

// TestLeafHoldsNothingPersonal looks for what the event knows and the leaf must not.
func TestLeafHoldsNothingPersonal(t *testing.T) {
	t.Parallel()
	for name, event := range entryVectors() {
		entry, err := testEncoder(t).NewEntry(event)
		if err != nil {
			t.Fatal(err)
		}
		leaf := string(entry.Leaf())
		id, key := event.Subject.ID, event.Subject.Blinding
		for _, secret := range []string{
			event.Principal.ID, id.Reveal(), hex.EncodeToString(id[:]), strings.ReplaceAll(id.Reveal(), "-", ""),
			hex.EncodeToString(key[:]), string(id[:]), string(key[:]),
		} {
			if secret != "" && strings.Contains(leaf, secret) {
				t.Errorf("%s: the leaf repeats the principal, the person or their key", name)
			}
		}
		if event.Count > 10 && strings.Contains(leaf, `"n":"17"`) {
			t.Errorf("%s: the leaf has an exact count", name)
		}
	}
}

// TestCheckpointVector holds the C2SP format still, with the key from RFC 8032 7.1.
func TestCheckpointVector(t *testing.T) {
	t.Parallel()
	seed, _ := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	key := ed25519.NewKeyFromSeed(seed)
	public := key.Public().(ed25519.PublicKey)
	var edge Edge
	for i := range byte(5) {
		edge.Append(LeafHash([]byte{i}), nil)
	}
	want := Checkpoint{Origin: "shop.example/audit", Size: 5, Root: edge.Root()}
	signer, err := NewSigner(want.Origin, public, func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	signed, err := SignCheckpoint(want, signer)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "checkpoint.txt")
	if *update {
		if err := os.WriteFile(path, signed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored, signed) {
		t.Errorf("got\n%s\nwant\n%s", signed, stored)
	}
	verifier, err := NewVerifier(want.Origin, public)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenCheckpoint(stored, verifier); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	// The library's own signer, with the same key, says the same.
	library, err := note.NewSigner("PRIVATE+KEY+" + want.Origin + "+" + hashText(verifier) + "+" + base64Key(seed))
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := SignCheckpoint(want, library); err != nil || !bytes.Equal(theirs, signed) {
		t.Errorf("x/mod signs\n%s%v", theirs, err)
	}
}
