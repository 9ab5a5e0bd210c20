package export

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/mahrem/mahrem/privacy"
)

func lockAndOpen(t *testing.T, lock Lock, key Key) error {
	t.Helper()
	var sealed bytes.Buffer
	w, err := lock.seal(&sealed)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("what is held about you ", 9000)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed.Bytes(), []byte("held about")) {
		t.Error("the text is readable")
	}
	if early, err := key.Open(bytes.NewReader(bytes.Clone(sealed.Bytes()))); err == nil {
		if _, err := io.ReadAll(early); err == nil {
			t.Error("an export that is not closed opens to its end")
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := key.Open(bytes.NewReader(sealed.Bytes()))
	if err != nil {
		return err
	}
	if opened, err := io.ReadAll(r); err != nil || string(opened) != text {
		t.Errorf("opened %d bytes, %v", len(opened), err)
	}
	for i := range 40 { // any byte, here and there
		altered := bytes.Clone(sealed.Bytes())
		altered[i*(len(altered)-1)/39] ^= 1
		if r, err := key.Open(bytes.NewReader(altered)); err == nil {
			if _, err := io.ReadAll(r); err == nil {
				t.Errorf("an altered byte %d opens", i)
			}
		}
	}
	return nil
}

func TestLocks(t *testing.T) {
	t.Parallel()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	forKey, err := ForRecipient(" " + identity.Recipient().String() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	own, err := IdentityKey(strings.NewReader("# mine\n" + identity.String() + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := lockAndOpen(t, forKey, own); err != nil {
		t.Error(err)
	}
	drawn, drawnLock, err := DrawPassphrase(nil)
	if err != nil || !regexp.MustCompile(`^([0-9a-z]{5}-){4}[0-9a-z]{5}$`).MatchString(drawn.RevealPersonalData()) {
		t.Fatalf("drew something else: %v", err)
	}
	right, err := PassphraseKey(drawn)
	if err != nil {
		t.Fatal(err)
	}
	if err := lockAndOpen(t, drawnLock, right); err != nil {
		t.Error(err)
	}
	wrong, err := PassphraseKey(privacy.NewPlain("another passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]Key{"passphrase": wrong, "identity": own} {
		if err := lockAndOpen(t, drawnLock, key); !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if _, err := own.Open(strings.NewReader("no age file")); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("no age file: %v", err)
	}
}

func TestLocksAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "age1", "ssh-ed25519 AAAA", "age1a\nage1b"} {
		if _, err := ForRecipient(text); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("recipient %q: %v", text, err)
		}
	}
	if _, err := WithPassphrase(privacy.NewPlain("eleven char")); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a short passphrase: %v", err)
	}
	if _, err := WithPassphrase(privacy.NewPlain("twelve chars")); err != nil {
		t.Errorf("a passphrase of twelve characters: %v", err)
	}
	if _, err := (Lock{}).seal(io.Discard); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a lock for nobody: %v", err)
	}
	if _, err := IdentityKey(strings.NewReader("AGE-SECRET-KEY-1")); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a malformed identity: %v", err)
	}
	passphrase, lock, err := DrawPassphrase(bytes.NewReader(bytes.Repeat([]byte{7}, 16)))
	if err != nil {
		t.Fatal(err)
	}
	key, _ := PassphraseKey(passphrase)
	if text := fmt.Sprintf("%v %+v %#v %s %v", passphrase, lock, key, lock, []any{lock, key}); strings.Contains(text, "-") {
		t.Errorf("printed %s", text)
	}
}
