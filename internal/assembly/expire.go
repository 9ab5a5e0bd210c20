package assembly

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

const (
	// endGrace is how long a grant has ended before the ledger notes it: a renewal may be
	// on its way. The grant has ended all the same.
	endGrace = 7 * 24 * time.Hour
	endBatch = 500
)

// expirer notes in the consent ledger what has ended, each with its entry.
type expirer struct {
	store    *postgres.ConsentStore
	subjects subjects
}

// tendEnds notes the ends of grants, behind the requests.
func (h *House) tendEnds(e expirer) {
	h.tend(chore{time.Hour, "ends of consents not noted in the ledger, they have ended all the same", func(ctx context.Context) error {
		for {
			ended, err := e.store.Ended(ctx, endGrace, endBatch)
			if err != nil {
				return err
			}
			if err := e.note(ctx, ended); err != nil || len(ended) < endBatch {
				return err
			}
		}
	}})
}

// grownUp notes that what people said as children has ended. Their profiles are made only
// after it: audiences see the ledger and no birthdays.
func (e expirer) grownUp(ctx context.Context, people []gate.GrownUp, now time.Time) error {
	if len(people) == 0 {
		return nil
	}
	childhoods := map[privacy.DataSubjectID]consent.Childhood{}
	ids, before := make([]privacy.DataSubjectID, len(people)), make([]time.Time, len(people))
	for i, p := range people {
		ids[i], before[i], childhoods[p.DataSubject] = p.DataSubject, p.At, p.Childhood
	}
	found, err := e.store.SaidBefore(ctx, ids, before)
	if err != nil {
		return err
	}
	for _, id := range found {
		records, err := e.store.List(ctx, id)
		if err != nil {
			return err
		}
		if err := e.note(ctx, consent.GrownUp(records, childhoods[id], now)); err != nil {
			return err
		}
	}
	return nil
}

func (e expirer) note(ctx context.Context, ended []consent.Record) error {
	for _, r := range ended {
		subject, err := e.subjects.Subject(ctx, r.DataSubject)
		if err == nil {
			_, err = e.store.Add(ctx, r, audit.Event{
				Kind: audit.ConsentExpired, Outcome: audit.Done, Subject: subject, Purpose: r.Purpose, Channel: r.Channel,
			})
		}
		if errors.Is(err, privacy.ErrNotFound) {
			continue // erased meanwhile
		}
		if err != nil {
			return fmt.Errorf("noting the end of a consent: %w", err)
		}
	}
	return nil
}
