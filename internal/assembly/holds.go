package assembly

import (
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
)

// openHolds opens legal holds.
func (h *House) openHolds() (err error) {
	h.Holds, err = dsar.NewHolds(postgres.NewHoldStore(h.People, h.Log), h.Keys.Vault(), dsar.HoldConfig{
		Catalogue: h.catalogue, Ledger: h.lastErasure, Random: h.options.Random,
	})
	return err
}

// catalogue is the one in force.
func (h *House) catalogue() *policies.Catalogue { return h.Engine.Revision().Catalogue() }
