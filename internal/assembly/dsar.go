package assembly

import (
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// openRequests opens the room in which requests of data subjects are handled.
func (h *House) openRequests() (err error) {
	h.Requests, err = h.newRequests(postgres.NewRequestStore(h.DB, h.Log))
	return err
}

// newRequests opens the same room over a store that does more than the usual one.
func (h *House) newRequests(store dsar.RequestStore) (*dsar.Service, error) {
	return dsar.NewService(store, h.People, h.Keys.Vault(), h.Log, dsar.ServiceConfig{
		Now: h.options.Now, Random: h.options.Random, MayOpen: wordsOf(h.Engine).mayOpenRequests, Compute: clock.Compute,
	})
}

// mayOpenRequests: the company's own services, on behalf of the people who use them.
func (w words) mayOpenRequests(recipient privacy.RecipientID) bool {
	r, known := w.engine.Revision().Catalogue().Recipient(recipient)
	return known && r.Relationship == policies.FirstParty
}
