package vault

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"

	"github.com/mahrem/mahrem/privacy"
)

func email(value string) privacy.Identifier {
	return privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain(value)}
}

func mustIndex(t *testing.T, v *Vault, identifier privacy.Identifier) []byte {
	t.Helper()
	index, err := v.BlindIndex(identifier)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func TestBlindIndex(t *testing.T) {
	t.Parallel()
	v := newTestVault(t)
	a := mustIndex(t, v, email("Ayse@Example.com"))
	if len(a) != BlindIndexSize || a[0] != 1 {
		t.Errorf("an index of %d bytes with version %d", len(a), a[0])
	}
	if !bytes.Equal(a, mustIndex(t, v, email(" ayse@example.COM "))) {
		t.Error("two spellings have two indexes")
	}
	same := privacy.NewPlain("123456789012")
	seen := map[string]privacy.IdentifierKind{}
	for _, kind := range []privacy.IdentifierKind{privacy.CustomerNumber, privacy.CookieID} {
		index := string(mustIndex(t, v, privacy.Identifier{Kind: kind, Value: same}))
		if other, ok := seen[index]; ok {
			t.Errorf("%s and %s share an index", kind, other)
		}
		seen[index] = kind
	}
	if bytes.Equal(a, mustIndex(t, newTestVault(t), email("ayse@example.com"))) {
		t.Error("two key directories share an index")
	}
	for _, bad := range []privacy.Identifier{{}, email("nobody"), {Kind: "passport", Value: same}} {
		if _, err := v.BlindIndex(bad); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("an index of what has no normal form: %v", err)
		}
		if _, err := v.BlindIndexes(bad); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("indexes of what has no normal form: %v", err)
		}
	}
}

// TestBlindIndexIsHMAC computes an index by the words of docs/spec/keys.md alone.
func TestBlindIndexIsHMAC(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{7}, 32)
	set := &prf.Set{PrimaryID: 5, PRFs: map[uint32]prf.PRF{5: hmacPRF(secret)}}
	keys := newTestKeys(t).open(t)
	keys.BlindIndex[privacy.Email] = set
	v, err := New(keys, Config{})
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("email\x00ayse@example.com"))
	want := append([]byte{5}, mac.Sum(nil)...)
	if got := mustIndex(t, v, email("ayse@example.com")); !bytes.Equal(got, want) {
		t.Errorf("index %x, want %x", got, want)
	}
}

type hmacPRF []byte

func (key hmacPRF) ComputePRF(input []byte, size uint32) ([]byte, error) {
	mac := hmac.New(sha256.New, key)
	mac.Write(input)
	return mac.Sum(nil)[:size], nil
}

// TestBlindIndexRotation: during a rotation the new key writes and both find; after it
// the old key finds nothing any more.
func TestBlindIndexRotation(t *testing.T) {
	t.Parallel()
	keys := newTestKeys(t)
	open := func(text string) *Vault {
		t.Helper()
		changed := testKeys{KEK: keys.KEK, Index: keys.Index, BlindIndex: map[string]string{}}
		for kind, old := range keys.BlindIndex {
			changed.BlindIndex[kind] = old
		}
		changed.BlindIndex[string(privacy.Email)] = text
		v, err := New(changed.open(t), Config{})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := keys.BlindIndex[string(privacy.Email)]
	material := insecurecleartextkeyset.KeysetMaterial(decodeKeyset(t, before))
	next, err := keyset.NewHandle(prf.HMACSHA256PRFKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	added := insecurecleartextkeyset.KeysetMaterial(next).Key[0]
	added.KeyId = 2
	material.Key = append(material.Key, added)
	read := encodeKeyset(t, material) // both look up, the old one writes
	material.PrimaryKeyId = 2
	write := encodeKeyset(t, material) // both look up, the new one writes
	material.Key[0].Status = tink_go_proto.KeyStatusType_DISABLED
	after := encodeKeyset(t, material)

	who := email("ayse@example.com")
	old := mustIndex(t, open(before), who)
	for _, stage := range []struct {
		name, keys string
		primary    byte
		versions   []byte
	}{{"before", before, 1, []byte{1}}, {"read", read, 1, []byte{1, 2}}, {"write", write, 2, []byte{2, 1}}, {"after", after, 2, []byte{2}}} {
		v := open(stage.keys)
		if got := mustIndex(t, v, who); got[0] != stage.primary {
			t.Errorf("%s: version %d writes, want %d", stage.name, got[0], stage.primary)
		}
		indexes, err := v.BlindIndexes(who)
		if err != nil {
			t.Fatal(err)
		}
		var versions []byte
		found := false
		for _, index := range indexes {
			versions = append(versions, index[0])
			found = found || bytes.Equal(index, old)
		}
		if !bytes.Equal(versions, stage.versions) || found != (stage.name != "after") {
			t.Errorf("%s: versions %v look up, want %v; the old index is found: %t", stage.name, versions, stage.versions, found)
		}
	}
}

func TestNewRefusesKeysetsThatCannotServe(t *testing.T) {
	t.Parallel()
	good := func() Keysets { return newTestKeys(t).open(t) }
	for name, change := range map[string]func(*Keysets, *Config){
		"no KEK":         func(k *Keysets, _ *Config) { k.KEK = nil },
		"no index":       func(k *Keysets, _ *Config) { k.Index = nil },
		"index without":  func(k *Keysets, _ *Config) { k.Index = &prf.Set{PrimaryID: 1} },
		"kind missing":   func(k *Keysets, _ *Config) { delete(k.BlindIndex, privacy.Phone) },
		"empty keyset":   func(k *Keysets, _ *Config) { k.BlindIndex[privacy.Phone] = &prf.Set{} },
		"id too large":   func(k *Keysets, _ *Config) { k.BlindIndex[privacy.Phone] = withID(256) },
		"id zero":        func(k *Keysets, _ *Config) { k.BlindIndex[privacy.Phone] = withID(0) },
		"no primary":     func(k *Keysets, _ *Config) { s := withID(3); s.PrimaryID = 4; k.BlindIndex[privacy.Phone] = s },
		"unknown region": func(_ *Keysets, c *Config) { c.PhoneRegion = "XX" },
	} {
		keys, config := good(), Config{}
		change(&keys, &config)
		if _, err := New(keys, config); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func withID(id uint32) *prf.Set {
	return &prf.Set{PrimaryID: id, PRFs: map[uint32]prf.PRF{id: hmacPRF("key")}}
}

// TestHashesAreApart: slots, fingerprints, tie-breaks and actor tags come from one key
// and must never meet; nor may inputs that read alike when joined.
func TestHashesAreApart(t *testing.T) {
	t.Parallel()
	v := newTestVault(t)
	a, b := privacy.DataSubjectID{1}, privacy.DataSubjectID{2}
	all := map[string][16]byte{
		"slot a contact":      v.Slot(a, "contact"),
		"slot b contact":      v.Slot(b, "contact"),
		"slot a health":       v.Slot(a, "health"),
		"print a contact":     v.Fingerprint(a, "contact"),
		"print a no source":   v.Fingerprint(a, ""),
		"print a one empty":   v.Fingerprint(a, "", ""),
		"print a xy":          v.Fingerprint(a, "s", "xy"),
		"print a x y":         v.Fingerprint(a, "s", "x", "y"),
		"print a xy empty":    v.Fingerprint(a, "s", "xy", ""),
		"print a empty xy":    v.Fingerprint(a, "s", "", "xy"),
		"print a sx y":        v.Fingerprint(a, "sx", "y"),
		"print b xy":          v.Fingerprint(b, "s", "xy"),
		"actor dpo":           v.ActorTag(privacy.Principal{ID: "x", Role: privacy.RoleDPO}),
		"actor auditor":       v.ActorTag(privacy.Principal{ID: "x", Role: privacy.RoleAuditor}),
		"actor dpo other":     v.ActorTag(privacy.Principal{ID: "y", Role: privacy.RoleDPO}),
		"word contact":        v.WordTag("contact"),
		"word con tact":       v.WordTag("con", "tact"),
		"word contact empty":  v.WordTag("contact", ""),
		"no word":             v.WordTag(),
		"suppression":         v.SuppressionTag("contact", nil),
		"suppression rest":    v.SuppressionTag("con", []byte("tact")),
		"ledger":              v.LedgerTag(a),
		"another vault's one": newTestVault(t).Slot(a, "contact"),
	}
	seen := map[[16]byte]string{}
	for name, hash := range all {
		if other, ok := seen[hash]; ok {
			t.Errorf("%q and %q are the same", name, other)
		}
		seen[hash] = name
	}
	tie, again := v.TieBreak(a, "x"), v.TieBreak(a, "x")
	if tie == v.TieBreak(a, "y") || tie == v.TieBreak(b, "x") || tie != again {
		t.Error("tie-breaks are not a keyed hash of person and choice")
	}
	if v.Slot(a, "contact") != all["slot a contact"] {
		t.Error("a slot moves")
	}
}

// TestDrawingFails: without randomness there is no key, rather than a weak one.
func TestDrawingFails(t *testing.T) {
	t.Parallel()
	v, err := New(newTestKeys(t).open(t), Config{Random: bytes.NewReader(make([]byte, 63))})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := privacy.NewDataSubjectID(rand.Reader)
	if key, wrapped, err := v.NewPersonKey(id); err == nil || key != nil || wrapped != nil {
		t.Errorf("a key from 63 of 64 bytes: %v", err)
	}
}
