package assembly

import (
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/cleanroom/persona"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// PersonaStore keeps definitions of personas.
func (h *House) PersonaStore() *postgres.PersonaStore {
	return postgres.NewPersonaStore(postgres.NewDrawStore(h.DB, h.Keys.Vault()), h.Log)
}

// Personas tells the house's people apart.
func (h *House) Personas() *persona.Builder {
	return persona.New(persona.Config{
		Store: h.PersonaStore(), Vault: h.Keys.Vault(), Noise: noise.Secure{}, Log: h.Log,
		Policy: func() persona.Policy {
			if revision := h.Engine.Revision(); revision != nil {
				return revision
			}
			return nil
		},
		BirthDate: gate.BirthDate,
		Childhood: func(law privacy.Jurisdiction, birth string) consent.Childhood {
			return gate.ChildhoodOf(h.Engine.Revision().Catalogue(), law, birth)
		},
	})
}
