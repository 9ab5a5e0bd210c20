package certificate_test

import (
	"fmt"
	"log"
	"os"

	"github.com/mahrem/mahrem/dsar/certificate"
)

// An auditor has the file and the public key of the log, and nothing else.
func ExampleVerify() {
	file, err := os.ReadFile("testdata/certificate.txt")
	if err != nil {
		log.Fatal(err)
	}
	key, err := os.ReadFile("testdata/log.key")
	if err != nil {
		log.Fatal(err)
	}
	c, checks, err := certificate.Verify(file, string(key))
	if err != nil {
		log.Fatal(err)
	}
	for _, check := range checks {
		fmt.Println(check.Name, check.Passed)
	}
	fmt.Println(c.Erasure.Destroyed["keys"], "key destroyed,", len(c.Withheld), "things withheld")
	// Output:
	// signature true
	// format true
	// inclusion true
	// entry true
	// plan true
	// times true
	// 1 key destroyed, 2 things withheld
}
