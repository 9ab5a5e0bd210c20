package receipt

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// Receipt is what a receipt says, whichever structure it has. Fields that a structure does
// not have are empty.
type Receipt struct {
	Format    Format    `json:"format"`
	ID        string    `json:"receipt_id"`
	Issuer    string    `json:"issuer"`
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
	// Principal is the person, by the name under which Recipient knows them.
	Principal string              `json:"principal"`
	Recipient privacy.RecipientID `json:"recipient"`
	// State is what held for the purpose and channel when the receipt was issued.
	State        string   `json:"state"`
	Consent      string   `json:"consent_id,omitempty"`
	Purpose      string   `json:"purpose"`
	Channel      string   `json:"channel"`
	Action       string   `json:"action"`
	Actor        string   `json:"actor,omitempty"`
	Verified     bool     `json:"guardian_verified,omitempty"`
	At           string   `json:"effective_at"`
	Until        string   `json:"valid_until,omitempty"`
	Explicit     bool     `json:"explicit"`
	Special      []string `json:"categories,omitempty"`
	Notice       string   `json:"notice_version,omitempty"`
	Language     string   `json:"language"`
	Jurisdiction string   `json:"jurisdiction"`
	Source       string   `json:"source"`
	Controller   string   `json:"controller"`
	Contact      string   `json:"contact"`
	Withdrawal   string   `json:"withdrawal"`
	// Document is the receipt itself.
	Document json.RawMessage `json:"document"`

	titles  map[string]string // of the purpose, by language
	data    []named
	others  []named
	iso     *isoReceipt
	kantara *kantaraReceipt
}

// named is a word of the catalogue with its titles, if the receipt has them.
type named struct {
	key    string
	titles map[string]string
}

// read takes the claims apart and checks all but signature, issuer and times.
func read(payload []byte) (*Receipt, error) {
	r, err := shaped(payload)
	if err != nil {
		return nil, err
	}
	return r, r.agree()
}

// shaped reads what fits the schemas.
func shaped(payload []byte) (*Receipt, error) {
	if err := schemas()["claims"].validate(payload); err != nil {
		return nil, err
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, damaged("cannot be read")
	}
	if err := schemas()[string(c.Format)].validate(c.Receipt); err != nil {
		return nil, err
	}
	r := &Receipt{
		Format: c.Format, ID: c.ID, Issuer: c.Issuer, IssuedAt: time.Unix(c.IssuedAt, 0).UTC(), ExpiresAt: time.Unix(c.ExpiresAt, 0).UTC(),
		Principal: c.Subject, Recipient: privacy.RecipientID(c.Audience), State: c.State, Document: c.Receipt,
	}
	var err error
	if c.Format == ISO27560 {
		err = r.takeISO(c.Receipt)
	} else {
		err = r.takeKantara(c.Receipt)
	}
	return r, err
}

func (r *Receipt) takeISO(document []byte) error {
	r.iso = &isoReceipt{}
	if err := json.Unmarshal(document, r.iso); err != nil {
		return damaged("cannot be read")
	}
	record := &r.iso.Record
	event, process, controller := &record.Event, &record.Process, &record.Controller
	r.Consent, r.Purpose, r.Channel = record.Identifier, strings.TrimPrefix(process.Purpose.ID, "mahrem:purpose:"), process.Channel
	r.Action, r.Actor, r.Verified = event.Action, event.By.Actor, event.By.Verified
	r.At, r.Source = event.At.Value, event.Method
	if event.Duration.Type == "dpv:UntilTimeDuration" {
		r.Until = event.Duration.Value
	}
	for _, kind := range event.Type {
		r.Explicit = r.Explicit || kind == "dpv:ExplicitlyExpressedConsent"
	}
	for _, category := range event.Special {
		r.Special = append(r.Special, strings.TrimPrefix(category.ID, "mahrem:category:"))
	}
	r.Notice, r.Language = record.Notice.Identifier, record.Notice.Language
	r.Jurisdiction = strings.TrimPrefix(record.Jurisdiction.ID, "loc:")
	r.Controller, r.Withdrawal = controller.Name, record.Control.At
	r.Contact = controller.Contact.Kind + ", " + controller.Contact.Email + ", " + controller.Contact.Phone
	r.titles = titlesOf(process.Purpose.Title)
	for _, d := range process.Data {
		r.data = append(r.data, named{strings.TrimPrefix(d.ID, "mahrem:category:"), titlesOf(d.Title)})
	}
	for _, other := range process.Recipients {
		r.others = append(r.others, named{strings.TrimPrefix(other.ID, "mahrem:recipient:"), titlesOf(other.Title)})
	}
	return nil
}

func (r *Receipt) takeKantara(document []byte) error {
	r.kantara = &kantaraReceipt{}
	if err := json.Unmarshal(document, r.kantara); err != nil {
		return damaged("cannot be read")
	}
	controller, service := &r.kantara.Controllers[0], &r.kantara.Services[0]
	purpose := &service.Purposes[0]
	r.Purpose, r.Channel, r.Action = purpose.Purpose, strings.TrimPrefix(service.Service, "channel "), string(consent.Granted)
	r.At, r.Source = stamp(time.Unix(r.kantara.Timestamp, 0)), r.kantara.Method
	r.Explicit, r.Special = purpose.Type == "EXPLICIT", r.kantara.Special
	r.Language, r.Jurisdiction = r.kantara.Language, r.kantara.Jurisdiction
	r.Controller, r.Contact = controller.Name, controller.Contact+", "+controller.Email+", "+controller.Phone
	r.Withdrawal = purpose.Termination
	for _, key := range purpose.Data {
		r.data = append(r.data, named{key: key})
	}
	if purpose.Disclosed {
		r.others = []named{{key: purpose.ThirdParty}}
	}
	return nil
}

func titlesOf(titles []word) map[string]string {
	found := map[string]string{}
	for _, title := range titles {
		found[title.Language] = title.Value
	}
	return found
}

// agree checks what a schema cannot say: that what stands in two places is the same.
func (r *Receipt) agree() error {
	if r.kantara != nil {
		k := r.kantara
		switch purpose := &k.Services[0].Purposes[0]; {
		case k.ID != r.ID:
			return damaged("it names another receipt")
		case k.Principal != r.Principal:
			return damaged("it names another person")
		case k.Sensitive != (len(k.Special) > 0):
			return damaged("it is sensitive and names no special category, or the reverse")
		case purpose.Disclosed != (purpose.ThirdParty != ""):
			return damaged("it names a third party and says there is none, or the reverse")
		}
		return nil
	}
	d, record := r.iso, &r.iso.Record
	issued, storage := stamp(r.IssuedAt), record.Process.Storage
	switch {
	case storage[0].Type != "dpv:StorageLocation" || storage[0].Locations == nil || storage[1].Type != "dpv:StorageDuration" || storage[1].Duration == nil:
		return damaged("it does not say where data are stored and for how long")
	case d.Identifier != r.ID || d.ID != "urn:uuid:"+r.ID:
		return damaged("it names another receipt")
	case record.ID != "urn:uuid:"+record.Identifier:
		return damaged("it names two records")
	case record.Subject.Identifier != r.Principal:
		return damaged("it names another person")
	case d.Issued.Value != issued || d.Standing.At.Value != issued:
		return damaged("it was issued at two times")
	case d.Standing.State != r.State:
		return damaged("it says twice what held, and not the same")
	case record.Event.Type[0] != dpvStatus(consent.Action(r.Action)):
		return damaged("it says twice what was chosen, and not the same")
	}
	return nil
}

// Parse reads what a receipt says without checking its signature, issuer and times: for
// showing it, and for nothing else. The error wraps [privacy.ErrDamaged].
func Parse(token string) (*Receipt, error) {
	if _, err := splitHeader(token); err != nil {
		return nil, fmt.Errorf("reading consent receipt: %w", err)
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return nil, fmt.Errorf("reading consent receipt: %w", damaged("a part is not base64url"))
	}
	r, err := read(payload)
	if err != nil {
		return nil, fmt.Errorf("reading consent receipt: %w", err)
	}
	return r, nil
}
