package ledger

import (
	"fmt"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Kind says what a record is of. The set is closed.
type Kind string

// The kinds of record.
const (
	// Erased: a person was erased, and their identifiers are suppressed from then on.
	Erased Kind = "erased"
	// Readmitted: identifiers that were suppressed may come back.
	Readmitted Kind = "readmitted"
)

// Tag is a keyed hash of 16 bytes: of a person's id, or of an identifier.
type Tag [16]byte

// Hash is a SHA-256.
type Hash [32]byte

// Record is one line of the ledger. Nothing in it can be read back to a person.
type Record struct {
	// Sequence counts the records from 1. The ledger gives it.
	Sequence uint64
	// Time is when it was recorded, in whole seconds.
	Time time.Time
	// Kind says which of the fields below there are.
	Kind Kind
	// Erasure is the random id of the erasure. Only on [Erased].
	Erasure [16]byte
	// Request is the random id of the request that was carried out; zero if there was none.
	Request [16]byte
	// Person is the keyed tag of the id of whoever was erased. Only on [Erased].
	Person Tag
	// Plan is the hash of the plan that was approved; zero if there was none. Only on [Erased].
	Plan Hash
	// Suppressed are the tags of the identifiers that are suppressed, or readmitted.
	Suppressed []Tag
	// Hash covers this line and all before it. The ledger gives it.
	Hash Hash
}

// maxTags keeps a line below [maxLine].
const maxTags = 250_000

// Validate says what is wrong with a record that is to be written. The error wraps
// [privacy.ErrInvalid].
func (r *Record) Validate() error {
	wrong := func(what string) error {
		return fmt.Errorf("checking ledger record: %s: %w", what, privacy.ErrInvalid)
	}
	if year := r.Time.UTC().Year(); year < 2000 || year > 9999 {
		return wrong("time")
	}
	if len(r.Suppressed) > maxTags {
		return wrong("too many identifiers")
	}
	switch r.Kind {
	case Erased:
		if r.Erasure == ([16]byte{}) || r.Person == (Tag{}) {
			return wrong("erasure without id or person")
		}
	case Readmitted:
		if r.Erasure != ([16]byte{}) || r.Person != (Tag{}) || r.Plan != (Hash{}) {
			return wrong("readmission with id, person or plan")
		}
		if len(r.Suppressed) == 0 {
			return wrong("readmission of nothing")
		}
	default:
		return wrong("kind")
	}
	return nil
}
