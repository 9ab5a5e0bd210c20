package vault

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

var plains = cmp.Comparer(func(a, b privacy.Plain) bool { return a == b })

func TestSealedOpens(t *testing.T) {
	t.Parallel()
	v := newTestVault(t)
	key, wrapped := newTestPerson(t, v)
	again, err := v.OpenPersonKey(key.DataSubject(), wrapped, UseQuery)
	if err != nil {
		t.Fatal(err)
	}
	if again.Subject() != key.Subject() || key.Subject().Blinding == (audit.BlindingKey{}) {
		t.Error("the blinding key is lost")
	}
	record := sampleRecord()
	sealed, err := key.SealRecord("contact", 3, record)
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.OpenRecord("contact", 3, sealed)
	if diff := cmp.Diff(record, got, plains); diff != "" || err != nil {
		t.Errorf("record: %v (-want +got):\n%s", err, diff)
	}
	events := sampleEvents(MaxChunkEvents)
	if sealed, err = key.SealChunk("purchases", 7, 2, events); err != nil {
		t.Fatal(err)
	}
	gotEvents, err := again.OpenChunk("purchases", 7, 2, sealed)
	if diff := cmp.Diff(events, gotEvents, plains); diff != "" || err != nil {
		t.Errorf("chunk: %v (-want +got):\n%s", err, diff)
	}
	for _, content := range [][]byte{nil, {}, []byte("x"), make([]byte, 1<<16)} {
		if sealed, err = key.SealBytes("exposure/shop", 1, content); err != nil {
			t.Fatal(err)
		}
		got, err := again.OpenBytes("exposure/shop", 1, sealed)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: %v", len(content), err)
		}
		if len(sealed) != len(content)+sealedOverhead {
			t.Errorf("sealing %d bytes gives %d", len(content), len(sealed))
		}
	}
}

// sealedThing is a blob with the one right way to open it.
type sealedThing struct {
	name   string
	sealed []byte
	open   func(sealed []byte) error
}

func sealedThings(t *testing.T, v *Vault) []sealedThing {
	t.Helper()
	key, wrapped := newTestPerson(t, v)
	must := func(sealed []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	return []sealedThing{
		{"person key", wrapped, func(s []byte) error { _, err := v.OpenPersonKey(key.DataSubject(), s, UseQuery); return err }},
		{
			"record", must(key.SealRecord("contact", 1, Record{"a": {Values: plain("b"), Source: Declared, Quality: Verified}})),
			func(s []byte) error { _, err := key.OpenRecord("contact", 1, s); return err },
		},
		{
			"chunk", must(key.SealChunk("contact", 0, 1, sampleEvents(1))),
			func(s []byte) error { _, err := key.OpenChunk("contact", 0, 1, s); return err },
		},
		{
			"bytes", must(key.SealBytes("contact", 0, []byte("x"))),
			func(s []byte) error { _, err := key.OpenBytes("contact", 0, s); return err },
		},
		{
			"empty bytes", must(key.SealBytes("contact", 1, nil)),
			func(s []byte) error { _, err := key.OpenBytes("contact", 1, s); return err },
		},
		{"KEK check", must(v.SealCheck()), v.OpenCheck},
	}
}

// TestAlteredBlobsDoNotOpen flips every bit, cuts at every length, and lengthens.
func TestAlteredBlobsDoNotOpen(t *testing.T) {
	t.Parallel()
	for _, thing := range sealedThings(t, newTestVault(t)) {
		if err := thing.open(thing.sealed); err != nil {
			t.Fatalf("%s: %v", thing.name, err)
		}
		refuse := func(how string, sealed []byte) {
			t.Helper()
			if err := thing.open(sealed); !errors.Is(err, privacy.ErrDamaged) {
				t.Fatalf("%s %s: %v, want ErrDamaged", thing.name, how, err)
			}
		}
		for i := range thing.sealed {
			for bit := range 8 {
				altered := bytes.Clone(thing.sealed)
				altered[i] ^= 1 << bit
				refuse(fmt.Sprintf("with bit %d of byte %d flipped", bit, i), altered)
			}
			refuse(fmt.Sprintf("cut to %d bytes", i), thing.sealed[:i])
			refuse(fmt.Sprintf("without its first %d bytes", i+1), thing.sealed[i+1:])
		}
		refuse("with a byte more", append(bytes.Clone(thing.sealed), 0))
		refuse("twice", append(bytes.Clone(thing.sealed), thing.sealed...))
		refuse("with a byte before", append([]byte{formatVersion}, thing.sealed...))
		refuse("as nothing", nil)
		if err := thing.open(thing.sealed); err != nil {
			t.Fatalf("%s: the test altered the original: %v", thing.name, err)
		}
	}
}

// TestBlobsOpenInTheirPlaceOnly puts every blob into every place but its own.
func TestBlobsOpenInTheirPlaceOnly(t *testing.T) {
	t.Parallel()
	v := newTestVault(t)
	things := append(sealedThings(t, v), sealedThings(t, v)...) // two people
	for i, thing := range things {
		for j, other := range things {
			if i == j || (thing.name == "KEK check" && other.name == "KEK check") {
				continue
			}
			if err := thing.open(other.sealed); !errors.Is(err, privacy.ErrDamaged) {
				t.Errorf("%s %d opens as %s %d: %v", other.name, j, thing.name, i, err)
			}
		}
	}
	key, _ := newTestPerson(t, v)
	record := Record{"a": {Values: plain("b"), Source: Declared, Quality: Verified}}
	sealed, _ := key.SealRecord("contact", 2, record)
	for _, place := range []struct {
		category privacy.DataCategory
		version  int64
	}{{"contact", 1}, {"contact", 3}, {"contact", 2 + 1<<32}, {"contac", 2}, {"contactx", 2}, {"", 2}, {"Contact", 2}} {
		if _, err := key.OpenRecord(place.category, place.version, sealed); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("record opens as %v: %v", place, err)
		}
	}
	chunk, _ := key.SealChunk("purchases", 1, 2, sampleEvents(2))
	for _, place := range [][2]int64{{2, 1}, {1, 1}, {1, 3}, {0, 2}, {2, 2}, {-1, 2}} {
		if _, err := key.OpenChunk("purchases", place[0], place[1], chunk); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("chunk opens as %v: %v", place, err)
		}
	}
}

// TestAssociatedDataIsInjective: two places never have the same associated data.
func TestAssociatedDataIsInjective(t *testing.T) {
	t.Parallel()
	people := []privacy.DataSubjectID{{}, {1}, {15: 1}}
	labels := []string{"", "a", "b", "aa", "a\x00", "\x00a", "contact", string(make([]byte, maxLabel))}
	numbers := []int64{-1, 0, 1, 1 << 8, 1 << 56, 1<<63 - 1}
	seen := make(map[string]place)
	for _, person := range people {
		for _, label := range labels {
			for _, number := range numbers {
				for _, version := range numbers {
					for k := kindPersonKey; k <= kindCheck; k++ {
						p := place{k, person, label, number, version}
						ad := string(associatedData(nil, p))
						if other, ok := seen[ad]; ok {
							t.Fatalf("kinds %d and %d, labels %q and %q share associated data", p.kind, other.kind, p.label, other.label)
						}
						if len(ad) > associatedSize {
							t.Fatalf("associated data has %d bytes, room is for %d", len(ad), associatedSize)
						}
						seen[ad] = p
					}
				}
			}
		}
	}
	key, _ := newTestPerson(t, newTestVault(t))
	if _, err := key.SealBytes(string(make([]byte, maxLabel+1)), 0, nil); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a label too long to encode: %v, want ErrInvalid", err)
	}
}

func TestOtherKEK(t *testing.T) {
	t.Parallel()
	own, other := newTestVault(t), newTestVault(t)
	key, wrapped := newTestPerson(t, own)
	if _, err := other.OpenPersonKey(key.DataSubject(), wrapped, UseQuery); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("another KEK opens the person key: %v", err)
	}
	sealed, err := own.SealCheck()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.OpenCheck(sealed); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("another KEK opens the check: %v", err)
	}
	if _, _, err := own.NewPersonKey(privacy.DataSubjectID{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a key of nobody: %v", err)
	}
}

// TestSealingIsRandomized: the same content twice gives nothing in common to compare.
func TestSealingIsRandomized(t *testing.T) {
	t.Parallel()
	key, _ := newTestPerson(t, newTestVault(t))
	a, _ := key.SealBytes("x", 0, make([]byte, 64))
	b, _ := key.SealBytes("x", 0, make([]byte, 64))
	if bytes.Equal(a[1:13], b[1:13]) || bytes.Equal(a[13:], b[13:]) {
		t.Error("two seals share their nonce or text")
	}
}
