package intake

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// dossier is one person's share of a batch, put together and ready to be compared with
// what is held.
type dossier struct {
	*person
	wanted   Wanted
	records  []recordWork
	streams  []streamWork
	consents []consentWork
}

// Each piece of work knows its item, in order to say afterwards whether the row held
// anything new.
type consentWork struct {
	record consent.Record
	item   *Item
}

type recordWork struct {
	category privacy.DataCategory
	slot     [16]byte
	fields   []fieldWork
}

type fieldWork struct {
	attribute Attribute
	item      *Item
}

type streamWork struct {
	stream privacy.DataCategory
	slot   [16]byte
	events []markedEvent
}

type markedEvent struct {
	event       vault.Event
	fingerprint [16]byte
	item        *Item
}

// assemble collects a person's items and computes what the store must be asked.
func (l *Loader) assemble(p *person, source string) *dossier {
	d := &dossier{person: p, wanted: Wanted{ID: p.id}}
	seen := map[[16]byte]bool{}
	for _, item := range p.items {
		item.changed = false
		for _, attribute := range item.Attributes {
			i := slices.IndexFunc(d.records, func(w recordWork) bool { return w.category == attribute.Category })
			if i < 0 {
				i = len(d.records)
				d.records = append(d.records, recordWork{category: attribute.Category, slot: l.vault.Slot(p.id, attribute.Category)})
			}
			d.records[i].fields = append(d.records[i].fields, fieldWork{attribute, item})
		}
		for _, event := range item.Events {
			fingerprint := l.vault.Fingerprint(p.id, source, event.Identity...)
			if seen[fingerprint] {
				continue
			}
			seen[fingerprint] = true
			i := slices.IndexFunc(d.streams, func(w streamWork) bool { return w.stream == event.Stream })
			if i < 0 {
				i = len(d.streams)
				d.streams = append(d.streams, streamWork{stream: event.Stream, slot: l.vault.Slot(p.id, event.Stream)})
			}
			d.streams[i].events = append(d.streams[i].events, markedEvent{event.Event, fingerprint, item})
		}
		for _, c := range item.Consents {
			record := c.Record
			record.DataSubject, record.ID = p.id, l.vault.Fingerprint(p.id, source, c.Identity...)
			if !seen[record.ID] {
				seen[record.ID] = true
				d.consents = append(d.consents, consentWork{record, item})
			}
		}
	}
	if p.isNew {
		return d
	}
	for _, w := range d.records {
		d.wanted.Records = append(d.wanted.Records, w.slot)
	}
	for _, w := range d.streams {
		d.wanted.Streams = append(d.wanted.Streams, w.slot)
		for _, e := range w.events {
			d.wanted.Fingerprints = append(d.wanted.Fingerprints, e.fingerprint)
		}
	}
	for _, c := range d.consents {
		d.wanted.Consents = append(d.wanted.Consents, c.record.ID)
	}
	return d
}

// seal compares a dossier with what is held and appends what must be written.
func (l *Loader) seal(d *dossier, held Held, out *Changes) error {
	var key *vault.PersonKey
	var err error
	if d.isNew {
		var wrapped []byte
		if key, wrapped, err = l.vault.NewPersonKey(d.id); err != nil {
			return fmt.Errorf("making person key: %w", err)
		}
		out.People = append(out.People, NewPerson{ID: d.id, Jurisdiction: d.items[0].Jurisdiction, Wrapped: wrapped})
	} else {
		if held.Wrapped == nil { // erased since the identifiers were resolved
			return fmt.Errorf("reading person key: %w", privacy.ErrConflict)
		}
		if key, err = l.vault.OpenPersonKey(d.id, held.Wrapped, vault.UseIntake); err != nil {
			return fmt.Errorf("opening person key: %w", err)
		}
	}
	before := out.size()
	for _, k := range d.identifiers {
		out.Identifiers = append(out.Identifiers, NewIdentifier{ID: d.id, Kind: k.identifier.Kind, BlindIndex: k.indexes[0], Suppressions: k.tags})
		k.item.changed = true
	}
	for _, w := range d.records {
		if err := sealRecord(key, d.id, w, held.Records[w.slot], out); err != nil {
			return err
		}
	}
	for _, w := range d.streams {
		chunk, exists := held.Chunks[w.slot]
		if err := sealStream(key, d.id, w, chunk, exists, held.Fingerprints, out); err != nil {
			return err
		}
	}
	for _, c := range d.consents {
		if !held.Consents[c.record.ID] {
			out.Consents = append(out.Consents, c.record)
			c.item.changed = true
		}
	}
	if !d.isNew && out.size() > before {
		out.Touched = append(out.Touched, d.id)
	}
	return nil
}

func (c *Changes) size() int {
	return len(c.Identifiers) + len(c.Records) + len(c.Chunks) + len(c.Consents)
}

// sealRecord merges attributes into the record of their category.
func sealRecord(key *vault.PersonKey, id privacy.DataSubjectID, w recordWork, held SealedRecord, out *Changes) error {
	record := vault.Record{}
	if held.Version > 0 {
		var err error
		if record, err = key.OpenRecord(w.category, held.Version, held.Sealed); err != nil {
			return fmt.Errorf("opening record: %w", err)
		}
	}
	changed := false
	for _, f := range w.fields {
		merged, different := merge(record[f.attribute.Name], f.attribute.Field)
		if different {
			record[f.attribute.Name], changed, f.item.changed = merged, true, true
		}
	}
	if !changed {
		return nil
	}
	sealed, err := key.SealRecord(w.category, held.Version+1, record)
	if err != nil {
		return fmt.Errorf("sealing record: %w", err)
	}
	out.Records = append(out.Records, RecordChange{ID: id, Slot: w.slot, Version: held.Version + 1, Sealed: sealed})
	return nil
}

// merge decides between what is held and what comes. No file clears a dispute: the value
// that a person has disputed stays, disputed, until a data protection officer rectifies it
// (GDPR Article 18(1)(a)), and a dispute that comes marks what is held. What was verified
// gives way only to what was verified, so that no list that somebody bought makes a minor
// an adult (Article 5(1)(d)); what was guessed never replaces what the person said.
// Otherwise newer news replaces older; of one day the better source counts, and of
// equals the later row.
func merge(held, incoming vault.Field) (vault.Field, bool) {
	if len(held.Values) == 0 {
		return incoming, true
	}
	if held.Quality == vault.Disputed {
		return held, false
	}
	older := incoming.ObservedAt.Before(held.ObservedAt)
	if incoming.Quality == vault.Disputed {
		if older {
			return held, false
		}
		held.Quality, held.ObservedAt = vault.Disputed, incoming.ObservedAt
		return held, true
	}
	guess := incoming.Source == vault.Inferred || incoming.Source == vault.Social
	firm, firmer := held.Quality == vault.Verified, incoming.Quality == vault.Verified
	switch {
	case guess && held.Source == vault.Declared:
		return held, false
	case firm != firmer:
		if firm {
			return held, false
		}
		return incoming, true
	case older:
		return held, false
	case incoming.ObservedAt.Equal(held.ObservedAt) && sourceRank(incoming.Source) < sourceRank(held.Source):
		return held, false
	}
	same := slices.Equal(held.Values, incoming.Values) && held.Source == incoming.Source &&
		held.Quality == incoming.Quality && held.ObservedAt.Equal(incoming.ObservedAt)
	if same {
		return held, false
	}
	return incoming, true
}

// sourceRank puts the sources in the order of how close they are to the person.
func sourceRank(s vault.Source) int {
	return slices.Index([]vault.Source{vault.Social, vault.Inferred, vault.Imported, vault.Observed, vault.Declared}, s)
}

// sealStream appends the events that are not there yet. The newest chunk is opened and
// rewritten while it has room; its events and the new ones are put in the order of time,
// so the chunk with the highest number holds the latest.
func sealStream(key *vault.PersonKey, id privacy.DataSubjectID, w streamWork, held SealedChunk, exists bool, stored map[[16]byte]bool, out *Changes) error {
	var events []vault.Event
	for _, e := range w.events {
		if !stored[e.fingerprint] {
			events = append(events, e.event)
			e.item.changed = true
			out.Fingerprints = append(out.Fingerprints, NewFingerprint{ID: id, Fingerprint: e.fingerprint})
		}
	}
	if len(events) == 0 {
		return nil
	}
	next, version := int64(0), int64(1)
	if exists {
		next = held.Chunk + 1
		if held.Count < vault.MaxChunkEvents {
			open, err := key.OpenChunk(w.stream, held.Chunk, held.Version, held.Sealed)
			if err != nil {
				return fmt.Errorf("opening chunk: %w", err)
			}
			events = append(open, events...)
			next, version = held.Chunk, held.Version+1
		}
	}
	slices.SortStableFunc(events, func(a, b vault.Event) int {
		return cmp.Compare(a.At.UnixMilli(), b.At.UnixMilli())
	})
	for chunk := range slices.Chunk(events, vault.MaxChunkEvents) {
		sealed, err := key.SealChunk(w.stream, next, version, chunk)
		if err != nil {
			return fmt.Errorf("sealing chunk: %w", err)
		}
		out.Chunks = append(out.Chunks, ChunkChange{ID: id, Slot: w.slot, Chunk: next, Version: version, Count: len(chunk), Sealed: sealed})
		next, version = next+1, 1
	}
	return nil
}

// order sorts everything that is written by person, so that two loaders take their
// locks in one order, and so that the digest does not depend on how the work was split.
func (c *Changes) order() {
	byID := func(a, b privacy.DataSubjectID) int { return bytes.Compare(a[:], b[:]) }
	slices.SortFunc(c.People, func(a, b NewPerson) int { return byID(a.ID, b.ID) })
	slices.SortFunc(c.Touched, byID)
	slices.SortFunc(c.Identifiers, func(a, b NewIdentifier) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), bytes.Compare(a.BlindIndex, b.BlindIndex))
	})
	slices.SortFunc(c.Records, func(a, b RecordChange) int {
		return cmp.Or(byID(a.ID, b.ID), bytes.Compare(a.Slot[:], b.Slot[:]))
	})
	slices.SortFunc(c.Chunks, func(a, b ChunkChange) int {
		return cmp.Or(byID(a.ID, b.ID), bytes.Compare(a.Slot[:], b.Slot[:]), cmp.Compare(a.Chunk, b.Chunk))
	})
	slices.SortFunc(c.Fingerprints, func(a, b NewFingerprint) int {
		return cmp.Or(byID(a.ID, b.ID), bytes.Compare(a.Fingerprint[:], b.Fingerprint[:]))
	})
	// One person's choices keep the order of their rows: those without a date are dated in it.
	slices.SortStableFunc(c.Consents, func(a, b consent.Record) int { return byID(a.DataSubject, b.DataSubject) })
}
