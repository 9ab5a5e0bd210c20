package casework_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/privacy"
)

var (
	somebody = privacy.DataSubjectID{1}
	desk     = privacy.Principal{ID: "desk", Role: privacy.RoleService, Recipient: "desk"}
	shop     = privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "shop"}
	officer  = privacy.Principal{ID: "dpo", Role: privacy.RoleDPO}
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// memory is a registry that lives as long as a test. The real one is tested on
// PostgreSQL in package postgres.
type memory struct {
	cases  []casework.Case
	events []audit.Event
	fail   error
}

func (m *memory) receipt(event audit.Event) (audit.Receipt, error) {
	if m.fail != nil {
		return audit.Receipt{}, m.fail
	}
	m.events = append(m.events, event)
	return audit.Committed([16]byte{1}, [32]byte{2}, uint64(len(m.events))), nil
}

func (m *memory) Open(_ context.Context, c casework.Case, event audit.Event) (casework.Case, audit.Receipt, error) {
	receipt, err := m.receipt(event)
	c.OpenedAt, c.EndsAt = noon, noon.Add(casework.Life)
	m.cases = append(m.cases, c)
	return c, receipt, err
}

func (m *memory) Find(_ context.Context, id casework.ID) (casework.Case, error) {
	for _, c := range m.cases {
		if c.ID == id {
			return c, m.fail
		}
	}
	return casework.Case{}, privacy.ErrNotFound
}

func (m *memory) Close(_ context.Context, c casework.Case, event audit.Event) (audit.Receipt, error) {
	return m.receipt(event)
}

func (m *memory) List(context.Context, casework.Filter, int) ([]casework.Case, time.Time, error) {
	return m.cases, noon, m.fail
}

func (m *memory) Subject(_ context.Context, id privacy.DataSubjectID) (audit.Subject, error) {
	if id != somebody {
		return audit.Subject{}, privacy.ErrNotFound
	}
	return audit.Subject{ID: id, Blinding: audit.BlindingKey{7}}, nil
}

func service(m *memory) *casework.Service {
	return casework.New(m, m, casework.Config{MayHandle: func(recipient privacy.RecipientID, kind casework.Kind) bool {
		return recipient == "desk" || recipient == "shop" && kind == casework.Complaint
	}})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		by      privacy.Principal
		request casework.Request
		want    error
	}{
		"desk for itself":           {desk, casework.Request{DataSubject: somebody, Kind: casework.Support}, nil},
		"desk naming itself":        {desk, casework.Request{DataSubject: somebody, Recipient: "desk", Kind: casework.Support}, nil},
		"officer for the desk":      {officer, casework.Request{DataSubject: somebody, Recipient: "desk", Kind: casework.Complaint}, nil},
		"shop takes a complaint":    {shop, casework.Request{DataSubject: somebody, Kind: casework.Complaint}, nil},
		"shop plays support desk":   {shop, casework.Request{DataSubject: somebody, Kind: casework.Support}, privacy.ErrForbidden},
		"shop for the desk":         {shop, casework.Request{DataSubject: somebody, Recipient: "desk", Kind: casework.Complaint}, privacy.ErrForbidden},
		"officer for nobody":        {officer, casework.Request{DataSubject: somebody, Kind: casework.Support}, privacy.ErrInvalid},
		"officer for a stranger":    {officer, casework.Request{DataSubject: somebody, Recipient: "trader", Kind: casework.Support}, privacy.ErrInvalid},
		"no kind":                   {desk, casework.Request{DataSubject: somebody}, privacy.ErrInvalid},
		"about nobody":              {desk, casework.Request{DataSubject: privacy.DataSubjectID{9}, Kind: casework.Support}, privacy.ErrNotFound},
		"auditor":                   {privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, casework.Request{DataSubject: somebody, Recipient: "desk", Kind: casework.Support}, privacy.ErrForbidden},
		"service without recipient": {privacy.Principal{ID: "s", Role: privacy.RoleService}, casework.Request{DataSubject: somebody, Kind: casework.Support}, privacy.ErrInvalid},
	} {
		m := &memory{}
		opened, err := service(m).Open(t.Context(), c.by, c.request)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want != nil {
			if len(m.events) != 0 {
				t.Errorf("%s: logged %+v", name, m.events)
			}
			continue
		}
		event := m.events[0]
		if event.Kind != audit.CaseOpened || event.Outcome != audit.Done || event.Subject.Blinding != (audit.BlindingKey{7}) || event.Principal != c.by {
			t.Errorf("%s: logged %+v", name, event)
		}
		if (event.Recipient != "") != (c.by.Recipient != opened.Recipient) {
			t.Errorf("%s: the entry concerns %q", name, event.Recipient)
		}
		if opened.ID == (casework.ID{}) || opened.Receipt.IsZero() || !opened.IsOpen(noon) || opened.DataSubject != somebody {
			t.Errorf("%s: opened %+v", name, opened)
		}
	}
}

func TestOpenWithoutConfigIsForNobody(t *testing.T) {
	t.Parallel()
	m := &memory{}
	if _, err := casework.New(m, m, casework.Config{}).Open(t.Context(), desk, casework.Request{DataSubject: somebody, Kind: casework.Support}); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("got %v", err)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	m := &memory{}
	s := service(m)
	opened, err := s.Open(t.Context(), desk, casework.Request{DataSubject: somebody, Kind: casework.Support})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		by   privacy.Principal
		id   casework.ID
		want error
	}{
		"handler":           {desk, opened.ID, nil},
		"officer":           {officer, opened.ID, nil},
		"another recipient": {shop, opened.ID, privacy.ErrNotFound},
		"no recipient":      {privacy.Principal{ID: "s", Role: privacy.RoleService}, opened.ID, privacy.ErrNotFound},
		"unknown":           {desk, casework.ID{5}, privacy.ErrNotFound},
		"ingest":            {privacy.Principal{ID: "i", Role: privacy.RoleIngest}, opened.ID, privacy.ErrForbidden},
	} {
		m.events = nil
		receipt, err := s.Close(t.Context(), c.by, c.id)
		if !errors.Is(err, c.want) || (c.want == nil) == receipt.IsZero() {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if (len(m.events) == 1) != (c.want == nil) || len(m.events) == 1 && m.events[0].Kind != audit.CaseClosed {
			t.Errorf("%s: logged %+v", name, m.events)
		}
	}
	m.fail = privacy.ErrUnavailable
	if _, err := s.Close(t.Context(), desk, opened.ID); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("without the registry: %v", err)
	}
	if _, _, err := s.List(t.Context(), casework.Filter{}); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("listing without the registry: %v", err)
	}
}

func TestCaseIsOpenForItsLife(t *testing.T) {
	t.Parallel()
	c := casework.Case{OpenedAt: noon, EndsAt: noon.Add(casework.Life)}
	for at, want := range map[time.Time]string{
		noon.Add(-time.Second):                "ended", // a clock that was set back
		noon:                                  "open",
		noon.Add(casework.Life - time.Second): "open",
		noon.Add(casework.Life):               "ended",
	} {
		if got := c.State(at); got != want || c.IsOpen(at) != (want == "open") {
			t.Errorf("at %v: %s, want %s", at, got, want)
		}
	}
	c.ClosedAt = noon
	if c.IsOpen(noon) || c.State(noon) != "closed" {
		t.Error("a closed case is open")
	}
	if (casework.Case{}).IsOpen(noon) {
		t.Error("no case is open")
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(casework.ID{1, 2, 3}.String())
	f.Add(strings.Repeat("0", 32))
	f.Add("Zz")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := casework.ParseID(text)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) || id != (casework.ID{}) {
				t.Fatalf("%v, %v", id, err)
			}
			return
		}
		if id.String() != text || id == (casework.ID{}) {
			t.Fatalf("%q became %q", text, id)
		}
	})
}

func Example() {
	registry := &memory{}
	cases := casework.New(registry, registry, casework.Config{
		MayHandle: func(recipient privacy.RecipientID, _ casework.Kind) bool { return recipient == "desk" },
	})
	opened, err := cases.Open(context.Background(), desk, casework.Request{DataSubject: somebody, Kind: casework.Support})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(opened.State(noon), opened.State(noon.AddDate(0, 0, 30)), registry.events[0].Kind)
	// Output: open ended case.opened
}
