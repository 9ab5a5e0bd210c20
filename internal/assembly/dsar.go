package assembly

import (
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// openRequests opens the room in which requests of data subjects are handled.
func (h *House) openRequests() (err error) {
	h.Requests, err = dsar.NewService(postgres.NewRequestStore(h.DB, h.Log), h.People, h.Keys.Vault(), h.Log, dsar.ServiceConfig{
		Now: h.options.Now, Random: h.options.Random, MayOpen: wordsOf(h.Engine).mayOpenRequests,
	})
	return err
}

// mayOpenRequests: the company's own services, on behalf of the people who use them.
func (w words) mayOpenRequests(recipient privacy.RecipientID) bool {
	r, known := w.engine.Revision().Catalogue().Recipient(recipient)
	return known && r.Relationship == policies.FirstParty
}
