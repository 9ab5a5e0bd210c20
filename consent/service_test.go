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

var (
	somebody = privacy.DataSubjectID{1}
	shop     = privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "shop"}
)

// memory is a ledger that lives as long as a test. The real one is tested on
// PostgreSQL in package postgres.
type memory struct {
	records []consent.Record
	events  []audit.Event
	fail    error
}

func (m *memory) Add(_ context.Context, r consent.Record, e audit.Event) (consent.Added, error) {
	if m.fail != nil {
		return consent.Added{}, m.fail
	}
	m.records, m.events = append(m.records, r), append(m.events, e)
	return consent.Added{Receipt: audit.Committed([16]byte{1}, [32]byte{2}, uint64(len(m.events))), Record: r}, nil
}

func (m *memory) List(context.Context, privacy.DataSubjectID) ([]consent.Record, error) {
	return m.records, m.fail
}

func (m *memory) Subject(_ context.Context, id privacy.DataSubjectID) (audit.Subject, error) {
	if id != somebody {
		return audit.Subject{}, privacy.ErrNotFound
	}
	return audit.Subject{ID: id, Blinding: audit.BlindingKey{7}}, nil
}

// words is a catalogue of three words.
type words struct{}

func (words) KnowsPurpose(p privacy.Purpose) bool       { return p == "newsletter" }
func (words) KnowsChannel(c privacy.Channel) bool       { return c == "email" }
func (words) KnowsCategory(c privacy.DataCategory) bool { return c == "health" || c == "religion" }

func service(m *memory) *consent.Service {
	return consent.New(m, m, words{}, consent.Config{
		Now: func() time.Time { return at(10) },
		MayGrant: func(recipient privacy.RecipientID, purpose privacy.Purpose) bool {
			return recipient == shop.Recipient && purpose == "newsletter"
		},
	})
}

func change(edit ...func(*consent.Change)) consent.Change {
	c := consent.Change{
		DataSubject: somebody, Purpose: "newsletter", Channel: "email",
		NoticeVersion: "2026-03", Source: "web_form",
	}
	for _, f := range edit {
		f(&c)
	}
	return c
}

func TestServiceCommitsEachActionWithItsEvent(t *testing.T) {
	t.Parallel()
	m := &memory{}
	s := service(m)
	for _, c := range []struct {
		call func(context.Context, privacy.Principal, consent.Change) (consent.Receipt, error)
		want consent.Action
		kind audit.Kind
	}{
		{s.Grant, consent.Granted, audit.ConsentGranted},
		{s.Refuse, consent.Refused, audit.ConsentRefused},
		{s.Withdraw, consent.Withdrawn, audit.ConsentWithdrawn},
		{s.Object, consent.Objected, audit.ConsentObjected},
	} {
		receipt, err := c.call(t.Context(), shop, change())
		if err != nil {
			t.Fatalf("%s: %v", c.want, err)
		}
		record, event := m.records[len(m.records)-1], m.events[len(m.events)-1]
		if record.Action != c.want || event.Kind != c.kind || event.Subject.Blinding != (audit.BlindingKey{7}) || event.Purpose != "newsletter" || event.Channel != "email" {
			t.Errorf("%s: %+v with %+v", c.want, record, event)
		}
		if receipt.Token.Index() != receipt.Index() || receipt.IsZero() {
			t.Errorf("%s: receipt %+v", c.want, receipt)
		}
	}
	if m.records[0].ID == m.records[1].ID {
		t.Error("two records with one ID")
	}
}

// TestServiceTakesAYesOnlyFromWhomItConcerns: whoever profits from a yes must not be able to
// make one up for any purpose; a no is taken from everybody.
func TestServiceTakesAYesOnlyFromWhomItConcerns(t *testing.T) {
	t.Parallel()
	stranger := privacy.Principal{ID: "ads", Role: privacy.RoleService, Recipient: "ads"}
	officer := privacy.Principal{ID: "dpo", Role: privacy.RoleDPO}
	m := &memory{}
	strict := consent.New(m, m, words{}, consent.Config{Now: func() time.Time { return at(10) }})
	for name, c := range map[string]struct {
		service *consent.Service
		by      privacy.Principal
		want    error
	}{
		"stranger":                      {service(m), stranger, privacy.ErrForbidden},
		"contracted":                    {service(m), shop, nil},
		"officer":                       {service(m), officer, nil},
		"service, where nobody decides": {strict, shop, privacy.ErrForbidden},
		"officer, where nobody decides": {strict, officer, nil},
	} {
		if _, err := c.service.Grant(t.Context(), c.by, change()); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("a grant by %s: %v, want %v", name, err, c.want)
		}
		for _, no := range []consentCall{c.service.Refuse, c.service.Withdraw, c.service.Object} {
			if _, err := no(t.Context(), c.by, change()); err != nil {
				t.Errorf("a no by %s: %v", name, err)
			}
		}
	}
}

type consentCall = func(context.Context, privacy.Principal, consent.Change) (consent.Receipt, error)

func TestServiceNamesTheWrongField(t *testing.T) {
	t.Parallel()
	for pointer, edit := range map[string]func(*consent.Change){
		"/data_subject":   func(c *consent.Change) { c.DataSubject = privacy.DataSubjectID{} },
		"/purpose":        func(c *consent.Change) { c.Purpose = "snooping" },
		"/channel":        func(c *consent.Change) { c.Channel = "telepathy" },
		"/legal_basis":    func(c *consent.Change) { c.Basis = "because" },
		"/categories":     func(c *consent.Change) { c.Categories = []privacy.DataCategory{"health"} },
		"/categories/0":   func(c *consent.Change) { c.Explicit, c.Categories = true, []privacy.DataCategory{"mood"} },
		"/categories/1":   func(c *consent.Change) { c.Explicit, c.Categories = true, []privacy.DataCategory{"health", "health"} },
		"/notice_version": func(c *consent.Change) { c.NoticeVersion = "" },
		"/source":         func(c *consent.Change) { c.Source = "ayse@example.com" },
		"/effective_at":   func(c *consent.Change) { c.EffectiveAt = at(11) },
		"/valid_until":    func(c *consent.Change) { c.EffectiveAt, c.ValidUntil = at(9), at(9) },
	} {
		m := &memory{}
		_, err := service(m).Grant(t.Context(), shop, change(edit))
		var field *privacy.FieldError
		if !errors.As(err, &field) || field.Pointer != pointer || !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: got %v", pointer, err)
		}
		if len(m.records) != 0 {
			t.Errorf("%s: stored", pointer)
		}
	}
	for pointer, edit := range map[string]func(*consent.Change){
		"/explicit":    func(c *consent.Change) { c.Explicit = true },
		"/incentive":   func(c *consent.Change) { c.Incentive = true },
		"/valid_until": func(c *consent.Change) { c.ValidUntil = at(20) },
	} {
		_, err := service(&memory{}).Withdraw(t.Context(), shop, change(edit))
		var field *privacy.FieldError
		if !errors.As(err, &field) || field.Pointer != pointer {
			t.Errorf("withdraw %s: got %v", pointer, err)
		}
	}
}

func TestServiceRefusesOthers(t *testing.T) {
	t.Parallel()
	m := &memory{}
	for _, role := range []privacy.Role{privacy.RoleAuditor, privacy.RoleIngest, ""} {
		if _, err := service(m).Grant(t.Context(), privacy.Principal{ID: "x", Role: role}, change()); !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("role %q: %v", role, err)
		}
	}
	_, err := service(m).Grant(t.Context(), shop, change(func(c *consent.Change) { c.DataSubject[0] = 9 }))
	if !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("unknown person: %v", err)
	}
	m.fail = privacy.ErrUnavailable
	if r, err := service(m).Withdraw(t.Context(), shop, change()); !errors.Is(err, privacy.ErrUnavailable) || !r.IsZero() {
		t.Errorf("log down: %v %v", r, err)
	}
}

func TestServiceSortsCategories(t *testing.T) {
	t.Parallel()
	m := &memory{}
	_, err := service(m).Grant(t.Context(), shop, change(func(c *consent.Change) {
		c.Explicit, c.Categories = true, []privacy.DataCategory{"religion", "health"}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]privacy.DataCategory{"health", "religion"}, m.records[0].Categories); diff != "" {
		t.Error(diff)
	}
}

func TestShowFoldsEachLine(t *testing.T) {
	t.Parallel()
	m := &memory{records: []consent.Record{grant(1, "*"), grant(2, "email", says(consent.Withdrawn))}}
	got, err := service(m).Show(t.Context(), somebody)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Standings) != 2 || got.Standings[0].Channel != "*" || got.Standings[0].Current.State != consent.StateGranted ||
		got.Standings[1].Current.State != consent.StateWithdrawn {
		t.Errorf("%+v", got.Standings)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("AQAAAAAAAAAA")
	f.Add("AQAAAAAAAAAB")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		token, err := consent.ParseToken(s)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		if token.String() != s {
			t.Fatalf("%q reads back as %q", s, token)
		}
	})
}

func ExampleToken() {
	token := consent.NewToken(audit.Committed([16]byte{}, [32]byte{}, 1234))
	again, err := consent.ParseToken(token.String())
	fmt.Println(token, again.Index(), err)
	// Output: AQAAAAAAAATS 1234 <nil>
}

func ExampleFold() {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	records := []consent.Record{
		{ID: [16]byte{1}, Channel: "email", Action: consent.Granted, Basis: privacy.Consent, EffectiveAt: noon},
		{ID: [16]byte{2}, Channel: privacy.AnyChannel, Action: consent.Withdrawn, EffectiveAt: noon.Add(time.Hour)},
	}
	fmt.Println(consent.Fold(records, "email", noon.Add(time.Minute)).State)
	fmt.Println(consent.Fold(records, "email", noon.Add(2*time.Hour)).State)
	fmt.Println(consent.Fold(nil, "email", noon).State)
	// Output:
	// granted
	// withdrawn
	// never_asked
}
