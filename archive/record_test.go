package archive

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

func TestRecordVector(t *testing.T) {
	t.Parallel()
	r := record{facts: []byte(`{"v":1}`), plan: []byte(`{}`)}
	const want = "01077b2276223a317d7b7d"
	if got := hex.EncodeToString(r.append(nil)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := decidedLabel(Pair{[32]byte{1}, [32]byte{31: 255}}, false); got != "decided/AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8/none" {
		t.Errorf("label %s", got)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte{1, 0})
	f.Add([]byte{1, 2, '{', '}', '{', '}'})
	f.Add([]byte{1, 0x82, 0, '{', '}'})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err == nil && !bytes.Equal(r.append(nil), b) {
			t.Error("it is read as another record")
		}
		if err != nil && !errors.Is(err, privacy.ErrDamaged) {
			t.Error(err)
		}
	})
}
