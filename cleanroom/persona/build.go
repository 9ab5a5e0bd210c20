package persona

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// What is read of people, and where a label is kept.
const (
	stream    privacy.DataCategory  = "purchases"
	eventType                       = "purchase"
	fieldName privacy.AttributeName = "product_group"
	core      privacy.DataCategory  = "core"
	attribute privacy.AttributeName = "persona"
)

// Stored is a definition as it is kept, and what was told of it.
type Stored struct {
	Name        string
	Version     int
	Text        []byte
	Digest      audit.Digest
	DefinedAt   time.Time
	Description []byte    // nil before it was built
	BuiltAt     time.Time // zero before it was built
}

// Sealed is somebody's record with a label in it.
type Sealed struct {
	DataSubject privacy.DataSubjectID
	Slot        [16]byte
	Version     int64 // of the record; one more than before
	Sealed      []byte
}

// Store keeps definitions, and reads and changes people. Each change commits with its event.
type Store interface {
	// Define adds the next version of a definition, and returns its number. The same text as
	// that of the newest version is none.
	Define(ctx context.Context, name string, text []byte, event audit.Event) (version int, receipt audit.Receipt, err error)
	// Definition returns the newest version, or an error that wraps [privacy.ErrNotFound].
	Definition(ctx context.Context, name string) (*Stored, error)
	// Definitions returns the newest version of each, by name.
	Definitions(ctx context.Context) ([]Stored, error)
	// Charge takes the cost from the budget of all personas, once for a version: if it has
	// been, it changes nothing. The error wraps [cleanroom.ErrExhausted] if it does not fit.
	Charge(ctx context.Context, name string, version int, cost Rho, event audit.Event) error
	// Finish keeps a description, once for a version.
	Finish(ctx context.Context, name string, version int, description []byte, event audit.Event) (audit.Receipt, error)
	// Left returns what may be spent in all, and what has been.
	Left(ctx context.Context) (limit, spent Rho, err error)

	// Candidates returns everybody of whom the ledger has a yes to a purpose, whatever has
	// become of it.
	Candidates(ctx context.Context, purpose privacy.Purpose) ([]privacy.DataSubjectID, error)
	// Look locks those of the people who are there and not restricted, so that nobody records
	// a choice of theirs or erases them, and reads what was committed by then. What f returns
	// is written in the same transaction as the event, whose count it sets; without any,
	// nothing is.
	Look(ctx context.Context, wanted draw.Wanted, people []privacy.DataSubjectID, event audit.Event,
		f func(at time.Time, held []draw.Held) ([]Sealed, error)) error
}

// Policy decides, and knows the catalogue.
type Policy interface {
	DecideRoom(ctx context.Context, facts policies.RoomFacts) (policies.RoomDecision, error)
	Catalogue() *policies.Catalogue
}

// ErrDenied is wrapped by the error of a definition that the policies do not allow.
var ErrDenied = errors.New("the policies do not allow these personas")

// Config has what a builder needs; all of it is required but Chunk.
type Config struct {
	Store     Store
	Vault     *vault.Vault
	Noise     cleanroom.Noise
	Log       audit.Appender // takes what the policies refuse
	Policy    func() Policy
	BirthDate func(core vault.Record) (string, bool)
	Childhood func(law privacy.Jurisdiction, birth string) consent.Childhood
	// Chunk is how many people are locked at a time; zero: 256.
	Chunk int
}

// Builder defines and builds personas.
type Builder struct{ config Config }

// New returns a builder.
func New(config Config) *Builder {
	if config.Chunk <= 0 {
		config.Chunk = 256
	}
	return &Builder{config}
}

// Define keeps a definition that the policies allow.
func (b *Builder) Define(ctx context.Context, by privacy.Principal, text []byte) (*Definition, int, audit.Receipt, error) {
	d, decision, err := b.read(ctx, by, text)
	if err == nil {
		err = d.checkNoise(&decision)
	}
	if err != nil {
		return nil, 0, audit.Receipt{}, err
	}
	version, receipt, err := b.config.Store.Define(ctx, d.Name, text, audit.Event{
		Kind: audit.PersonaDefined, Outcome: audit.Done, Principal: by, Purpose: d.Purpose, List: sha256.Sum256(text),
	})
	return d, version, receipt, err
}

// read reads a definition and has the policies decide about it; they may want more people, and
// less to be spent. What they refuse has its entry in the log.
func (b *Builder) read(ctx context.Context, by privacy.Principal, text []byte) (*Definition, policies.RoomDecision, error) {
	policy := b.config.Policy()
	if policy == nil {
		return nil, policies.RoomDecision{}, fmt.Errorf("without active policies: %w", privacy.ErrUnavailable)
	}
	d, err := Parse(text, policy.Catalogue())
	if err != nil {
		return nil, policies.RoomDecision{}, err
	}
	column := policies.RoomColumn{Category: stream, Role: string(cleanroom.Measure), Vocabulary: "product_groups"}
	for _, f := range d.Features {
		for _, group := range f.Groups {
			column.Values = append(column.Values, string(group))
		}
	}
	decision, err := policy.DecideRoom(ctx, policies.RoomFacts{
		Act: policies.QueryRoom, Party: d.For, Members: []privacy.RecipientID{d.For},
		Roles:   []string{string(cleanroom.MayQuery), string(cleanroom.MayReceive)},
		Purpose: d.Purpose, RoomPurpose: d.Purpose, Mode: string(cleanroom.Private), Template: true,
		Datasets: []policies.RoomDataset{{Owner: d.For, Purposes: []privacy.Purpose{d.Purpose}, Source: string(cleanroom.FromHouse)}},
		Columns:  []policies.RoomColumn{column},
	})
	if err == nil && !decision.Allow {
		err = fmt.Errorf("%w (%v): %w", ErrDenied, decision.Failed, privacy.ErrForbidden)
	}
	if err != nil {
		if logErr := b.deny(ctx, by, d.Purpose, text, decision); logErr != nil {
			return nil, policies.RoomDecision{}, logErr
		}
		return nil, policies.RoomDecision{}, err
	}
	return d, decision, nil
}

// deny writes down that the policies refuse a definition.
func (b *Builder) deny(ctx context.Context, by privacy.Principal, purpose privacy.Purpose, text []byte, decision policies.RoomDecision) error {
	checks := decision.Failed
	if len(checks) == 0 {
		checks = []string{policies.CheckRoomWellFormed}
	}
	if _, err := b.config.Log.Append(ctx, audit.Event{
		Kind: audit.RoomDenied, Outcome: audit.Denied, Principal: by, Purpose: purpose, Checks: checks, Policy: decision.Policy, List: sha256.Sum256(text),
	}); err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	return nil
}

// Built is what became of a build.
type Built struct {
	Description *Description
	// Again is whether it was described before: then nothing was charged.
	Again bool
	// Labelled is how many people have got a label, Unlabelled how many have lost one. Neither
	// is told to anybody.
	Labelled, Unlabelled int
}

// Build describes the newest version of a definition, unless that was done, and gives everybody
// of a type that was told its label; whoever is of none any more, or whose consent has ended,
// loses theirs. progress, if not nil, hears how many of how many people were looked at.
func (b *Builder) Build(ctx context.Context, by privacy.Principal, name string, progress func(done, total int64)) (built Built, err error) {
	stored, err := b.config.Store.Definition(ctx, name)
	if err != nil {
		return Built{}, err
	}
	d, decision, err := b.read(ctx, by, stored.Text)
	if err != nil {
		return Built{}, err
	}
	minimum := max(d.MinimumPeople, decision.MinimumPeople)
	r := &run{Config: &b.config, d: d, by: by, catalogue: b.config.Policy().Catalogue(), progress: progress, place: map[privacy.DataSubjectID]int{}}
	defer func() {
		if err != nil || built.Again && built.Labelled+built.Unlabelled == 0 {
			for range r.opened {
				b.config.Vault.Abandoned(vault.UseRoom)
			}
		}
	}()
	built.Again = stored.Description != nil
	if built.Again {
		if built.Description, err = ParseDescription(stored.Description); err != nil {
			return Built{}, err
		}
		if err := d.checkLines(built.Description.Lines); err != nil {
			return Built{}, err
		}
	} else if err := d.checkNoise(&decision); err != nil {
		return Built{}, err
	} else if err := b.config.Store.Charge(ctx, name, stored.Version, d.Cost(), r.event(audit.RoomCharged, stored.Digest)); err != nil {
		return Built{}, err
	}
	if err := r.look(ctx); err != nil {
		return Built{}, err
	}
	var lines Lines
	switch {
	case built.Again:
		lines = built.Description.Lines
	case d.Method == ByKMeans:
		lines = d.drawLines(minimum, r.shares, b.config.Noise)
	}
	of := d.assign(r.shares, lines)
	if !built.Again {
		built.Description = d.describe(stored.Version, minimum, r.shares, of, b.config.Noise)
		built.Description.Lines = lines
		text, err := built.Description.Encode()
		if err != nil {
			return Built{}, err
		}
		if _, err := b.config.Store.Finish(ctx, name, stored.Version, text, r.event(audit.PersonaBuilt, sha256.Sum256(text))); err != nil {
			return Built{}, err
		}
	}
	built.Labelled, built.Unlabelled, err = r.label(ctx, of, built.Description, minimum, stored.Digest)
	return built, err
}

// run is one build.
type run struct {
	*Config
	d         *Definition
	by        privacy.Principal
	catalogue *policies.Catalogue
	progress  func(done, total int64)
	people    []privacy.DataSubjectID       // who ever agreed
	place     map[privacy.DataSubjectID]int // in shares
	shares    []Shares
	done      int64
	total     int64
	opened    int
}

func (r *run) event(kind audit.Kind, list audit.Digest) audit.Event {
	return audit.Event{Kind: kind, Outcome: audit.Done, Principal: r.by, Purpose: r.d.Purpose, List: list}
}

// look computes the features of everybody whose consent covers the purpose.
func (r *run) look(ctx context.Context) error {
	var err error
	if r.people, err = r.Store.Candidates(ctx, r.d.Purpose); err != nil {
		return err
	}
	r.total = 2 * int64(len(r.people))
	features := r.d.features(r.catalogue)
	return r.chunks(ctx, audit.Event{}, func(_ time.Time, key *vault.PersonKey, held *draw.Held, agrees bool) (*Sealed, error) {
		if !agrees {
			return nil, nil
		}
		var events []vault.EventView
		for i := range held.Chunks {
			c := &held.Chunks[i]
			if events, err = key.OpenChunkViews(events, stream, c.Number, c.Version, c.Sealed); err != nil {
				return nil, err
			}
		}
		groups := map[policies.GroupID]int{}
		for i := range events {
			if events[i].Type == eventType {
				groups[policies.GroupID(events[i].RevealPersonalData(fieldName))]++
			}
		}
		if shares := features.shares(groups); shares != nil {
			r.place[held.DataSubject] = len(r.shares)
			r.shares = append(r.shares, shares)
		}
		return nil, nil
	})
}

// label seals a label into the record of everybody whose type was told, if their consent still
// covers it, and takes it out of the records of those for whom that is not so any more.
func (r *run) label(ctx context.Context, of []int, description *Description, minimum int, list audit.Digest) (labelled, unlabelled int, err error) {
	at, known := r.catalogue.Attribute(attribute)
	if !known {
		return 0, 0, fmt.Errorf("the catalogue has no attribute %s: %w", attribute, privacy.ErrForbidden)
	}
	err = r.chunks(ctx, r.event(audit.PersonaBuilt, list), func(now time.Time, key *vault.PersonKey, held *draw.Held, agrees bool) (*Sealed, error) {
		record, version := vault.Record{}, int64(0)
		for i := range held.Records {
			s := &held.Records[i]
			if s.Category != at.Category {
				continue
			}
			if record, err = key.OpenRecord(s.Category, s.Version, s.Sealed); err != nil {
				return nil, err
			}
			version = s.Version
		}
		had := record[attribute]
		if had.Quality == vault.Disputed {
			return nil, nil // what somebody has disputed stays so
		}
		place, seen := r.place[held.DataSubject]
		if agrees && seen && of[place] != nobody && description.told(r.d.Personas[of[place]].Label, minimum) {
			label := privacy.NewPlain(string(r.d.Personas[of[place]].Label))
			if slices.Equal(had.Values, []privacy.Plain{label}) {
				return nil, nil
			}
			record[attribute] = vault.Field{Values: []privacy.Plain{label}, Source: vault.Inferred, Quality: vault.Unverified, ObservedAt: now.UTC().Truncate(24 * time.Hour)}
			labelled++
		} else {
			if !r.d.gave(had) {
				return nil, nil
			}
			delete(record, attribute)
			unlabelled++
		}
		sealed, err := key.SealRecord(at.Category, version+1, record)
		if err != nil {
			return nil, err
		}
		return &Sealed{held.DataSubject, r.Vault.Slot(held.DataSubject, at.Category), version + 1, sealed}, nil
	})
	return labelled, unlabelled, err
}

// gave reports whether a label is one that the definition gives, and not what somebody has said
// of themselves.
func (d *Definition) gave(had vault.Field) bool {
	return had.Source == vault.Inferred && slices.ContainsFunc(d.Personas, func(p Persona) bool {
		return slices.Equal(had.Values, []privacy.Plain{privacy.NewPlain(string(p.Label))})
	})
}

// chunks opens everybody who ever agreed to the purpose, and says of each whether their consent
// covers it now.
func (r *run) chunks(ctx context.Context, event audit.Event, f func(now time.Time, key *vault.PersonKey, held *draw.Held, agrees bool) (*Sealed, error)) error {
	purpose, known := r.catalogue.Purpose(r.d.Purpose)
	if !known {
		return fmt.Errorf("the purpose is not in the catalogue: %w", privacy.ErrForbidden)
	}
	at, _ := r.catalogue.Attribute(attribute)
	wanted := draw.Wanted{Purposes: []privacy.Purpose{purpose.ID, policies.GeneralMarketing}, Categories: []privacy.DataCategory{core}, Stream: stream}
	if event.Kind != "" && at != nil {
		wanted.Categories, wanted.Stream = append(wanted.Categories, at.Category), ""
	}
	rules := draw.Rules{Catalogue: r.catalogue, BirthDate: r.BirthDate, Childhood: r.Childhood}
	for chunk := range slices.Chunk(r.people, r.Chunk) {
		err := r.Store.Look(ctx, wanted, chunk, event, func(at time.Time, held []draw.Held) ([]Sealed, error) {
			var changed []Sealed
			for i := range held {
				h := &held[i]
				key, err := r.Vault.OpenPersonKey(h.DataSubject, h.WrappedKey, vault.UseRoom)
				if errors.Is(err, privacy.ErrDamaged) {
					continue
				}
				if err != nil {
					return nil, err
				}
				r.opened++
				for j := range h.Records {
					if s := &h.Records[j]; s.Category == core {
						if h.Standing.Core, err = key.OpenRecord(core, s.Version, s.Sealed); err != nil {
							return nil, err
						}
					}
				}
				sealed, err := f(at, key, h, rules.Covers(purpose, []privacy.DataCategory{stream}, &h.Standing, at))
				if err != nil {
					return nil, err
				}
				if sealed != nil {
					changed = append(changed, *sealed)
				}
			}
			return changed, nil
		})
		if err != nil {
			return fmt.Errorf("looking at people: %w", err)
		}
		if r.done += int64(len(chunk)); r.progress != nil {
			r.progress(r.done, max(r.total, r.done))
		}
	}
	return nil
}
