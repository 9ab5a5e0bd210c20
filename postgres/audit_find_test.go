package postgres

import (
	"errors"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

func TestFindEntry(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	if _, err := log.FindEntry(t.Context(), [16]byte{1}, nil); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("in an empty log: %v, want ErrNotFound", err)
	}
	for range 20 {
		receipt, err := log.Append(t.Context(), denied())
		if err != nil {
			t.Fatal(err)
		}
		if index, err := log.FindEntry(t.Context(), receipt.EntryID(), nil); err != nil || index != receipt.Index() {
			t.Errorf("found %d, want %d: %v", index, receipt.Index(), err)
		}
	}
	told := uint64(0)
	_, err := log.FindEntry(t.Context(), [16]byte{1}, func(done, total uint64) { told = done*100 + total })
	if !errors.Is(err, privacy.ErrNotFound) || told != 2020 {
		t.Errorf("an id that is not there: %v, want ErrNotFound; progress %d", err, told)
	}
}
