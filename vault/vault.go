package vault

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"

	"github.com/tink-crypto/tink-go/v2/prf"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/mahrem/mahrem/privacy"
)

// Keysets are the primitives a vault works with. Package keydir reads them from disk.
type Keysets struct {
	// KEK wraps the keys of people: a Tink AES256-GCM keyset.
	KEK tink.AEAD
	// BlindIndex has one HMAC-SHA256 keyset for every identifier kind. The key ids are
	// small numbers from one up, given in order: they are the version byte of an index.
	BlindIndex map[privacy.IdentifierKind]*prf.Set
	// Index is an AES-CMAC keyset for slots, event fingerprints and actor tags.
	Index *prf.Set
}

// Config holds what a vault may be told otherwise.
type Config struct {
	// PhoneRegion is the ISO 3166 code of the country in which a phone number without
	// a country code is read. Empty: such numbers are refused.
	PhoneRegion string
	// Random is where keys are drawn from. Nil: crypto/rand.Reader. Nonces are Tink's
	// business and always come from crypto/rand.
	Random io.Reader
}

// Vault makes and opens the keys of people and computes the keyed hashes by which rows
// are found. It is safe for concurrent use and holds no data.
type Vault struct {
	kek    tink.AEAD
	blind  map[privacy.IdentifierKind]blindKeys
	index  prf.PRF
	region string
	random io.Reader
	meter  *meter
}

// New returns a vault over keysets. It fails with an error that wraps
// [privacy.ErrInvalid] when a keyset is missing, when a key id cannot serve as a version,
// or when the phone region is not one that docs/identifiers.md lists.
func New(keysets Keysets, config Config) (*Vault, error) {
	if keysets.KEK == nil || keysets.Index == nil {
		return nil, fmt.Errorf("making vault without KEK or index keyset: %w", privacy.ErrInvalid)
	}
	v := &Vault{
		kek:    keysets.KEK,
		blind:  make(map[privacy.IdentifierKind]blindKeys, len(keysets.BlindIndex)),
		index:  keysets.Index.PRFs[keysets.Index.PrimaryID],
		region: config.PhoneRegion,
		random: config.Random,
		meter:  new(meter),
	}
	if v.index == nil {
		return nil, fmt.Errorf("making vault: index keyset has no primary key: %w", privacy.ErrInvalid)
	}
	if v.random == nil {
		v.random = rand.Reader
	}
	if v.region != "" {
		if _, ok := regions[v.region]; !ok {
			return nil, fmt.Errorf("making vault: phone region %q is not known: %w", v.region, privacy.ErrInvalid)
		}
	}
	for _, kind := range privacy.IdentifierKinds() {
		keys, err := newBlindKeys(keysets.BlindIndex[kind])
		if err != nil {
			return nil, fmt.Errorf("making vault: blind index keyset of %s: %w", kind, err)
		}
		v.blind[kind] = keys
	}
	return v, nil
}

// The first byte of everything the index key hashes, so that a slot is never a
// fingerprint.
const (
	domainSlot        = 1
	domainFingerprint = 2
	domainActor       = 3
	domainTieBreak    = 4
	domainWord        = 5
	domainSuppression = 6
	domainLedger      = 7
)

// Slot is where a person's blob of a category is stored. It is a keyed hash of both, so
// that a table of slots neither names a category nor shows that two people have one in
// common.
func (v *Vault) Slot(id privacy.DataSubjectID, category privacy.DataCategory) [16]byte {
	buffer := make([]byte, 0, 96)
	buffer = append(buffer, domainSlot)
	buffer = append(buffer, id[:]...)
	return v.hash(append(buffer, category...))
}

// Fingerprint recognises an event that is delivered twice: the same person, source and
// parts give the same fingerprint. Parts are told apart by their lengths.
func (v *Vault) Fingerprint(id privacy.DataSubjectID, source string, parts ...string) [16]byte {
	buffer := make([]byte, 0, 192)
	buffer = append(buffer, domainFingerprint)
	buffer = append(buffer, id[:]...)
	buffer = appendText(buffer, source)
	for _, part := range parts {
		buffer = appendText(buffer, part)
	}
	return v.hash(buffer)
}

// TieBreak orders otherwise equal choices about a person in a way that is the same each
// time and that nobody without the key directory can predict.
func (v *Vault) TieBreak(id privacy.DataSubjectID, choice string) uint64 {
	buffer := make([]byte, 0, 96)
	buffer = append(buffer, domainTieBreak)
	buffer = append(buffer, id[:]...)
	sum := v.hash(append(buffer, choice...))
	return binary.BigEndian.Uint64(sum[:8])
}

// ActorTag stands for a principal in the log. Employees are people too, so their
// accounts are not written there in clear.
func (v *Vault) ActorTag(principal privacy.Principal) [16]byte {
	buffer := make([]byte, 0, 96)
	buffer = append(buffer, domainActor)
	buffer = appendText(buffer, string(principal.Role))
	return v.hash(append(buffer, principal.ID...))
}

// WordTag stands for what has been said in words, such as an attribute, a level and a
// value, where something must be compared without being read: equal words have equal tags,
// whoever they are about. Words are told apart by their lengths.
func (v *Vault) WordTag(words ...string) [16]byte {
	buffer := make([]byte, 0, 160)
	buffer = append(buffer, domainWord)
	for _, word := range words {
		buffer = appendText(buffer, word)
	}
	return v.hash(buffer)
}

// SuppressionTag stands for an identifier of somebody who was erased, so that it is known
// again when it is brought back. It is made from the blind index, so that an erasure, which
// has no identifier in clear, can make it from its row.
func (v *Vault) SuppressionTag(kind privacy.IdentifierKind, blindIndex []byte) [16]byte {
	buffer := make([]byte, 0, 96)
	buffer = append(buffer, domainSuppression)
	buffer = appendText(buffer, string(kind))
	return v.hash(append(buffer, blindIndex...))
}

// SuppressionTags are the tags of an identifier under every active key of its kind, the
// primary first. The error wraps [privacy.ErrInvalid] when it has no normal form.
func (v *Vault) SuppressionTags(identifier privacy.Identifier) ([][16]byte, error) {
	indexes, err := v.BlindIndexes(identifier)
	if err != nil {
		return nil, err
	}
	tags := make([][16]byte, len(indexes))
	for i, index := range indexes {
		tags[i] = v.SuppressionTag(identifier.Kind, index)
	}
	return tags, nil
}

// LedgerTag stands for an erased person in the erasure ledger: whoever has the id, such as
// a database that was restored, can find the line; nobody can read an id from it.
func (v *Vault) LedgerTag(id privacy.DataSubjectID) [16]byte {
	buffer := make([]byte, 0, 17)
	return v.hash(append(append(buffer, domainLedger), id[:]...))
}

// hash is AES-CMAC under the index key.
func (v *Vault) hash(input []byte) [16]byte {
	out, err := v.index.ComputePRF(input, 16)
	if err != nil || len(out) != 16 {
		// AES-CMAC of any input has 16 bytes; New made sure that the key computes it.
		panic("vault: index key does not compute: the key directory is damaged")
	}
	return [16]byte(out)
}

// appendText appends the length and bytes of s.
func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

const checkText = "mahrem: this database belongs to this key directory"

// SealCheck makes the value that a new database keeps in order to recognise its KEK.
func (v *Vault) SealCheck() ([]byte, error) {
	return seal(v.kek, place{kind: kindCheck}, []byte(checkText))
}

// OpenCheck fails with an error that wraps [privacy.ErrDamaged] when sealed was made
// under another KEK. A server that sees that must not start: everything it wrote would
// be unreadable to the rightful one.
func (v *Vault) OpenCheck(sealed []byte) error {
	text, err := open(v.kek, place{kind: kindCheck}, sealed)
	if err == nil {
		v.count(UseCheck)
	}
	if err != nil || string(text) != checkText {
		return fmt.Errorf("checking that the KEK is the database's own: %w", privacy.ErrDamaged)
	}
	return nil
}

// String says REDACTED.
func (Vault) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (Vault) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (Vault) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalJSON says REDACTED.
func (Vault) MarshalJSON() ([]byte, error) { return []byte(`"` + privacy.Redacted + `"`), nil }
