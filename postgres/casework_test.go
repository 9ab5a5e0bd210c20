package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/privacy"
)

func caseEvent(kind audit.Kind, id privacy.DataSubjectID) audit.Event {
	return audit.Event{
		Kind: kind, Outcome: audit.Done, Principal: privacy.Principal{ID: "desk", Role: privacy.RoleService, Recipient: "desk"},
		Subject: audit.Subject{ID: id, Blinding: audit.BlindingKey{1}},
	}
}

func newCase(id privacy.DataSubjectID, n byte) casework.Case {
	return casework.Case{ID: casework.ID{n}, DataSubject: id, Recipient: "desk", Kind: casework.Support}
}

var sameID = cmp.Comparer(func(a, b privacy.DataSubjectID) bool { return a == b })

func TestCaseLifeInTheRegistry(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	store := NewCaseStore(db, newAuditLog(t, db, auditConfig()))
	id := privacy.DataSubjectID{1, 2, 3}
	newPerson(t, db, id)
	opened, receipt, err := store.Open(t.Context(), newCase(id, 1), caseEvent(audit.CaseOpened, id))
	if err != nil || readEntry(t, db, receipt.Index()).Kind != audit.CaseOpened {
		t.Fatal(receipt, err)
	}
	if life := opened.EndsAt.Sub(opened.OpenedAt); life != casework.Life || time.Since(opened.OpenedAt).Abs() > time.Hour {
		t.Errorf("opened at %v for %v", opened.OpenedAt, life)
	}
	if _, _, err := store.Open(t.Context(), newCase(id, 1), caseEvent(audit.CaseOpened, id)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("the same ID again: %v", err)
	}
	if _, _, err := store.Open(t.Context(), newCase(privacy.DataSubjectID{9}, 2), caseEvent(audit.CaseOpened, privacy.DataSubjectID{9})); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("a case of nobody: %v", err)
	}
	found, err := store.Find(t.Context(), opened.ID)
	if diff := cmp.Diff(opened, found, sameID); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := store.Find(t.Context(), casework.ID{77}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("an unknown case: %v", err)
	}
	before := countEntries(t, db)
	if _, err := store.Close(t.Context(), opened, caseEvent(audit.CaseClosed, id)); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Close(t.Context(), opened, caseEvent(audit.CaseClosed, id)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("closing twice: %v", err)
	}
	if after := countEntries(t, db); after != before+1 {
		t.Errorf("closing wrote %d entries", after-before)
	}
	// A case that has ended by itself is not closed any more.
	ended, _, err := store.Open(t.Context(), newCase(id, 3), caseEvent(audit.CaseOpened, id))
	if err != nil {
		t.Fatal(err)
	}
	ageCases(t, database.OwnerPool(t))
	if _, err := store.Close(t.Context(), ended, caseEvent(audit.CaseClosed, id)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("closing what has ended: %v", err)
	}
}

func TestCasesAreListed(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	store := NewCaseStore(db, newAuditLog(t, db, auditConfig()))
	first, second := privacy.DataSubjectID{1}, privacy.DataSubjectID{2}
	for _, id := range []privacy.DataSubjectID{first, second} {
		newPerson(t, db, id)
	}
	open := func(c casework.Case) casework.Case {
		t.Helper()
		c, _, err := store.Open(t.Context(), c, caseEvent(audit.CaseOpened, c.DataSubject))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	open(newCase(first, 1))
	ageCases(t, database.OwnerPool(t))
	open(newCase(first, 2))
	closed := open(newCase(second, 3))
	other := newCase(second, 4)
	other.Recipient, other.Kind = "shop", casework.Complaint
	open(other)
	if _, err := store.Close(t.Context(), closed, caseEvent(audit.CaseClosed, second)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		filter casework.Filter
		limit  int
		want   string
	}{
		"open":            {casework.Filter{}, 10, "42"},
		"all":             {casework.Filter{All: true}, 10, "4321"},
		"of a person":     {casework.Filter{DataSubject: first}, 10, "2"},
		"all of a person": {casework.Filter{DataSubject: first, All: true}, 10, "21"},
		"of a recipient":  {casework.Filter{Recipient: "shop"}, 10, "4"},
		"of nobody":       {casework.Filter{DataSubject: privacy.DataSubjectID{5}}, 10, ""},
		"newest":          {casework.Filter{}, 1, "4"},
	} {
		cases, at, err := store.List(t.Context(), c.filter, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, one := range cases {
			got += string('0' + one.ID[0])
			if c.filter.All || one.IsOpen(at) {
				continue
			}
			t.Errorf("%s: case %d is listed and %s", name, one.ID[0], one.State(at))
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestCaseEndsWithThePerson: an erased person's case opens nothing, and is not there.
func TestCaseEndsWithThePerson(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	store := NewCaseStore(db, log)
	id := privacy.DataSubjectID{1, 2, 3}
	newPerson(t, db, id)
	opened, _, err := store.Open(t.Context(), newCase(id, 1), caseEvent(audit.CaseOpened, id))
	if err != nil {
		t.Fatal(err)
	}
	eraseAtOnce(t, NewVaultStore(db, newKeys(t).Vault()), log, id)
	if _, err := store.Find(t.Context(), opened.ID); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("the case of an erased person: %v", err)
	}
	if _, err := store.Close(t.Context(), opened, caseEvent(audit.CaseClosed, id)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("closing it: %v", err)
	}
}
