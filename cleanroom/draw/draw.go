package draw

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Wanted is what is read of people.
type Wanted struct {
	Purposes   []privacy.Purpose
	Categories []privacy.DataCategory
	Stream     privacy.DataCategory // none if empty
}

// Held is what is held of somebody who may be drawn.
type Held struct {
	DataSubject privacy.DataSubjectID
	Standing    Standing // without Core
	WrappedKey  []byte
	Records     []SealedRecord
	Chunks      []SealedChunk // of the stream, oldest first
}

// SealedRecord is a record as it is stored.
type SealedRecord struct {
	Category privacy.DataCategory
	Version  int64
	Sealed   []byte
}

// SealedChunk is a chunk of events as it is stored.
type SealedChunk struct {
	Number, Version int64
	Sealed          []byte
}

// Member is somebody who was drawn.
type Member struct {
	DataSubject privacy.DataSubjectID
	Staged      cleanroom.StagedMember
	Rows        []Row
}

// Stay is where and for what people are drawn.
type Stay struct {
	Snapshot   cleanroom.SnapshotID
	Room       cleanroom.RoomID
	Dataset    cleanroom.DatasetRef
	Purpose    privacy.Purpose
	Dimensions int // how many of a row's are used
	Measures   int
}

// Store reads people and puts them into snapshots.
type Store interface {
	// Candidates returns everybody of whom the ledger has a yes to a purpose, whatever has
	// become of it.
	Candidates(ctx context.Context, purpose privacy.Purpose) ([]privacy.DataSubjectID, error)
	// Look reads what Put would, and changes nothing.
	Look(ctx context.Context, wanted Wanted, people []privacy.DataSubjectID) (held []Held, at time.Time, err error)
	// Put locks those of the people who are there and not restricted, so that nobody records
	// a choice of theirs, restricts or erases them; it reads what was committed by then, and
	// commits what admit makes of it, in no order that tells who is who. What admit returned
	// is not stored if it fails, or anything else does.
	Put(ctx context.Context, stay Stay, wanted Wanted, people []privacy.DataSubjectID, admit func(at time.Time, held []Held) ([]Member, error)) error
}

// Policy decides about rooms. A revision of the policies does.
type Policy interface {
	DecideRoom(ctx context.Context, facts policies.RoomFacts) (policies.RoomDecision, error)
	Catalogue() *policies.Catalogue
}

// Staging is where people are staged.
type Staging interface {
	cleanroom.Staging
	cleanroom.Drawing
}

// Config has defaults for what is not required.
type Config struct {
	// Rooms, Staging, Store, Vault and Keys are required, and so are Policy, which returns the
	// policies in force, BirthDate and Childhood; see [Rules]. Own is for rooms in oprf mode.
	// Log takes what is refused, and is required too.
	Rooms     cleanroom.Rooms
	Staging   Staging
	Own       Own
	Store     Store
	Vault     *vault.Vault
	Keys      *match.Keys
	Log       audit.Appender
	Policy    func() Policy
	BirthDate func(core vault.Record) (string, bool)
	Childhood func(law privacy.Jurisdiction, birth string) consent.Childhood
	// Chunk is how many people are locked at a time; zero: 512.
	Chunk int
	// Random is for shuffling; nil: crypto/rand.Reader.
	Random io.Reader
}

// Drawer draws the house's own people into rooms.
type Drawer struct{ config Config }

// New returns a drawer.
func New(config Config) *Drawer {
	if config.Chunk <= 0 {
		config.Chunk = 512
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	return &Drawer{config}
}

// Order says what is to be drawn.
type Order struct {
	Room    cleanroom.RoomID
	Dataset cleanroom.DatasetRef
	Mapping *Mapping
	// Secret is what the parties of a room that matches blindly share.
	Secret []byte
	// Pair masks in pair mode. Hand takes the list to the other party, which masks it once more:
	// it calls commit when the list is there, and does not give it away if that fails.
	Pair *match.Pair
	Hand func(list List, commit func(manifest audit.Digest) error) error
	// Looking, if not nil, hears how many of how many people were looked at, to find out who of
	// them may be drawn and shares an identifier with nobody else who may.
	Looking func(done, total int64)
	// Progress does of how many of those who had been looked at again, and drawn.
	Progress func(done, total int64)
	// Masking does of how many who were drawn, in oprf mode.
	Masking func(done, total int64)
}

// Drawn is a snapshot that was admitted, or waits for the other party.
type Drawn struct {
	Snapshot cleanroom.SnapshotID
	// Waiting is whether the other party has to mask the list once more, in pair mode; Manifest
	// is by what it is known then.
	Waiting  bool
	Manifest audit.Digest
	// Members were drawn, Rows are theirs. How many were not, and of whom the room knows
	// nothing, is not told.
	Members, Rows int64
	Receipt       audit.Receipt
}

// Draw draws everybody whose consent covers the room's purpose and who shares their identifier
// with nobody else whose consent does, and admits the snapshot together with the entry. It
// replaces the dataset that waits for the next match. In pair mode the snapshot is admitted when
// the other party has masked the list once more and brought it to the house; until then whoever
// leaves is gone from it as well. What is not allowed has its entry in the log and is a
// [cleanroom.Denied]; nobody was looked at then.
func (d *Drawer) Draw(ctx context.Context, by privacy.Principal, order Order) (Drawn, error) {
	run, err := d.prepare(ctx, by, order)
	if err != nil {
		return Drawn{}, fmt.Errorf("drawing people: %w", err)
	}
	drawn, err := run.draw(ctx)
	if err != nil {
		for range run.opened {
			d.config.Vault.Abandoned(vault.UseRoom)
		}
		return Drawn{}, fmt.Errorf("drawing people: %w", err)
	}
	return drawn, nil
}

// run is one draw.
type run struct {
	*Config
	by       privacy.Principal
	order    Order
	room     *cleanroom.Room
	signed   *cleanroom.SignedContract
	contract *cleanroom.Contract
	purpose  *policies.Purpose
	rules    Rules
	matcher  match.Matcher
	stay     Stay
	wanted   Wanted
	digest   audit.Digest
	policy   audit.Digest // of the policies that let it through

	// holders has who is alone with an identifier; nobody is if several have it.
	holders       map[match.Seed]privacy.DataSubjectID
	kept          []kept // in modes in which tokens come later
	opened        int
	members, rows int64
}

func (d *Drawer) prepare(ctx context.Context, by privacy.Principal, order Order) (*run, error) {
	policy := d.config.Policy()
	if policy == nil {
		return nil, fmt.Errorf("without active policies: %w", privacy.ErrUnavailable)
	}
	r := &run{Config: &d.config, by: by, order: order}
	if err := r.find(ctx); err != nil {
		return nil, err
	}
	if err := r.permit(ctx, policy); err != nil {
		return nil, err
	}
	catalogue := policy.Catalogue()
	if err := order.Mapping.fit(r.contract, catalogue); err != nil {
		return nil, err
	}
	var err error
	if r.matcher, err = r.matching(); err != nil {
		return nil, err
	}
	r.rules = Rules{Catalogue: catalogue, BirthDate: d.config.BirthDate, Childhood: d.config.Childhood}
	r.wanted = Wanted{
		Purposes:   []privacy.Purpose{r.purpose.ID, policies.GeneralMarketing},
		Categories: order.Mapping.categories(catalogue), Stream: order.Mapping.Stream,
	}
	r.stay = Stay{Room: order.Room, Dataset: order.Dataset, Purpose: r.purpose.ID}
	for i := range r.contract.Columns {
		if r.contract.Columns[i].Role == cleanroom.Measure {
			r.stay.Measures++
		} else {
			r.stay.Dimensions++
		}
	}
	return r, nil
}

// matching returns what masks identifiers.
func (r *run) matching() (match.Matcher, error) {
	switch r.room.Matching {
	case cleanroom.MatchOperator:
		return match.NewOperator(), nil
	case cleanroom.MatchBlind:
		return match.NewBlind(r.order.Secret, r.room.ID, r.order.Mapping.Identifier.Kind)
	case cleanroom.MatchPair:
		if r.order.Pair == nil || r.order.Hand == nil {
			return nil, fmt.Errorf("the room matches by pair, which takes the salt, the scalar and the signing key of %s, and a directory for the other party: %w", r.contract.Owner, privacy.ErrInvalid)
		}
		return r.order.Pair, nil
	case cleanroom.MatchOPRF:
		return match.NewUnmasked(), nil
	}
	return nil, fmt.Errorf("the room matches by %s, which is not known: %w", r.room.Matching, privacy.ErrInvalid)
}

func (r *run) draw(ctx context.Context) (Drawn, error) {
	people, err := r.Store.Candidates(ctx, r.purpose.ID)
	if err != nil {
		return Drawn{}, err
	}
	if r.digest, err = r.manifest(); err != nil {
		return Drawn{}, err
	}
	r.stay.Snapshot, err = r.Staging.Begin(ctx, cleanroom.Admission{
		Room: r.order.Room, Dataset: r.order.Dataset, Contract: r.contract.Version, Manifest: r.digest, Identifier: r.order.Mapping.Identifier.Kind,
	}, r.ended())
	if err != nil {
		return Drawn{}, err
	}
	done, err := r.fill(ctx, people)
	if err != nil {
		return done, errors.Join(err, r.Staging.Abandon(context.WithoutCancel(ctx), r.stay.Snapshot, r.ended()))
	}
	return done, nil
}

// ended says that a draw came to nothing: the one before, or this one.
func (r *run) ended() audit.Event {
	return audit.Event{Kind: audit.SnapshotDropped, Outcome: audit.Done, Principal: r.by, Purpose: r.purpose.ID}
}

func (r *run) fill(ctx context.Context, people []privacy.DataSubjectID) (Drawn, error) {
	people, err := r.alone(ctx, people)
	if err != nil {
		return Drawn{}, err
	}
	total := int64(len(people))
	for chunk := range slices.Chunk(people, r.Chunk) {
		err := r.Store.Put(ctx, r.stay, r.wanted, chunk, func(at time.Time, held []Held) ([]Member, error) { return r.admit(ctx, at, held) })
		if err != nil {
			return Drawn{}, err
		}
		if total -= int64(len(chunk)); r.order.Progress != nil {
			r.order.Progress(int64(len(people))-total, int64(len(people)))
		}
	}
	switch r.room.Matching {
	case cleanroom.MatchPair:
		return r.hand(ctx)
	case cleanroom.MatchOPRF:
		if err := r.own(ctx); err != nil {
			return Drawn{}, err
		}
	}
	receipt, err := r.Staging.Admit(ctx, r.stay.Snapshot, audit.Event{
		Kind: audit.SnapshotAdmitted, Outcome: audit.Done, Principal: r.by, Purpose: r.purpose.ID, Recipient: r.contract.Owner,
		List: r.digest, Count: uint64(r.members), Policy: r.policy,
	})
	if err != nil {
		return Drawn{}, err
	}
	return Drawn{Snapshot: r.stay.Snapshot, Members: r.members, Rows: r.rows, Receipt: receipt}, nil
}

// manifest names the draw: what is drawn under which contract, and a number of its own.
func (r *run) manifest() (audit.Digest, error) {
	h := sha256.New()
	text := "mahrem/room/draw/v1\x00" + string(r.order.Room) + "\x00" + r.order.Dataset.String() + "\x00"
	_, _ = h.Write(binary.BigEndian.AppendUint32([]byte(text), uint32(r.contract.Version))) // never fails
	if _, err := io.CopyN(h, r.Random, 16); err != nil {
		return audit.Digest{}, fmt.Errorf("drawing a number: %w", err)
	}
	return audit.Digest(h.Sum(nil)), nil
}

// shuffle puts n things in an order that nobody can foresee (Fisher and Yates).
func shuffle(random io.Reader, n int, swap func(i, j int)) error {
	for i := n - 1; i > 0; i-- {
		j, err := rand.Int(random, big.NewInt(int64(i)+1))
		if err != nil {
			return fmt.Errorf("shuffling: %w", err)
		}
		swap(i, int(j.Int64()))
	}
	return nil
}
