package dsar

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// HoldRow is a hold as a store keeps it.
type HoldRow struct {
	ID HoldID
	// Scope is the tag of what it covers; zero: everything.
	Scope     [16]byte
	Reason    HoldReason
	Authority string
	// By is the actor's tag.
	By                  [16]byte
	People, Identifiers int64
	SetAt, ReleasedAt   time.Time
	ReleaseReason       ReleaseReason
}

// BlindIdentifier is one identifier as the database knows it: its blind indexes under each
// active key.
type BlindIdentifier struct {
	Kind    privacy.IdentifierKind
	Indexes [][]byte
}

// ErrLedgerAhead means that the erasure ledger has lines that the database has not carried
// out: whoever they are about is erased already.
var ErrLedgerAhead = fmt.Errorf("the erasure ledger is ahead of the database: %w", privacy.ErrConflict)

// HoldStore keeps holds.
type HoldStore interface {
	// HeldPeople returns, sorted, who of the people exists, and everybody who has one of
	// the identifiers.
	HeldPeople(ctx context.Context, people []privacy.DataSubjectID, identifiers []BlindIdentifier) ([]privacy.DataSubjectID, error)
	// AuditSubject is [Store]'s.
	AuditSubject(ctx context.Context, id privacy.DataSubjectID) (audit.Subject, error)
	// SetHold MUST lock the rows of people before anything else, and then: return an error
	// that wraps [privacy.ErrConflict] if they are not the same any more (somebody was
	// erased, or got an identifier, meanwhile); call ready, and return its error; record the
	// hold with its entry or not at all.
	SetHold(ctx context.Context, row HoldRow, people []privacy.DataSubjectID, identifiers []BlindIdentifier,
		ready func(context.Context, LedgerView) error, event audit.Event) (time.Time, audit.Receipt, error)
	// FindHold returns an error that wraps [privacy.ErrNotFound] if there is none.
	FindHold(ctx context.Context, id HoldID) (HoldRow, error)
	// ReleaseHold ends a hold with its entry or not at all, forgets whom it bound, and says
	// who they were. The error wraps [privacy.ErrConflict] if it was released before.
	ReleaseHold(ctx context.Context, id HoldID, reason ReleaseReason, by [16]byte, event audit.Event) ([]privacy.DataSubjectID, audit.Receipt, error)
	// ListHolds returns holds, the latest first: those in force or all, on anybody or on
	// one person.
	ListHolds(ctx context.Context, all bool, person privacy.DataSubjectID, limit int) ([]HoldRow, error)
}

// LedgerView is what the transaction that sets a hold sees of the erasure ledger.
type LedgerView interface {
	// HasLedgerLine reports whether every line up to the sequence number was carried out.
	HasLedgerLine(ctx context.Context, upTo uint64) (bool, error)
}

// holdKeys are the keyed hashes that a hold needs; [vault.Vault] has them.
type holdKeys interface {
	holdTagger
	BlindIndexes(identifier privacy.Identifier) ([][]byte, error)
	ActorTag(principal privacy.Principal) [16]byte
}

// HoldConfig holds what a service may be told otherwise.
type HoldConfig struct {
	// Catalogue has the words of scopes. Required.
	Catalogue func() *policies.Catalogue
	// Ledger returns the number of the last line of the erasure ledger. Nil: there is none.
	Ledger func(context.Context) (uint64, error)
	// Patience is how long setting a hold waits for erasures that are under way just now;
	// zero means 20 seconds.
	Patience time.Duration
	// Resume goes on with erasures that waited for a hold on these people. Nil: nobody does.
	Resume func(ctx context.Context, by privacy.Principal, people []privacy.DataSubjectID) error
	// Random draws ids; nil means crypto/rand.
	Random io.Reader
}

// Holds sets, releases and lists legal holds. Only a data protection officer may set and
// release them.
type Holds struct {
	store  HoldStore
	keys   holdKeys
	config HoldConfig
}

// NewHolds returns a service over store.
func NewHolds(store HoldStore, keys holdKeys, config HoldConfig) (*Holds, error) {
	if store == nil || keys == nil || config.Catalogue == nil {
		return nil, fmt.Errorf("making holds without store, keys or catalogue: %w", privacy.ErrInvalid)
	}
	if config.Patience == 0 {
		config.Patience = 20 * time.Second
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	return &Holds{store: store, keys: keys, config: config}, nil
}

// OnErasing replaces what goes on with erasures that waited for a hold.
func (s *Holds) OnErasing(resume func(ctx context.Context, by privacy.Principal, people []privacy.DataSubjectID) error) {
	s.config.Resume = resume
}

// setTries is how often a hold is tried again because the people whom it binds changed.
const setTries = 10

// Set puts a hold on people and identifiers, known or not. When it returns without an
// error nothing that it covers is destroyed until it is released; whoever was erased
// before is not bound, and named alone by id they are not found. Errors wrap:
//
//   - [privacy.ErrForbidden]: the principal is no data protection officer;
//   - [privacy.ErrInvalid]: the request has a field that cannot be;
//   - [privacy.ErrNotFound]: a person who was named by id is unknown, or erased;
//   - [ErrLedgerAhead]: an erasure has been decided that the database has yet to carry out.
func (s *Holds) Set(ctx context.Context, by privacy.Principal, request HoldRequest) (Hold, audit.Receipt, error) {
	if by.Role != privacy.RoleDPO || by.ID == "" {
		return Hold{}, audit.Receipt{}, fmt.Errorf("setting hold: %w", privacy.ErrForbidden)
	}
	if err := s.checkRequest(&request); err != nil {
		return Hold{}, audit.Receipt{}, fmt.Errorf("setting hold: %w", err)
	}
	identifiers := make([]BlindIdentifier, len(request.Identifiers))
	for i, identifier := range request.Identifiers {
		indexes, err := s.keys.BlindIndexes(identifier)
		if err != nil {
			return Hold{}, audit.Receipt{}, fmt.Errorf("setting hold: %w", err)
		}
		identifiers[i] = BlindIdentifier{identifier.Kind, indexes}
	}
	id, err := NewHoldID(s.config.Random)
	if err != nil {
		return Hold{}, audit.Receipt{}, err
	}
	hold := Hold{ID: id, Scope: request.Scope, Reason: request.Reason, Authority: request.Authority, Identifiers: int64(len(identifiers))}
	for try := 1; ; try++ {
		receipt, err := s.set(ctx, by, &hold, request.People, identifiers)
		if err == nil {
			return hold, receipt, nil
		}
		if try == setTries || !errors.Is(err, privacy.ErrConflict) || errors.Is(err, ErrLedgerAhead) {
			return Hold{}, audit.Receipt{}, fmt.Errorf("setting hold: %w", err)
		}
	}
}

func (s *Holds) set(ctx context.Context, by privacy.Principal, hold *Hold, named []privacy.DataSubjectID, identifiers []BlindIdentifier) (audit.Receipt, error) {
	people, err := s.store.HeldPeople(ctx, named, identifiers)
	if err != nil {
		return audit.Receipt{}, err
	}
	for _, id := range named {
		if !slices.Contains(people, id) {
			return audit.Receipt{}, fmt.Errorf("finding person to hold: %w", privacy.ErrNotFound)
		}
	}
	event := audit.Event{Kind: audit.HoldSet, Outcome: audit.Done, Principal: by, List: holdDigest(hold), Count: uint64(len(people))}
	switch len(people) {
	case 0:
		event.Subject = audit.Subject{Unknown: true}
	case 1:
		event.Subject, err = s.store.AuditSubject(ctx, people[0])
		if errors.Is(err, privacy.ErrNotFound) {
			return audit.Receipt{}, privacy.ErrConflict // erased since
		}
		if errors.Is(err, privacy.ErrDamaged) {
			event.Subject, err = audit.Subject{Unknown: true}, nil
		}
		if err != nil {
			return audit.Receipt{}, err
		}
	}
	row := HoldRow{
		ID: hold.ID, Scope: hold.Scope.tag(s.keys), Reason: hold.Reason, Authority: hold.Authority,
		By: s.keys.ActorTag(by), People: int64(len(people)), Identifiers: hold.Identifiers,
	}
	at, receipt, err := s.store.SetHold(ctx, row, people, identifiers, s.ledgerIsCarriedOut, event)
	hold.SetAt, hold.People = at, int64(len(people))
	return receipt, err
}

// ledgerIsCarriedOut waits, with the people locked, until the database has carried out all
// that the ledger says. Erasures that are under way commit in a moment; one whose process
// died between the ledger and its commit holds no lock any more, and has happened.
func (s *Holds) ledgerIsCarriedOut(ctx context.Context, view LedgerView) error {
	if s.config.Ledger == nil {
		return nil
	}
	last, err := s.config.Ledger(ctx)
	if err != nil {
		return fmt.Errorf("reading erasure ledger: %w", err)
	}
	for begun := time.Now(); ; {
		done, err := view.HasLedgerLine(ctx, last)
		if err != nil || done {
			return err
		}
		if time.Since(begun) > s.config.Patience {
			return ErrLedgerAhead
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for erasures: %w", errors.Join(ctx.Err(), privacy.ErrUnavailable))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s *Holds) checkRequest(r *HoldRequest) error {
	if err := r.check(); err != nil {
		return err
	}
	slices.SortFunc(r.People, func(a, b privacy.DataSubjectID) int { return slices.Compare(a[:], b[:]) })
	r.People = slices.Compact(r.People)
	catalogue := s.config.Catalogue()
	if r.Scope.Category != "" {
		if _, known := catalogue.Category(r.Scope.Category); !known {
			return &privacy.FieldError{Pointer: "/category", Reason: fmt.Sprintf("is none of the catalogue's: %v", catalogue.Categories())}
		}
	}
	if r.Scope.Attribute != "" {
		if a, known := catalogue.Attribute(r.Scope.Attribute); !known || a.Category != r.Scope.Category || a.Derived != "" {
			return &privacy.FieldError{Pointer: "/attribute", Reason: "is no stored attribute of that category"}
		}
	}
	return nil
}

// Release ends a hold and goes on with what waited for it. If it returns a receipt with an
// error, the hold is released, and what waited is gone on with later. Errors wrap those of
// [Holds.Set], and [privacy.ErrConflict] if the hold was released before.
func (s *Holds) Release(ctx context.Context, by privacy.Principal, id HoldID, reason ReleaseReason) (Hold, audit.Receipt, error) {
	if by.Role != privacy.RoleDPO || by.ID == "" {
		return Hold{}, audit.Receipt{}, fmt.Errorf("releasing hold: %w", privacy.ErrForbidden)
	}
	if !slices.Contains(ReleaseReasons(), reason) {
		return Hold{}, audit.Receipt{}, fmt.Errorf("releasing hold: %w",
			&privacy.FieldError{Pointer: "/reason", Reason: fmt.Sprintf("is none of %v", ReleaseReasons())})
	}
	row, err := s.store.FindHold(ctx, id)
	if err != nil {
		return Hold{}, audit.Receipt{}, fmt.Errorf("releasing hold: %w", err)
	}
	hold := s.shown(row, s.scopes())
	people, receipt, err := s.store.ReleaseHold(ctx, id, reason, s.keys.ActorTag(by), audit.Event{
		Kind: audit.HoldReleased, Outcome: audit.Done, Principal: by, List: holdDigest(&hold), Count: uint64(row.People),
	})
	if err != nil {
		return Hold{}, audit.Receipt{}, fmt.Errorf("releasing hold: %w", err)
	}
	if row, err = s.store.FindHold(ctx, id); err != nil {
		return hold, receipt, fmt.Errorf("reading released hold: %w", err)
	}
	hold = s.shown(row, s.scopes())
	if s.config.Resume != nil && len(people) > 0 {
		if err := s.config.Resume(ctx, by, people); err != nil {
			return hold, receipt, fmt.Errorf("going on with erasures that waited for the hold: %w", err)
		}
	}
	return hold, receipt, nil
}

// HoldFilter says which holds to list.
type HoldFilter struct {
	// All lists those that were released, too.
	All bool
	// DataSubject lists those on one person; zero: on anybody.
	DataSubject privacy.DataSubjectID
	// Limit is how many at most; zero means 100.
	Limit int
}

// List returns holds, the latest first. Data protection officers and auditors may see
// them: they name nobody.
func (s *Holds) List(ctx context.Context, by privacy.Principal, filter HoldFilter) ([]Hold, error) {
	if by.Role != privacy.RoleDPO && (by.Role != privacy.RoleAuditor || !filter.DataSubject.IsZero()) {
		return nil, fmt.Errorf("listing holds: %w", privacy.ErrForbidden)
	}
	if filter.Limit <= 0 {
		filter.Limit = 100
	}
	rows, err := s.store.ListHolds(ctx, filter.All, filter.DataSubject, filter.Limit)
	if err != nil {
		return nil, fmt.Errorf("listing holds: %w", err)
	}
	scopes := s.scopes()
	holds := make([]Hold, len(rows))
	for i, row := range rows {
		holds[i] = s.shown(row, scopes)
	}
	return holds, nil
}

func (s *Holds) shown(row HoldRow, scopes map[[16]byte]HoldScope) Hold {
	scope, known := scopes[row.Scope]
	return Hold{
		ID: row.ID, Scope: scope, Unreadable: !known, Reason: row.Reason, Authority: row.Authority,
		People: row.People, Identifiers: row.Identifiers,
		SetAt: row.SetAt, ReleasedAt: row.ReleasedAt, ReleaseReason: row.ReleaseReason,
	}
}

// scopes turns the tags of all scopes that there can be into words.
func (s *Holds) scopes() map[[16]byte]HoldScope {
	return HoldScopes(s.config.Catalogue(), s.keys)
}

// HoldScopes returns every scope that a hold can have under a catalogue, by the tag that
// stands for it: zero for everything.
func HoldScopes(catalogue *policies.Catalogue, tagger holdTagger) map[[16]byte]HoldScope {
	scopes := map[[16]byte]HoldScope{{}: {}}
	add := func(scope HoldScope) { scopes[scope.tag(tagger)] = scope }
	for _, category := range catalogue.Categories() {
		add(HoldScope{Category: category})
	}
	for _, name := range catalogue.Attributes() {
		if a, _ := catalogue.Attribute(name); a.Derived == "" {
			add(HoldScope{Category: a.Category, Attribute: name})
		}
	}
	return scopes
}
