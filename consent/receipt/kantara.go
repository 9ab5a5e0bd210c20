package receipt

import (
	"github.com/mahrem/mahrem/policies"
)

// The shape of a Kantara Consent Receipt 1.1 (docs/spec/receipt-kantara.schema.json).

type kantaraReceipt struct {
	Version      string              `json:"version"`
	Jurisdiction string              `json:"jurisdiction"`
	Timestamp    int64               `json:"consentTimestamp"`
	Method       string              `json:"collectionMethod"`
	ID           string              `json:"consentReceiptID"`
	Language     string              `json:"language"`
	Principal    string              `json:"piiPrincipalId"`
	Controllers  []kantaraController `json:"piiControllers"`
	Policy       string              `json:"policyUrl"`
	Services     []kantaraService    `json:"services"`
	Sensitive    bool                `json:"sensitive"`
	Special      []string            `json:"spiCat"`
}

type kantaraController struct {
	Name     string         `json:"piiController"`
	OnBehalf bool           `json:"onBehalf"`
	Contact  string         `json:"contact"`
	Address  kantaraAddress `json:"address"`
	Email    string         `json:"email"`
	Phone    string         `json:"phone"`
	URL      string         `json:"piiControllerUrl"`
}

type kantaraAddress struct {
	Street  string `json:"streetAddress"`
	Country string `json:"addressCountry"`
}

type kantaraService struct {
	Service  string           `json:"service"`
	Purposes []kantaraPurpose `json:"purposes"`
}

type kantaraPurpose struct {
	Purpose     string   `json:"purpose"`
	Category    []string `json:"purposeCategory"`
	Type        string   `json:"consentType"`
	Data        []string `json:"piiCategory"`
	Primary     bool     `json:"primaryPurpose"`
	Termination string   `json:"termination"`
	Disclosed   bool     `json:"thirdPartyDisclosure"`
	ThirdParty  string   `json:"thirdPartyName,omitempty"`
}

const kantaraVersion = "KI-CR-v1.1.0"

// kantara makes the document. id is that of the receipt. The timestamp is the second in
// which the consent was given.
func (f *Facts) kantara(id string) *kantaraReceipt {
	c, r := &f.Controller, &f.Record
	purpose := kantaraPurpose{
		Purpose: string(f.Purpose.ID), Category: f.kantaraCategory(), Type: "IMPLICIT", Data: []string{},
		Termination: "until it is withdrawn: " + c.Withdrawal,
	}
	// Somebody who ticked a box has consented by a clear act, and yet not explicitly in the
	// sense of GDPR Article 9(2)(a): a receipt must not claim more than the ledger.
	if r.Explicit {
		purpose.Type = "EXPLICIT"
	}
	if !r.ValidUntil.IsZero() {
		purpose.Termination = "until " + stamp(r.ValidUntil) + " or until it is withdrawn: " + c.Withdrawal
	}
	for _, d := range f.Purpose.Data {
		purpose.Data = append(purpose.Data, string(d.Category))
	}
	for _, recipient := range f.Purpose.Recipients {
		if recipient.Relationship != policies.ThirdParty {
			continue
		}
		if purpose.Disclosed {
			purpose.ThirdParty += ", "
		}
		purpose.Disclosed = true
		purpose.ThirdParty += recipient.Title.In("en")
	}
	doc := &kantaraReceipt{
		Version: kantaraVersion, Jurisdiction: f.jurisdiction(), Timestamp: r.EffectiveAt.Unix(), Method: r.Source, ID: id,
		Language: f.language(), Principal: string(f.Principal), Policy: c.Policy,
		Controllers: []kantaraController{{
			Name: c.Name, Contact: c.Contact, Address: kantaraAddress{c.Address, c.Country}, Email: c.Email, Phone: c.Phone, URL: c.URL,
		}},
		// The service is the way on which the person is reached: a consent is for one, or for all.
		Services:  []kantaraService{{"channel " + string(r.Channel), []kantaraPurpose{purpose}}},
		Sensitive: len(r.Categories) > 0, Special: []string{},
	}
	for _, category := range r.Categories {
		doc.Special = append(doc.Special, string(category))
	}
	return doc
}

// kantaraCategory are the words of the specification's list of purpose categories.
func (f *Facts) kantaraCategory() []string {
	var found []string
	if f.Purpose.Profiling {
		found = append(found, "5 - Personalize Experience")
	}
	if f.Purpose.Marketing {
		found = append(found, "6 - Marketing")
	}
	if found == nil {
		found = []string{"2 - Contracted Service"}
	}
	return found
}
