package draw

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// What one person changes in a draw: at most one person. A budget counts what is learned from
// datasets that differ in one. Call somebody eligible whose consent covers the purpose and who has
// an identifier, and let k(e) be how many of those eligible have the identifier e. Under e is
// drawn its one holder if k(e) = 1 (and they have rows), and nobody otherwise. Take one person
// away, with the identifier e: no other k changes, and
//
//   - if k(e) was 1, they were drawn and are not any more: one person fewer;
//   - if it was 2, the other one was left out and is drawn now: one person more;
//   - if it was 3 or more, nobody was drawn under e and nobody is;
//   - if they were not eligible, they are in no k, and nothing changes.
//
// So with one identifier each, one person less in the house is one person fewer or more in the
// dataset, or none, and never another one in the place of a first. To draw one of several who
// share would be that: two people differ, and up to four times as much could be learned. It
// holds for a question about several datasets of the house as well, in which nobody counts who is
// not in all of them. For one person to count under e before and another one after, k(e) would
// have to be 1 in each dataset both times. But then whoever is gone was eligible in none.
//
// Who shares is counted among those eligible. Among everybody whom the house knows, one person
// would change no more; but who has not agreed would be compared with others for a purpose
// that they said no to, and would show by who is missing. Whether somebody has rows does
// not matter: so who is left out tells nothing of what anybody bought, and is the same in all
// datasets for which the same consents count. If it did, the rows of two who share could stand
// as those of one person, each in another dataset.
//
// People are looked at twice: who shares is known when all have been looked at, and nobody may be
// in a room before that, not even for a moment. Drawn is who is eligible both times, under the
// same e, and was its one holder at the first look. So k is that of the first look, the four cases
// stand whatever is said in between, and no identifier comes twice. Who withdraws after the draw
// takes nobody along and lets nobody in; in the next one they are missing, as above.

// alone returns those who are eligible and share their identifier with nobody else who is.
func (r *run) alone(ctx context.Context, people []privacy.DataSubjectID) ([]privacy.DataSubjectID, error) {
	r.holders = make(map[match.Seed]privacy.DataSubjectID, len(people))
	wanted := r.wanted
	wanted.Stream = ""
	done := 0
	for chunk := range slices.Chunk(people, r.Chunk) {
		held, at, err := r.Store.Look(ctx, wanted, chunk)
		if err != nil {
			return nil, err
		}
		for i := range held {
			e, err := r.eligible(at, &held[i])
			if errors.Is(err, privacy.ErrDamaged) {
				continue // what does not open is nobody's
			}
			if err != nil {
				return nil, err
			}
			if e == nil {
				continue
			}
			holder := held[i].DataSubject
			if _, shared := r.holders[e.seed]; shared {
				holder = privacy.DataSubjectID{}
			}
			r.holders[e.seed] = holder
		}
		if done += len(chunk); r.order.Looking != nil {
			r.order.Looking(int64(done), int64(len(people)))
		}
	}
	var alone []privacy.DataSubjectID
	for _, holder := range r.holders {
		if !holder.IsZero() {
			alone = append(alone, holder)
		}
	}
	// In the order of ids, the order of seats would give them away.
	if err := shuffle(r.Random, len(alone), func(i, j int) { alone[i], alone[j] = alone[j], alone[i] }); err != nil {
		return nil, fmt.Errorf("ordering people: %w", err)
	}
	return alone, nil
}
