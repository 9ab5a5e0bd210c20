package assembly

import (
	"context"
	"errors"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// TestNoRoomKeyWithoutItsEntry: while the log cannot be written there is none, so that the entry
// is not left out for ever; and there is one entry however many need the key.
func TestNoRoomKeyWithoutItsEntry(t *testing.T) {
	t.Parallel()
	house, database := newHouse(t)
	before, err := house.Log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	owner := database.OwnerPool(t)
	mustExec(t, owner, `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$`)
	mustExec(t, owner, `create trigger refuse before insert on audit.entry for each statement execute function refuse()`)
	if _, err := house.makeRoomKeys(t.Context()); err == nil {
		t.Error("a key was made without a log")
	}
	if _, err := house.Keys.Rooms(); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("a key is there that the log knows nothing of: %v", err)
	}
	mustExec(t, owner, `drop trigger refuse on audit.entry`)
	errs := make(chan error)
	for range 4 {
		go func() {
			_, err := house.makeRoomKeys(context.WithoutCancel(t.Context()))
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	entry, index := last(t, house)
	if entry.Kind != audit.KeyCreated || index != before {
		t.Errorf("entry %d, of %d before, is %s", index, before, entry.Kind)
	}
}
