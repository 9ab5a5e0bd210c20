package draw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Stayed is a snapshot with people of the house in it.
type Stayed struct {
	Snapshot cleanroom.SnapshotID
	Room     cleanroom.RoomID
	Dataset  cleanroom.DatasetRef
	Purpose  privacy.Purpose // for which they were drawn
	Manifest audit.Digest
}

// Leaver is somebody who has to leave.
type Leaver struct {
	DataSubject privacy.DataSubjectID
	Subject     audit.Subject
}

// Stays knows which of the house's people are in snapshots, and takes them out.
type Stays interface {
	Stayed(ctx context.Context) ([]Stayed, error)
	Present(ctx context.Context, snapshot cleanroom.SnapshotID) ([]privacy.DataSubjectID, error)
	// Part locks those of the people who are still in the snapshot and reads what was committed
	// by then. Whom judge names leaves, and it commits together with an entry for each.
	Part(ctx context.Context, stayed *Stayed, wanted Wanted, people []privacy.DataSubjectID, judge func(at time.Time, held []Held) ([]Leaver, error)) (left int, err error)
}

// Reviewer looks again at those who were drawn: time makes a child an adult, and a wording out
// of date, without anybody saying anything.
type Reviewer struct {
	Stays Stays
	Rooms cleanroom.Rooms
	Vault *vault.Vault
	Rules func() Rules
	// Chunk is how many people are locked at a time; zero: 512.
	Chunk int
}

// Review takes those out of rooms whose consent does not cover any longer what they were drawn
// for, and returns how many. Whose key does not open stays, because there is no entry without it;
// but all others are looked at, in all rooms, before a [KeysError] says so. After any other error
// there may be some who were not looked at.
func (r *Reviewer) Review(ctx context.Context) (left int, err error) {
	stayed, err := r.Stays.Stayed(ctx)
	if err != nil {
		return 0, fmt.Errorf("reviewing clean rooms: %w", err)
	}
	var closed KeysError
	for i := range stayed {
		n, people, err := r.review(ctx, &stayed[i])
		if left += n; err != nil {
			return left, fmt.Errorf("reviewing clean room %s: %w", stayed[i].Room, err)
		}
		if people > 0 {
			closed.Rooms, closed.People = append(closed.Rooms, stayed[i].Room), closed.People+people
		}
	}
	if closed.People > 0 {
		return left, &closed
	}
	return left, nil
}

// KeysError says that everybody was looked at whose key opens, and who else is there. It wraps
// [privacy.ErrDamaged].
type KeysError struct {
	// Rooms has a room once for each snapshot that they are in.
	Rooms  []cleanroom.RoomID
	People int
}

func (e *KeysError) Error() string {
	return fmt.Sprintf("reviewing clean rooms: in %v, %d people stay whose keys do not open; mahrem room drop takes their snapshot away", e.Rooms, e.People)
}

func (e *KeysError) Unwrap() error { return privacy.ErrDamaged }

// review returns how many have left and how many stay whose keys do not open.
func (r *Reviewer) review(ctx context.Context, stayed *Stayed) (left, closed int, err error) {
	people, err := r.Stays.Present(ctx, stayed.Snapshot)
	if err != nil {
		return 0, 0, err
	}
	contracts, err := r.Rooms.ContractsOf(ctx, stayed.Room)
	if err != nil {
		return 0, 0, err
	}
	var categories []privacy.DataCategory
	if at := slices.IndexFunc(contracts, func(s *cleanroom.SignedContract) bool { return s.Ref() == stayed.Dataset }); at >= 0 {
		categories = CategoriesOf(contracts[at].Contract)
	}
	rules := r.Rules()
	purpose, known := rules.Catalogue.Purpose(stayed.Purpose)
	wanted := Wanted{Purposes: []privacy.Purpose{stayed.Purpose, policies.GeneralMarketing}, Categories: []privacy.DataCategory{Core}}
	size := r.Chunk
	if size <= 0 {
		size = 512
	}
	for chunk := range slices.Chunk(people, size) {
		before := closed
		n, err := r.Stays.Part(ctx, stayed, wanted, chunk, func(at time.Time, held []Held) ([]Leaver, error) {
			var leavers []Leaver
			closed = before // it may be tried again
			for i := range held {
				h := &held[i]
				key, err := r.Vault.OpenPersonKey(h.DataSubject, h.WrappedKey, vault.UseProfile)
				if errors.Is(err, privacy.ErrDamaged) {
					closed++
					continue
				}
				if err != nil {
					return nil, err
				}
				if known {
					covers, err := covers(key, h, &rules, purpose, categories, at)
					if err != nil {
						return nil, err
					}
					if covers {
						continue
					}
				}
				leavers = append(leavers, Leaver{h.DataSubject, key.Subject()})
			}
			return leavers, nil
		})
		if left += n; err != nil {
			return left, closed, err
		}
	}
	return left, closed, nil
}

// covers reports whether the consent of somebody covers a purpose. What does not open is a no.
func covers(key *vault.PersonKey, held *Held, rules *Rules, purpose *policies.Purpose, categories []privacy.DataCategory, at time.Time) (bool, error) {
	for i := range held.Records {
		s := &held.Records[i]
		record, err := key.OpenRecord(s.Category, s.Version, s.Sealed)
		if errors.Is(err, privacy.ErrDamaged) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		held.Standing.Core = record
	}
	return rules.Covers(purpose, categories, &held.Standing, at), nil
}
