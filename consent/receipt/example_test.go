package receipt_test

import (
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/receipt"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Whoever was given a receipt has the file and the issuer's key set, and nothing else.
func ExampleVerify() {
	set, err := os.ReadFile("testdata/jwks.json")
	if err != nil {
		log.Fatal(err)
	}
	keys, err := receipt.ParseKeys(set, "https://consent.shop.example")
	if err != nil {
		log.Fatal(err)
	}
	token, err := os.ReadFile("testdata/iso27560.jwt")
	if err != nil {
		log.Fatal(err)
	}
	r, checks, err := receipt.Verify(strings.TrimSpace(string(token)), keys, time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		log.Fatal(err)
	}
	for _, check := range checks {
		fmt.Println(check.Name, check.Passed)
	}
	fmt.Println(r.Action, r.Purpose, "on", r.Channel, "at", r.At)
	// Output:
	// form true
	// type true
	// algorithm true
	// key true
	// signature true
	// issuer true
	// times true
	// schema true
	// content true
	// granted recommendations on email at 2026-06-01T09:30:00.123456Z
}

func ExampleSigner_Sign() {
	handle, err := keyset.NewHandle(jwt.ES256Template())
	if err != nil {
		log.Fatal(err)
	}
	signer, err := receipt.NewSigner("https://consent.shop.example", handle, receipt.SignerConfig{})
	if err != nil {
		log.Fatal(err)
	}
	catalogue, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		log.Fatal(err)
	}
	newsletter, err := receipt.Describe(catalogue, "newsletter")
	if err != nil {
		log.Fatal(err)
	}
	signed, err := signer.Sign(&receipt.Facts{
		Record: consent.Record{
			ID: [16]byte{1}, Purpose: "newsletter", Channel: "email", Action: consent.Withdrawn, Basis: privacy.Consent, Source: "preference_centre",
			EffectiveAt: time.Now(), RecordedAt: time.Now(),
		},
		Standing:  consent.Current{State: consent.StateWithdrawn},
		Principal: "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Recipient: "web_shop",
		Controller: receipt.Controller{
			Name: "A Shop", Address: "1 High Street", Country: "CZ", Contact: "Data protection officer", Email: "privacy@shop.example", Phone: "+420 000",
			URL: "https://shop.example", Policy: "https://shop.example/privacy", Withdrawal: "https://shop.example/consents", Storage: []string{"CZ"},
		},
		Purpose: newsletter,
	}, receipt.ISO27560)
	if err != nil {
		log.Fatal(err)
	}
	set, err := receipt.PublishKeys("https://consent.shop.example", handle)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := receipt.ParseKeys(set, "")
	if err != nil {
		log.Fatal(err)
	}
	r, _, err := receipt.Verify(signed.Token, keys, time.Now())
	fmt.Println(r.Action, r.State, err)
	// Output: withdrawn withdrawn <nil>
}
