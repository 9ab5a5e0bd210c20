package postgres

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// keepName withholds the first name while there is a partial hold, and all purchases for
// ten years.
type keepName struct{ until time.Time }

func (k keepName) Withhold(ctx context.Context, in dsar.WithholdInput) ([]dsar.Kept, error) {
	var kept []dsar.Kept
	for _, hold := range in.Holds {
		if record, held := in.Records["contact"]; held {
			kept = append(kept, dsar.Kept{
				Withheld: dsar.Withheld{Category: "contact", Attribute: "first_name", Ground: "legal_hold", Article: "GDPR 17(3)(e)", Items: 1},
				Hold:     hold.Hold, Record: vault.Record{"first_name": record["first_name"]},
			})
		}
	}
	var events []vault.Event
	if err := in.Events(ctx, "purchases", func(chunk []vault.Event) error {
		events = append(events, chunk...)
		return nil
	}); err != nil {
		return nil, err
	}
	if len(events) > 0 {
		kept = append(kept, dsar.Kept{
			Withheld: dsar.Withheld{Category: "purchases", Ground: "tax_records", Article: "TR 213 253", Until: k.until, Items: int64(len(events))}, Events: events,
		})
	}
	return kept, nil
}

// TestWithheld: what must be kept is kept under keys of its own, and ends with its ground.
func TestWithheld(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(1000 * time.Hour).UTC().Truncate(time.Second)
	e := newErasing(t, dsar.EraseConfig{Withholder: keepName{until}})
	p := e.person(t, "ayşe")
	scope := e.vault.WordTag("hold", "contact", "first_name")
	hold := e.setHold(t, p, &scope)
	record := e.erase(t, p)
	want := []dsar.Withheld{
		{Category: "contact", Attribute: "first_name", Ground: "legal_hold", Article: "GDPR 17(3)(e)", Items: 1},
		{Category: "purchases", Ground: "tax_records", Article: "TR 213 253", Until: until, Items: 3},
	}
	record, err := e.Erasure(t.Context(), record.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, record.Withheld); diff != "" {
		t.Errorf("withheld (-want +got):\n%s", diff)
	}
	kept := e.withheld(t)
	for i := range kept {
		opened, err := dsar.OpenWithheld(e.vault, &kept[i])
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case opened.Category == "contact":
			if opened.Hold != hold || !slices.Equal(p.record["first_name"].Values, opened.Record["first_name"].Values) || len(opened.Events) != 0 {
				t.Errorf("the name is not what was kept: %+v", opened.Withheld)
			}
		case len(opened.Events) != 3 || opened.Record != nil || !opened.Until.Equal(until):
			t.Errorf("the purchases are not what was kept: %+v", opened.Withheld)
		}
		kept[i].ID[0] ^= 1
		if _, err := dsar.OpenWithheld(e.vault, &kept[i]); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("what was withheld opens under another id: %v", err)
		}
		kept[i].ID[0] ^= 1
	}
	// Nothing of it ends before its ground does.
	end := func() (n int64) {
		t.Helper()
		if err := e.db.pool.QueryRow(t.Context(), `select erased from dsar.erase_withheld(array(select withheld_id from dsar.withheld))`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := end(); n != 0 {
		t.Errorf("%d were erased although their grounds have not ended", n)
	}
	e.releaseHold(t, hold)
	if n, left := end(), len(e.withheld(t)); n != 1 || left != 1 {
		t.Errorf("%d were erased and %d left, want 1 and 1", n, left)
	}
	if _, err := e.database.OwnerPool(t).Exec(t.Context(), `update dsar.withheld set until = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	if n, left := end(), len(e.withheld(t)); n != 1 || left != 0 {
		t.Errorf("%d were erased and %d left, want 1 and 0", n, left)
	}
}
