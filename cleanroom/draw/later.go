package draw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// In two ways of matching people are staged before their tokens are there. In oprf mode they
// are masked when it is known how many they are, because that is counted; in pair mode the
// other party masks them once more, which can take days. Whoever leaves meanwhile is gone: what
// is to be told apart by its place has a place, and a place can be empty.

// List is a list of the house's own people as the other party gets it in pair mode.
type List struct {
	Room       cleanroom.RoomID
	Epoch      int // the one that begins with the next match
	Contract   *cleanroom.SignedContract
	Identifier privacy.IdentifierKind
	Tokens     []match.Token // masked once
}

// Own masks the house's own people in oprf mode; [match.Desk] does.
type Own interface {
	Own(ctx context.Context, by privacy.Principal, own match.Own, people []match.Seed) ([]match.Token, error)
}

// kept is what the token of somebody is made of, in the house's memory and nowhere else.
type kept struct {
	ordinal int64
	token   match.Token // masked once; in oprf mode the seed
}

// later reports whether tokens come later than people.
func (r *run) later() bool {
	return r.room.Matching == cleanroom.MatchPair || r.room.Matching == cleanroom.MatchOPRF
}

// place puts those who are still there in order, and returns what was kept of them.
func (r *run) place(ctx context.Context) ([]match.Token, error) {
	if r.kept == nil {
		return nil, fmt.Errorf("%w: %w", cleanroom.ErrTooFew, privacy.ErrInvalid)
	}
	ordinals, err := r.Staging.Place(ctx, r.stay.Snapshot)
	if err != nil {
		return nil, err
	}
	// A list that is refused in the end has left the house by then.
	if len(ordinals) < r.room.MinimumMembers {
		return nil, fmt.Errorf("%w: %w", cleanroom.ErrTooFew, privacy.ErrInvalid)
	}
	slices.SortFunc(r.kept, func(a, b kept) int { return cmp.Compare(a.ordinal, b.ordinal) })
	tokens := make([]match.Token, len(ordinals))
	for i, ordinal := range ordinals {
		at, found := slices.BinarySearchFunc(r.kept, ordinal, func(k kept, ordinal int64) int { return cmp.Compare(k.ordinal, ordinal) })
		if !found {
			return nil, fmt.Errorf("somebody is staged who was not drawn: %w", privacy.ErrDamaged)
		}
		tokens[i] = r.kept[at].token
	}
	return tokens, nil
}

// own masks those who are still there in oprf mode.
func (r *run) own(ctx context.Context) error {
	seeds, err := r.place(ctx)
	if err != nil {
		return err
	}
	people := make([]match.Seed, len(seeds))
	for i := range seeds {
		people[i] = match.Seed(seeds[i])
	}
	tokens, err := r.Own.Own(ctx, r.by, match.Own{Room: r.room, Dataset: r.order.Dataset, List: r.digest, Progress: r.order.Masking}, people)
	if err != nil {
		return err
	}
	tags, err := r.Keys.Tags(ctx, r.room, r.room.Epoch+1, tokens)
	if err != nil {
		return err
	}
	for from := 0; from < len(tags); from += match.MaxBatch {
		var texts [][]byte
		for i := range tags[from:min(from+match.MaxBatch, len(tags))] {
			texts = append(texts, tags[from+i][:])
		}
		if err := r.Staging.SetTokens(ctx, r.stay.Snapshot, from, texts); err != nil {
			return err
		}
	}
	return nil
}

// hand has the list written for the other party, and the draw known by what was signed of it.
func (r *run) hand(ctx context.Context) (Drawn, error) {
	tokens, err := r.place(ctx)
	if err != nil {
		return Drawn{}, err
	}
	done := Drawn{Snapshot: r.stay.Snapshot, Members: int64(len(tokens)), Rows: r.rows, Waiting: true}
	list := List{Room: r.room.ID, Epoch: r.room.Epoch + 1, Contract: r.signed, Identifier: r.order.Mapping.Identifier.Kind, Tokens: tokens}
	committed := false
	err = r.order.Hand(list, func(manifest audit.Digest) error {
		var err error
		done.Manifest = manifest
		done.Receipt, err = r.Staging.HandOver(ctx, r.stay.Snapshot, manifest, audit.Event{
			Kind: audit.SnapshotDrawn, Outcome: audit.Done, Principal: r.by, Purpose: r.purpose.ID, Recipient: r.contract.Owner, Count: uint64(len(tokens)), Policy: r.policy,
		})
		committed = err == nil
		return err
	})
	if err == nil && !committed {
		err = errors.New("the list of people who were drawn was written without evidence")
	}
	return done, err
}
