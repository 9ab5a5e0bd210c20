package assembly

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// childhood tells when the law called a person a child, for showing what their consents
// amount to. Whoever is shown it must have the showing logged, see [House.LogShown].
func (h *House) childhood(ctx context.Context, id privacy.DataSubjectID) (consent.Childhood, error) {
	person, err := h.People.Person(ctx, id)
	if err != nil {
		return nil, err
	}
	key, err := h.People.PersonKey(ctx, id, vault.UseProfile)
	if err != nil {
		return nil, err
	}
	records, err := h.People.Records(ctx, key, []privacy.DataCategory{gate.CoreCategory})
	if err != nil {
		return nil, err
	}
	catalogue := h.Engine.Revision().Catalogue()
	birth, known := gate.BirthDate(records[gate.CoreCategory].Record)
	if !known {
		return func(time.Time) (bool, time.Time) { return false, time.Time{} }, nil
	}
	return gate.ChildhoodOf(catalogue, catalogue.JurisdictionOf(string(person.Jurisdiction)), birth), nil
}
