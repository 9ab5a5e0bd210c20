package iys

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// MaxBatch is how many consents go out in one request.
const MaxBatch = 1000

// wire is the JSON form of a consent, and of a movement.
type wire struct {
	ConsentDate    string        `json:"consentDate,omitempty"`
	CreationDate   string        `json:"creationDate,omitempty"`
	Source         Source        `json:"source,omitempty"`
	Recipient      string        `json:"recipient"`
	RecipientType  RecipientType `json:"recipientType"`
	Status         Status        `json:"status,omitempty"`
	Type           Type          `json:"type"`
	TransactionID  string        `json:"transactionId,omitempty"`
	RetailerCode   int64         `json:"retailerCode,omitempty"`
	RetailerAccess []int64       `json:"retailerAccess,omitempty"`
}

// formatTime writes a time as the registry does; nothing for no time.
func formatTime(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.In(Place).Format(layout)
}

// ParseTime reads a time of the registry. The error wraps [privacy.ErrInvalid] and does not
// repeat the text.
func ParseTime(text string) (time.Time, error) {
	at, err := time.ParseInLocation(layout, text, Place)
	if err != nil || len(text) != len(layout) || at.Year() < 1900 || at.Year() > 2199 {
		return time.Time{}, fmt.Errorf("reading a time, which is YYYY-MM-DD hh:mm:ss: %w", privacy.ErrInvalid)
	}
	return at, nil
}

func newWire(c *Consent) wire {
	return wire{
		ConsentDate: formatTime(c.At), Source: c.Source, Recipient: c.Recipient.RevealPersonalData(), RecipientType: c.RecipientType,
		Status: c.Status, Type: c.Type, RetailerCode: c.RetailerCode, RetailerAccess: c.RetailerAccess,
	}
}

// EncodeConsent writes one consent as the registry takes it. It has personal data in it.
func EncodeConsent(c *Consent) ([]byte, error) { return encode(newWire(c)) }

// EncodeBatch writes consents as the registry takes them, at most [MaxBatch] of them.
func EncodeBatch(consents []Consent) ([]byte, error) {
	if len(consents) == 0 || len(consents) > MaxBatch {
		return nil, fmt.Errorf("writing a batch of %d consents, which has 1 to %d: %w", len(consents), MaxBatch, privacy.ErrInvalid)
	}
	list := make([]wire, len(consents))
	for i := range consents {
		list[i] = newWire(&consents[i])
	}
	return encode(list)
}

func encode(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("writing consents: %w", err)
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}

// Page is one answer to the question for movements.
type Page struct {
	// After names the last movement: the next page begins behind it. It stays the same
	// when there was nothing new.
	After string
	// Movements that could be read.
	Movements []Movement
	// Unreadable counts those that could not, by what was wrong with them.
	Unreadable map[Reason]int
}

// maxAfter bounds the name of a place in the list.
const maxAfter = 256

// DecodePage reads an answer to the question for movements. The error wraps
// [privacy.ErrDamaged]; a movement that makes no sense is counted and left out, because the
// others must bind all the same.
func DecodePage(body []byte) (Page, error) {
	var answer struct {
		After string            `json:"after"`
		List  []json.RawMessage `json:"list"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.After) > maxAfter {
		return Page{}, fmt.Errorf("reading movements of the registry: %w", privacy.ErrDamaged)
	}
	page := Page{After: answer.After, Unreadable: map[Reason]int{}}
	for _, raw := range answer.List {
		var w wire
		if json.Unmarshal(raw, &w) != nil {
			page.Unreadable[BadRow]++
			continue
		}
		m, reason := w.movement()
		if reason != "" {
			page.Unreadable[reason]++
			continue
		}
		page.Movements = append(page.Movements, m)
	}
	return page, nil
}

// DecodeStatus reads the answer to the question for one consent.
func DecodeStatus(body []byte) (Movement, error) {
	var w wire
	if err := json.Unmarshal(body, &w); err != nil {
		return Movement{}, fmt.Errorf("reading a consent of the registry: %w", privacy.ErrDamaged)
	}
	m, reason := w.movement()
	if reason != "" {
		return Movement{}, fmt.Errorf("reading a consent of the registry, %s: %w", reason, privacy.ErrDamaged)
	}
	return m, nil
}

// Reason is what is wrong with a movement.
type Reason string

// The reasons.
const (
	BadRow           Reason = "row"
	BadType          Reason = "type"
	BadRecipient     Reason = "recipient"
	BadRecipientType Reason = "recipient_type"
	BadStatus        Reason = "status"
	BadSource        Reason = "source"
	BadDate          Reason = "consent_date"
	BadCreationDate  Reason = "creation_date"
	BadTransaction   Reason = "transaction_id"
)

// maxTransaction bounds the registry's names for movements, which are kept.
const maxTransaction = 64

// movement checks what was read, or says what is wrong. It is less strict than [Check]:
// what the registry has taken binds us. Least of all with a refusal: one of which it is
// known whose it is, and when, binds whatever else is wrong with it.
func (w *wire) movement() (Movement, Reason) {
	m := Movement{
		Consent: Consent{
			Type: w.Type, Recipient: privacy.NewPlain(w.Recipient), RecipientType: w.RecipientType, Status: w.Status,
			Source: w.Source, RetailerCode: w.RetailerCode, RetailerAccess: w.RetailerAccess,
		},
		TransactionID: w.TransactionID,
	}
	switch {
	case m.Type.Kind() == "":
		return m, BadType
	case !takesRecipient(&m.Consent):
		return m, BadRecipient
	case m.RecipientType != Individual && m.RecipientType != Merchant:
		return m, BadRecipientType
	case m.Status != Approved && m.Status != Refused:
		return m, BadStatus
	case m.Status == Refused:
		return w.refusal(m)
	case !m.Source.IsSender() && !m.Source.IsRegistry() && (m.Source != "" || m.RecipientType != Merchant):
		return m, BadSource
	case !isTransaction(m.TransactionID):
		return m, BadTransaction
	}
	var err error
	if w.ConsentDate != "" || m.RecipientType != Merchant {
		if m.At, err = ParseTime(w.ConsentDate); err != nil || m.At.Before(Epoch) {
			return m, BadDate
		}
	}
	if w.CreationDate != "" {
		if m.CreatedAt, err = ParseTime(w.CreationDate); err != nil {
			return m, BadCreationDate
		}
	}
	if m.At.IsZero() && m.CreatedAt.IsZero() {
		return m, BadDate
	}
	return m, ""
}

// refusal keeps of a refusal what can be read. Where its own time cannot, that of the
// registry serves; without either nobody can say what it comes after.
func (w *wire) refusal(m Movement) (Movement, Reason) {
	if !m.Source.IsSender() && !m.Source.IsRegistry() {
		m.Source = ""
	}
	if !isTransaction(m.TransactionID) {
		m.TransactionID = ""
	}
	m.At, _ = ParseTime(w.ConsentDate)
	m.CreatedAt, _ = ParseTime(w.CreationDate)
	if m.EffectiveAt().IsZero() {
		return m, BadDate
	}
	return m, ""
}

// isTransaction admits no name at all, and names without anything that could be prose.
func isTransaction(text string) bool {
	if len(text) > maxTransaction {
		return false
	}
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
			return false
		}
	}
	return true
}
