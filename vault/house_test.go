package vault

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

func TestHouseBytes(t *testing.T) {
	t.Parallel()
	v, err := New(newTestKeys(t).open(t), Config{})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := v.SealHouse("decided/a", []byte("plan"))
	if err != nil || bytes.Contains(sealed, []byte("plan")) {
		t.Fatalf("sealing: %v", err)
	}
	opened, err := v.OpenHouse("decided/a", sealed)
	if err != nil || string(opened) != "plan" {
		t.Errorf("opening: %q, %v", opened, err)
	}
	other, err := New(newTestKeys(t).open(t), Config{})
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(sealed)
	altered[len(altered)-1] ^= 1
	check, err := v.SealCheck()
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another label":       func() ([]byte, error) { return v.OpenHouse("decided/b", sealed) },
		"another house":       func() ([]byte, error) { return other.OpenHouse("decided/a", sealed) },
		"altered":             func() ([]byte, error) { return v.OpenHouse("decided/a", altered) },
		"nothing":             func() ([]byte, error) { return v.OpenHouse("decided/a", nil) },
		"another kind":        func() ([]byte, error) { return v.OpenHouse("", check) },
		"a check of this key": func() ([]byte, error) { return nil, v.OpenCheck(sealed) },
	} {
		if opened, err := open(); !errors.Is(err, privacy.ErrDamaged) || opened != nil {
			t.Errorf("%s: %q, %v", name, opened, err)
		}
	}
	if _, err := v.SealHouse(strings.Repeat("x", maxLabel+1), nil); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a label that is too long: %v", err)
	}
}
