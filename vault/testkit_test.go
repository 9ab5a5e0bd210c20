package vault

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"

	"github.com/mahrem/mahrem/privacy"
)

// testKeys are the keysets of a vault as Tink's JSON.
type testKeys struct {
	KEK        string            `json:"kek"`
	Index      string            `json:"index"`
	BlindIndex map[string]string `json:"blind_index"`
}

func newTestKeys(t testing.TB) testKeys {
	t.Helper()
	keys := testKeys{
		KEK:        generate(t, aead.AES256GCMKeyTemplate(), 0),
		Index:      generate(t, prf.AESCMACPRFKeyTemplate(), 1),
		BlindIndex: make(map[string]string),
	}
	for _, kind := range privacy.IdentifierKinds() {
		keys.BlindIndex[string(kind)] = generate(t, prf.HMACSHA256PRFKeyTemplate(), 1)
	}
	return keys
}

// generate makes a keyset; id replaces Tink's random key id unless it is 0.
func generate(t testing.TB, template *tink_go_proto.KeyTemplate, id uint32) string {
	t.Helper()
	handle, err := keyset.NewHandle(template)
	if err != nil {
		t.Fatal(err)
	}
	material := insecurecleartextkeyset.KeysetMaterial(handle)
	if id != 0 {
		material.Key[0].KeyId, material.PrimaryKeyId = id, id
	}
	return encodeKeyset(t, material)
}

func encodeKeyset(t testing.TB, material *tink_go_proto.Keyset) string {
	t.Helper()
	var out bytes.Buffer
	if err := keyset.NewJSONWriter(&out).Write(material); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func decodeKeyset(t testing.TB, text string) *keyset.Handle {
	t.Helper()
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

func (k testKeys) open(t testing.TB) Keysets {
	t.Helper()
	kek, err := aead.New(decodeKeyset(t, k.KEK))
	if err != nil {
		t.Fatal(err)
	}
	sets := Keysets{KEK: kek, Index: openPRF(t, k.Index), BlindIndex: make(map[privacy.IdentifierKind]*prf.Set)}
	for kind, text := range k.BlindIndex {
		sets.BlindIndex[privacy.IdentifierKind(kind)] = openPRF(t, text)
	}
	return sets
}

func openPRF(t testing.TB, text string) *prf.Set {
	t.Helper()
	set, err := prf.NewPRFSet(decodeKeyset(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func newTestVault(t testing.TB) *Vault {
	t.Helper()
	v, err := New(newTestKeys(t).open(t), Config{PhoneRegion: "TR"})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newTestPerson(t testing.TB, v *Vault) (*PersonKey, []byte) {
	t.Helper()
	id, err := privacy.NewDataSubjectID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, wrapped, err := v.NewPersonKey(id)
	if err != nil {
		t.Fatal(err)
	}
	return key, wrapped
}

func plain(values ...string) []privacy.Plain {
	var list []privacy.Plain
	for _, value := range values {
		list = append(list, privacy.NewPlain(value))
	}
	return list
}

// sampleRecord has ten fields, as the hot path is measured with.
func sampleRecord() Record {
	day := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	field := func(source Source, quality Quality, values ...string) Field {
		return Field{Values: plain(values...), Source: source, Quality: quality, ObservedAt: day}
	}
	return Record{
		"first_name":      field(Declared, Verified, "Ayşe"),
		"last_name":       field(Declared, Verified, "Öztürk"),
		"birth_date":      field(Declared, Verified, "1994-11-02"),
		"city":            field(Imported, Unverified, "Brno"),
		"household":       field(Inferred, Unverified, "shared"),
		"email":           field(Declared, Verified, "ayse.ozturk@example.com"),
		"phone":           field(Declared, Disputed, "+905321234567", "+420601123456"),
		"interests":       field(Social, Unverified, "yoga", "hiking", ""),
		"newsletter_tone": field(Observed, Verified, "brief"),
		"persona":         {Values: plain("explorer"), Source: Inferred, Quality: Unverified},
	}
}

func sampleEvents(n int) []Event {
	events := make([]Event, 0, n)
	at := time.Date(2026, 3, 4, 10, 30, 0, 250e6, time.UTC)
	for i := range n {
		events = append(events, Event{
			Type: "purchase", At: at.Add(time.Duration(i) * 37 * time.Minute),
			Fields: map[privacy.AttributeName]privacy.Plain{
				"product_group": privacy.NewPlain("grocery.dairy"),
				"product":       privacy.NewPlain("yoghurt 500 g"),
				"amount":        privacy.NewPlain("3.49"),
			},
		})
	}
	return events
}
