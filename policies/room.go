package policies

import (
	"crypto/sha256"

	"github.com/mahrem/mahrem/privacy"
)

// RoomAct is what is about to happen in a clean room.
type RoomAct string

// The acts.
const (
	// AdmitToRoom lets a dataset in: when its owner signs the contract, and again when a
	// snapshot of it is admitted.
	AdmitToRoom RoomAct = "admit"
	// MatchInRoom finds the people that the datasets have in common.
	MatchInRoom RoomAct = "match"
	// QueryRoom computes an answer for a party.
	QueryRoom RoomAct = "query"
	// ActivateFromRoom hands a party pseudonyms of people whom it may address.
	ActivateFromRoom RoomAct = "activate"
)

// RoomDataset is what the policies look at of a dataset and its contract.
type RoomDataset struct {
	Owner privacy.RecipientID
	// Purposes are those that the contract names.
	Purposes []privacy.Purpose
	// Source is "house" or "party".
	Source string
	// AdHoc is whether the contract lets queries in that follow no template.
	AdHoc bool
}

// RoomColumn is a column that is touched: on admission and on a match each column of the
// contract, on a query those that it filters by, groups by or computes of.
type RoomColumn struct {
	// Dataset is the place of its dataset in [RoomFacts.Datasets].
	Dataset int
	// Category is the data category that the contract declares.
	Category privacy.DataCategory
	// Role is "dimension", "measure" or "hidden".
	Role string
	// Name is what the column is called. It need not be of any vocabulary, but may not name
	// something protected: "yes" is no harmless word in a column pregnancy_test.
	Name string
	// Vocabulary says what the words of the domain are, "" if the catalogue does not know
	// them. See [VocabularyProductGroups].
	Vocabulary string
	// Values are the words of the domain; on a query still all of them, because every group
	// of the domain is answered.
	Values []string
	// Other is the one of them that stands for whatever is in no other, "" without one. It need
	// not be of the vocabulary, but may not name something protected either: rows of it would
	// hide there.
	Other string
}

// VocabularyProductGroups is the vocabulary of columns whose words are product groups of the
// catalogue, by their key or by a shop's own label.
const VocabularyProductGroups = "product_groups"

// RoomFacts is all that the rules about rooms decide on. It holds no personal data.
type RoomFacts struct {
	Act RoomAct
	// Party is who acts: the owner of the data on admission and match, the asker of a query,
	// the recipient of an activation.
	Party privacy.RecipientID
	// Members are all parties of the room, the party among them.
	Members []privacy.RecipientID
	// Roles are the party's in the room: "owns_data", "may_query", "may_receive",
	// "may_activate".
	Roles []string
	// Purpose is that of the query, of the activation, or else of the room.
	Purpose privacy.Purpose
	// RoomPurpose is the purpose that the room was opened for.
	RoomPurpose privacy.Purpose
	// Mode is "dp" or "k_only".
	Mode string
	// Template is whether a query follows a template that everybody signed.
	Template bool
	// Datasets are the datasets that are touched, Columns their columns that are.
	Datasets []RoomDataset
	Columns  []RoomColumn
}

// RoomDecision is what the rules say about an act in a room. The zero value denies.
type RoomDecision struct {
	Allow bool
	// Failed are the names of the checks that did not pass, sorted; none if it is allowed.
	Failed []string
	// MinimumPeople is how many people a group must have at least, whatever the contracts say.
	MinimumPeople int
	// QueryCap is the most that one query may cost, in billionths of zCDP's rho, whatever the
	// contracts say; 0 leaves it to them.
	QueryCap int64
	// Policy is the digest of the bundle that decided.
	Policy [sha256.Size]byte
}
