package assembly

import (
	"context"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/dsar/ledger"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// Returned is what looking for people who are back has found.
type Returned struct {
	// People is how many keys were looked at; Damaged do not open.
	People  int64 `json:"people"`
	Damaged int64 `json:"damaged"`
	// Erased is how many of them were erased before, and are now erased again.
	Erased int64 `json:"erased_again"`
}

// EraseReturned erases everybody again of whom the log says that they were erased and whose
// key is there all the same: of the schemas of the database some were restored and others not,
// or the erasure ledger was lost. It needs nothing but the log and the keys themselves.
//
// Those whom the ledger names are erased as it says; others get a line there first. Progress
// may be nil.
func (h *House) EraseReturned(ctx context.Context, by privacy.Principal, progress func(done int64)) (Returned, error) {
	var r Returned
	tags := postgres.NewEraseTags(h.DB, h.Keys.Vault())
	erased, err := tags.Collect(ctx)
	if err != nil || !erased {
		return r, err
	}
	var back []privacy.DataSubjectID
	r.People, r.Damaged, err = tags.Returned(ctx, progress, func(id privacy.DataSubjectID) error {
		back = append(back, id)
		return nil
	})
	if err != nil || len(back) == 0 {
		return r, err
	}
	h.options.Logger.Warn("people who were erased are in the database again, they are erased once more; was an older copy restored?", "people", len(back))
	records, err := h.ledgerRecords(ctx, back)
	if err != nil {
		return r, err
	}
	for _, id := range back {
		var erased bool
		if record, known := records[h.erasedTag(id)]; known {
			erased, err = h.eraseAgain(ctx, by, id, record, false)
		} else {
			erased, err = h.Eraser.EraseReturned(ctx, by, id)
		}
		if err != nil {
			return r, fmt.Errorf("erasing people who are back: %w", err)
		}
		if erased {
			r.Erased++
		}
	}
	return r, nil
}

// ledgerRecords finds what the ledger says of people.
func (h *House) ledgerRecords(ctx context.Context, people []privacy.DataSubjectID) (map[ledger.Tag]ledger.Record, error) {
	wanted := map[ledger.Tag]bool{}
	for _, id := range people {
		wanted[h.erasedTag(id)] = true
	}
	records := map[ledger.Tag]ledger.Record{}
	err := h.Ledger.Scan(ctx, func(record ledger.Record) error {
		if record.Kind == ledger.Erased && wanted[record.Person] {
			records[record.Person] = record
		}
		return nil
	}, nil)
	return records, err
}

// CheckReturned erases everybody again who is back. A server does so before it answers
// anything: nobody who was erased is answered about. Progress may be nil.
func (h *House) CheckReturned(ctx context.Context, progress func(done int64)) (Returned, error) {
	r, err := h.EraseReturned(ctx, recovery, progress)
	if err != nil {
		return r, fmt.Errorf("looking whether people who were erased are back, before which nothing is answered: %w", err)
	}
	return r, nil
}

// tendReturned looks for people who are back each day, after [House.CheckReturned] did.
func (h *House) tendReturned() {
	checked := false // when the server started
	h.tend(chore{24 * time.Hour, "nobody looked whether people who were erased are back, it is tried again tomorrow", func(ctx context.Context) error {
		if !checked {
			checked = true
			return nil
		}
		_, err := h.EraseReturned(ctx, recovery, nil)
		return err
	}})
}
