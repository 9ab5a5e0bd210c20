package assembly

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// openHolds opens legal holds.
func (h *House) openHolds() (err error) {
	h.Holds, err = dsar.NewHolds(postgres.NewHoldStore(h.People, h.Log), h.Keys.Vault(), dsar.HoldConfig{
		Catalogue: h.catalogue, Ledger: h.lastErasure, Random: h.options.Random,
	})
	// A release goes on by itself with what waited for it. This is for the case that the
	// process died in between.
	h.tend(chore{24 * time.Hour, "erasures that waited for a released hold not gone on with", func(ctx context.Context) error {
		_, err := h.Eraser.Resume(ctx, privacy.Principal{ID: "server", Role: privacy.RoleDPO})
		return err
	}})
	return err
}

// catalogue is the one in force.
func (h *House) catalogue() *policies.Catalogue { return h.Engine.Revision().Catalogue() }
