package dsar

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Contents is what a requester wrote.
type Contents struct {
	// Contact is where to answer.
	Contact privacy.Plain
	// Text is what they wrote of their own.
	Text privacy.Plain
	// Identifiers are those by which they named themselves, as they gave them.
	Identifiers []privacy.Identifier
}

// Detail is what belongs to a step.
type Detail struct {
	Ground    string
	Extension string
	Proof     string
	// Evidence is the digest in hexadecimal.
	Evidence string
	Note     privacy.Plain
}

// IsZero reports whether there is nothing in it.
func (d Detail) IsZero() bool { return d == Detail{} }

// NewRequestKey draws the key under which everything that is written in the course of a
// request is sealed, and returns it with its wrapped form, which keyring.request_key
// holds. It is destroyed apart from the record that the request was handled.
func NewRequestKey(v *vault.Vault, id RequestID) (*vault.PersonKey, []byte, error) {
	return v.NewPersonKey(privacy.DataSubjectID(id))
}

// OpenRequestKey opens what [NewRequestKey] wrapped.
func OpenRequestKey(v *vault.Vault, id RequestID, wrapped []byte) (*vault.PersonKey, error) {
	key, err := v.OpenPersonKey(privacy.DataSubjectID(id), wrapped, vault.UseRequest)
	if err != nil {
		return nil, fmt.Errorf("opening key of a request: %w", err)
	}
	return key, nil
}

// What is sealed under the key of a request, by label; the number is that of the step.
const (
	labelContents = "request/contents"
	labelDetail   = "request/step"
)

type contentsJSON struct {
	Contact     string           `json:"contact,omitempty"`
	Text        string           `json:"text,omitempty"`
	Identifiers []identifierJSON `json:"identifiers,omitempty"`
}

type identifierJSON struct {
	Kind  privacy.IdentifierKind `json:"kind"`
	Value string                 `json:"value"`
}

type detailJSON struct {
	Ground    string `json:"ground,omitempty"`
	Extension string `json:"extension,omitempty"`
	Proof     string `json:"proof,omitempty"`
	Evidence  string `json:"evidence,omitempty"`
	Note      string `json:"note,omitempty"`
}

// SealContents seals contents under the key of a request.
func SealContents(key *vault.PersonKey, c Contents) ([]byte, error) {
	document := contentsJSON{Contact: c.Contact.RevealPersonalData(), Text: c.Text.RevealPersonalData()}
	for _, i := range c.Identifiers {
		document.Identifiers = append(document.Identifiers, identifierJSON{i.Kind, i.Value.RevealPersonalData()})
	}
	return sealJSON(key, labelContents, 0, document)
}

// OpenContents opens what [SealContents] made, or fails with an error that wraps
// [privacy.ErrDamaged].
func OpenContents(key *vault.PersonKey, sealed []byte) (Contents, error) {
	var document contentsJSON
	if err := openJSON(key, labelContents, 0, sealed, &document); err != nil {
		return Contents{}, err
	}
	c := Contents{Contact: privacy.NewPlain(document.Contact), Text: privacy.NewPlain(document.Text)}
	for _, i := range document.Identifiers {
		c.Identifiers = append(c.Identifiers, privacy.Identifier{Kind: i.Kind, Value: privacy.NewPlain(i.Value)})
	}
	return c, nil
}

// sealDetail returns nil for nothing.
func sealDetail(key *vault.PersonKey, step int64, d Detail) ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return sealJSON(key, labelDetail, step, detailJSON{d.Ground, d.Extension, d.Proof, d.Evidence, d.Note.RevealPersonalData()})
}

// OpenDetail opens what belongs to a step; a step to which nothing belongs has the zero
// value.
func OpenDetail(key *vault.PersonKey, step *Step) (Detail, error) {
	if step.Sealed == nil {
		return Detail{}, nil
	}
	var d detailJSON
	if err := openJSON(key, labelDetail, step.Number, step.Sealed, &d); err != nil {
		return Detail{}, err
	}
	return Detail{d.Ground, d.Extension, d.Proof, d.Evidence, privacy.NewPlain(d.Note)}, nil
}

func sealJSON(key *vault.PersonKey, label string, number int64, document any) ([]byte, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", label, err)
	}
	defer clear(text)
	return key.SealBytes(label, number, text)
}

// openJSON says nothing of what stands in the text when it cannot be read.
func openJSON(key *vault.PersonKey, label string, number int64, sealed []byte, document any) error {
	text, err := key.OpenBytes(label, number, sealed)
	if err != nil {
		return fmt.Errorf("opening %s: %w", label, err)
	}
	defer clear(text)
	if json.Unmarshal(text, document) != nil {
		return fmt.Errorf("reading %s: %w", label, privacy.ErrDamaged)
	}
	return nil
}

// detailOf is what a move leaves with its step.
func detailOf(m *Move) Detail {
	d := Detail{Ground: string(m.Ground), Extension: string(m.Extension), Proof: string(m.Proof), Note: m.Note}
	if m.Evidence != (audit.Digest{}) {
		d.Evidence = hex.EncodeToString(m.Evidence[:])
	}
	return d
}
