package vault

import (
	"errors"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

// TestEveryOpenedKeyIsCounted: one that opens, for the use that was named; one that does
// not open, or is to be opened for nothing, is not.
func TestEveryOpenedKeyIsCounted(t *testing.T) {
	t.Parallel()
	v := newTestVault(t)
	id := privacy.DataSubjectID{7}
	_, wrapped, err := v.NewPersonKey(id)
	if err != nil {
		t.Fatal(err)
	}
	for i, use := range Uses() {
		if !use.Valid() {
			t.Errorf("%s is not valid", use)
		}
		for range i + 1 {
			if _, err := v.OpenPersonKey(id, wrapped, use); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := v.OpenPersonKey(privacy.DataSubjectID{8}, wrapped, UseQuery); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("somebody else's key: %v", err)
	}
	for _, use := range []Use{"", "curiosity"} {
		if key, err := v.OpenPersonKey(id, wrapped, use); !errors.Is(err, privacy.ErrInvalid) || key != nil {
			t.Errorf("opening for %q: %v", use, err)
		}
		v.Abandoned(use)
	}
	v.Abandoned(UseProfile)
	copied := *v // counts are the keyset's and not the variable's
	for i, count := range copied.Counts() {
		want := UseCount{Use: Uses()[i], Opened: uint64(i + 1)}
		if want.Use == UseProfile {
			want.Abandoned = 1
		}
		if count != want {
			t.Errorf("counted %+v, want %+v", count, want)
		}
	}
}
