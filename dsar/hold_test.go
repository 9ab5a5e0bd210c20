package dsar_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// holdStore remembers what it was asked. The real one is tested in package postgres.
type holdStore struct {
	known    []privacy.DataSubjectID
	setErr   []error // of one call after the other
	line     bool    // whether the ledger's line was carried out
	rows     []dsar.HoldRow
	events   []audit.Event
	released []privacy.DataSubjectID
}

func (s *holdStore) HeldPeople(_ context.Context, people []privacy.DataSubjectID, identifiers []dsar.BlindIdentifier) ([]privacy.DataSubjectID, error) {
	var found []privacy.DataSubjectID
	for _, id := range s.known {
		if slices.Contains(people, id) || len(identifiers) > 0 && id == person {
			found = append(found, id)
		}
	}
	return found, nil
}

func (s *holdStore) AuditSubject(context.Context, privacy.DataSubjectID) (audit.Subject, error) {
	return subject, nil
}

func (s *holdStore) HasLedgerLine(context.Context, uint64) (bool, error) { return s.line, nil }

func (s *holdStore) SetHold(ctx context.Context, row dsar.HoldRow, _ []privacy.DataSubjectID, _ []dsar.BlindIdentifier,
	ready func(context.Context, dsar.LedgerView) error, event audit.Event,
) (time.Time, audit.Receipt, error) {
	if err := ready(ctx, s); err != nil {
		return time.Time{}, audit.Receipt{}, err
	}
	if len(s.setErr) > 0 {
		err := s.setErr[0]
		if s.setErr = s.setErr[1:]; err != nil {
			return time.Time{}, audit.Receipt{}, err
		}
	}
	row.SetAt = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	s.rows, s.events = append(s.rows, row), append(s.events, event)
	return row.SetAt, receipt, nil
}

func (s *holdStore) FindHold(_ context.Context, id dsar.HoldID) (dsar.HoldRow, error) {
	for _, row := range s.rows {
		if row.ID == id {
			return row, nil
		}
	}
	return dsar.HoldRow{}, privacy.ErrNotFound
}

func (s *holdStore) ReleaseHold(_ context.Context, id dsar.HoldID, reason dsar.ReleaseReason, _ [16]byte, event audit.Event) ([]privacy.DataSubjectID, audit.Receipt, error) {
	for i := range s.rows {
		if s.rows[i].ID == id {
			if s.rows[i].ReleaseReason != "" {
				return nil, audit.Receipt{}, privacy.ErrConflict
			}
			s.rows[i].ReleaseReason, s.rows[i].ReleasedAt = reason, s.rows[i].SetAt.Add(time.Hour)
		}
	}
	s.events = append(s.events, event)
	return s.released, receipt, nil
}

func (s *holdStore) ListHolds(context.Context, bool, privacy.DataSubjectID, int) ([]dsar.HoldRow, error) {
	return s.rows, nil
}

// holdKeys hashes without keys.
type holdKeys struct{}

func (holdKeys) WordTag(words ...string) (tag [16]byte) {
	copy(tag[:], fmt.Sprint(words))
	return tag
}

func (holdKeys) BlindIndexes(identifier privacy.Identifier) ([][]byte, error) {
	if identifier.Value.IsEmpty() {
		return nil, privacy.ErrInvalid
	}
	return [][]byte{{1}}, nil
}

func (holdKeys) ActorTag(principal privacy.Principal) (tag [16]byte) {
	copy(tag[:], principal.ID)
	return tag
}

var holdCatalogue = func() func() *policies.Catalogue {
	c, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		panic(err)
	}
	return func() *policies.Catalogue { return c }
}()

func newHolds(t testing.TB, store *holdStore, config dsar.HoldConfig) *dsar.Holds {
	t.Helper()
	config.Catalogue = holdCatalogue
	holds, err := dsar.NewHolds(store, holdKeys{}, config)
	if err != nil {
		t.Fatal(err)
	}
	return holds
}

func anEmail() []privacy.Identifier {
	return []privacy.Identifier{{Kind: privacy.Email, Value: privacy.NewPlain("a@example.com")}}
}

func TestSetHold(t *testing.T) {
	t.Parallel()
	other := privacy.DataSubjectID{9}
	good := dsar.HoldRequest{Identifiers: anEmail(), Reason: dsar.HoldLitigation, Authority: "12Cm-34/2026"}
	change := func(f func(*dsar.HoldRequest)) dsar.HoldRequest { r := good; f(&r); return r }
	for name, test := range map[string]struct {
		by      privacy.Principal
		request dsar.HoldRequest
		known   []privacy.DataSubjectID
		want    error
		subject audit.Subject
		people  int64
	}{
		"a known person":   {dpo, good, []privacy.DataSubjectID{person}, nil, subject, 1},
		"nobody yet":       {dpo, good, nil, nil, audit.Subject{Unknown: true}, 0},
		"two people":       {dpo, change(func(r *dsar.HoldRequest) { r.People = []privacy.DataSubjectID{other} }), []privacy.DataSubjectID{person, other}, nil, audit.Subject{}, 2},
		"unknown by id":    {dpo, change(func(r *dsar.HoldRequest) { r.People = []privacy.DataSubjectID{other} }), []privacy.DataSubjectID{person}, privacy.ErrNotFound, audit.Subject{}, 0},
		"a category":       {dpo, change(func(r *dsar.HoldRequest) { r.Scope.Category = "health" }), nil, nil, audit.Subject{Unknown: true}, 0},
		"an attribute":     {dpo, change(func(r *dsar.HoldRequest) { r.Scope = dsar.HoldScope{Category: "contact", Attribute: "email"} }), nil, nil, audit.Subject{Unknown: true}, 0},
		"auditor":          {privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, good, nil, privacy.ErrForbidden, audit.Subject{}, 0},
		"service":          {privacy.Principal{ID: "s", Role: privacy.RoleService, Recipient: "shop"}, good, nil, privacy.ErrForbidden, audit.Subject{}, 0},
		"nameless officer": {privacy.Principal{Role: privacy.RoleDPO}, good, nil, privacy.ErrForbidden, audit.Subject{}, 0},
		"about nobody":     {dpo, change(func(r *dsar.HoldRequest) { r.Identifiers = nil }), nil, privacy.ErrInvalid, audit.Subject{}, 0},
		"bad identifier": {dpo, change(func(r *dsar.HoldRequest) {
			r.Identifiers = []privacy.Identifier{{Kind: privacy.Email}}
		}), nil, privacy.ErrInvalid, audit.Subject{}, 0},
		"no reason":         {dpo, change(func(r *dsar.HoldRequest) { r.Reason = "" }), nil, privacy.ErrInvalid, audit.Subject{}, 0},
		"other reason":      {dpo, change(func(r *dsar.HoldRequest) { r.Reason = "curiosity" }), nil, privacy.ErrInvalid, audit.Subject{}, 0},
		"no authority":      {dpo, change(func(r *dsar.HoldRequest) { r.Authority = "" }), nil, privacy.ErrInvalid, audit.Subject{}, 0},
		"a sentence":        {dpo, change(func(r *dsar.HoldRequest) { r.Authority = "against Ayşe" }), nil, privacy.ErrInvalid, audit.Subject{}, 0},
		"unknown category":  {dpo, change(func(r *dsar.HoldRequest) { r.Scope.Category = "secrets" }), nil, privacy.ErrInvalid, audit.Subject{}, 0},
		"attribute alone":   {dpo, change(func(r *dsar.HoldRequest) { r.Scope.Attribute = "email" }), nil, privacy.ErrInvalid, audit.Subject{}, 0},
		"attribute of else": {dpo, change(func(r *dsar.HoldRequest) { r.Scope = dsar.HoldScope{Category: "health", Attribute: "email"} }), nil, privacy.ErrInvalid, audit.Subject{}, 0},
		"derived attribute": {dpo, change(func(r *dsar.HoldRequest) {
			r.Scope = dsar.HoldScope{Category: "purchases", Attribute: "spend.total"}
		}), nil, privacy.ErrInvalid, audit.Subject{}, 0},
		"too many": {dpo, change(func(r *dsar.HoldRequest) { r.Identifiers = make([]privacy.Identifier, 1001) }), nil, privacy.ErrInvalid, audit.Subject{}, 0},
	} {
		store := &holdStore{known: test.known}
		hold, r, err := newHolds(t, store, dsar.HoldConfig{}).Set(t.Context(), test.by, test.request)
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
			continue
		}
		if err != nil {
			if len(store.events) != 0 || !r.IsZero() {
				t.Errorf("%s: refused and recorded", name)
			}
			continue
		}
		event := store.events[0]
		if event.Kind != audit.HoldSet || event.Outcome != audit.Done || event.Principal != dpo || event.Subject != test.subject ||
			event.List == (audit.Digest{}) || event.Count != uint64(test.people) {
			t.Errorf("%s: logged %s about %d", name, event.Kind, event.Count)
		}
		if row := store.rows[0]; (row.Scope == [16]byte{}) != test.request.Scope.IsEverything() || row.People != test.people || row.ID != hold.ID {
			t.Errorf("%s: recorded %+v", name, row)
		}
		listed, err := newHolds(t, store, dsar.HoldConfig{}).List(t.Context(), dpo, dsar.HoldFilter{})
		if err != nil || len(listed) != 1 || listed[0].Scope != test.request.Scope || listed[0].Unreadable || !listed[0].InForce() {
			t.Errorf("%s: listed %+v, %v", name, listed, err)
		}
	}
}

// A hold whose people change while it is set is tried again; one that cannot be is refused.
func TestSetHoldTriesAgain(t *testing.T) {
	t.Parallel()
	request := dsar.HoldRequest{Identifiers: anEmail(), Reason: dsar.HoldRegulator, Authority: "x"}
	store := &holdStore{setErr: []error{privacy.ErrConflict, privacy.ErrConflict, nil}}
	if _, _, err := newHolds(t, store, dsar.HoldConfig{}).Set(t.Context(), dpo, request); err != nil || len(store.events) != 1 {
		t.Errorf("after two conflicts: %v, %d entries", err, len(store.events))
	}
	store = &holdStore{setErr: slices.Repeat([]error{privacy.ErrConflict}, 20)}
	if _, _, err := newHolds(t, store, dsar.HoldConfig{}).Set(t.Context(), dpo, request); !errors.Is(err, privacy.ErrConflict) || len(store.setErr) == 0 {
		t.Errorf("with conflicts without end: %v", err)
	}
	store = &holdStore{setErr: []error{privacy.ErrUnavailable}}
	if _, _, err := newHolds(t, store, dsar.HoldConfig{}).Set(t.Context(), dpo, request); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("without a database: %v", err)
	}
}

func TestSetHoldWaitsForTheLedger(t *testing.T) {
	t.Parallel()
	request := dsar.HoldRequest{Identifiers: anEmail(), Reason: dsar.HoldRegulator, Authority: "x"}
	ledger := func(context.Context) (uint64, error) { return 7, nil }
	store := &holdStore{}
	_, _, err := newHolds(t, store, dsar.HoldConfig{Ledger: ledger, Patience: 20 * time.Millisecond}).Set(t.Context(), dpo, request)
	if !errors.Is(err, dsar.ErrLedgerAhead) || len(store.events) != 0 {
		t.Errorf("while the ledger is ahead: %v", err)
	}
	store = &holdStore{line: true}
	if _, _, err := newHolds(t, store, dsar.HoldConfig{Ledger: ledger}).Set(t.Context(), dpo, request); err != nil {
		t.Errorf("with the ledger carried out: %v", err)
	}
	broken := func(context.Context) (uint64, error) { return 0, privacy.ErrDamaged }
	if _, _, err := newHolds(t, store, dsar.HoldConfig{Ledger: broken}).Set(t.Context(), dpo, request); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("with a damaged ledger: %v", err)
	}
}

func TestReleaseHold(t *testing.T) {
	t.Parallel()
	store := &holdStore{known: []privacy.DataSubjectID{person}, released: []privacy.DataSubjectID{person}}
	var resumed []privacy.DataSubjectID
	fail := privacy.ErrUnavailable
	holds := newHolds(t, store, dsar.HoldConfig{Resume: func(_ context.Context, by privacy.Principal, people []privacy.DataSubjectID) error {
		resumed = append(resumed, people...)
		return fail
	}})
	hold, _, err := holds.Set(t.Context(), dpo, dsar.HoldRequest{Identifiers: anEmail(), Reason: dsar.HoldTaxAudit, Authority: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		by     privacy.Principal
		id     dsar.HoldID
		reason dsar.ReleaseReason
		want   error
	}{
		"auditor":   {privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, hold.ID, dsar.HoldConcluded, privacy.ErrForbidden},
		"no reason": {dpo, hold.ID, "", privacy.ErrInvalid},
		"unknown":   {dpo, dsar.HoldID{3}, dsar.HoldConcluded, privacy.ErrNotFound},
	} {
		if _, r, err := holds.Release(t.Context(), test.by, test.id, test.reason); !errors.Is(err, test.want) || !r.IsZero() || len(resumed) != 0 {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	released, r, err := holds.Release(t.Context(), dpo, hold.ID, dsar.HoldConcluded)
	if !errors.Is(err, privacy.ErrUnavailable) || r.IsZero() || released.InForce() || released.ReleaseReason != dsar.HoldConcluded {
		t.Errorf("released, and what waited fails: %+v, %v", released, err)
	}
	if event := store.events[1]; event.Kind != audit.HoldReleased || event.List != store.events[0].List {
		t.Errorf("logged %s", event.Kind)
	}
	if len(resumed) != 1 || resumed[0] != person {
		t.Errorf("resumed %d erasures", len(resumed))
	}
	if _, r, err := holds.Release(t.Context(), dpo, hold.ID, dsar.HoldConcluded); !errors.Is(err, privacy.ErrConflict) || !r.IsZero() {
		t.Errorf("releasing twice: %v", err)
	}
}

func TestListHoldsIsForOfficersAndAuditors(t *testing.T) {
	t.Parallel()
	holds := newHolds(t, &holdStore{rows: []dsar.HoldRow{{Scope: [16]byte{1}}}}, dsar.HoldConfig{})
	auditor := privacy.Principal{ID: "a", Role: privacy.RoleAuditor}
	listed, err := holds.List(t.Context(), auditor, dsar.HoldFilter{})
	if err != nil || len(listed) != 1 || !listed[0].Unreadable {
		t.Errorf("an auditor: %+v, %v", listed, err)
	}
	for _, by := range []privacy.Principal{{ID: "s", Role: privacy.RoleService, Recipient: "shop"}, {ID: "i", Role: privacy.RoleIngest}, {}} {
		if _, err := holds.List(t.Context(), by, dsar.HoldFilter{}); !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("%q lists: %v", by.Role, err)
		}
	}
	if _, err := holds.List(t.Context(), auditor, dsar.HoldFilter{DataSubject: person}); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("an auditor asks about one person: %v", err)
	}
}

func TestHoldScopeCovers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		scope     dsar.HoldScope
		category  privacy.DataCategory
		attribute privacy.AttributeName
		want      bool
		text      string
	}{
		{dsar.HoldScope{}, "contact", "email", true, "everything"},
		{dsar.HoldScope{Category: "contact"}, "contact", "email", true, "contact"},
		{dsar.HoldScope{Category: "contact"}, "health", "email", false, "contact"},
		{dsar.HoldScope{Category: "contact", Attribute: "email"}, "contact", "email", true, "contact/email"},
		{dsar.HoldScope{Category: "contact", Attribute: "email"}, "contact", "phone", false, "contact/email"},
		{dsar.HoldScope{Category: "contact", Attribute: "email"}, "contact", "", false, "contact/email"},
		{dsar.HoldScope{Category: "purchases"}, "purchases", "", true, "purchases"},
	} {
		if got := test.scope.Covers(test.category, test.attribute); got != test.want || test.scope.String() != test.text {
			t.Errorf("%s covers %s/%s: %t", test.scope, test.category, test.attribute, got)
		}
	}
}

func TestNewHoldsRefuses(t *testing.T) {
	t.Parallel()
	if _, err := dsar.NewHolds(nil, holdKeys{}, dsar.HoldConfig{Catalogue: holdCatalogue}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("without store: %v", err)
	}
	if _, err := dsar.NewHolds(&holdStore{}, holdKeys{}, dsar.HoldConfig{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("without catalogue: %v", err)
	}
}

func FuzzParseHoldID(f *testing.F) {
	f.Add("6f1c2d3e-4f50-4172-8394-a5b6c7d8e9f0")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := dsar.ParseHoldID(text)
		if err == nil && id.String() != text || err != nil && !errors.Is(err, privacy.ErrInvalid) {
			t.Fatalf("%q: %s, %v", text, id, err)
		}
	})
}

func ExampleHolds() {
	holds, err := dsar.NewHolds(&holdStore{known: []privacy.DataSubjectID{person}}, holdKeys{}, dsar.HoldConfig{Catalogue: holdCatalogue})
	if err != nil {
		fmt.Println(err)
		return
	}
	hold, receipt, err := holds.Set(context.Background(), dpo, dsar.HoldRequest{
		Identifiers: []privacy.Identifier{{Kind: privacy.Email, Value: privacy.NewPlain("ayse@example.com")}},
		Scope:       dsar.HoldScope{Category: "purchases"}, Reason: dsar.HoldLitigation, Authority: "12Cm-34/2026",
	})
	fmt.Println(hold.Scope, hold.People, hold.InForce(), receipt.IsZero(), err)
	// Output: purchases 1 true false <nil>
}
