package audit

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

func ExampleParseDecisionID() {
	receipt := Committed([16]byte{0x6f, 0x1c}, [32]byte{}, 1742)
	text := receipt.DecisionID().String()
	id, err := ParseDecisionID(text)
	fmt.Println(text, id.Index, err)
	// Output: 1742-6f1c0000000000000000000000000000 1742 <nil>
}

func TestParseDecisionIDRefuses(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("0a", 16)
	for _, text := range []string{
		"", "-", id, "-" + id, "7", "7-", "07-" + id, "+7-" + id, " 7-" + id, "7-" + id + " ", "7-" + id + "00",
		"7-" + id[2:], "7-" + strings.ToUpper(id), "7-" + id[:31] + "g", "-7-" + id, "7--" + id, "0x7-" + id,
		"9223372036854775808-" + id, "7_0-" + id,
	} {
		if got, err := ParseDecisionID(text); !errors.Is(err, privacy.ErrInvalid) || got != (DecisionID{}) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if got, err := ParseDecisionID("9223372036854775807-" + id); err != nil || got.Index != 1<<63-1 {
		t.Errorf("the last index: %v, %v", got, err)
	}
}

func FuzzParseDecisionID(f *testing.F) {
	f.Add("7-" + strings.Repeat("0a", 16))
	f.Add("0-" + strings.Repeat("00", 16))
	f.Add("07-" + strings.Repeat("0A", 16))
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseDecisionID(text)
		if err == nil && id.String() != text {
			t.Errorf("%q is read as %q", text, id)
		}
		if err != nil && !errors.Is(err, privacy.ErrInvalid) {
			t.Error(err)
		}
	})
}
