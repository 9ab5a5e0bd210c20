package identity_test

import (
	"fmt"

	"github.com/mahrem/mahrem/dsar/identity"
)

// A code is eight digits; a person may type it in two groups.
func ExampleParseCode() {
	code, err := identity.ParseCode("1234 5678")
	fmt.Println(code, len(code.RevealPersonalData()), err)
	_, err = identity.ParseCode("1234")
	fmt.Println(err)
	// Output:
	// REDACTED 8 <nil>
	// /code: must be 8 digits
}
