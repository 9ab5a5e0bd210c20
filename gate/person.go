package gate

import (
	"fmt"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// sealedPerson opens the sealed parts of one snapshot, each at most once.
type sealedPerson struct {
	vault    *vault.Vault
	key      *vault.PersonKey
	snapshot *Snapshot
	opened   []openedRecord
}

type openedRecord struct {
	category privacy.DataCategory
	record   vault.Record
}

var _ opener = (*sealedPerson)(nil)

// record implements [opener].
func (p *sealedPerson) record(category privacy.DataCategory) (vault.Record, error) {
	for i := range p.opened {
		if p.opened[i].category == category {
			return p.opened[i].record, nil
		}
	}
	slot := p.vault.Slot(p.key.DataSubject(), category)
	var record vault.Record
	for i := range p.snapshot.Records {
		r := &p.snapshot.Records[i]
		if r.Slot != slot {
			continue
		}
		var err error
		if record, err = p.key.OpenRecord(category, r.Version, r.Sealed); err != nil {
			return nil, fmt.Errorf("opening record: %w", err)
		}
	}
	p.opened = append(p.opened, openedRecord{category, record})
	return record, nil
}

// events implements [opener]. The chunks come newest first and hold their events oldest
// first.
func (p *sealedPerson) events(stream privacy.DataCategory) ([]vault.Event, error) {
	slot := p.vault.Slot(p.key.DataSubject(), stream)
	var all []vault.Event
	for i := range p.snapshot.Chunks {
		c := &p.snapshot.Chunks[i]
		if c.Slot != slot {
			continue
		}
		events, err := p.key.OpenChunk(stream, c.Chunk, c.Version, c.Sealed)
		if err != nil {
			return nil, fmt.Errorf("opening events: %w", err)
		}
		for j := len(events) - 1; j >= 0; j-- {
			all = append(all, events[j])
		}
	}
	return all, nil
}
