package assembly

import (
	"cmp"

	"github.com/mahrem/mahrem/consent/receipt"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
)

// openReceipts opens the room in which consent receipts are issued.
func (h *House) openReceipts() error {
	c := &h.Settings.Controller
	h.Receipts = receipt.NewIssuer(receipt.Config{
		Ledger: postgres.NewConsentStore(h.DB, h.Log), Statements: h.Consent, Subjects: subjects{h.People}, Keys: h.Keys, Names: h.Pseudonyms,
		Catalogue: func() *policies.Catalogue { return h.Engine.Revision().Catalogue() }, Log: h.Log,
		URL: cmp.Or(h.Settings.PublicURL, "urn:mahrem:"+h.Settings.Origin),
		Controller: receipt.Controller{
			Name: c.Name, Address: c.Address, Country: c.Country, Contact: c.Contact, Email: c.Email, Phone: c.Phone, URL: c.URL,
			Policy: c.Policy, Withdrawal: c.Withdrawal, Storage: c.Countries(),
		},
		// Who may record a yes to a purpose may know what was said about it.
		MayKnow: wordsOf(h.Engine).mayGrant, Now: h.options.Now, Random: h.options.Random,
	})
	return nil
}
