package assembly

import (
	"context"
	"errors"
	"time"

	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
)

// roomReviewer takes people out of clean rooms whose consent covers them no longer, although
// nobody has said anything.
type roomReviewer struct {
	// staleSince says since when the last wording is out of date, and what time it is.
	staleSince func(ctx context.Context) (stale, now time.Time, err error)
	revision   func() *policies.Revision
	reviewer   draw.Reviewer
	last       reviewed
	// closed says whose keys did not open then: it is told until the next review, without
	// looking at everybody each minute.
	closed error
}

// reviewed is what a review depends on besides what people say: it need not be made again
// while this is the same.
type reviewed struct {
	half   time.Time // of a day: nobody has a birthday in between
	stale  time.Time // since when the last wording is out of date
	policy [32]byte
}

// tendStays reviews rooms at the start, twice a day, and within a minute of a wording's end or
// of other policies.
func (h *House) tendStays() {
	h.tend(chore{time.Minute, "people are in clean rooms still whose consent may have ended by itself", h.roomReviewer().review})
}

func (h *House) roomReviewer() *roomReviewer {
	drawn := postgres.NewDrawStore(h.DB, h.Keys.Vault())
	stays := postgres.NewStayStore(drawn, h.Log)
	r := &roomReviewer{staleSince: stays.StaleSince, revision: h.Engine.Revision}
	r.reviewer = draw.Reviewer{Stays: stays, Rooms: h.Rooms.Reader, Vault: h.Keys.Vault(), Rules: h.drawRules}
	return r
}

func (r *roomReviewer) review(ctx context.Context) error {
	stale, now, err := r.staleSince(ctx)
	if err != nil {
		return err
	}
	next := reviewed{now.UTC().Truncate(12 * time.Hour), stale, r.revision().Digest()}
	if next == r.last {
		return r.closed
	}
	_, err = r.reviewer.Review(ctx)
	if _, closed := errors.AsType[*draw.KeysError](err); err != nil && !closed {
		return err // and somebody was not looked at
	}
	r.last, r.closed = next, err
	return err
}
