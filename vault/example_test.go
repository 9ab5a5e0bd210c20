package vault_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

// A person's data is sealed under a key of their own. What was sealed for one place
// opens in no other.
func ExampleVault() {
	parent, err := os.MkdirTemp("", "mahrem-example-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		panic(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		panic(err)
	}
	v := keys.Vault()

	id, err := privacy.NewDataSubjectID(rand.Reader)
	if err != nil {
		panic(err)
	}
	key, wrapped, err := v.NewPersonKey(id) // store wrapped
	if err != nil {
		panic(err)
	}
	sealed, err := key.SealRecord("contact", 1, vault.Record{"first_name": {
		Values: []privacy.Plain{privacy.NewPlain("Ayşe")}, Source: vault.Declared, Quality: vault.Verified,
	}})
	if err != nil {
		panic(err)
	}

	key, err = v.OpenPersonKey(id, wrapped, vault.UseQuery)
	if err != nil {
		panic(err)
	}
	record, err := key.OpenRecord("contact", 1, sealed)
	fmt.Println(record["first_name"].Values, record["first_name"].Values[0].RevealPersonalData(), err)
	_, err = key.OpenRecord("health", 1, sealed)
	fmt.Println(errors.Is(err, privacy.ErrDamaged))
	// Output:
	// [REDACTED] Ayşe <nil>
	// true
}

// What is the house's own opens under the label that it was sealed under.
func ExampleVault_SealHouse() {
	parent, err := os.MkdirTemp("", "mahrem-example-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		panic(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		panic(err)
	}
	sealed, err := keys.Vault().SealHouse("decided/1", []byte("{}"))
	if err != nil {
		panic(err)
	}
	plain, err := keys.Vault().OpenHouse("decided/1", sealed)
	fmt.Println(string(plain), err)
	_, err = keys.Vault().OpenHouse("decided/2", sealed)
	fmt.Println(errors.Is(err, privacy.ErrDamaged))
	// Output:
	// {} <nil>
	// true
}

func ExampleNormalize() {
	for _, raw := range []string{"IRMAK@Güzelkent.com", "ırmak@güzelkent.com", "İrmak@güzelkent.com"} {
		fmt.Println(vault.Normalize(privacy.Email, raw))
	}
	_, err := vault.Normalize(privacy.Phone, "0532 123 45 67")
	fmt.Println(err)
	// Output:
	// irmak@xn--gzelkent-65a.com <nil>
	// irmak@xn--gzelkent-65a.com <nil>
	// irmak@xn--gzelkent-65a.com <nil>
	// normalizing phone: no country code: invalid input
}
