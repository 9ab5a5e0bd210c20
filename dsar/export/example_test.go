package export_test

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/privacy"
)

// A person's own age key locks; whoever has no key of their own gets a passphrase.
func ExampleForRecipient() {
	identity, _ := age.GenerateX25519Identity()
	_, err := export.ForRecipient(identity.Recipient().String())
	fmt.Println(err)
	_, err = export.ForRecipient("ayse@example.com")
	fmt.Println(err)
	// Output:
	// <nil>
	// reading age recipient (age1…): invalid input
}

func ExampleDrawPassphrase() {
	passphrase, lock, _ := export.DrawPassphrase(strings.NewReader("0123456789abcdef"))
	fmt.Println(passphrase, lock)
	fmt.Println(passphrase.RevealPersonalData())
	// Output:
	// REDACTED REDACTED
	// 60rk4-csm6m-v3ee1-sc5h6-6s35c
}

// What an export says about itself is checked without any connection.
func ExampleVerify() {
	file := strings.NewReader("not an export")
	key := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	_, err := export.Verify(file, file.Size(), "example.com/log", key, func(name string, _ io.Reader) error {
		fmt.Println(name)
		return nil
	})
	fmt.Println(err)
	// Output:
	// reading export: no ZIP file: damaged or altered data
}

// A hold must not be defeated by the right of access.
func ExampleDisclosed() {
	fmt.Println(export.Disclosed(audit.QueryAnswered), export.Disclosed(audit.HoldSet))
	// Output:
	// true false
}

// A file has its name when it is whole, and never replaces another.
func ExampleCreateFile() {
	dir, err := os.MkdirTemp("", "mahrem-example-*")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for range 2 {
		file, err := export.CreateFile(dir + "/export.zip.age")
		if err != nil {
			panic(err)
		}
		fmt.Println(file.Keep() == nil)
		_ = file.Drop()
	}
	entries, _ := os.ReadDir(dir)
	fmt.Println(len(entries))
	// Output:
	// true
	// false
	// 1
}

// A key opens what its lock has locked.
func ExamplePassphraseKey() {
	passphrase := privacy.NewPlain("correct horse battery")
	key, _ := export.PassphraseKey(passphrase)
	_, err := key.Open(strings.NewReader("something else"))
	fmt.Println(err)
	// Output:
	// opening export: damaged or altered data
}
