package assembly

import (
	"cmp"
	"context"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent/receipt"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/vault/keydir"
)

// openReceipts opens the room in which consent receipts are issued.
func (h *House) openReceipts() error {
	c := &h.Settings.Controller
	h.Receipts = receipt.NewIssuer(receipt.Config{
		Ledger: postgres.NewConsentStore(h.DB, h.Log), Statements: h.Consent, Subjects: subjects{h.People}, Keys: &receiptKeys{Keys: h.Keys, log: h.Log}, Names: h.Pseudonyms,
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

// receiptKeys make the keyset of receipts when the first one is issued.
type receiptKeys struct {
	*keydir.Keys
	log   audit.Appender
	maker keyMaker
}

// MakeReceiptKeyset implements [receipt.Keyring].
func (k *receiptKeys) MakeReceiptKeyset(ctx context.Context) error {
	find := func() error { _, err := k.ReceiptKeyset(); return err }
	return k.maker.ensure(ctx, k.log, "", find, k.EnsureReceiptKeyset)
}
