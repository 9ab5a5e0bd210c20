package match

import (
	"context"
	"errors"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// Own is a list of the house's own people, who are masked for a room in oprf mode.
type Own struct {
	Room    *cleanroom.Room
	Dataset cleanroom.DatasetRef
	// List names what is drawn; it is in the entries.
	List audit.Digest
	// Progress, if not nil, hears how many are done.
	Progress func(done, total int64)
}

// ownAnnounced is how many times as many people the house announces as it draws first: a draw
// that breaks off, or that another one replaces before the match, was counted all the same.
const ownAnnounced = 2

// Own masks the house's own people, who stay where they are: the house has the key, so nobody
// blinds. They are counted before, with entries, as those of a party are, and the tokens are
// the same. What its party may not have, or what is beyond the quota, has its entry.
func (d *Desk) Own(ctx context.Context, by privacy.Principal, own Own, people []Seed) ([]Token, error) {
	r, epoch := own.Room, own.Room.Epoch+1
	event := audit.Event{Kind: audit.RoomEvaluated, Principal: by, Outcome: audit.Done, Purpose: r.Purpose, List: own.List}
	member, in := r.Member(own.Dataset.Owner)
	switch {
	case !in || !member.Has(cleanroom.OwnsData):
		return nil, d.deny(ctx, event, cleanroom.CheckRole, fmt.Errorf("masking people of the house: its party owns no data in the room: %w", privacy.ErrForbidden))
	case r.Matching != cleanroom.MatchOPRF || !r.ClosedAt.IsZero():
		return nil, fmt.Errorf("masking people of the house: the room is closed, or does not match this way: %w", privacy.ErrConflict)
	case len(people) == 0 || ownAnnounced*len(people) > MaxMembers:
		return nil, fmt.Errorf("masking people of the house: 1 to %d at a time: %w", MaxMembers/ownAnnounced, privacy.ErrInvalid)
	}
	declared, err := d.quotas.Declared(ctx, r.ID, own.Dataset, epoch)
	if errors.Is(err, privacy.ErrNotFound) {
		declared, err = Declared{Members: int64(ownAnnounced * len(people))}, nil
	}
	if err != nil {
		return nil, err
	}
	if declared.Elements+int64(len(people)) > Quota(declared.Members) {
		return nil, d.deny(ctx, event, CheckQuota, fmt.Errorf("masking people of the house: %d were masked for this match, of %d, and these would be %d more: %w",
			declared.Elements, Quota(declared.Members), len(people), ErrQuota))
	}
	keys, err := d.keys(ctx)
	if err != nil {
		return nil, err
	}
	key, err := keys.Evaluator(r.ID)
	if err != nil {
		return nil, err
	}
	tokens := make([]Token, 0, len(people))
	for from := 0; from < len(people); from += MaxBatch {
		batch := people[from:min(from+MaxBatch, len(people))]
		taking := Taking{Room: r.ID, Dataset: own.Dataset, Epoch: epoch, Members: declared.Members, Elements: len(batch)}
		event.Count = uint64(len(batch))
		receipt, err := d.quotas.Take(ctx, taking, event)
		if errors.Is(err, ErrQuota) {
			return nil, d.deny(ctx, event, CheckQuota, err) // somebody else has drawn meanwhile
		}
		if err != nil {
			return nil, err
		}
		if receipt.IsZero() {
			return nil, errors.New("people were counted without evidence")
		}
		masked, err := key.own(ctx, epoch, batch)
		if err != nil {
			return nil, err
		}
		if tokens = append(tokens, masked...); own.Progress != nil {
			own.Progress(int64(len(tokens)), int64(len(people)))
		}
	}
	return tokens, nil
}

// own computes the function as a whole, which only whoever has the key can.
func (e *EvaluatorKey) own(ctx context.Context, epoch int, people []Seed) ([]Token, error) {
	tokens, info := make([]Token, len(people)), e.info(epoch)
	err := each(ctx, len(people), func(from, to int) error {
		for i := from; i < to; i++ {
			output, err := e.server.FullEvaluate(people[i][:], info)
			if err != nil {
				return fmt.Errorf("evaluating: %w", err)
			}
			copy(tokens[i][:], output)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tokens, nil
}

// unmasked leaves seeds as they are.
type unmasked struct{}

// NewUnmasked returns what stands for people of the house in oprf mode until it is known how
// many they are: a token is the seed, from which [Desk.Own] makes it later.
func NewUnmasked() Matcher { return unmasked{} }

// Mode is oprf.
func (unmasked) Mode() cleanroom.Matching { return cleanroom.MatchOPRF }

// Seed digests.
func (unmasked) Seed(person privacy.Plain) Seed { return SeedOPRF(person) }

// Mask has nothing left to do.
func (unmasked) Mask(ctx context.Context, people []Seed) ([]Token, error) { return same(ctx, people) }
