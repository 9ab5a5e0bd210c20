package cleanroom

import (
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// RoomID names a room: lower-case letters, digits and underscores, at most 40.
type RoomID string

// Valid reports whether a room can have this name.
func (id RoomID) Valid() bool { return isName(string(id)) }

// PartyID names a party: a recipient of the catalogue, which is where the policies know its
// relationship and its purposes from.
type PartyID = privacy.RecipientID

// Role is what a party may do in a room. A party has any number of them.
type Role string

// The roles.
const (
	OwnsData    Role = "owns_data"
	MayQuery    Role = "may_query"
	MayReceive  Role = "may_receive"
	MayActivate Role = "may_activate"
)

// Roles lists every role, in the order in which they are shown.
func Roles() []Role { return []Role{OwnsData, MayQuery, MayReceive, MayActivate} }

// Mode is how answers are protected.
type Mode string

// The modes.
const (
	// Private is differential privacy: noise, and budgets that count everybody. The default.
	Private Mode = "dp"
	// ThresholdOnly gives exact numbers of groups of at least k people. It falls to
	// differencing, so its answers say that, and only parties within the house may ask.
	ThresholdOnly Mode = "k_only"
)

// Matching is how a room finds the people that its parties have in common.
type Matching string

// The ways of matching, by whom one has to trust: see docs/cleanroom.md.
const (
	MatchOperator Matching = "operator"
	MatchBlind    Matching = "blind"
	MatchPair     Matching = "pair"
	MatchOPRF     Matching = "oprf"
)

// Matchings lists every way of matching.
func Matchings() []Matching { return []Matching{MatchOperator, MatchBlind, MatchPair, MatchOPRF} }

// Party is a company that may take part in rooms.
type Party struct {
	ID PartyID
	// Key is its Ed25519 verifier, as C2SP signed notes write it (name+id+key); the name is
	// the party's.
	Key       string
	AddedAt   time.Time
	RemovedAt time.Time // zero while it takes part
}

// Member is a party in a room.
type Member struct {
	Party PartyID
	Roles []Role // sorted as [Roles] lists them
}

// Has reports whether the member has a role.
func (m Member) Has(role Role) bool {
	for _, r := range m.Roles {
		if r == role {
			return true
		}
	}
	return false
}

// Room is where parties meet, for one purpose.
type Room struct {
	ID       RoomID
	Purpose  privacy.Purpose
	Mode     Mode
	Matching Matching
	Members  []Member // sorted by party
	// Gone are the members that take part in no rooms any more.
	Gone []Member
	// Datasets are those that the room lets in, sorted by owner and name.
	Datasets []DatasetRef
	// MinimumMembers is how many people a dataset must have at least to be admitted.
	MinimumMembers int
	// MinimumEpoch is how long people stay matched at least before they are matched again.
	MinimumEpoch time.Duration
	// Epoch counts the matches; 0 before the first one.
	Epoch     int
	MatchedAt time.Time // of the current epoch; zero before the first one
	OpenedAt  time.Time
	ClosedAt  time.Time // zero while it is open
}

// Member returns a party's membership.
func (r *Room) Member(party PartyID) (Member, bool) {
	for _, m := range r.Members {
		if m.Party == party {
			return m, true
		}
	}
	return Member{}, false
}
