package match

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// MaxMembers is how many people a party can declare at most. Whoever may have everything
// evaluated can try out every telephone number there is.
const MaxMembers = 100_000_000

// Quota returns how many elements may be evaluated for a list of declared size: a fifth more,
// because a preparation may break off.
func Quota(members int64) int64 { return members + (members+4)/5 }

// Rooms tells what a room is like; postgres reads it. RoomOf returns an error that wraps
// [privacy.ErrNotFound] if there is none.
type Rooms interface {
	RoomOf(ctx context.Context, room cleanroom.RoomID) (*cleanroom.Room, error)
}

// Taking is what somebody wants evaluated.
type Taking struct {
	Room    cleanroom.RoomID
	Dataset cleanroom.DatasetRef
	Epoch   int
	// Members is the declared size of the list; it is declared once an epoch.
	Members  int64
	Elements int
}

// ErrQuota is wrapped by the error about a list that is longer than declared.
var ErrQuota = errors.New("more than was declared")

// Quotas counts what was evaluated. Take commits that so many more were, together with the
// event, before they are; nothing gives any back. Concurrent takings never exceed [Quota]
// together: the error wraps [ErrQuota] if they would. It is that of [OtherSize] or [NotNext]
// for another size or epoch, and wraps [privacy.ErrNotFound] if the dataset is none of the room's.
type Quotas interface {
	Take(ctx context.Context, taking Taking, event audit.Event) (audit.Receipt, error)
	// Declared returns what has been declared and evaluated for a dataset and an epoch, or an
	// error that wraps [privacy.ErrNotFound] if nothing has.
	Declared(ctx context.Context, room cleanroom.RoomID, dataset cleanroom.DatasetRef, epoch int) (Declared, error)
}

// Declared is what a party has declared of a list, and how many elements were evaluated for it.
type Declared struct{ Members, Elements int64 }

// NotNext is the error about an epoch that is not the next one after that which has begun.
func NotNext(epoch int) error {
	return &privacy.FieldError{Pointer: "/epoch", Reason: fmt.Sprintf("is not the next match, which is number %d", epoch+1)}
}

// OtherSize is the error about a size that is not what was declared before.
func OtherSize() error {
	return &privacy.FieldError{Pointer: "/members", Reason: "is not what was declared for this match before"}
}

// Evaluated is what a party is told.
type Evaluated struct {
	Evaluation
	Epoch     int
	PublicKey []byte
	Receipt   audit.Receipt
}

// Desk evaluates for the parties of rooms in oprf mode.
type Desk struct {
	rooms  Rooms
	quotas Quotas
	keys   func(ctx context.Context) (*Keys, error)
	log    audit.Appender
}

// NewDesk returns a desk. keys are opened when they are needed. What it does not allow, it
// writes into log.
func NewDesk(rooms Rooms, quotas Quotas, keys func(ctx context.Context) (*Keys, error), log audit.Appender) *Desk {
	return &Desk{rooms, quotas, keys, log}
}

// The checks of an evaluation, beyond those of the member and its role.
const (
	// CheckMatching: the room matches in oprf mode.
	CheckMatching = "room_matching"
	// CheckDataset: the room lets the dataset in.
	CheckDataset = "room_dataset"
	// CheckQuota: no more is evaluated than fits what was declared.
	CheckQuota = "room_quota"
)

// deny writes down that something was refused by a check, and returns why.
func (d *Desk) deny(ctx context.Context, event audit.Event, check string, why error) error {
	event.Kind, event.Outcome, event.Checks, event.Count = audit.RoomDenied, audit.Denied, []string{check}, 0
	if _, err := d.log.Append(ctx, event); err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	return why
}

// PublicKey returns the key by which the parties of a room see that all of them are served alike.
func (d *Desk) PublicKey(ctx context.Context, room cleanroom.RoomID) ([]byte, error) {
	keys, err := d.keys(ctx)
	if err != nil {
		return nil, err
	}
	key, err := keys.Evaluator(room)
	if err != nil {
		return nil, err
	}
	return key.PublicKey(), nil
}

// Evaluate evaluates blinded elements for an owner of data, and counts them first. What cannot
// be evaluated is refused before it is counted. What is not allowed has its entry in the log and
// is a [cleanroom.Denied], or wraps [ErrQuota]. A room that somebody is no member of is not told
// apart from one that does not exist.
func (d *Desk) Evaluate(ctx context.Context, by privacy.Principal, room cleanroom.RoomID, dataset cleanroom.DatasetID, members int64, epoch int, blinded [][]byte) (Evaluated, error) {
	event := audit.Event{Kind: audit.RoomEvaluated, Principal: by, Outcome: audit.Done}
	denied := func(check string) (Evaluated, error) {
		return Evaluated{}, d.deny(ctx, event, check, fmt.Errorf("evaluating for a room: %w", &cleanroom.Denied{Checks: []string{check}}))
	}
	r, err := d.rooms.RoomOf(ctx, room)
	if errors.Is(err, privacy.ErrNotFound) {
		return denied(cleanroom.CheckMember)
	}
	if err != nil {
		return Evaluated{}, err
	}
	member, in := r.Member(by.Recipient)
	if by.Role != privacy.RoleService || by.Recipient == "" || !in || !r.ClosedAt.IsZero() {
		return denied(cleanroom.CheckMember)
	}
	taking := Taking{
		Room: room, Dataset: cleanroom.DatasetRef{Owner: by.Recipient, Dataset: dataset},
		Epoch: epoch, Members: members, Elements: len(blinded),
	}
	event.Purpose = r.Purpose
	switch {
	case !member.Has(cleanroom.OwnsData):
		return denied(cleanroom.CheckRole)
	case r.Matching != cleanroom.MatchOPRF:
		return denied(CheckMatching)
	case epoch != r.Epoch+1:
		return Evaluated{}, fmt.Errorf("evaluating for a room: %w", NotNext(r.Epoch))
	case members < 1 || members > MaxMembers:
		return Evaluated{}, fmt.Errorf("evaluating for a room: %w", &privacy.FieldError{Pointer: "/members", Reason: fmt.Sprintf("is not between 1 and %d", MaxMembers)})
	case len(blinded) == 0 || len(blinded) > MaxBatch:
		return Evaluated{}, fmt.Errorf("evaluating for a room: %w", &privacy.FieldError{Pointer: "/elements", Reason: fmt.Sprintf("are not 1 to %d", MaxBatch)})
	}
	if _, err := decode(blinded); err != nil {
		return Evaluated{}, fmt.Errorf("evaluating for a room: %w", &privacy.FieldError{Pointer: "/elements", Reason: "are not all elements of ristretto255 other than the identity"})
	}
	keys, err := d.keys(ctx)
	if err != nil {
		return Evaluated{}, err
	}
	key, err := keys.Evaluator(room)
	if err != nil {
		return Evaluated{}, err
	}
	event.List, event.Count = digest(taking, blinded), uint64(len(blinded))
	receipt, err := d.quotas.Take(ctx, taking, event)
	switch {
	case errors.Is(err, ErrQuota):
		return Evaluated{}, d.deny(ctx, event, CheckQuota, err)
	case errors.Is(err, privacy.ErrNotFound):
		return denied(CheckDataset)
	case err != nil:
		return Evaluated{}, err
	case receipt.IsZero():
		return Evaluated{}, errors.New("elements were counted without evidence")
	}
	evaluation, err := key.Evaluate(epoch, blinded)
	if err != nil {
		return Evaluated{}, err
	}
	return Evaluated{evaluation, epoch, key.PublicKey(), receipt}, nil
}

// digest is that of what was to be evaluated, and for whom.
func digest(t Taking, blinded [][]byte) audit.Digest {
	h := sha256.New()
	label := appendText(appendText(input(0), string(t.Room)), t.Dataset.String())
	label = binary.BigEndian.AppendUint64(label, uint64(t.Epoch))
	_, _ = h.Write(binary.BigEndian.AppendUint64(label, uint64(t.Members))) // never fails
	for _, b := range blinded {
		_, _ = h.Write(b)
	}
	return audit.Digest(h.Sum(nil))
}
