package receipt

import (
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// Format is the structure of a receipt.
type Format string

// The formats.
const (
	// ISO27560 is a receipt of ISO/IEC TS 27560:2023 in JSON-LD. It can be of any choice.
	ISO27560 Format = "iso27560"
	// Kantara is a Consent Receipt 1.1. It can be of a yes only: it is a record of
	// authority that was granted.
	Kantara Format = "kantara"
)

// ParseFormat returns the format that s names; the empty text is [ISO27560]. ok is false for
// anything else.
func ParseFormat(s string) (format Format, ok bool) {
	switch format := Format(s); format {
	case "":
		return ISO27560, true
	case ISO27560, Kantara:
		return format, true
	}
	return "", false
}

// Controller is who answers for the processing (GDPR Article 13(1)(a)). A receipt must name
// all of it, so no field may be empty.
type Controller struct {
	Name    string
	Address string
	// Country is an ISO 3166 code in capitals.
	Country string
	// Contact is whom to turn to, such as "Data protection officer".
	Contact string
	Email   string
	Phone   string
	URL     string
	// Policy is the address of the privacy policy, Withdrawal where a consent is taken back.
	Policy     string
	Withdrawal string
	// Storage are the countries in which data are stored.
	Storage []string
}

// Set reports whether a controller is named at all.
func (c *Controller) Set() bool { return c.Name != "" }

// Purpose is what the catalogue says about a purpose.
type Purpose struct {
	ID        privacy.Purpose
	Title     policies.Text
	Marketing bool
	Profiling bool
	// Data are the categories of data that it has a use for, sorted.
	Data []Data
	// Recipients are those who are contracted for it, sorted.
	Recipients []Recipient
}

// Data is one category of data.
type Data struct {
	Category  privacy.DataCategory
	Title     policies.Text
	Special   bool
	Sensitive bool
	// Keep is for how long, as a duration of ISO 8601; empty: no period of its own.
	Keep string
}

// Recipient is one who receives data.
type Recipient struct {
	ID           privacy.RecipientID
	Title        policies.Text
	Relationship policies.Relationship
}

// Describe returns what the catalogue says about a purpose. The error wraps
// [privacy.ErrNotFound] if it has no such purpose.
func Describe(catalogue *policies.Catalogue, id privacy.Purpose) (Purpose, error) {
	known, ok := catalogue.Purpose(id)
	if !ok {
		return Purpose{}, fmt.Errorf("describing a purpose that is not in the catalogue: %w", privacy.ErrNotFound)
	}
	purpose := Purpose{ID: id, Title: known.Title, Marketing: known.Marketing, Profiling: known.Profiling}
	for _, name := range catalogue.Categories() {
		if _, used := known.Categories[name]; !used {
			continue
		}
		category, _ := catalogue.Category(name)
		data := Data{Category: name, Title: category.Title, Special: category.Special, Sensitive: category.Sensitive}
		if period, ok := catalogue.RetentionPeriod(name); ok {
			keep, own := period.Purposes[id]
			if !own {
				keep = period.Keep
			}
			data.Keep = keep.String()
		}
		purpose.Data = append(purpose.Data, data)
	}
	for _, name := range catalogue.Recipients() {
		recipient, _ := catalogue.Recipient(name)
		if slices.Contains(recipient.Purposes, id) {
			purpose.Recipients = append(purpose.Recipients, Recipient{name, recipient.Title, recipient.Relationship})
		}
	}
	return purpose, nil
}

// Facts are what a receipt is made of.
type Facts struct {
	// Record is the line of the ledger that the receipt is of.
	Record consent.Record
	// Standing is what held for its purpose and channel when the receipt was issued.
	Standing consent.Current
	// Principal is the person, by the name under which Recipient knows them.
	Principal  pseudonym.Pseudonym
	Recipient  privacy.RecipientID
	Controller Controller
	Purpose    Purpose
}

// stamp is a time as a receipt writes it.
func stamp(t time.Time) string {
	return t.UTC().Truncate(time.Microsecond).Format("2006-01-02T15:04:05.999999Z")
}

// language is that of the text which was shown. Where nobody recorded it, it is not known
// ("und", BCP 47), and a receipt does not guess.
func (f *Facts) language() string {
	if f.Record.Language == "" {
		return "und"
	}
	return f.Record.Language
}

// jurisdiction is the law under which the person was asked, or else the controller's.
func (f *Facts) jurisdiction() string {
	if f.Record.Jurisdiction == "" {
		return f.Controller.Country
	}
	return string(f.Record.Jurisdiction)
}

// notice is the text that was shown. Not every choice is made on one: to a withdrawal
// nothing need be shown.
func (f *Facts) notice() string {
	if f.Record.NoticeVersion == "" {
		return "none"
	}
	return f.Record.NoticeVersion
}
