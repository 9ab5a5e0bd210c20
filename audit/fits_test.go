package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

// largest is an event with everything in it, as long and as many as they may be.
func largest() Event {
	word := func(i int) string {
		s := fmt.Sprintf("w%03d", i)
		return s + strings.Repeat("x", maxName-len(s))
	}
	e := Event{
		Kind: slices.MaxFunc(Kinds(), func(a, b Kind) int { return len(a) - len(b) }), Outcome: Allowed,
		Principal: privacy.Principal{ID: "p", Role: privacy.RoleService, Recipient: privacy.RecipientID(word(0))},
		Subject:   Subject{Unknown: true}, Purpose: privacy.Purpose(word(0)), Channel: privacy.Channel(word(0)),
		Recipient: privacy.RecipientID(word(0)), Policy: Digest{1}, Facts: Digest{1}, List: Digest{1}, Count: 1 << 62,
	}
	for i := range maxChecks {
		e.Checks = append(e.Checks, word(i))
	}
	for i := range maxAttributes {
		e.Attributes = append(e.Attributes, privacy.AttributeName(word(i)))
	}
	return e
}

// TestWhatFitsHasALeaf: the longest event that fits has a leaf that tiles can hold, and
// one word more or longer does not fit.
func TestWhatFitsHasALeaf(t *testing.T) {
	t.Parallel()
	encoder, err := NewEncoder(EncoderConfig{Actor: func(privacy.Principal) [16]byte { return [16]byte{1} }})
	if err != nil {
		t.Fatal(err)
	}
	event := largest()
	if err := Fits(&event); err != nil {
		t.Fatal(err)
	}
	leaf, _, err := encoder.AppendLeaf(nil, &event)
	if err != nil || len(leaf) > MaxLeaf {
		t.Fatalf("%d bytes, %v", len(leaf), err)
	}
	if _, err := ParseEntry(leaf); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(e *Event){
		"one check more":     func(e *Event) { e.Checks = append(e.Checks, "z") },
		"one attribute more": func(e *Event) { e.Attributes = append(e.Attributes, "z") },
		"a longer purpose":   func(e *Event) { e.Purpose += "x" },
		"a longer recipient": func(e *Event) { e.Principal.Recipient += "x" },
		"a longer check":     func(e *Event) { e.Checks[0] += "x" },
		"a name in clear":    func(e *Event) { e.Principal.Recipient = "ms jana" },
	} {
		event := largest()
		change(&event)
		if err := Fits(&event); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s fits: %v", name, err)
		}
		if _, _, err := encoder.AppendLeaf(nil, &event); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s is encoded: %v", name, err)
		}
	}
}

func ExampleFits() {
	fmt.Println(Fits(&Event{Kind: QueryDenied, Outcome: Denied, Purpose: "recommendations"}))
	fmt.Println(Fits(&Event{Kind: QueryDenied, Outcome: Denied, Purpose: "ask jana@example.org"}))
	// Output:
	// <nil>
	// fitting an event into an entry: purpose: invalid input
}
