package certificate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// ID names an erasure: what a certificate is about.
type ID [16]byte

// Erased is one erasure in a list. It names nobody.
type Erased struct {
	ID ID
	// Request is the request's id; zero if there is none.
	Request  [16]byte
	ErasedAt time.Time
	// SweptAt is when the last row was gone; zero: not yet.
	SweptAt time.Time
	// Revision is that of the newest certificate; zero: there is none.
	Revision int64
}

// Facts are what there is to certify of one erasure.
type Facts struct {
	Request    Request
	Erasure    Erasure
	Withheld   []Withheld
	Processors []Processor
	// LogIndex is where the log has the erasure.
	LogIndex uint64
}

// Store has the facts and keeps the certificates.
type Store interface {
	// Facts returns what is known of an erasure by now. It MUST return an error that wraps
	// [privacy.ErrNotFound] if there is none, or none in the log yet.
	Facts(ctx context.Context, id ID) (Facts, error)
	// Latest returns the newest certificate of an erasure, or nil.
	Latest(ctx context.Context, id ID) ([]byte, error)
	// Add keeps a certificate together with its event. It MUST fail with
	// [privacy.ErrConflict] if the erasure has one of that revision.
	Add(ctx context.Context, id ID, c *Certificate, signed []byte, event audit.Event) error
	// Due lists erasures of which something has changed since the newest certificate, at
	// most limit of them, the oldest first.
	Due(ctx context.Context, limit int) ([]ID, error)
}

// Prover proves that an entry is in the log.
type Prover interface {
	Prove(ctx context.Context, index uint64) (audit.Inclusion, error)
}

// IssuerConfig has defaults for everything.
type IssuerConfig struct {
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Issuer writes certificates. It is safe for concurrent use.
type Issuer struct {
	store  Store
	prover Prover
	signer note.Signer
	config IssuerConfig
}

// NewIssuer returns an issuer that signs with the key of the log: signer has the name
// [SignerName].
func NewIssuer(store Store, prover Prover, signer note.Signer, config IssuerConfig) (*Issuer, error) {
	if store == nil || prover == nil || signer == nil {
		return nil, fmt.Errorf("making issuer of certificates: %w", privacy.ErrInvalid)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Issuer{store, prover, signer, config}, nil
}

// Issue returns the certificate of an erasure as it stands: the newest one if nothing has
// changed since, a new revision otherwise. Errors wrap [privacy.ErrNotFound] if there is
// no such erasure, [privacy.ErrUnavailable] if the log or the database cannot be reached.
//
// A crash leaves the certificate out or has it whole; asking again makes up for it.
func (i *Issuer) Issue(ctx context.Context, id ID) ([]byte, error) {
	for range issueAttempts {
		signed, err := i.issue(ctx, id)
		if !errors.Is(err, privacy.ErrConflict) {
			return signed, err
		}
	}
	return nil, fmt.Errorf("issuing certificate beside others who do: %w", privacy.ErrUnavailable)
}

// issueAttempts is how often somebody else may come first.
const issueAttempts = 3

func (i *Issuer) issue(ctx context.Context, id ID) ([]byte, error) {
	facts, err := i.store.Facts(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	former, err := i.store.Latest(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	c := &Certificate{
		Revision: 1, IssuedAt: exact(i.config.Now()), Request: facts.Request, Erasure: facts.Erasure,
		Withheld: notNil(facts.Withheld), Processors: notNil(facts.Processors),
	}
	if former != nil {
		last, err := Parse(former)
		if err != nil {
			return nil, fmt.Errorf("issuing certificate: %w", err)
		}
		c.takeOver(last)
		if c.saysTheSame(last) {
			return former, nil
		}
		c.Revision = last.Revision + 1
	}
	proof, err := i.prover.Prove(ctx, facts.LogIndex)
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	c.Log = NewLog(&proof)
	signed, err := Sign(c, i.signer)
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	err = i.store.Add(ctx, id, c, signed, audit.Event{
		Kind: audit.CertificateIssued, Outcome: audit.Done, List: sha256.Sum256(signed), Count: uint64(c.Revision),
	})
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	return signed, nil
}

// IssueDue issues what is due and returns how many it issued. It goes on behind one that
// fails and returns the errors together.
func (i *Issuer) IssueDue(ctx context.Context, limit int) (int, error) {
	due, err := i.store.Due(ctx, limit)
	if err != nil {
		return 0, fmt.Errorf("looking for due certificates: %w", err)
	}
	var errs []error
	issued := 0
	for _, id := range due {
		if _, err := i.Issue(ctx, id); err != nil {
			errs = append(errs, err)
			continue
		}
		issued++
	}
	return issued, errors.Join(errs...)
}

// takeOver keeps the time at which something was first found destroyed: the facts only
// say that it is.
func (c *Certificate) takeOver(last *Certificate) {
	for n := range c.Withheld {
		w := &c.Withheld[n]
		if w.ErasedAt == nil || n >= len(last.Withheld) || last.Withheld[n].ErasedAt == nil {
			continue
		}
		w.ErasedAt = last.Withheld[n].ErasedAt
	}
}

// saysTheSame compares everything but when and how it was certified.
func (c *Certificate) saysTheSame(last *Certificate) bool {
	a, b := *c, *last
	a.Revision, a.IssuedAt, a.Log = 0, time.Time{}, Log{}
	b.Revision, b.IssuedAt, b.Log = 0, time.Time{}, Log{}
	// The words are compared, not the pointers to times.
	aText, aErr := a.text()
	bText, bErr := b.text()
	return aErr == nil && bErr == nil && bytes.Equal([]byte(aText), []byte(bText))
}

// exact is t as a certificate has it.
func exact(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// At returns t as a certificate has it, or nil for the zero time.
func At(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = exact(t)
	return &t
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return slices.Clone(list)
}
