package postgres

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// TestSuppressed: whoever was erased does not come back, however they are brought, until
// their identifier is readmitted; and then as somebody new.
func TestSuppressed(t *testing.T) {
	t.Parallel()
	e := newErasing(t, dsar.EraseConfig{})
	loader := intake.New(NewIntakeStore(e.db, e.log), e.vault, shopWords{}, shopWords{}, intake.Config{})
	p := e.person(t, "ayse")
	e.erase(t, p)
	load := func(identifiers string) intake.StreamResult {
		t.Helper()
		line := `{"identifiers":[` + identifiers + `],"jurisdiction":"CZ","events":[]}`
		result, err := loader.LoadStream(t.Context(), strings.NewReader(line), intake.StreamOptions{Principal: loading})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	email := `{"kind":"email","value":"AYSE@example.com"}`
	for name, identifiers := range map[string]string{
		"the same": email, "beside a new one": email + `,{"kind":"customer_number","value":"C-9"}`,
		"the cookie": `{"kind":"cookie_id","value":"cookie-ayse"}`,
	} {
		result := load(identifiers)
		if len(result.Rejects) != 1 || result.Rejects[0].Reason != intake.Suppressed || result.NewPersons != 0 {
			t.Errorf("%s: %+v", name, result)
		}
	}
	if result := load(`{"kind":"customer_number","value":"C-10"}`); len(result.Rejects) != 0 {
		t.Errorf("somebody else: %+v", result.Rejects)
	}
	identifier := privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("ayse@example.com")}
	if _, err := e.Readmit(t.Context(), dpo, identifier, "gossip"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a reason that is none: %v", err)
	}
	receipt, err := e.Readmit(t.Context(), dpo, identifier, dsar.ReadmitOwnWish)
	if err != nil {
		t.Fatal(err)
	}
	if entry := readEntry(t, e.db, receipt.Index()); entry.Kind != audit.SuppressionLifted {
		t.Errorf("it is logged as %s", entry.Kind)
	}
	if line := e.ledger.lines[len(e.ledger.lines)-1]; line.Kind != dsar.LedgerReadmitted || len(line.Suppressed) != 1 {
		t.Errorf("the ledger says %+v", line)
	}
	if _, err := e.Readmit(t.Context(), dpo, identifier, dsar.ReadmitOwnWish); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("readmitting twice: %v", err)
	}
	if result := load(email); len(result.Rejects) != 0 {
		t.Errorf("after the readmission: %+v", result.Rejects)
	}
	id, err := e.store.ResolveIdentifier(t.Context(), identifier)
	if err != nil || id == p.id {
		t.Errorf("the person is the erased one: %t, %v", id == p.id, err)
	}
}

// TestLoadingAgainstErasure: of loads and erasures of the same person at the same time no
// row survives of anybody who was erased, and nobody is made anew.
func TestLoadingAgainstErasure(t *testing.T) {
	t.Parallel()
	races := 60
	if testing.Short() {
		races = 8
	}
	e := newErasing(t, dsar.EraseConfig{OneApprover: true})
	loader := intake.New(NewIntakeStore(e.db, e.log), e.vault, shopWords{}, shopWords{}, intake.Config{})
	for i := range races {
		name := fmt.Sprintf("race-%d", i)
		p := e.person(t, name)
		id := e.approved(t, p)
		var group sync.WaitGroup
		for n := range 3 {
			group.Go(func() {
				line := fmt.Sprintf(`{"identifiers":[{"kind":"email","value":"%s@example.com"},{"kind":"customer_number","value":"N-%d-%d"}],"jurisdiction":"CZ","events":[]}`, name, i, n)
				if _, err := loader.LoadStream(t.Context(), strings.NewReader(line), intake.StreamOptions{Principal: loading}); err != nil {
					t.Errorf("loading: %v", err)
				}
			})
		}
		group.Go(func() {
			for {
				_, err := e.Erase(t.Context(), dpo, id)
				if err == nil {
					return
				}
				// A plan that a load overtook before it was approved stays without approval.
				refusal, ok := errors.AsType[*dsar.Refusal](err)
				if !ok || refusal.Check != string(dsar.CheckPlanCurrent) && refusal.Check != string(dsar.CheckApproved) {
					t.Errorf("erasing: %v", err)
					return
				}
				planned, err := e.Plan(t.Context(), dpo, id)
				if err != nil {
					t.Errorf("planning: %v", err)
					return
				}
				if _, err := e.Approve(t.Context(), dpo, id, planned.Hash); err != nil {
					if _, refused := errors.AsType[*dsar.Refusal](err); !refused {
						t.Errorf("approving: %v", err)
						return
					}
				}
			}
		})
		group.Wait()
		if _, err := e.store.ResolveIdentifier(t.Context(), p.identifiers[0]); !errors.Is(err, privacy.ErrNotFound) {
			t.Fatalf("race %d: somebody has the address of an erased person: %v", i, err)
		}
	}
	if _, err := e.Sweep(t.Context(), dsar.ErasureID{}, nil); err != nil {
		t.Fatal(err)
	}
	for _, table := range personTables(t, e.database) {
		var n int
		if err := e.database.OwnerPool(t).QueryRow(t.Context(), `select count(*) from `+table+` r where not exists (select from vault.data_subject d where d.data_subject_id = r.data_subject_id)`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 0 {
			t.Errorf("%d rows of nobody are in %s", n, table)
		}
	}
}
