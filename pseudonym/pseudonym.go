package pseudonym

import (
	"encoding/base64"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/mahrem/mahrem/privacy"
)

// Pseudonym is a recipient's name for a person: 50 characters of A-Z, a-z, 0-9, "-" and
// "_", fit for a URL without escaping. Upper and lower case are different.
//
// It is personal data in the recipient's hands (GDPR Recital 26) and must not be logged.
type Pseudonym string

// encoding refuses every text but the one that it writes itself: no padding, no line
// breaks, unused bits zero.
var encoding = base64.RawURLEncoding.Strict()

const (
	// rawSize is Tink's prefix (5), the synthetic IV (16) and the encrypted id (16).
	rawSize  = 5 + 16 + 16
	textSize = (rawSize*8 + 5) / 6
)

// Pseudonyms makes and reads the pseudonyms of one recipient. It is safe for concurrent
// use.
type Pseudonyms struct {
	recipient  privacy.RecipientID
	keys       tink.DeterministicAEAD
	associated []byte
}

// New returns the pseudonyms of recipient under keys, which must be used for nobody
// else. The recipient is bound as associated data, so that a key file copied to another
// recipient does not make the two linkable.
func New(recipient privacy.RecipientID, keys tink.DeterministicAEAD) (*Pseudonyms, error) {
	if recipient == "" || keys == nil {
		return nil, fmt.Errorf("making pseudonyms without recipient or keys: %w", privacy.ErrInvalid)
	}
	associated := append([]byte("mahrem/pseudonym\x01"), recipient...)
	return &Pseudonyms{recipient: recipient, keys: keys, associated: associated}, nil
}

// Recipient is whose pseudonyms these are.
func (p *Pseudonyms) Recipient() privacy.RecipientID { return p.recipient }

// Of returns the recipient's pseudonym of a person.
func (p *Pseudonyms) Of(id privacy.DataSubjectID) (Pseudonym, error) {
	if id.IsZero() {
		return "", fmt.Errorf("making pseudonym of nobody: %w", privacy.ErrInvalid)
	}
	raw, err := p.keys.EncryptDeterministically(id[:], p.associated)
	if err != nil {
		return "", fmt.Errorf("making pseudonym: %w", err)
	}
	if len(raw) != rawSize {
		return "", fmt.Errorf("making pseudonym: the keyset is of another kind: %w", privacy.ErrDamaged)
	}
	return Pseudonym(encoding.EncodeToString(raw)), nil
}

// DataSubject finds the person behind a pseudonym that the recipient itself sent. The
// result stays inside the query; showing it to anybody is [Reidentifier.Reidentify].
//
// The error wraps [privacy.ErrInvalid] when text is malformed, was altered, or is
// another recipient's pseudonym; which of these is not said.
func (p *Pseudonyms) DataSubject(text Pseudonym) (privacy.DataSubjectID, error) {
	if len(text) != textSize {
		return privacy.DataSubjectID{}, errInvalid()
	}
	var raw [rawSize]byte
	// The length was checked, and a line break (which the decoder would skip) makes the
	// result too short.
	if n, err := encoding.Decode(raw[:], []byte(text)); err != nil || n != rawSize {
		return privacy.DataSubjectID{}, errInvalid()
	}
	id, err := p.keys.DecryptDeterministically(raw[:], p.associated)
	if err != nil || len(id) != len(privacy.DataSubjectID{}) {
		return privacy.DataSubjectID{}, errInvalid()
	}
	return privacy.DataSubjectID(id), nil
}

func errInvalid() error {
	return fmt.Errorf("reading pseudonym: it is not one of this recipient's: %w", privacy.ErrInvalid)
}
