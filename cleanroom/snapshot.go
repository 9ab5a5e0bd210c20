package cleanroom

import (
	"context"
	"errors"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// The errors of staging and matching. Each of them is about what a party has declared and
// sent, or about the calendar, and never about whom two parties have in common.
var (
	// ErrDuplicates is wrapped by the error of an admission in which somebody comes twice.
	ErrDuplicates = errors.New("somebody is in the list twice")
	// ErrSizes is wrapped by the error of an admission that is not as large as declared, or
	// whose rows and members do not fit each other.
	ErrSizes = errors.New("what was sent is not what was declared")
	// ErrTooFew is wrapped by the error of an admission with fewer people than the room asks for.
	ErrTooFew = errors.New("the list has too few people")
	// ErrReplaced is wrapped by the error of an admission that would replace a dataset a second
	// time before the same match.
	ErrReplaced = errors.New("the dataset has been replaced once before this match")
	// ErrIdentifiers is wrapped by the error of a dataset whose people are known by another kind
	// of identifier than those that wait for the same match: nobody would be found in both.
	ErrIdentifiers = errors.New("another kind of identifier than in the room's other lists")
	// ErrBegun is wrapped by the error of a delivery after [BegunADay] others of the dataset.
	ErrBegun = errors.New("too many deliveries of the dataset were begun within a day: send one of them again, or begin another one tomorrow")
	// ErrMoved is wrapped by the error of a chunk that is not the next one: another line has
	// brought it meanwhile, or what was on its way was forgotten. Ask how far it is.
	ErrMoved = errors.New("another part of the delivery comes next")
	// ErrTooEarly is wrapped by the error of a match before the epoch is over.
	ErrTooEarly = errors.New("the epoch is not over")
	// ErrNothingStaged is wrapped by the error of a match that nobody has brought data for.
	ErrNothingStaged = errors.New("nothing is staged")
)

// BegunADay is how many deliveries of a party's dataset are begun for a room within a day. Each
// has tables of its own and leaves its row for ever.
const BegunADay = 100

// SnapshotState is how far a snapshot has got.
type SnapshotState string

// The states. Only matched snapshots can be asked about.
const (
	SnapshotLoading SnapshotState = "loading" // is on its way in
	SnapshotStaged  SnapshotState = "staged"  // admitted, and waits for the match
	SnapshotMatched SnapshotState = "matched"
	SnapshotDropped SnapshotState = "dropped" // its rows are gone
)

// Snapshot is what one dataset brings into one epoch of a room.
type Snapshot struct {
	ID       SnapshotID
	Room     RoomID
	Dataset  DatasetRef
	Contract int // the version that its rows were encoded under
	Manifest audit.Digest
	Epoch    int // of which match it is a part, or is to be
	State    SnapshotState
	// Members and Rows are how many its owner has brought, and say nothing of a match.
	Members, Rows int64
	// MemberChunks and RowChunks are how much has come of what is on its way in.
	MemberChunks, RowChunks int
	// Remasked is the statement that the members are from, in pair mode.
	Remasked   audit.Digest
	BegunAt    time.Time
	HeardAt    time.Time // when the last of it came
	AdmittedAt time.Time
	MatchedAt  time.Time
	DroppedAt  time.Time
}

// Admission is what is about to be staged.
type Admission struct {
	Room     RoomID
	Dataset  DatasetRef
	Contract int // the version that rows are encoded under
	Manifest audit.Digest
	// Identifier is what people are matched by; all datasets of a match have the same one.
	Identifier privacy.IdentifierKind
	// Members and Rows are the declared sizes. Zero in both means that they are not known
	// before: the house counts those whom it draws itself.
	Members, Rows int64
}

// StagedMember is somebody who is to be matched.
type StagedMember struct {
	// Ordinal ties rows to the member. It must not tell who they are: parties count up a
	// shuffled list, and the house draws random numbers.
	Ordinal int64
	// Token is equal to that of another dataset if, and only if, the person is: 16 to 64
	// bytes, already under the room's key where the way of matching calls for that.
	Token []byte
	// Seat is where one of the house's own people sits: 16 bytes, a keyed hash of snapshot and
	// person. Nil for people of a party.
	Seat []byte
}

// StagedRow is a row of a member, encoded as [Column.Encode] does.
type StagedRow struct {
	Ordinal int64
	// Dimensions are the values of d1, d2 and so on, and Measures those of m1, m2: as many as
	// the contract has columns for.
	Dimensions []int32
	Measures   []int64
}

// DeliveryKept is how long what is on its way into a room is kept after the last of it has
// come: another party may have a part of it to bring.
const DeliveryKept = 7 * 24 * time.Hour

// Staging takes datasets in.
//
// Begin forgets what of the same dataset was on its way into the room. What is added becomes
// visible to nobody before Admit, which checks it as a whole and commits it together with the
// entry; it fails with one of the errors of this package, and then nothing is admitted. An
// admitted dataset takes the place of one that waits for the same match, once.
//
// What a party was bringing leaves no entry when it is forgotten: none says that it came. The
// house's own people were drawn: that they are so no longer commits together with the event
// ended, whose list is the digest of the manifest.
type Staging interface {
	Begin(ctx context.Context, admission Admission, ended audit.Event) (SnapshotID, error)
	// Delivered finds what came last into a room under a manifest and was not dropped, or fails
	// with an error that wraps [privacy.ErrNotFound]. Somebody else may have a part of it to
	// bring, and what is on its way in can go on.
	Delivered(ctx context.Context, room RoomID, manifest audit.Digest) (*Snapshot, error)
	// BeginMembers begins the list of members under another statement, in pair mode; what came
	// of it is forgotten, and the rows stay, and so do the house's own people.
	BeginMembers(ctx context.Context, id SnapshotID, statement audit.Digest) error
	// TakeMembers and TakeRows add a chunk of a delivery, counted from 0, and that it is there.
	// A chunk that is not the next one fails with an error that wraps [ErrMoved], and nothing
	// is added. The statement is that of BeginMembers, or zero.
	TakeMembers(ctx context.Context, id SnapshotID, chunk int, statement audit.Digest, members []StagedMember) error
	TakeRows(ctx context.Context, id SnapshotID, chunk int, rows []StagedRow) error
	Admit(ctx context.Context, id SnapshotID, event audit.Event) (audit.Receipt, error)
	// Abandon forgets what is on its way in. It does nothing to what was admitted.
	Abandon(ctx context.Context, id SnapshotID, ended audit.Event) error
}

// Drawing stages people of the house whose tokens come later than they do: in pair mode from
// the other party, in oprf mode when it is known how many there are. What was added stands
// under passing tokens, and whoever leaves meanwhile leaves a gap.
type Drawing interface {
	// Place gives everybody who is there by now a place, from 0 on in the order of their
	// ordinals, and returns these in that order. Nothing is added from then on.
	Place(ctx context.Context, id SnapshotID) ([]int64, error)
	// HandOver gives the snapshot the digest of the signed manifest by which the other party
	// knows it, together with the entry.
	HandOver(ctx context.Context, id SnapshotID, manifest audit.Digest, event audit.Event) (audit.Receipt, error)
	// SetTokens gives those at the places from first on their tokens: at most 65,536 at once. A
	// place whose person has left takes none. It may be called again.
	SetTokens(ctx context.Context, id SnapshotID, first int, tokens [][]byte) error
	// TakeTokens does so with a chunk of a list under a statement, as TakeMembers takes one.
	TakeTokens(ctx context.Context, id SnapshotID, chunk int, statement audit.Digest, first int, tokens [][]byte) error
}

// Matched is an epoch that has begun. How many people were found in common is not in it, and
// is nowhere: that is a question, with a price.
type Matched struct {
	Room      RoomID
	Epoch     int
	MatchedAt time.Time
	Snapshots []Snapshot // sorted by owner and dataset
	Dropped   []SnapshotID
}

// Staged returns the snapshots of a list that wait for a match.
func Staged(snapshots []Snapshot) []SnapshotID {
	var staged []SnapshotID
	for i := range snapshots {
		if snapshots[i].State == SnapshotStaged {
			staged = append(staged, snapshots[i].ID)
		}
	}
	return staged
}

// Matches begins epochs and ends snapshots.
//
// Match gives everybody in the staged snapshots of a room a random number, the same one to
// those who are the same person, and forgets tokens and the snapshots of the epoch before.
// Judged are the staged snapshots that the policies let it match; it fails with
// [privacy.ErrConflict] if another one has come meanwhile, and with an error that wraps
// [ErrTooEarly] before the epoch is over.
type Matches interface {
	Match(ctx context.Context, room RoomID, judged []SnapshotID, event audit.Event) (*Matched, audit.Receipt, error)
	// Drop takes away the rows of a snapshot; it cannot be asked about from then on.
	Drop(ctx context.Context, id SnapshotID, event audit.Event) (audit.Receipt, error)
	// Snapshots lists those of a room, or of all rooms if room is empty, dropped ones too,
	// in the order in which they were begun.
	Snapshots(ctx context.Context, room RoomID) ([]Snapshot, error)
}
