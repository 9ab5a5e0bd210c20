package pseudonym_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault/keydir"
)

func ExamplePseudonyms() {
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
	of := func(recipient privacy.RecipientID) *pseudonym.Pseudonyms {
		if _, err := keys.EnsureRecipient(recipient); err != nil {
			panic(err)
		}
		primitive, err := keys.Recipient(recipient)
		if err != nil {
			panic(err)
		}
		pseudonyms, err := pseudonym.New(recipient, primitive)
		if err != nil {
			panic(err)
		}
		return pseudonyms
	}
	newsletter, shop := of("newsletter-engine"), of("shop-site")

	person, err := privacy.NewDataSubjectID(rand.Reader)
	if err != nil {
		panic(err)
	}
	one, err := newsletter.Of(person)
	if err != nil {
		panic(err)
	}
	other, err := shop.Of(person)
	if err != nil {
		panic(err)
	}
	back, err := newsletter.DataSubject(one)
	fmt.Println(len(one), one == other, back == person, err)
	_, err = shop.DataSubject(one)
	fmt.Println(err)
	// Output:
	// 50 false true <nil>
	// reading pseudonym: it is not one of this recipient's: invalid input
}
