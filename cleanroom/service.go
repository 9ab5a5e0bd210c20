package cleanroom

import (
	"context"

	"github.com/mahrem/mahrem/audit"
)

// SignedContract is a contract as its owner signed it.
type SignedContract struct {
	Contract *Contract
	// Note is the C2SP signed note, Digest that of its text.
	Note   []byte
	Digest audit.Digest
}

// Ref names the dataset that the contract is about.
func (s *SignedContract) Ref() DatasetRef { return s.Contract.Ref() }

// Ref names the dataset that the contract is about.
func (c *Contract) Ref() DatasetRef { return DatasetRef{Owner: c.Owner, Dataset: c.Dataset} }

// SignedTemplate is a template as parties signed it.
type SignedTemplate struct {
	Template *Template
	// Note is the C2SP signed note, Digest that of its text.
	Note   []byte
	Digest audit.Digest
	// Signers are the parties with a good signature, sorted.
	Signers []PartyID
}

// Template is a query with holes, which every data owner of the room and whoever asks have
// signed. What is hidden in a contract may be used by templates alone.
type Template struct {
	Name    string `json:"name"`    // lower-case letters, digits and underscores, at most 40
	Version int    `json:"version"` // from 1
	// Query is what is asked. Where a value of it is {"hole": "name"}, the asker fills in a
	// value that the predicate could have.
	Query Query `json:"query"`
}

// MatchedSnapshot is a snapshot of a room's current epoch.
type MatchedSnapshot struct {
	ID      SnapshotID
	Dataset DatasetRef
	// Prepared is the contract under which its rows were encoded: places in a domain are
	// those of this one, even if a newer contract binds the questions.
	Prepared *SignedContract
}

// Rooms reads what must be known of a room before a question is judged. All of it must be
// committed state, and none of it is personal data.
type Rooms interface {
	// RoomOf returns a room, closed ones too, or an error that wraps [privacy.ErrNotFound].
	RoomOf(ctx context.Context, room RoomID) (*Room, error)
	// ContractsOf returns the contract in force, which is the newest signed one, of each
	// dataset that the room lets in, sorted by owner and dataset.
	ContractsOf(ctx context.Context, room RoomID) ([]*SignedContract, error)
	// SnapshotsOf returns the matched snapshots of the room's current epoch, at most one for
	// each dataset, sorted by owner and dataset. There are none before the first match.
	SnapshotsOf(ctx context.Context, room RoomID) ([]MatchedSnapshot, error)
	// Template returns a template of the room with the signatures that it has, or an error
	// that wraps [privacy.ErrNotFound].
	Template(ctx context.Context, room RoomID, name string, version int) (*SignedTemplate, error)
}

// Noise draws what is added to exact numbers. Gaussian returns x plus a draw from the normal
// distribution around zero with standard deviation sigma, as a whole number; it must come from
// a cryptographic source, and take no less time for some draws than for others where that
// would tell. It must be safe for concurrent use.
type Noise interface {
	Gaussian(x int64, sigma float64) int64
}
