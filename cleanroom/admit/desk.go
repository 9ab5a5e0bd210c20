package admit

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Rooms reads what must be known of a room; all of it must be committed state.
type Rooms interface {
	// RoomOf returns a room, or an error that wraps [privacy.ErrNotFound].
	RoomOf(ctx context.Context, room cleanroom.RoomID) (*cleanroom.Room, error)
	// ContractsOf returns the contracts in force of the datasets that the room lets in.
	ContractsOf(ctx context.Context, room cleanroom.RoomID) ([]*cleanroom.SignedContract, error)
	// PartyOf returns a party that takes part, or an error that wraps [privacy.ErrNotFound].
	PartyOf(ctx context.Context, party cleanroom.PartyID) (*cleanroom.Party, error)
}

// Policy decides; [policies.Revision] does.
type Policy interface {
	DecideRoom(ctx context.Context, facts policies.RoomFacts) (policies.RoomDecision, error)
}

// Log takes refusals down. What it returns without an error is durable.
type Log interface {
	Append(ctx context.Context, event audit.Event) (audit.Receipt, error)
}

// Tagger turns tokens into what the house keeps; [match.Keys] does.
type Tagger interface {
	Tags(ctx context.Context, room *cleanroom.Room, epoch int, tokens []match.Token) ([]match.Tag, error)
}

// Quotas tells what was declared of a list in oprf mode; [match.Quotas] does.
type Quotas interface {
	// Declared returns an error that wraps [privacy.ErrNotFound] if nothing was.
	Declared(ctx context.Context, room cleanroom.RoomID, dataset cleanroom.DatasetRef, epoch int) (match.Declared, error)
}

// Staging is where lists are staged, and where those of the house's own people wait.
type Staging interface {
	cleanroom.Staging
	cleanroom.Drawing
}

// Config is what a desk works with. All of it is needed.
type Config struct {
	Rooms   Rooms
	Staging Staging
	Quotas  Quotas
	Policy  func() Policy
	Keys    Tagger
	Log     Log
}

// Desk admits. It is safe for concurrent use.
type Desk struct{ config Config }

// NewDesk returns a desk.
func NewDesk(config Config) *Desk { return &Desk{config} }

// Admitted is what came of a delivery.
type Admitted struct {
	Room     cleanroom.RoomID
	Dataset  cleanroom.DatasetRef
	Epoch    int
	Manifest audit.Digest
	Snapshot cleanroom.SnapshotID
	// Before is whether all of it was admitted before; then nothing has changed, and the receipt
	// is that of the other time and not here.
	Before bool
	// Waiting is whether the other party's part is still to come; then nothing is admitted yet,
	// and there is no receipt.
	Waiting bool
	Receipt audit.Receipt
}

// Admit takes a delivery in, as docs/spec/prepared.md has it on the way to the house. A
// service acts for its own party alone: the owner of the data, or whoever has masked it once
// more. What is wrong with a delivery is a [privacy.FieldError] or an error of package
// cleanroom, and nothing of the delivery stays; what is not allowed is a [cleanroom.Denied].
// Either has its entry in the log, once it is known which room it is about. A delivery that breaks off, with an error that wraps
// [prepare.ErrInput], stays as far as it came, for [cleanroom.DeliveryKept] after its last
// chunk, and whoever may send it goes on with the same manifest; [Desk.Standing] tells where.
func (d *Desk) Admit(ctx context.Context, by privacy.Principal, id cleanroom.RoomID, in io.Reader) (*Admitted, error) {
	return d.AdmitWithProgress(ctx, by, id, in, nil)
}

// AdmitWithProgress tells how many members and rows have come, of how many.
func (d *Desk) AdmitWithProgress(ctx context.Context, by privacy.Principal, id cleanroom.RoomID, in io.Reader, progress func(done, total int64)) (*Admitted, error) {
	s := &delivery{desk: d, by: by, chunks: prepare.NewStream(in), progress: progress}
	head, err := s.chunks.Head()
	if err != nil {
		return nil, faultOf("", err)
	}
	admitted, err := s.admit(ctx, id, head)
	if s.room == nil || !wrong(err) && !errors.Is(err, cleanroom.ErrReplaced) {
		return admitted, err
	}
	check := cleanroom.CheckFiling
	if s.unsigned {
		check = cleanroom.CheckSignature
	}
	if err := s.leave(ctx, check); err != nil {
		return nil, err
	}
	return nil, err
}

func (s *delivery) admit(ctx context.Context, id cleanroom.RoomID, head prepare.Head) (*Admitted, error) {
	if err := s.find(ctx, id, head); err != nil {
		return nil, err
	}
	if err := s.decide(ctx); err != nil {
		return nil, err
	}
	return s.take(ctx)
}

// deny writes a refusal down and returns it.
func (s *delivery) deny(ctx context.Context, checks ...string) error {
	if err := s.leave(ctx, checks...); err != nil {
		return err
	}
	return &cleanroom.Denied{Checks: checks}
}

// leave writes a refusal down. The entry names the manifest, if its owner has signed it.
func (s *delivery) leave(ctx context.Context, checks ...string) error {
	event := audit.Event{Kind: audit.RoomDenied, Outcome: audit.Denied, Principal: s.by, Checks: checks, Policy: s.policy}
	if s.room != nil {
		event.Purpose = s.room.Purpose
	}
	if s.signed != nil {
		event.List = prepare.Digest(s.signed)
	}
	if _, err := s.desk.config.Log.Append(ctx, event); err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	return nil
}

// fault is what is wrong with a delivery. The reason must not repeat any of it.
func fault(pointer, reason string) error {
	return &privacy.FieldError{Pointer: pointer, Reason: reason}
}

// faultOf points at what is wrong, unless the house is at fault.
func faultOf(pointer string, err error) error {
	switch {
	case errors.Is(err, prepare.ErrInput):
		return err
	case errors.Is(err, privacy.ErrDamaged):
		return fault(pointer, "it is not what was signed")
	case errors.Is(err, privacy.ErrInvalid):
		return fault(pointer, "it does not have the form of what is prepared (docs/spec/prepared.md), or does not hold together")
	}
	return err
}
