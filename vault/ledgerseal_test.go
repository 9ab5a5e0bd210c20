package vault

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestLedgerSeal: the value was computed by `openssl mac … CMAC` from the index key of
// testdata/vectors.json and the words of docs/spec/keys.md.
func TestLedgerSeal(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var made vectors
	if err := json.Unmarshal(content, &made); err != nil {
		t.Fatal(err)
	}
	v, err := New(made.Keys.open(t), Config{})
	if err != nil {
		t.Fatal(err)
	}
	var hash [32]byte
	for i := range hash {
		hash[i] = byte(i)
	}
	seal := v.LedgerSeal(hash)
	if got, want := hex.EncodeToString(seal[:]), "e49a25328e5c1171ad3a9c09cdef1ffd"; got != want {
		t.Errorf("ledger seal %s, want %s", got, want)
	}
}
