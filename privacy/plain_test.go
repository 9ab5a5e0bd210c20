package privacy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

// holder has personal data where fmt does not call methods.
type holder struct {
	plain privacy.Plain
	list  []privacy.Plain
	named map[string]privacy.Plain
}

func TestPlainIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const secret = "Ayşe Yılmaz"
	plain := privacy.NewPlain(secret)
	inside := holder{plain: plain, list: []privacy.Plain{plain}, named: map[string]privacy.Plain{"name": plain}}
	var out bytes.Buffer
	for _, verb := range strings.Split("v +v #v s q x X d t", " ") {
		fmt.Fprintf(&out, "%"+verb+"\n", plain)
		fmt.Fprintf(&out, "%"+verb+"\n", &plain)
		fmt.Fprintf(&out, "%"+verb+"\n", inside)
		fmt.Fprintf(&out, "%"+verb+"\n", &inside)
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("x", "plain", plain, "holder", inside)
	}
	if err := json.NewEncoder(&out).Encode(map[privacy.Plain]any{plain: []any{plain, &plain}}); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{secret, "Ayşe", fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("printed %q", form)
		}
	}
	if !strings.Contains(out.String(), privacy.Redacted) {
		t.Error("nothing says REDACTED: did anything print?")
	}
}

func TestPlainComparesByValue(t *testing.T) {
	t.Parallel()
	if a, b := privacy.NewPlain("Brno"), privacy.NewPlain(string([]byte("Brno"))); a != b {
		t.Error("equal values differ")
	}
	if privacy.NewPlain("Brno") == privacy.NewPlain("Praha") {
		t.Error("different values are equal")
	}
	var zero privacy.Plain
	if zero != privacy.NewPlain("") || !zero.IsEmpty() || zero.RevealPersonalData() != "" {
		t.Error("the zero value is not the empty text")
	}
	if got := privacy.NewPlain("Brno").RevealPersonalData(); got != "Brno" {
		t.Errorf("revealed %q", got)
	}
}
