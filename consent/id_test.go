package consent_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

func ExampleParseID() {
	id, err := consent.ParseID("6f1c2d3e-4f50-6172-8394-a5b6c7d8e9f0")
	fmt.Println(consent.FormatID(id), err)
	// Output: 6f1c2d3e-4f50-6172-8394-a5b6c7d8e9f0 <nil>
}

// FuzzParseID: what is taken is written back as it was, but for the case of its digits.
func FuzzParseID(f *testing.F) {
	for _, seed := range []string{"6f1c2d3e-4f50-6172-8394-a5b6c7d8e9f0", "6F1C2D3E-4F50-6172-8394-A5B6C7D8E9F0", "", "00000000-0000-0000-0000-000000000000", "6f1c2d3e4f5061728394a5b6c7d8e9f0----"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := consent.ParseID(text)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) || id != ([16]byte{}) {
				t.Errorf("%q: %v, %v", text, id, err)
			}
			return
		}
		again, err := consent.ParseID(consent.FormatID(id))
		if err != nil || again != id || len(text) != len(consent.FormatID(id)) {
			t.Errorf("%q is %v, then %v, %v", text, id, again, err)
		}
	})
}
