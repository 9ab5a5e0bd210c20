package subscriber

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Subscriber is who is told.
type Subscriber struct {
	// ID is a word, and where deliveries go to in the outbox.
	ID string
	// Recipient is the recipient of the catalogue that it is: people are named to it by
	// that one's pseudonyms.
	Recipient privacy.RecipientID
	// URL is where it is called.
	URL string
	// Purposes are what it is told about.
	Purposes []privacy.Purpose
	// SealedSecret is the secret by which calls are signed, sealed under [SecretLabel].
	SealedSecret []byte
	// AddedBy is the tag of whoever added it.
	AddedBy [16]byte
	// AddedAt and RemovedAt are the store's.
	AddedAt, RemovedAt time.Time
}

// Active reports whether it is told of changes.
func (s *Subscriber) Active() bool { return s.RemovedAt.IsZero() }

// SecretLabel is the label under which the secret of a subscriber is sealed.
func SecretLabel(id string) string { return "subscriber/" + id }

var idPattern = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)

// maxPurposes bounds a list of purposes.
const maxPurposes = 256

// Check refuses, with an error that wraps [privacy.ErrInvalid], what no store may take.
func (s *Subscriber) Check() error {
	wrong := func(pointer, reason string) error { return &privacy.FieldError{Pointer: pointer, Reason: reason} }
	switch {
	case !idPattern.MatchString(s.ID):
		return wrong("/subscriber", "must be a lower-case word of at most 64 letters, digits and . _ -")
	case s.Recipient == "":
		return wrong("/recipient", "must be a recipient of the catalogue")
	case s.URL == "" || len(s.URL) > 512:
		return wrong("/url", "must be an address of at most 512 characters")
	case len(s.Purposes) == 0 || len(s.Purposes) > maxPurposes:
		return wrong("/purposes", "must name at least one purpose")
	case len(s.SealedSecret) == 0:
		return fmt.Errorf("checking subscriber without a sealed secret: %w", privacy.ErrInvalid)
	}
	for i, purpose := range s.Purposes {
		if slices.Contains(s.Purposes[:i], purpose) {
			return wrong(fmt.Sprintf("/purposes/%d", i), "is named twice")
		}
	}
	return nil
}

// Registry keeps subscribers.
type Registry interface {
	// Add adds a subscriber together with the entry for the event. The error wraps
	// [privacy.ErrConflict] if there is, or was, one of its id.
	Add(ctx context.Context, s Subscriber, event audit.Event) (audit.Receipt, error)
	// Remove has it told nothing from here on. Deliveries that wait for it are given up when
	// they come to be sent. The error wraps [privacy.ErrNotFound] if there is none.
	Remove(ctx context.Context, id string, event audit.Event) (audit.Receipt, error)
	// Find returns one, also if it was removed.
	Find(ctx context.Context, id string) (Subscriber, error)
	// List returns those who are told, and if all those who were removed too.
	List(ctx context.Context, all bool) ([]Subscriber, error)
}
