package assembly

import (
	"crypto/rand"
	"errors"
	"slices"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// kindsSince are the kinds of the entries from an index on.
func kindsSince(t *testing.T, house *House, index uint64) []audit.Kind {
	t.Helper()
	_, end := last(t, house)
	stored, err := house.Log.Tail(t.Context(), int(end-index)+1)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []audit.Kind
	for _, s := range stored {
		entry, err := audit.ParseEntry(s.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, entry.Kind)
	}
	return kinds
}

// TestHoldDefersAnErasure: an erasure of somebody under a hold on everything waits and goes
// on by itself with the release; one under a narrower hold leaves what is held, which the
// periodic destruction takes once the hold is released.
func TestHoldDefersAnErasure(t *testing.T) {
	t.Parallel()
	house, database := newHouse(t)
	first, second := Operator("first"), Operator("second")
	add := func(number string) (privacy.DataSubjectID, privacy.Identifier) {
		t.Helper()
		identifier := privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(number)}
		id, err := privacy.NewDataSubjectID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key, wrapped, err := house.Keys.Vault().NewPersonKey(id)
		if err != nil {
			t.Fatal(err)
		}
		index, err := house.Keys.Vault().BlindIndex(identifier)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := key.SealRecord("contact", 1, vault.Record{
			"first_name":     {Values: []privacy.Plain{privacy.NewPlain("Ayşe")}, Source: vault.Declared, Quality: vault.Verified},
			"postal_address": {Values: []privacy.Plain{privacy.NewPlain("İzmir")}, Source: vault.Declared, Quality: vault.Verified},
		})
		if err != nil {
			t.Fatal(err)
		}
		slot := house.Keys.Vault().Slot(id, "contact")
		pool := database.OwnerPool(t)
		for _, s := range []struct {
			statement string
			args      []any
		}{
			{`insert into vault.data_subject (data_subject_id, jurisdiction) values ($1, 'EU')`, []any{[16]byte(id)}},
			{`insert into keyring.person_key (data_subject_id, wrapped) values ($1, $2)`, []any{[16]byte(id), wrapped}},
			{`insert into vault.identifier (data_subject_id, kind, blind_index) values ($1, 'customer_number', $2)`, []any{[16]byte(id), index}},
			{`insert into vault.sealed_record (data_subject_id, slot, record_version, sealed) values ($1, $2, 1, $3)`, []any{[16]byte(id), slot[:], sealed}},
		} {
			if _, err := pool.Exec(t.Context(), s.statement, s.args...); err != nil {
				t.Fatal(err)
			}
		}
		return id, identifier
	}
	hold := func(identifier privacy.Identifier, scope dsar.HoldScope) dsar.Hold {
		t.Helper()
		h, _, err := house.Holds.Set(t.Context(), first, dsar.HoldRequest{Identifiers: []privacy.Identifier{identifier}, Scope: scope, Reason: dsar.HoldLitigation, Authority: "8C-1/2026"})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}

	id, identifier := add("K-1")
	whole := hold(identifier, dsar.HoldScope{})
	_, before := last(t, house)
	_, err := house.EraseAtOnce(t.Context(), first, second, identifier, "EU")
	if refusal, ok := errors.AsType[*dsar.Refusal](err); !ok || refusal.Check != string(dsar.CheckNoHold) {
		t.Fatalf("erasing under a hold: %v", err)
	}
	if _, err := house.People.PersonKey(t.Context(), id, vault.UseShow); err != nil {
		t.Fatalf("erased under a hold: %v", err)
	}
	if person, err := house.People.Person(t.Context(), id); err != nil || !person.Restricted {
		t.Errorf("while the erasure waits nothing is restricted, %v", err)
	}
	if kinds := kindsSince(t, house, before); !slices.Contains(kinds, audit.ErasureDeferred) {
		t.Errorf("logged %v", kinds)
	}
	_, before = last(t, house)
	if _, _, err := house.Holds.Release(t.Context(), first, whole.ID, dsar.HoldConcluded); err != nil {
		t.Fatal(err)
	}
	if _, err := house.People.PersonKey(t.Context(), id, vault.UseShow); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("after the release: %v, want the erasure to go on", err)
	}
	if kinds := kindsSince(t, house, before); !slices.Contains(kinds, audit.PersonErased) {
		t.Errorf("logged %v", kinds)
	}

	id, identifier = add("K-2")
	narrow := hold(identifier, dsar.HoldScope{Category: "contact", Attribute: "postal_address"})
	record, err := house.EraseAtOnce(t.Context(), first, second, identifier, "EU")
	if err != nil {
		t.Fatal(err)
	}
	if len(record.Withheld) != 1 || record.Withheld[0].Attribute != "postal_address" || record.Withheld[0].Ground != "legal_hold" || !record.Withheld[0].Until.IsZero() {
		t.Errorf("withheld %+v", record.Withheld)
	}
	if _, err := house.People.PersonKey(t.Context(), id, vault.UseShow); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("the rest: %v, want it erased", err)
	}
	withheld := func() (n int) {
		t.Helper()
		if err := database.OwnerPool(t).QueryRow(t.Context(), `select count(*) from keyring.withheld_key`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	run := func() {
		t.Helper()
		if _, err := house.Retention.Run(t.Context(), first, nil); err != nil {
			t.Fatal(err)
		}
	}
	if run(); withheld() != 1 {
		t.Errorf("%d things are withheld while the hold is in force", withheld())
	}
	if _, _, err := house.Holds.Release(t.Context(), first, narrow.ID, dsar.HoldConcluded); err != nil {
		t.Fatal(err)
	}
	_, before = last(t, house)
	if run(); withheld() != 0 {
		t.Errorf("%d things are withheld after the release", withheld())
	}
	if kinds := kindsSince(t, house, before); !slices.Contains(kinds, audit.WithheldErased) {
		t.Errorf("logged %v", kinds)
	}
}
