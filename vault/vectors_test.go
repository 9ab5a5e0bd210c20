package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/privacy"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew, with new keys")

// vectors are blobs that were made once and must open for ever. They are also for other
// implementations: docs/spec/keys.md names the fields.
type vectors struct {
	Comment     string            `json:"comment"`
	Keys        testKeys          `json:"keys"`
	DataSubject string            `json:"data_subject"`
	Wrapped     string            `json:"wrapped_person_key"`
	Secret      string            `json:"person_secret"`
	Record      sealedVector      `json:"record"`
	Chunk       sealedVector      `json:"chunk"`
	Bytes       sealedVector      `json:"bytes"`
	Check       string            `json:"kek_check"`
	House       sealedVector      `json:"house"`
	Slots       map[string]string `json:"slots"`
	Fingerprint string            `json:"fingerprint"` // of source "till", parts "1", "2"
	WordTag     string            `json:"word_tag"`    // of "loyalty_tier", "exact", "gold"
	// SuppressionTag is of the phone below, LedgerTag of the person. Both were computed with
	// openssl first.
	SuppressionTag string            `json:"suppression_tag"`
	LedgerTag      string            `json:"ledger_tag"`
	BlindIndex     map[string]string `json:"blind_index"` // by normal form
}

type sealedVector struct {
	Label   string `json:"label"`
	Number  int64  `json:"number"`
	Version int64  `json:"version"`
	Plain   string `json:"plaintext"`
	Sealed  string `json:"sealed"`
}

var blindVectors = map[string]privacy.IdentifierKind{
	"irmak@xn--gzelkent-65a.com": privacy.Email, "+905321234567": privacy.Phone,
	"AB-12/345": privacy.CustomerNumber, "Ab-12.ab_ID": privacy.CookieID,
}

func TestVectors(t *testing.T) {
	t.Parallel()
	path := filepath.Join("testdata", "vectors.json")
	if *update {
		writeVectors(t, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want vectors
	if err := json.Unmarshal(content, &want); err != nil {
		t.Fatal(err)
	}
	v, err := New(want.Keys.open(t), Config{PhoneRegion: "TR"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := privacy.ParseDataSubjectID(want.DataSubject)
	if err != nil {
		t.Fatal(err)
	}
	key, err := v.OpenPersonKey(id, unhex(t, want.Wrapped), UseQuery)
	if err != nil {
		t.Fatal(err)
	}
	blinding := key.Subject().Blinding
	if hex.EncodeToString(blinding[:]) != want.Secret[64:] {
		t.Error("the blinding key is another one")
	}
	record, err := key.OpenRecord(privacy.DataCategory(want.Record.Label), want.Record.Version, unhex(t, want.Record.Sealed))
	if diff := cmp.Diff(sampleRecord(), record, plains); diff != "" || err != nil {
		t.Errorf("record: %v (-want +got):\n%s", err, diff)
	}
	events, err := key.OpenChunk(privacy.DataCategory(want.Chunk.Label), want.Chunk.Number, want.Chunk.Version, unhex(t, want.Chunk.Sealed))
	if diff := cmp.Diff(sampleEvents(2), events, plains); diff != "" || err != nil {
		t.Errorf("chunk: %v (-want +got):\n%s", err, diff)
	}
	content, err = key.OpenBytes(want.Bytes.Label, want.Bytes.Number, unhex(t, want.Bytes.Sealed))
	if err != nil || string(content) != "told" {
		t.Errorf("bytes: %v", err)
	}
	if err := v.OpenCheck(unhex(t, want.Check)); err != nil {
		t.Error(err)
	}
	content, err = v.OpenHouse(want.House.Label, unhex(t, want.House.Sealed))
	if err != nil || hex.EncodeToString(content) != want.House.Plain {
		t.Errorf("bytes of the house: %v", err)
	}
	for category, slot := range want.Slots {
		if got := v.Slot(id, privacy.DataCategory(category)); hex.EncodeToString(got[:]) != slot {
			t.Errorf("slot of %s: %x, want %s", category, got, slot)
		}
	}
	if got := v.Fingerprint(id, "till", "1", "2"); hex.EncodeToString(got[:]) != want.Fingerprint {
		t.Errorf("fingerprint: %x, want %s", got, want.Fingerprint)
	}
	if got := v.WordTag("loyalty_tier", "exact", "gold"); hex.EncodeToString(got[:]) != want.WordTag {
		t.Errorf("word tag: %x, want %s", got, want.WordTag)
	}
	if got := v.SuppressionTag(privacy.Phone, unhex(t, want.BlindIndex["+905321234567"])); hex.EncodeToString(got[:]) != want.SuppressionTag {
		t.Errorf("suppression tag: %x, want %s", got, want.SuppressionTag)
	}
	tags, err := v.SuppressionTags(privacy.Identifier{Kind: privacy.Phone, Value: privacy.NewPlain("0532 123 45 67")})
	if err != nil || len(tags) != 1 || hex.EncodeToString(tags[0][:]) != want.SuppressionTag {
		t.Errorf("suppression tags: %x, %v, want %s", tags, err, want.SuppressionTag)
	}
	if got := v.LedgerTag(id); hex.EncodeToString(got[:]) != want.LedgerTag {
		t.Errorf("ledger tag: %x, want %s", got, want.LedgerTag)
	}
	for text, index := range want.BlindIndex {
		got, err := v.BlindIndex(privacy.Identifier{Kind: blindVectors[text], Value: privacy.NewPlain(text)})
		if err != nil || hex.EncodeToString(got) != index {
			t.Errorf("blind index of %s: %x, %v, want %s", text, got, err, index)
		}
	}
}

// TestVectorsBySpecification opens the vectors with the standard library and the words
// of docs/spec alone: AES-256-GCM, nonce after the version byte, associated data written
// out by hand.
func TestVectorsBySpecification(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want vectors
	if err := json.Unmarshal(content, &want); err != nil {
		t.Fatal(err)
	}
	id, err := privacy.ParseDataSubjectID(want.DataSubject)
	if err != nil {
		t.Fatal(err)
	}
	secret := unhex(t, want.Secret)
	for kind, vector := range map[byte]sealedVector{2: want.Record, 3: want.Chunk, 4: want.Bytes} {
		ad := append([]byte("mahrem/vault"), 1, kind)
		ad = append(ad, id[:]...)
		ad = binary.BigEndian.AppendUint64(ad, uint64(vector.Number))
		ad = binary.BigEndian.AppendUint64(ad, uint64(vector.Version))
		ad = append(append(ad, byte(len(vector.Label))), vector.Label...)
		sealed := unhex(t, vector.Sealed)
		plaintext, err := mustGCM(t, secret[:32]).Open(nil, sealed[1:13], sealed[13:], ad)
		if err != nil || hex.EncodeToString(plaintext) != vector.Plain || sealed[0] != 1 {
			t.Errorf("kind %d: %x, %v, want %s", kind, plaintext, err, vector.Plain)
		}
	}
	// The wrapped key: version, Tink's prefix (01 and the key id), nonce, text and tag.
	var kek struct {
		PrimaryKeyID uint32 `json:"primaryKeyId"`
		Key          []struct{ KeyData struct{ Value string } }
	}
	if err := json.Unmarshal([]byte(want.Keys.KEK), &kek); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(kek.Key[0].KeyData.Value)
	if err != nil {
		t.Fatal(err)
	}
	ad := append([]byte("mahrem/vault"), 1, 1)
	ad = append(append(ad, id[:]...), make([]byte, 8+8+1)...)
	wrapped := unhex(t, want.Wrapped)
	if wrapped[0] != 1 || wrapped[1] != 1 || binary.BigEndian.Uint32(wrapped[2:6]) != kek.PrimaryKeyID {
		t.Errorf("a wrapped key begins with %x", wrapped[:6])
	}
	opened, err := mustGCM(t, raw[len(raw)-32:]).Open(nil, wrapped[6:18], wrapped[18:], ad)
	if err != nil || hex.EncodeToString(opened) != want.Secret {
		t.Errorf("unwrapping by hand: %v", err)
	}
	ad = append([]byte("mahrem/vault"), 1, 6)
	ad = append(ad, make([]byte, 16+8+8)...)
	ad = append(append(ad, byte(len(want.House.Label))), want.House.Label...)
	house := unhex(t, want.House.Sealed)
	opened, err = mustGCM(t, raw[len(raw)-32:]).Open(nil, house[6:18], house[18:], ad)
	if err != nil || hex.EncodeToString(opened) != want.House.Plain {
		t.Errorf("opening bytes of the house by hand: %v", err)
	}
}

func mustGCM(t *testing.T, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return gcm
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeVectors(t *testing.T, path string) {
	t.Helper()
	must := func(b []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(b)
	}
	keys := newTestKeys(t)
	v, err := New(keys.open(t), Config{PhoneRegion: "TR"})
	if err != nil {
		t.Fatal(err)
	}
	key, wrapped := newTestPerson(t, v)
	secret, err := open(v.kek, place{kind: kindPersonKey, person: key.id}, wrapped)
	out := vectors{
		Comment:     "Keys of no value, made for this file alone.",
		Keys:        keys,
		DataSubject: key.id.Reveal(),
		Wrapped:     hex.EncodeToString(wrapped),
		Secret:      must(secret, err),
		Record:      sealedVector{Label: "contact", Version: 3, Plain: must(EncodeRecord(sampleRecord())), Sealed: must(key.SealRecord("contact", 3, sampleRecord()))},
		Chunk:       sealedVector{Label: "purchases", Number: 7, Version: 2, Plain: must(EncodeEvents(sampleEvents(2))), Sealed: must(key.SealChunk("purchases", 7, 2, sampleEvents(2)))},
		Bytes:       sealedVector{Label: "exposure/shop", Number: 1, Plain: hex.EncodeToString([]byte("told")), Sealed: must(key.SealBytes("exposure/shop", 1, []byte("told")))},
		Check:       must(v.SealCheck()),
		House:       sealedVector{Label: "decided/x", Plain: hex.EncodeToString([]byte("{}")), Sealed: must(v.SealHouse("decided/x", []byte("{}")))},
		Slots:       map[string]string{},
		BlindIndex:  map[string]string{},
	}
	for _, category := range []privacy.DataCategory{"core", "contact", "purchases"} {
		slot := v.Slot(key.id, category)
		out.Slots[string(category)] = hex.EncodeToString(slot[:])
	}
	fingerprint := v.Fingerprint(key.id, "till", "1", "2")
	out.Fingerprint = hex.EncodeToString(fingerprint[:])
	tag := v.WordTag("loyalty_tier", "exact", "gold")
	out.WordTag = hex.EncodeToString(tag[:])
	ledgerTag := v.LedgerTag(key.id)
	out.LedgerTag = hex.EncodeToString(ledgerTag[:])
	for text, kind := range blindVectors {
		out.BlindIndex[text] = must(v.BlindIndex(privacy.Identifier{Kind: kind, Value: privacy.NewPlain(text)}))
	}
	suppression := v.SuppressionTag(privacy.Phone, unhex(t, out.BlindIndex["+905321234567"]))
	out.SuppressionTag = hex.EncodeToString(suppression[:])
	content, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(content, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
