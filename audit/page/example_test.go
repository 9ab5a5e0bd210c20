package page_test

import (
	"bytes"
	"fmt"

	"github.com/mahrem/mahrem/audit/page"
)

func ExampleVerifier() {
	html := page.Verifier()
	fmt.Println(bytes.Contains(html, []byte("default-src 'none'")))
	// Output: true
}
