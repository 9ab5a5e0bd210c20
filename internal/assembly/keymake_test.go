package assembly

import (
	"context"
	"errors"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// TestNoKeyWithoutItsEntry: while the log cannot be written no key comes to be, so that its entry
// is not left out for ever; and there is one entry however many need the key.
func TestNoKeyWithoutItsEntry(t *testing.T) {
	t.Parallel()
	house, database := newHouse(t)
	var links keyMaker
	receipts := &receiptKeys{Keys: house.Keys, log: house.Log}
	keys := map[string]struct {
		ensure func(context.Context) error
		find   func() error
	}{
		"rooms": {
			func(ctx context.Context) error { _, err := house.makeRoomKeys(ctx); return err },
			func() error { _, err := house.Keys.Rooms(); return err },
		},
		"links": {
			func(ctx context.Context) error { _, err := linkKeys{house, &links}.Ensure(ctx); return err },
			func() error { _, err := house.Keys.Links(); return err },
		},
		"receipts": {
			receipts.MakeReceiptKeyset,
			func() error { _, err := house.Keys.ReceiptKeyset(); return err },
		},
		"a recipient": {
			func(context.Context) error { _, err := house.Pseudonyms.Of("price_engine"); return err },
			func() error { _, err := house.Keys.Recipient("price_engine"); return err },
		},
	}
	owner := database.OwnerPool(t)
	mustExec(t, owner, `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$`)
	mustExec(t, owner, `create trigger refuse before insert on audit.entry for each statement execute function refuse()`)
	for name, key := range keys {
		if err := key.ensure(t.Context()); err == nil {
			t.Errorf("%s: a key was made without a log", name)
		}
		if err := key.find(); !errors.Is(err, privacy.ErrNotFound) {
			t.Errorf("%s: a key is there that the log knows nothing of: %v", name, err)
		}
	}
	mustExec(t, owner, `drop trigger refuse on audit.entry`)
	for name, key := range keys {
		before, err := house.Log.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		errs := make(chan error)
		for range 4 {
			go func() { errs <- key.ensure(context.WithoutCancel(t.Context())) }()
		}
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		entry, index := last(t, house)
		if entry.Kind != audit.KeyCreated || index != before {
			t.Errorf("%s: entry %d, of %d before, is %s", name, index, before, entry.Kind)
		}
	}
}
