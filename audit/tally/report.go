// Package tally counts what the log holds about a period: who asked what, for which
// purpose, how often it was answered and how often refused, and why. It reads entries and
// nothing else, so that whoever has the log comes to the same numbers as its operator.
package tally

import (
	"encoding/hex"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// What is what somebody asked for, of things that can be refused.
type What string

// What can be asked for.
const (
	Query    What = "query"            // about one person
	Audience What = "audience"         // a list of people
	Identity What = "reidentification" // who is behind a pseudonym
)

// asked says which kinds of entry are questions that were answered or refused.
func asked(kind audit.Kind) (what What, answered, ok bool) {
	switch kind {
	case audit.QueryAnswered:
		return Query, true, true
	case audit.QueryDenied:
		return Query, false, true
	case audit.AudienceAnswered:
		return Audience, true, true
	case audit.AudienceDenied:
		return Audience, false, true
	case audit.PersonReidentified:
		return Identity, true, true
	case audit.ReidentifyDenied:
		return Identity, false, true
	}
	return "", false, false
}

// isNotable reports whether each single entry of a kind is listed: what changes how the
// house decides, who may ask, or the log itself.
func isNotable(kind audit.Kind) bool {
	switch kind {
	case audit.LogStarted, audit.LogRestored, audit.LogKeyChanged, audit.LogRetentionSet, audit.LogArchived, audit.LogPruned,
		audit.LogExported, audit.ClockSetBack, audit.PolicyActivated, audit.PolicyRefused, audit.TokenMinted, audit.KeyCreated,
		audit.SuppressionLifted, audit.PersonReidentified:
		return true
	}
	return false
}

// Asked is who asked what for which purpose, and how it went.
type Asked struct {
	Role      privacy.Role        `json:"role"`
	Recipient privacy.RecipientID `json:"recipient"`
	What      What                `json:"what"`
	Purpose   privacy.Purpose     `json:"purpose"`
	Channel   privacy.Channel     `json:"channel"`
	Answered  uint64              `json:"answered"`
	Refused   uint64              `json:"refused"`
}

// Refused is why questions were refused. One question may have failed several checks, and
// counts under each.
type Refused struct {
	Check   string          `json:"check"`
	What    What            `json:"what"`
	Purpose privacy.Purpose `json:"purpose"`
	Refused uint64          `json:"refused"`
}

// Released is what was handed over, to whom and for which purpose.
type Released struct {
	Attribute privacy.AttributeName `json:"attribute"`
	Recipient privacy.RecipientID   `json:"recipient"`
	Purpose   privacy.Purpose       `json:"purpose"`
	Times     uint64                `json:"times"`
}

// Sizes is how large the things were that a count stands beside.
type Sizes struct {
	Kind    audit.Kind   `json:"kind"`
	Size    audit.Bucket `json:"size"`
	Entries uint64       `json:"entries"`
}

// Caller is somebody who acted, by the tag that the operator's key gives them.
type Caller struct {
	Tag       string              `json:"tag"`
	Role      privacy.Role        `json:"role"`
	Recipient privacy.RecipientID `json:"recipient"`
	Answered  uint64              `json:"answered"`
	Refused   uint64              `json:"refused"`
	Other     uint64              `json:"other"`
	First     time.Time           `json:"first"`
	Last      time.Time           `json:"last"`
}

// Done is how often something happened, by whose hand.
type Done struct {
	Kind    audit.Kind   `json:"kind"`
	Role    privacy.Role `json:"role"`
	Entries uint64       `json:"entries"`
}

// Revision is a revision of the policies and what it decided.
type Revision struct {
	Policy   string    `json:"policy"`
	Answered uint64    `json:"answered"`
	Refused  uint64    `json:"refused"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
}

// Notable is one entry that should be looked at by itself.
type Notable struct {
	Index uint64       `json:"index"`
	Time  time.Time    `json:"time"`
	Kind  audit.Kind   `json:"kind"`
	Role  privacy.Role `json:"role"`
}

// Moment is a part of the period.
type Moment struct {
	Start    time.Time `json:"start"`
	Answered uint64    `json:"answered"`
	Refused  uint64    `json:"refused"`
	Other    uint64    `json:"other"`
}

// Report is what the log holds about a period. The rows of each table are in the order of
// their keys, so that two reports of the same entries are the same bytes; it says nothing
// of when it was made.
type Report struct {
	// From and To bound the period; zero is unbounded. To is not part of it.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Entries were in the period, First to Last by index.
	Entries uint64  `json:"entries"`
	First   *uint64 `json:"first_index,omitempty"`
	Last    *uint64 `json:"last_index,omitempty"`
	// Answered and Refused are the questions among them.
	Answered uint64 `json:"answered"`
	Refused  uint64 `json:"refused"`

	Asked     []Asked    `json:"asked"`
	Reasons   []Refused  `json:"reasons"`
	Released  []Released `json:"released"`
	Sizes     []Sizes    `json:"sizes"`
	Callers   []Caller   `json:"callers"`
	Done      []Done     `json:"done"`
	Revisions []Revision `json:"revisions"`
	Notables  []Notable  `json:"notable"`
	Unit      Unit       `json:"unit"`
	Moments   []Moment   `json:"moments"`
	// More counts, by table, what did not fit into its rows: memory is bounded whatever
	// the log holds.
	More map[string]uint64 `json:"more,omitempty"`
}

// Proof is what the entries of a report were compared with.
type Proof struct {
	// Begin and Size are which entries were read.
	Begin uint64 `json:"begin"`
	Size  uint64 `json:"size"`
	// Root is the root hash that was recomputed from all of them, in hexadecimal; it is
	// empty if the log's beginning was no longer there.
	Root string `json:"root,omitempty"`
	// Signed is the size of the signed checkpoint that the entries led to, or zero.
	Signed uint64 `json:"signed"`
}

func digestText(d audit.Digest) string { return hex.EncodeToString(d[:]) }
