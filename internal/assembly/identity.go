package assembly

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mahrem/mahrem/dsar/identity"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// openIdentity opens the room that finds out who sent a request.
func (h *House) openIdentity() (err error) {
	h.Identity, err = identity.New(postgres.NewIdentityStore(h.DB, h.Log), h.Requests, knownAddresses{h}, h.Keys.Vault(), h.Log, identity.Config{
		Random: h.options.Random, Now: h.options.Now, Ways: h.ways(), MayAttest: wordsOf(h.Engine).mayOpenRequests,
	})
	return err
}

// knownAddresses finds where people are known to be reached.
type knownAddresses struct{ *House }

// addressed are the kinds of identifier by which somebody can be written to; the catalogue
// has an attribute of the same name for each.
var addressed = []privacy.IdentifierKind{privacy.Email, privacy.Phone}

// Known returns those addresses that resolve to the person: of those that the request
// names, and of those that are on record. For nobody it asks the database the same
// questions.
func (k knownAddresses) Known(ctx context.Context, person privacy.DataSubjectID, named []privacy.Identifier) ([]privacy.Identifier, error) {
	record, err := k.recorded(ctx, person)
	if err != nil {
		return nil, err
	}
	var known []privacy.Identifier
	for _, identifier := range append(append([]privacy.Identifier(nil), named...), record...) {
		if identifier.Kind != privacy.Email && identifier.Kind != privacy.Phone {
			continue
		}
		found, err := k.People.ResolveIdentifier(ctx, identifier)
		switch {
		case errors.Is(err, privacy.ErrNotFound), errors.Is(err, privacy.ErrConflict), errors.Is(err, privacy.ErrInvalid):
		case err != nil:
			return nil, fmt.Errorf("finding known addresses: %w", err)
		case !person.IsZero() && found == person:
			known = append(known, identifier)
		}
	}
	return known, nil
}

// recorded returns one address of each kind, in the normal form that the record has, or one
// of nobody in its place.
func (k knownAddresses) recorded(ctx context.Context, person privacy.DataSubjectID) ([]privacy.Identifier, error) {
	values := map[privacy.IdentifierKind]privacy.Plain{
		privacy.Email: privacy.NewPlain("nobody@invalid.example"), privacy.Phone: privacy.NewPlain("+10000000000"),
	}
	key, err := k.keyOf(ctx, person)
	if err != nil {
		return nil, err
	}
	catalogue := k.Engine.Revision().Catalogue()
	categories := addressCategories(catalogue)
	records, err := k.People.Records(ctx, key, categories)
	if err != nil {
		return nil, fmt.Errorf("finding known addresses: %w", err)
	}
	for _, category := range categories {
		for _, kind := range addressed {
			if field, held := records[category].Record[privacy.AttributeName(kind)]; held && len(field.Values) > 0 {
				values[kind] = field.Values[0]
			}
		}
	}
	var found []privacy.Identifier
	for _, kind := range addressed {
		found = append(found, privacy.Identifier{Kind: kind, Value: values[kind]})
	}
	return found, nil
}

// keyOf opens a person's key, or draws one that opens nothing for nobody.
func (k knownAddresses) keyOf(ctx context.Context, person privacy.DataSubjectID) (*vault.PersonKey, error) {
	asked := person
	if asked.IsZero() {
		asked = privacy.DataSubjectID{0xff}
	}
	key, err := k.People.PersonKey(ctx, asked, vault.UseAddress)
	if err == nil || !errors.Is(err, privacy.ErrNotFound) && !errors.Is(err, privacy.ErrDamaged) {
		return key, err
	}
	key, _, err = k.Keys.Vault().NewPersonKey(asked)
	return key, err
}

// addressCategories are the categories in which addresses are held.
func addressCategories(catalogue *policies.Catalogue) []privacy.DataCategory {
	var categories []privacy.DataCategory
	for _, kind := range addressed {
		attribute, known := catalogue.Attribute(privacy.AttributeName(kind))
		if known && (len(categories) == 0 || categories[0] != attribute.Category) {
			categories = append(categories, attribute.Category)
		}
	}
	return categories
}

// remembered calls read at most once in a while.
func remembered[T any](while time.Duration, read func() T) func() T {
	var mu sync.Mutex
	var at time.Time
	var last T
	return func() T {
		mu.Lock()
		defer mu.Unlock()
		if at.IsZero() || time.Since(at) > while {
			last, at = read(), time.Now()
		}
		return last
	}
}
