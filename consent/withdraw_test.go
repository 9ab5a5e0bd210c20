package consent_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// AddAll adds all or, if the memory fails, none.
func (m *memory) AddAll(_ context.Context, records []consent.Record, events []audit.Event) ([]audit.Receipt, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	var receipts []audit.Receipt
	for i := range records {
		m.records, m.events = append(m.records, records[i]), append(m.events, events[i])
		receipts = append(receipts, audit.Committed([16]byte{1}, [32]byte{2}, uint64(len(m.events))))
	}
	return receipts, nil
}

// shelf is a catalogue of several purposes.
type shelf struct{ words }

func (shelf) KnowsPurpose(p privacy.Purpose) bool {
	return p == "newsletter" || p == "recommendations" || p == "greeting" || p == "pricing"
}

func withdrawing(m *memory) *consent.Service {
	return consent.New(m, m, shelf{}, consent.Config{
		Now:           func() time.Time { return at(10) },
		OnConsentOnly: func() []privacy.Purpose { return []privacy.Purpose{"newsletter", "recommendations"} },
	})
}

func lines(records []consent.Record) []string {
	var list []string
	for _, r := range records {
		list = append(list, fmt.Sprintf("%s %s %s", r.Action, r.Purpose, r.Channel))
	}
	return list
}

func everything() consent.Withdrawal {
	return consent.Withdrawal{
		DataSubject: somebody, Purposes: []privacy.Purpose{consent.AnyPurpose}, Channels: []privacy.Channel{privacy.AnyChannel}, Source: "web_form",
	}
}

// TestWithdrawalBindsEverythingItNames: one call, a line for each purpose and channel, and a
// token that stands behind the last of them.
func TestWithdrawalBindsEverythingItNames(t *testing.T) {
	t.Parallel()
	m := &memory{}
	w := everything()
	w.Purposes, w.Channels = []privacy.Purpose{"newsletter", "pricing"}, []privacy.Channel{"email"}
	receipt, err := withdrawing(m).WithdrawAll(t.Context(), shop, w)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"withdrawn newsletter email", "withdrawn pricing email"}, lines(m.records)); diff != "" {
		t.Error(diff)
	}
	if receipt.Token.Index() != 2 || receipt.Index() != 2 {
		t.Errorf("the token stands behind entry %d of 2", receipt.Token.Index())
	}
	if m.records[0].ID == m.records[1].ID {
		t.Error("two records have one id")
	}
	for i, e := range m.events {
		if e.Kind != audit.ConsentWithdrawn || e.Principal != shop || e.Purpose != m.records[i].Purpose || e.Subject.ID != somebody {
			t.Errorf("%+v", e)
		}
	}
}

// TestWithdrawalOfEverything: what stands on consent alone, and whatever else the person has
// agreed to; what stands on a contract and nobody was asked about is left alone.
func TestWithdrawalOfEverything(t *testing.T) {
	t.Parallel()
	agreed := grant(1, "email")
	agreed.Purpose = "pricing"
	refused := grant(1, "email", says(consent.Refused))
	refused.Purpose = "greeting"
	gone := grant(1, "email")
	gone.Purpose = "no_more_in_the_catalogue"
	m := &memory{records: []consent.Record{agreed, refused, gone}}
	if _, err := withdrawing(m).WithdrawByPerson(t.Context(), everything()); err != nil {
		t.Fatal(err)
	}
	want := []string{"withdrawn newsletter *", "withdrawn pricing *", "withdrawn recommendations *"}
	if diff := cmp.Diff(want, lines(m.records[3:])); diff != "" {
		t.Error(diff)
	}
	if p := m.events[0].Principal; p != (privacy.Principal{}) {
		t.Errorf("the person is recorded as %v", p)
	}
	// Twice is fine.
	if _, err := withdrawing(m).WithdrawByPerson(t.Context(), everything()); err != nil || len(m.records) != 9 {
		t.Error(err, len(m.records))
	}
}

func TestWithdrawalByAGuardian(t *testing.T) {
	t.Parallel()
	m := &memory{}
	w := everything()
	w.Actor = consent.ByGuardian
	if _, err := withdrawing(m).WithdrawAll(t.Context(), shop, w); err != nil {
		t.Fatal(err)
	}
	if m.records[0].Action != consent.GuardianWithdrawn || m.events[0].Kind != audit.ConsentGuardianWithdrawn {
		t.Errorf("%v", lines(m.records))
	}
}

func TestWithdrawalNamesTheWrongField(t *testing.T) {
	t.Parallel()
	for pointer, edit := range map[string]func(*consent.Withdrawal){
		"/data_subject": func(w *consent.Withdrawal) { w.DataSubject = privacy.DataSubjectID{} },
		"/purposes":     func(w *consent.Withdrawal) { w.Purposes = nil },
		"/purposes/0":   func(w *consent.Withdrawal) { w.Purposes = []privacy.Purpose{"snooping"} },
		"/purposes/1":   func(w *consent.Withdrawal) { w.Purposes = []privacy.Purpose{"pricing", "*"} },
		"/channels":     func(w *consent.Withdrawal) { w.Channels = nil },
		"/channels/0":   func(w *consent.Withdrawal) { w.Channels = []privacy.Channel{"telepathy"} },
		"/channels/1":   func(w *consent.Withdrawal) { w.Channels = []privacy.Channel{"email", "email"} },
		"/source":       func(w *consent.Withdrawal) { w.Source = "ayse@example.com" },
		"/effective_at": func(w *consent.Withdrawal) { w.EffectiveAt = at(11) },
	} {
		m := &memory{}
		w := everything()
		edit(&w)
		var field *privacy.FieldError
		if _, err := withdrawing(m).WithdrawAll(t.Context(), shop, w); !errors.As(err, &field) || field.Pointer != pointer || len(m.records) != 0 {
			t.Errorf("%s: %v, %d stored", pointer, err, len(m.records))
		}
	}
}

func TestWithdrawalFails(t *testing.T) {
	t.Parallel()
	m := &memory{}
	if _, err := withdrawing(m).WithdrawAll(t.Context(), privacy.Principal{ID: "x", Role: privacy.RoleAuditor}, everything()); !errors.Is(err, privacy.ErrForbidden) {
		t.Error("an auditor:", err)
	}
	w := everything()
	w.DataSubject[0] = 9
	if _, err := withdrawing(m).WithdrawAll(t.Context(), shop, w); !errors.Is(err, privacy.ErrNotFound) {
		t.Error("nobody:", err)
	}
	m.fail = privacy.ErrUnavailable
	if r, err := withdrawing(m).WithdrawAll(t.Context(), shop, everything()); !errors.Is(err, privacy.ErrUnavailable) || !r.IsZero() {
		t.Error("log down:", r, err)
	}
}
