package receipt

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// TestPrintedReceipts holds what people read, in each language and both structures.
func TestPrintedReceipts(t *testing.T) {
	t.Parallel()
	handle := newKeyset(t)
	keys := mustKeys(t, handle)
	for _, format := range []Format{ISO27560, Kantara} {
		r, _, err := Verify(mustSign(t, handle, facts(), format).Token, keys, noon)
		if err != nil {
			t.Fatal(err)
		}
		for _, language := range Languages() {
			var out strings.Builder
			if err := WriteText(&out, r, language); err != nil {
				t.Fatal(err)
			}
			name := string(format) + "." + language + ".txt"
			if *update {
				write(t, name, []byte(out.String()))
			}
			if diff := cmp.Diff(string(testdata(t, name)), out.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
	var field *privacy.FieldError
	if err := WriteText(os.Stdout, &Receipt{}, "de"); !errors.As(err, &field) {
		t.Errorf("in German: %v, want a FieldError", err)
	}
}

// TestEveryWordIsSaid: each label in each language, and a label for each action, actor and
// state that there is.
func TestEveryWordIsSaid(t *testing.T) {
	t.Parallel()
	for key, text := range labels {
		if text.EN == "" || text.TR == "" || text.CS == "" {
			t.Errorf("%s lacks a language", key)
		}
	}
	var keys []string
	for _, action := range []consent.Action{
		consent.Granted, consent.Renewed, consent.Refused, consent.Withdrawn, consent.Expired, consent.Objected, consent.GuardianGranted, consent.GuardianWithdrawn,
	} {
		keys = append(keys, "action."+string(action))
	}
	for _, actor := range []consent.Actor{consent.ByDataSubject, consent.ByGuardian, consent.ByAgent, consent.ByRegistry, consent.BySystem} {
		keys = append(keys, "actor."+string(actor))
	}
	for _, state := range []consent.State{
		consent.StateGranted, consent.StateWithdrawn, consent.StateRefused, consent.StateObjected, consent.StateExpired, consent.StateNeverAsked,
		"stale_notice", "guardian_missing",
	} {
		keys = append(keys, "state."+string(state))
	}
	for _, key := range keys {
		if _, ok := labels[key]; !ok {
			t.Errorf("%s has no words", key)
		}
	}
}

// TestPrintingObeysNobody: a receipt is signed by whoever holds a key, and is printed before
// it is checked.
func TestPrintingObeysNobody(t *testing.T) {
	t.Parallel()
	f := facts()
	f.Controller.Name = "A\x1b[2J\u202eB\nC"
	handle := newKeyset(t)
	r, _, err := Verify(mustSign(t, handle, f, ISO27560).Token, mustKeys(t, handle), noon)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := WriteText(&out, r, "en"); err != nil {
		t.Fatal(err)
	}
	for _, c := range out.String() {
		if c != '\n' && !unicode.IsPrint(c) {
			t.Errorf("%q is printed", c)
		}
	}
	if !strings.Contains(out.String(), "A\uFFFD[2J\uFFFDB\uFFFDC") {
		t.Errorf("printed:\n%s", out.String())
	}
}
