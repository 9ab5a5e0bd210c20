package gate

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/privacy"
)

func TestLedgerKnownAnswer(t *testing.T) {
	t.Parallel()
	l := ledger{}.with([]string{"g:b", "g:a"}, 20000).with([]string{"g:b"}, 20001)
	const want = "0102" + "03673a61" + "a09c01" + "03673a62" + "a19c01"
	if got := hex.EncodeToString(l.append(nil)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	back, err := parseLedger(l.append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, back, cmp.AllowUnexported(exposure{})); diff != "" {
		t.Error(diff)
	}
}

func TestLedgerSince(t *testing.T) {
	t.Parallel()
	l := ledger{{"a", 1}, {"b", 5}, {"c", 9}}
	if got := l.since(5); len(got) != 2 || got[0].key != "b" {
		t.Errorf("got %v", got)
	}
	if len(l) != 3 || l[0].key != "a" {
		t.Errorf("the original changed: %v", l)
	}
}

func TestDayOf(t *testing.T) {
	t.Parallel()
	if got := dayOf(time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)); got != 1 {
		t.Errorf("got %d", got)
	}
}

func FuzzParseLedger(f *testing.F) {
	f.Add([]byte{})
	f.Add(ledger{}.append(nil))
	f.Add(ledger{{"g:a", 1}, {"g:b", 20000}}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLedger(b)
		if err != nil {
			if !errors.Is(err, privacy.ErrDamaged) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		if !bytes.Equal(l.append(nil), b) {
			t.Fatal("two byte forms of one ledger")
		}
	})
}
