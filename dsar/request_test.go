package dsar_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

func TestRequestID(t *testing.T) {
	t.Parallel()
	id, err := dsar.NewRequestID(bytes.NewReader(bytes.Repeat([]byte{0xab}, 16)))
	if err != nil || id.String() != "abababab-abab-4bab-abab-abababababab" {
		t.Fatalf("drew %s, %v", id, err)
	}
	if again, err := dsar.ParseRequestID(id.String()); err != nil || again != id {
		t.Errorf("read back %s, %v", again, err)
	}
	for _, text := range []string{
		"", id.String()[1:], strings.ToUpper(id.String()), strings.ReplaceAll(id.String(), "-", ""),
		"00000000-0000-0000-0000-000000000000", id.String() + " ",
	} {
		if _, err := dsar.ParseRequestID(text); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%q was read: %v", text, err)
		}
	}
	if _, err := dsar.NewRequestID(bytes.NewReader(nil)); err == nil {
		t.Error("an id was drawn from nothing")
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	for state, want := range map[dsar.State]bool{
		dsar.Received: false, dsar.IdentityPending: false, dsar.InProgress: false, dsar.Extended: false,
		dsar.Fulfilled: true, dsar.Denied: true, dsar.Withdrawn: true,
	} {
		if state.Closed() != want {
			t.Errorf("%s: closed is %t", state, !want)
		}
	}
}
