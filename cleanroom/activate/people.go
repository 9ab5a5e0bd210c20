package activate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault"
)

// lookAt is how many people are looked at in one go.
const lookAt = 512

// people returns the pseudonyms of everybody whom the question is about and whose consent
// covers the purpose now: that they are in the room says so of the room's purpose alone.
func (r *run) people(ctx context.Context) ([]pseudonym.Pseudonym, error) {
	own, err := r.Names.Of(r.charge.Consumer)
	if err != nil {
		return nil, fmt.Errorf("naming an audience: %w", err)
	}
	seats := map[[16]byte]struct{}{}
	seed := int64(binary.BigEndian.Uint64(r.charge.Question[:8]))
	err = r.Seats.Seats(ctx, r.judged.Room.ID, r.judged.Question.Plan(seed), r.snapshot, func(seat [16]byte) error {
		seats[seat] = struct{}{}
		return nil
	})
	if err != nil {
		return nil, err
	}
	present, err := r.People.Present(ctx, r.snapshot)
	if err != nil {
		return nil, err
	}
	var chosen []privacy.DataSubjectID
	for _, id := range present {
		seat, err := r.Seat(r.snapshot, id)
		if err != nil {
			return nil, err
		}
		if _, sits := seats[seat]; sits {
			chosen = append(chosen, id)
		}
	}
	wanted := draw.Wanted{
		Purposes: []privacy.Purpose{r.purpose.ID, policies.GeneralMarketing}, Categories: []privacy.DataCategory{draw.Core},
	}
	var names []pseudonym.Pseudonym
	for chunk := range slices.Chunk(chosen, lookAt) {
		held, at, err := r.Config.People.Look(ctx, wanted, chunk)
		if err != nil {
			return nil, err
		}
		for i := range held {
			standing, err := r.standing(&held[i])
			if errors.Is(err, privacy.ErrDamaged) {
				continue // what does not open is nobody's
			}
			if err != nil {
				return nil, err
			}
			if !r.rules.Covers(r.purpose, r.held, standing, at) {
				continue
			}
			name, err := own.Of(held[i].DataSubject)
			if err != nil {
				return nil, fmt.Errorf("naming an audience: %w", err)
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// standing opens what the law needs to know of somebody's age.
func (r *run) standing(held *draw.Held) (*draw.Standing, error) {
	key, err := r.Vault.OpenPersonKey(held.DataSubject, held.WrappedKey, vault.UseProfile)
	if err != nil {
		return nil, err
	}
	for i := range held.Records {
		s := &held.Records[i]
		if held.Standing.Core, err = key.OpenRecord(s.Category, s.Version, s.Sealed); err != nil {
			return nil, err
		}
	}
	return &held.Standing, nil
}
