package gate

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// ProfileStore keeps the profiles by which audiences are found.
type ProfileStore interface {
	// DueProfiles returns at most limit people whose profile was marked, is past its time,
	// or has another shape, and the clock. Who changes again later must be due again.
	DueProfiles(ctx context.Context, shape Tag, limit int) ([]DueProfile, time.Time, error)
	// ProfileRecords reads the sealed records in the given slots of several people, in a
	// snapshot that is not older than the one of DueProfiles. The result has one element
	// for each person; a record that is not there is left out.
	ProfileRecords(ctx context.Context, wanted []ProfileSlots) ([][]SealedRecord, error)
	// SaveProfiles stores profiles of people who have not changed since, and returns how
	// many. It must not wait for whoever is changing a person.
	SaveProfiles(ctx context.Context, shape Tag, profiles []Profile) (int, error)
}

// DueProfile is somebody whose profile has to be made.
type DueProfile struct {
	DataSubject  privacy.DataSubjectID
	Changed      int64
	Jurisdiction privacy.Jurisdiction
	WrappedKey   []byte
}

// ProfileSlots are slots of one person.
type ProfileSlots struct {
	DataSubject privacy.DataSubjectID
	Slots       []Slot
}

// RefresherConfig has defaults for everything.
type RefresherConfig struct {
	// Now is the clock, for tests; nil: the database's.
	Now func() time.Time
	// Random draws when a profile is to be made again; nil: crypto/rand.Reader.
	Random io.Reader
	// GrownUp has it noted in the consent ledger that what people said as children has ended.
	// It comes before their profiles are stored. Nil: nobody notes it.
	GrownUp func(ctx context.Context, people []GrownUp, now time.Time) error
	// Batch is how many people are worked on at a time; zero: 500.
	Batch int
}

// GrownUp is somebody who is a child no longer.
type GrownUp struct {
	DataSubject privacy.DataSubjectID
	// At is when they ceased to be one.
	At        time.Time
	Childhood consent.Childhood
}

// Refresher makes the profiles by which audiences are found, behind whoever changes
// people: nobody waits for it, and whom it has not come to yet is in no audience. Several
// may run at once.
type Refresher struct {
	store  ProfileStore
	engine Engine
	vault  *vault.Vault
	config RefresherConfig
	sheets sheets
}

// NewRefresher returns a refresher. Everything but the config is required.
func NewRefresher(store ProfileStore, engine Engine, v *vault.Vault, config RefresherConfig) *Refresher {
	if config.Random == nil {
		config.Random = rand.Reader
	}
	if config.Batch <= 0 {
		config.Batch = 500
	}
	return &Refresher{store: store, engine: engine, vault: v, config: config}
}

// profileDays bounds for how many days a profile may hold. It is drawn anew each time, so
// that the end of a profile says little about the person.
const profileDays = 90

// RefreshAll works until nobody is due, or until those who are cannot be worked on now. It
// returns how many profiles were stored. progress, if not nil, hears of each batch.
func (r *Refresher) RefreshAll(ctx context.Context, progress func(done int)) (int, error) {
	total := 0
	for {
		due, saved, err := r.refresh(ctx)
		total += saved
		if progress != nil {
			progress(total)
		}
		if err != nil || due == 0 || saved == 0 {
			return total, err
		}
	}
}

// Run refreshes until ctx ends, looking for work every so often. fail, if not nil, hears of
// what goes wrong; it is tried again.
func (r *Refresher) Run(ctx context.Context, every time.Duration, fail func(error)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if _, err := r.RefreshAll(ctx, nil); err != nil && ctx.Err() == nil && fail != nil {
			fail(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// refresh works on one batch and returns how many were due and how many were stored.
func (r *Refresher) refresh(ctx context.Context) (due, saved int, err error) {
	revision := r.engine.Revision()
	if revision == nil {
		return 0, 0, unavailable("refreshing profiles without an active policy")
	}
	s := r.sheets.of(revision)
	shape := shapeTag(r.vault, s)
	people, at, err := r.store.DueProfiles(ctx, shape, r.config.Batch)
	if err != nil || len(people) == 0 {
		return 0, 0, err
	}
	if r.config.Now != nil {
		at = r.config.Now()
	}
	wanted := make([]ProfileSlots, len(people))
	for i := range people {
		wanted[i] = ProfileSlots{people[i].DataSubject, s.profileSlots(r.vault, people[i].DataSubject)}
	}
	records, err := r.store.ProfileRecords(ctx, wanted)
	if err != nil {
		return len(people), 0, err
	}
	if len(records) != len(people) {
		return len(people), 0, fmt.Errorf("refreshing profiles: records of %d people instead of %d: %w", len(records), len(people), privacy.ErrDamaged)
	}
	profiles := make([]Profile, len(people))
	var grown []GrownUp
	for i := range people {
		horizon, err := r.horizon(at)
		if err != nil {
			return len(people), 0, err
		}
		profiles[i], err = r.profile(s, &people[i], records[i], at, horizon, &grown)
		if errors.Is(err, privacy.ErrDamaged) {
			// What does not open is in no audience. It is looked at again: keys are restored.
			profiles[i], err = Profile{FreshUntil: at.Add(profileStep)}, nil
		}
		if err != nil {
			return len(people), 0, fmt.Errorf("refreshing profiles: %w", err)
		}
		profiles[i].DataSubject, profiles[i].Changed = people[i].DataSubject, people[i].Changed
	}
	if r.config.GrownUp != nil {
		if err := r.config.GrownUp(ctx, grown, at); err != nil {
			return len(people), 0, fmt.Errorf("refreshing profiles: %w", err)
		}
	}
	saved, err = r.store.SaveProfiles(ctx, shape, profiles)
	return len(people), saved, err
}

func (r *Refresher) profile(s *sheet, due *DueProfile, records []SealedRecord, at, horizon time.Time, grown *[]GrownUp) (Profile, error) {
	key, err := r.vault.OpenPersonKey(due.DataSubject, due.WrappedKey, vault.UseProfile)
	if err != nil {
		return Profile{}, err
	}
	person := &sealedPerson{vault: r.vault, key: key, snapshot: &Snapshot{Records: records}}
	p := state{known: true, jurisdiction: due.Jurisdiction, at: at}
	if p.core, err = person.record(categoryCore); err != nil {
		return Profile{}, err
	}
	law := s.catalogue.JurisdictionOf(string(due.Jurisdiction))
	if birth, ok := BirthDate(p.core); ok {
		if ended := s.catalogue.ChildhoodEnded(law, birth, at); !ended.IsZero() {
			*grown = append(*grown, GrownUp{due.DataSubject, ended, ChildhoodOf(s.catalogue, law, birth)})
		}
	}
	return s.profileOf(r.vault, &p, person, horizon)
}

// horizon draws when a profile made at that moment is to be made again.
func (r *Refresher) horizon(at time.Time) (time.Time, error) {
	var b [2]byte
	if _, err := io.ReadFull(r.config.Random, b[:]); err != nil {
		return time.Time{}, fmt.Errorf("drawing end of profile: %w", err)
	}
	steps := 2 + int(binary.BigEndian.Uint16(b[:]))%(2*profileDays-1)
	return at.UTC().Truncate(profileStep).Add(time.Duration(steps) * profileStep), nil
}

// profileSlots are where the records are that a profile is made from.
func (s *sheet) profileSlots(v *vault.Vault, id privacy.DataSubjectID) []Slot {
	slots := []Slot{v.Slot(id, categoryCore)}
	for _, a := range s.columns {
		slots = addSlot(slots, v.Slot(id, a.Category))
	}
	return addSlot(slots, v.Slot(id, s.profile))
}

func shapeTag(v *vault.Vault, s *sheet) Tag { return v.WordTag(tagShape, s.shape) }
