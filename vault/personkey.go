package vault

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// personSecretSize is what a wrapped person key holds: DEK ‖ blinding key.
const personSecretSize = dekSize + len(audit.BlindingKey{})

// PersonKey is one person's key in clear: it seals and opens everything about them, and
// blinds their tags in the log. It is safe for concurrent use, prints as REDACTED, and
// is meant to live as long as one request: opening one costs a microsecond or two, so
// nothing is gained by keeping it past an erasure.
type PersonKey struct {
	id       privacy.DataSubjectID
	dek      tink.AEAD
	blinding audit.BlindingKey
}

// NewPersonKey draws the key of a new person and returns it with its wrapped form,
// which is all that is ever stored.
func (v *Vault) NewPersonKey(id privacy.DataSubjectID) (*PersonKey, []byte, error) {
	if id.IsZero() {
		return nil, nil, fmt.Errorf("making key of nobody: %w", privacy.ErrInvalid)
	}
	var secret [personSecretSize]byte
	defer clear(secret[:])
	if _, err := io.ReadFull(v.random, secret[:]); err != nil {
		return nil, nil, fmt.Errorf("drawing person key: %w", err)
	}
	wrapped, err := seal(v.kek, place{kind: kindPersonKey, person: id}, secret[:])
	if err != nil {
		return nil, nil, fmt.Errorf("wrapping person key: %w", err)
	}
	key, err := newPersonKey(id, secret[:])
	if err != nil {
		return nil, nil, err
	}
	return key, wrapped, nil
}

// OpenPersonKey unwraps a stored key for a use, and counts that ([Vault.Counts]). The
// error wraps [privacy.ErrDamaged] when wrapped is altered, belongs to somebody else, or
// was made under a KEK that is not in the keyset, and [privacy.ErrInvalid] when the use
// is none of those that have a name.
func (v *Vault) OpenPersonKey(id privacy.DataSubjectID, wrapped []byte, use Use) (*PersonKey, error) {
	counted, err := at(use)
	if err != nil {
		return nil, err
	}
	secret, err := open(v.kek, place{kind: kindPersonKey, person: id}, wrapped)
	if err != nil {
		return nil, fmt.Errorf("unwrapping person key: %w", err)
	}
	v.meter[counted].opened.Add(1)
	defer clear(secret)
	if len(secret) != personSecretSize {
		return nil, fmt.Errorf("unwrapping person key of %d bytes: %w", len(secret), privacy.ErrDamaged)
	}
	return newPersonKey(id, secret)
}

func newPersonKey(id privacy.DataSubjectID, secret []byte) (*PersonKey, error) {
	dek, err := newDEK(secret[:dekSize])
	if err != nil {
		return nil, err
	}
	return &PersonKey{id: id, dek: dek, blinding: audit.BlindingKey(secret[dekSize:])}, nil
}

// DataSubject is the person whose key this is.
func (k *PersonKey) DataSubject() privacy.DataSubjectID { return k.id }

// Subject is what the log needs in order to tag an entry about this person.
func (k *PersonKey) Subject() audit.Subject {
	return audit.Subject{ID: k.id, Blinding: k.blinding}
}

// SealRecord seals the attributes of one data category. version is the row's record
// version, from one; a blob of an older version does not open as a newer one.
func (k *PersonKey) SealRecord(category privacy.DataCategory, version int64, record Record) ([]byte, error) {
	plaintext, err := EncodeRecord(record)
	if err != nil {
		return nil, err
	}
	return seal(k.dek, recordPlace(k.id, category, version), plaintext)
}

// OpenRecord opens what [PersonKey.SealRecord] made for the same category and version,
// or fails with an error that wraps [privacy.ErrDamaged].
func (k *PersonKey) OpenRecord(category privacy.DataCategory, version int64, sealed []byte) (Record, error) {
	plaintext, err := open(k.dek, recordPlace(k.id, category, version), sealed)
	if err != nil {
		return nil, err
	}
	return DecodeRecord(plaintext)
}

// SealChunk seals at most [MaxChunkEvents] events of a stream, oldest first. chunk is
// the position in the stream, from zero.
func (k *PersonKey) SealChunk(stream privacy.DataCategory, chunk, version int64, events []Event) ([]byte, error) {
	plaintext, err := EncodeEvents(events)
	if err != nil {
		return nil, err
	}
	return seal(k.dek, chunkPlace(k.id, stream, chunk, version), plaintext)
}

// OpenChunk opens what [PersonKey.SealChunk] made for the same stream, position and
// version, or fails with an error that wraps [privacy.ErrDamaged].
func (k *PersonKey) OpenChunk(stream privacy.DataCategory, chunk, version int64, sealed []byte) ([]Event, error) {
	plaintext, err := open(k.dek, chunkPlace(k.id, stream, chunk, version), sealed)
	if err != nil {
		return nil, err
	}
	return DecodeEvents(plaintext)
}

// SealBytes seals anything else about the person, such as an exposure ledger row. label
// names its kind and owner ("exposure/newsletter-engine"), number its row.
func (k *PersonKey) SealBytes(label string, number int64, plaintext []byte) ([]byte, error) {
	return seal(k.dek, place{kind: kindBytes, person: k.id, label: label, number: number}, plaintext)
}

// OpenBytes opens what [PersonKey.SealBytes] made for the same label and number, or
// fails with an error that wraps [privacy.ErrDamaged].
func (k *PersonKey) OpenBytes(label string, number int64, sealed []byte) ([]byte, error) {
	return open(k.dek, place{kind: kindBytes, person: k.id, label: label, number: number}, sealed)
}

func recordPlace(id privacy.DataSubjectID, category privacy.DataCategory, version int64) place {
	return place{kind: kindRecord, person: id, label: string(category), version: version}
}

func chunkPlace(id privacy.DataSubjectID, stream privacy.DataCategory, chunk, version int64) place {
	return place{kind: kindChunk, person: id, label: string(stream), number: chunk, version: version}
}

// String says REDACTED.
func (PersonKey) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (PersonKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (PersonKey) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalJSON says REDACTED.
func (PersonKey) MarshalJSON() ([]byte, error) { return []byte(`"` + privacy.Redacted + `"`), nil }

// MarshalText says REDACTED.
func (PersonKey) MarshalText() ([]byte, error) { return []byte(privacy.Redacted), nil }
