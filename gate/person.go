package gate

import (
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// sealedPerson opens the sealed parts of one snapshot, each at most once.
type sealedPerson struct {
	vault    *vault.Vault
	key      *vault.PersonKey
	snapshot *Snapshot
	opened   []openedRecord
	streams  []openedStream
}

type openedRecord struct {
	category privacy.DataCategory
	record   vault.Record
}

type openedStream struct {
	stream privacy.DataCategory
	events []event
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

// events implements [opener]. The values stay where they are in the opened chunk.
func (p *sealedPerson) events(stream privacy.DataCategory) ([]event, error) {
	for i := range p.streams {
		if p.streams[i].stream == stream {
			return p.streams[i].events, nil
		}
	}
	slot := p.vault.Slot(p.key.DataSubject(), stream)
	var views []vault.EventView
	for i := range p.snapshot.Chunks {
		c := &p.snapshot.Chunks[i]
		if c.Slot != slot {
			continue
		}
		var err error
		if views, err = p.key.OpenChunkViews(views, stream, c.Chunk, c.Version, c.Sealed); err != nil {
			return nil, fmt.Errorf("opening events: %w", err)
		}
	}
	events := make([]event, len(views))
	for i := range views {
		v := &views[i]
		// Oldest first as they come; the other way round they mostly are in order.
		events[len(views)-1-i] = event{kind: v.Type, at: v.At, group: v.RevealPersonalData(fieldGroup), amount: v.RevealPersonalData(fieldAmount)}
	}
	if !slices.IsSortedFunc(events, newestFirst) {
		slices.SortStableFunc(events, newestFirst)
	}
	p.streams = append(p.streams, openedStream{stream, events})
	return events, nil
}
