package audit

import (
	"fmt"

	"github.com/mahrem/mahrem/privacy"
)

// MaxAttributes is how many attributes one entry can name.
const MaxAttributes = maxAttributes

// Fits returns an error that wraps [privacy.ErrInvalid] if no entry can be made of the
// event. Whoever is going to decide something asks before, with the most that the decision
// may come to say and without the person, who need not be known yet: what cannot be logged
// must not be decided.
//
// The limits on words and lists are such that what fits them fits into a leaf.
func Fits(event *Event) error {
	if field := invalidField(event); field != "" {
		return fmt.Errorf("fitting an event into an entry: %s: %w", field, privacy.ErrInvalid)
	}
	return nil
}
