package cleanroom_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

func TestPartyKeys(t *testing.T) {
	t.Parallel()
	secret, public, err := cleanroom.GenerateKey(rand.Reader, "brand_partner")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cleanroom.ParseSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	if signer.Party() != "brand_partner" {
		t.Errorf("the key is %s's", signer.Party())
	}
	if signer.Public() != strings.TrimSpace(public) {
		t.Error("the public half is another one")
	}
	verifier, err := cleanroom.ParseVerifier(public, "brand_partner")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: "text\n"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(signed, note.VerifierList(verifier)); err != nil {
		t.Errorf("what the key signed does not verify: %v", err)
	}
	encoded, err := json.Marshal(signer)
	if err != nil {
		t.Fatal(err)
	}
	bare := strings.TrimSpace(secret)[len("PRIVATE+KEY+"):]
	for _, printed := range []string{fmt.Sprint(signer), fmt.Sprintf("%#v %+v %s", signer, signer, signer), string(encoded)} {
		if strings.Contains(printed, bare) || !strings.Contains(printed, privacy.Redacted) {
			t.Error("a key prints itself")
		}
	}
}

func TestKeysInOtherNamesAreRefused(t *testing.T) {
	t.Parallel()
	_, public, err := cleanroom.GenerateKey(rand.Reader, "brand_partner")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "Brand", "a b", "a+b", strings.Repeat("a", 41), "ç"} {
		if _, _, err := cleanroom.GenerateKey(rand.Reader, cleanroom.PartyID(name)); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("a key in the name %q: %v", name, err)
		}
	}
	if _, err := cleanroom.ParseVerifier(public, "retailer"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("somebody else's key: %v", err)
	}
	foreign, foreignPublic, err := note.GenerateKey(rand.Reader, "shop.example/policies")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cleanroom.ParseSigner(foreign); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a key of something else: %v", err)
	}
	if _, err := cleanroom.ParseVerifier(foreignPublic, "shop.example/policies"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a public half of something else: %v", err)
	}
	for _, text := range []string{"", "PRIVATE+KEY+x", public} {
		if _, err := cleanroom.ParseSigner(text); !errors.Is(err, privacy.ErrInvalid) || text != "" && strings.Contains(err.Error(), strings.TrimSpace(text)) {
			t.Errorf("what is no key: %v", err)
		}
	}
}
