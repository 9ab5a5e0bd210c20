package privacy_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

func ExampleNewDataSubjectID() {
	id, err := privacy.NewDataSubjectID(strings.NewReader("sixteen bytes 16"))
	if err != nil {
		panic(err)
	}
	fmt.Println(id)
	fmt.Println(id.Reveal())
	// Output:
	// REDACTED
	// 73697874-6565-4e20-a279-746573203136
}

func TestDataSubjectIDRoundTrip(t *testing.T) {
	t.Parallel()
	id, err := privacy.NewDataSubjectID(bytes.NewReader([]byte("0123456789abcdef")))
	if err != nil {
		t.Fatal(err)
	}
	back, err := privacy.ParseDataSubjectID(id.Reveal())
	if err != nil || back != id {
		t.Errorf("ParseDataSubjectID(Reveal()) = %v, %v", back == id, err)
	}
	if id.IsZero() || !(privacy.DataSubjectID{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestParseDataSubjectIDRefuses(t *testing.T) {
	t.Parallel()
	good := "73697874-6565-4e20-a279-746573203136"
	for _, bad := range []string{"", good[1:], good + "0", strings.ReplaceAll(good, "-", ""), strings.Replace(good, "7", "g", 1), strings.Replace(good, "-", "0", 1)} {
		_, err := privacy.ParseDataSubjectID(bad)
		if !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("a malformed id gave %v", err)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Error("the error repeats the input")
		}
	}
}

func TestNewDataSubjectIDNeedsRandomness(t *testing.T) {
	t.Parallel()
	if _, err := privacy.NewDataSubjectID(strings.NewReader("short")); err == nil {
		t.Error("an id without enough randomness")
	}
}

func FuzzParseDataSubjectID(f *testing.F) {
	f.Add("73697874-6565-4e20-a279-746573203136")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := privacy.ParseDataSubjectID(s)
		if err == nil && !strings.EqualFold(id.Reveal(), s) {
			t.Errorf("accepted another text than it writes")
		}
	})
}
