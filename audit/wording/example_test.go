package wording_test

import (
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/wording"
)

func ExampleRead() {
	fmt.Println(wording.Read().Kinds[audit.QueryDenied].In(wording.Turkish))
	// Output: bir kişi hakkındaki soru reddedildi
}
