package pseudonym_test

import (
	"crypto/rand"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/tink-crypto/tink-go/v2/daead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

func mustKeys(t testing.TB) tink.DeterministicAEAD {
	t.Helper()
	handle, err := keyset.NewHandle(daead.AESSIVKeyTemplate())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := daead.New(handle)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func mustNew(t testing.TB, recipient privacy.RecipientID, keys tink.DeterministicAEAD) *pseudonym.Pseudonyms {
	t.Helper()
	p, err := pseudonym.New(recipient, keys)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustID(t testing.TB) privacy.DataSubjectID {
	t.Helper()
	id, err := privacy.NewDataSubjectID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func mustOf(t testing.TB, p *pseudonym.Pseudonyms, id privacy.DataSubjectID) pseudonym.Pseudonym {
	t.Helper()
	text, err := p.Of(id)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPseudonymIsStableAndComesBack(t *testing.T) {
	t.Parallel()
	p := mustNew(t, "shop", mustKeys(t))
	form := regexp.MustCompile(`^[A-Za-z0-9_-]{50}$`)
	for range 100 {
		id := mustID(t)
		text := mustOf(t, p, id)
		if text != mustOf(t, p, id) {
			t.Fatal("the same person has two pseudonyms with one recipient")
		}
		if !form.MatchString(string(text)) {
			t.Fatal("a pseudonym is not of its documented form")
		}
		back, err := p.DataSubject(text)
		if err != nil || back != id {
			t.Fatalf("a pseudonym does not come back: %v", err)
		}
	}
}

// TestPseudonymsCannotBeLinked: what two recipients hold about one person has nothing in
// common that it would not have for two people, and neither reads the other's.
func TestPseudonymsCannotBeLinked(t *testing.T) {
	t.Parallel()
	const people = 500
	a, b := mustNew(t, "a", mustKeys(t)), mustNew(t, "b", mustKeys(t))
	same, different := 0, 0 // matching characters at equal positions, after the key prefix
	seen := make(map[pseudonym.Pseudonym]bool)
	var last pseudonym.Pseudonym
	for range people {
		id := mustID(t)
		pa, pb := mustOf(t, a, id), mustOf(t, b, id)
		if seen[pa] || seen[pb] {
			t.Fatal("a pseudonym occurs twice")
		}
		seen[pa], seen[pb] = true, true
		if _, err := a.DataSubject(pb); !errors.Is(err, privacy.ErrInvalid) {
			t.Fatalf("reading another recipient's pseudonym: %v, want ErrInvalid", err)
		}
		same += matches(pa, pb)
		if last != "" {
			different += matches(last, pb)
		}
		last = pa
	}
	// Expected: 42 of 64 a person either way, 328 in all. The difference of the two has a standard
	// deviation of 25.4, so that 165 come by chance once in 10^10 times; one character that told
	// a person would make 492.
	if diff := same - different; diff < -165 || diff > 165 {
		t.Errorf("pseudonyms of one person share %d characters, of two people %d", same, different)
	}
}

func matches(a, b pseudonym.Pseudonym) int {
	n := 0
	// The first 40 bits are the key's, the same for everyone, and the last character has two only.
	for i := 7; i < len(a)-1; i++ {
		if a[i] == b[i] {
			n++
		}
	}
	return n
}

func TestRecipientIsBound(t *testing.T) {
	t.Parallel()
	keys := mustKeys(t) // a key file copied from one recipient to another
	a, b := mustNew(t, "a", keys), mustNew(t, "b", keys)
	id := mustID(t)
	text := mustOf(t, a, id)
	if text == mustOf(t, b, id) {
		t.Error("two recipients share a pseudonym")
	}
	if _, err := b.DataSubject(text); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("reading another recipient's pseudonym under the same keys: %v, want ErrInvalid", err)
	}
}

func TestRotationKeepsOldPseudonyms(t *testing.T) {
	t.Parallel()
	manager := keyset.NewManager()
	id, _ := manager.Add(daead.AESSIVKeyTemplate())
	_ = manager.SetPrimary(id)
	before := mustPrimitive(t, manager)
	next, _ := manager.Add(daead.AESSIVKeyTemplate())
	_ = manager.SetPrimary(next)
	after := mustPrimitive(t, manager)
	person := mustID(t)
	old := mustOf(t, mustNew(t, "a", before), person)
	got, err := mustNew(t, "a", after).DataSubject(old)
	if err != nil || got != person {
		t.Errorf("a pseudonym from before the rotation: %v", err)
	}
	if mustOf(t, mustNew(t, "a", after), person) == old {
		t.Error("the rotation changed nothing")
	}
}

func mustPrimitive(t *testing.T, manager *keyset.Manager) tink.DeterministicAEAD {
	t.Helper()
	handle, err := manager.Handle()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := daead.New(handle)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestMalformedPseudonyms(t *testing.T) {
	t.Parallel()
	p := mustNew(t, "shop", mustKeys(t))
	good := string(mustOf(t, p, mustID(t)))
	bad := []string{
		"", "x", good[:49], good + "A", good + "\n", " " + good, strings.ToLower(good), strings.ToUpper(good),
		good + "==", strings.Repeat("A", 50), strings.Repeat("\n", 50), strings.Repeat("é", 25), good[:25] + "\r" + good[26:],
	}
	for i := range good { // every single character replaced by every other one
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=" {
			if byte(c) != good[i] {
				bad = append(bad, good[:i]+string(c)+good[i+1:])
			}
		}
	}
	for _, text := range bad {
		if _, err := p.DataSubject(pseudonym.Pseudonym(text)); !errors.Is(err, privacy.ErrInvalid) {
			t.Fatalf("reading %q: %v, want ErrInvalid", text, err)
		} else if strings.Contains(err.Error(), text) && text != "" && text != "x" {
			t.Fatalf("the error repeats the pseudonym")
		}
	}
	if _, err := p.Of(privacy.DataSubjectID{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("pseudonym of nobody: %v", err)
	}
}

func FuzzDataSubject(f *testing.F) {
	p := mustNew(f, "shop", mustKeys(f))
	f.Add(string(mustOf(f, p, mustID(f))))
	f.Add("")
	f.Add(strings.Repeat("A", 50))
	f.Fuzz(func(t *testing.T, text string) {
		id, err := p.DataSubject(pseudonym.Pseudonym(text))
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) || !id.IsZero() {
				t.Fatalf("%v", err)
			}
			return
		}
		if again, err := p.Of(id); err != nil || string(again) != text {
			t.Fatalf("a person has two texts: %v", err)
		}
	})
}

func BenchmarkPseudonym(b *testing.B) {
	p := mustNew(b, "shop", mustKeys(b))
	id := mustID(b)
	text := mustOf(b, p, id)
	b.Run("of", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = p.Of(id)
		}
	})
	b.Run("data_subject", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = p.DataSubject(text)
		}
	})
}
