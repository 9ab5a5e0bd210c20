package fulfil

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// opened are records of one person, with the versions that they had.
type opened struct {
	key      *vault.PersonKey
	versions map[privacy.DataCategory]int64
	records  map[privacy.DataCategory]vault.Record
}

func (s *Service) open(ctx context.Context, person privacy.DataSubjectID, categories []privacy.DataCategory) (*opened, error) {
	slots := map[[16]byte]privacy.DataCategory{}
	for _, category := range categories {
		slots[s.vault.Slot(person, category)] = category
	}
	wrapped, sealed, err := s.store.Held(ctx, person, slices.Collect(maps.Keys(slots)))
	if err != nil {
		return nil, err
	}
	o := &opened{versions: map[privacy.DataCategory]int64{}, records: map[privacy.DataCategory]vault.Record{}}
	if o.key, err = s.vault.OpenPersonKey(person, wrapped, vault.UseRectify); err != nil {
		return nil, err
	}
	for slot, category := range slots {
		record := vault.Record{}
		if held, is := sealed[slot]; is {
			if record, err = o.key.OpenRecord(category, held.Version, held.Sealed); err != nil {
				return nil, fmt.Errorf("opening record: %w", err)
			}
			o.versions[category] = held.Version
		}
		o.records[category] = record
	}
	return o, nil
}

// clone keeps the records as they are.
func (o *opened) clone() map[privacy.DataCategory]vault.Record {
	clone := map[privacy.DataCategory]vault.Record{}
	for category, record := range o.records {
		clone[category] = maps.Clone(record)
	}
	return clone
}

// seal seals every record under the version after its own.
func (o *opened) seal(v *vault.Vault) ([]RecordChange, error) {
	var changes []RecordChange
	for _, category := range slices.Sorted(maps.Keys(o.records)) {
		version := o.versions[category] + 1
		sealed, err := o.key.SealRecord(category, version, o.records[category])
		if err != nil {
			return nil, fmt.Errorf("sealing record: %w", err)
		}
		changes = append(changes, RecordChange{v.Slot(o.key.DataSubject(), category), version, sealed})
	}
	return changes, nil
}

// statement says what was changed without a value. It is sealed with the step; its digest
// is the evidence.
type statement struct {
	Request    string      `json:"request"`
	Action     dsar.Action `json:"action"`
	Attributes []changed   `json:"attributes"`
}

type changed struct {
	Category  privacy.DataCategory  `json:"category"`
	Attribute privacy.AttributeName `json:"attribute"`
	// Before and After are keyed digests; before is empty for what was not held.
	Before string `json:"before,omitempty"`
	After  string `json:"after"`
}

const digestDomain = "mahrem/rectification/v1\x00"

// digestOf is HMAC-SHA256 under the person's blinding key, so that a value of which there
// are few cannot be found by trying, and nobody can try once the person is erased.
func digestOf(key *vault.PersonKey, category privacy.DataCategory, name privacy.AttributeName, field vault.Field) string {
	blinding := key.Subject().Blinding
	mac := hmac.New(sha256.New, blinding[:])
	mac.Write([]byte(digestDomain))
	for _, text := range []string{string(category), string(name), string(field.Source), string(field.Quality)} {
		mac.Write(append(binary.AppendUvarint(nil, uint64(len(text))), text...))
	}
	for _, value := range field.Values {
		text := value.RevealPersonalData()
		mac.Write(append(binary.AppendUvarint(nil, uint64(len(text))), text...))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// statementOf compares records and returns the statement and its digest.
func statementOf(key *vault.PersonKey, id dsar.RequestID, action dsar.Action, before, after map[privacy.DataCategory]vault.Record) (privacy.Plain, audit.Digest, error) {
	s := statement{Request: id.String(), Action: action, Attributes: []changed{}}
	for _, category := range slices.Sorted(maps.Keys(after)) {
		for _, name := range slices.Sorted(maps.Keys(after[category])) {
			line := changed{Category: category, Attribute: name, After: digestOf(key, category, name, after[category][name])}
			if field, held := before[category][name]; held {
				line.Before = digestOf(key, category, name, field)
			}
			if line.Before != line.After {
				s.Attributes = append(s.Attributes, line)
			}
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return privacy.Plain{}, audit.Digest{}, fmt.Errorf("encoding what was changed: %w", err)
	}
	return privacy.NewPlain(string(text)), sha256.Sum256(text), nil
}
