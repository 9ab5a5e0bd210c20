package assembly

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/letter"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/privacy"
)

// TestLetters: an acknowledgement is in the name of the controller of the settings, and
// without one there is none.
func TestLetters(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 7, 6, 12, 0, 0, 0, time.UTC)
	r := dsar.Request{
		ID: dsar.RequestID{1}, Kind: dsar.Complaint, State: dsar.Received, Regime: "uk_england", Jurisdiction: "UK", Language: "en",
		Category: dsar.WrongData, Number: dsar.ComplaintNumber{Year: 2026, Count: 7}, ReceivedAt: noon, DueAt: noon.AddDate(0, 0, 45),
	}
	l := letters{config.Controller{Name: "Shop Ltd", Contact: "Data protection officer", Address: "1 High Street\nLondon", Email: "privacy@shop.example"}, func() time.Time { return noon }}
	text, err := l.Write(letter.Acknowledge, &r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Shop Ltd\nData protection officer\n1 High Street London\nprivacy@shop.example\n", "2026-000007", "www.ico.org.uk"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if text, err := (letters{now: l.now}).Write(letter.Acknowledge, &r); text != "" || !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("in nobody's name: %q, %v", text, err)
	}
}
