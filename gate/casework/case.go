package casework

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Life is how long a case is open unless it is closed before. Nobody has to remember to
// end it.
const Life = 30 * 24 * time.Hour

// ID names a case. It is random and says nothing about anybody; the zero value stands
// for no case.
type ID [16]byte

// ParseID reads the 32 hexadecimal digits that [ID.String] writes. The error wraps
// [privacy.ErrInvalid].
func ParseID(text string) (ID, error) {
	var id ID
	if len(text) != hex.EncodedLen(len(id)) {
		return ID{}, fmt.Errorf("parsing case id: %w", privacy.ErrInvalid)
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ID{}, fmt.Errorf("parsing case id: %w", privacy.ErrInvalid)
		}
	}
	_, _ = hex.Decode(id[:], []byte(text)) // the digits were looked at
	if id == (ID{}) {
		return ID{}, fmt.Errorf("parsing case id: %w", privacy.ErrInvalid)
	}
	return id, nil
}

// String returns 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Kind says what a case is about, in one word: what the person wrote belongs to their
// sealed data and not into the registry.
type Kind string

// The kinds of case.
const (
	// Support is a question that the person asked.
	Support Kind = "support"
	// Complaint is what the person is not content with.
	Complaint Kind = "complaint"
)

// ParseKind returns the kind that s names, or an error wrapping [privacy.ErrInvalid].
func ParseKind(s string) (Kind, error) {
	switch kind := Kind(s); kind {
	case Support, Complaint:
		return kind, nil
	}
	return "", fmt.Errorf("parsing kind of case (support or complaint): %w", privacy.ErrInvalid)
}

// Case is one case as it is recorded.
type Case struct {
	ID          ID
	DataSubject privacy.DataSubjectID
	// Recipient is who handles it.
	Recipient privacy.RecipientID
	Kind      Kind
	// OpenedAt and EndsAt are of the registry's clock, Life apart.
	OpenedAt, EndsAt time.Time
	// ClosedAt is zero unless somebody closed it.
	ClosedAt time.Time
}

// IsOpen reports whether the case is being handled at the moment at: it has begun, was
// not closed and has not ended.
func (c Case) IsOpen(at time.Time) bool {
	return c.ClosedAt.IsZero() && !c.OpenedAt.IsZero() && !at.Before(c.OpenedAt) && at.Before(c.EndsAt)
}

// State is a word for [Case.IsOpen] and why not.
func (c Case) State(at time.Time) string {
	switch {
	case !c.ClosedAt.IsZero():
		return "closed"
	case c.IsOpen(at):
		return "open"
	}
	return "ended"
}
