package token_test

import (
	"fmt"
	"time"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server/token"
	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

func ExampleTokens_Verify() {
	handle, err := keyset.NewHandle(jwt.ES256Template())
	if err != nil {
		panic(err)
	}
	tokens, err := token.New(handle, token.Config{})
	if err != nil {
		panic(err)
	}
	minted, err := tokens.Mint(privacy.Principal{ID: "newsletter", Role: privacy.RoleService, Recipient: "mailer"}, 24*time.Hour)
	if err != nil {
		panic(err)
	}
	principal, err := tokens.Verify(minted.Token)
	fmt.Println(principal.Role, principal.Recipient, err)
	_, err = tokens.Verify(minted.Token + "x")
	fmt.Println(err)
	// Output:
	// service mailer <nil>
	// verifying token: its signature, issuer, audience or times do not hold: unauthenticated
}
