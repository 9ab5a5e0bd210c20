package retention

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// examiner finds out what of people's data has had its period.
type examiner struct {
	vault     *vault.Vault
	catalogue *policies.Catalogue
	scopes    map[[16]byte]dsar.HoldScope
	at        time.Time
}

// tally counts what is destroyed and held, by what and category.
type tally map[[2]string]*Count

func (t tally) add(what string, category privacy.DataCategory, v verdict) {
	key := [2]string{what, string(category)}
	if t[key] == nil {
		t[key] = &Count{What: what, Category: category}
	}
	if v == held {
		t[key].Held++
	} else {
		t[key].Destroyed++
	}
}

func (t tally) merge(counts []Count) {
	for _, c := range counts {
		key := [2]string{c.What, string(c.Category)}
		if t[key] == nil {
			t[key] = &Count{What: c.What, Category: c.Category}
		}
		t[key].Destroyed += c.Destroyed
		t[key].Held += c.Held
	}
}

// list returns the counts in one order.
func (t tally) list() []Count {
	list := make([]Count, 0, len(t))
	for _, c := range t {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Category, b.Category))
	})
	return list
}

// What counts are of, beside kinds of rows.
const (
	whatValues   = "values"
	whatEvents   = "events"
	whatWithheld = "withheld"
)

// person is what becomes of one person's data.
type person struct {
	records []RecordChange
	chunks  []ChunkChange
	counts  tally
	due     time.Time
	// unreadable is how many blobs did not open; they are left alone.
	unreadable int
}

func (p *person) changes() bool { return len(p.records)+len(p.chunks) > 0 }

// examine judges everything that is held about one person.
func (x *examiner) examine(h *Held) (*person, error) {
	p := &person{counts: tally{}, due: x.at.Add(lookAgain)}
	key, err := x.vault.OpenPersonKey(h.ID, h.Wrapped, vault.UseRetention)
	if errors.Is(err, privacy.ErrDamaged) {
		p.unreadable = len(h.Records) + len(h.Chunks)
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	var holds []dsar.HoldScope
	for _, tag := range h.Holds {
		// A hold on a word that the catalogue does not have any more holds everything.
		holds = append(holds, x.scopes[tag])
	}
	j := newJudge(x.catalogue, x.at, h.KnownSince, h.Choices, holds)
	categories := map[[16]byte]privacy.DataCategory{}
	for _, category := range x.catalogue.Categories() {
		categories[x.vault.Slot(h.ID, category)] = category
	}
	events := make([][]vault.Event, len(h.Chunks))
	for i, chunk := range h.Chunks {
		category, known := categories[chunk.Slot]
		if !known {
			continue
		}
		if events[i], err = key.OpenChunk(category, chunk.Number, chunk.Version, chunk.Sealed); err != nil {
			p.unreadable++
			events[i] = nil
		}
		for _, event := range events[i] {
			j.sees(event.At)
		}
	}
	for i, chunk := range h.Chunks {
		if err := p.chunk(j, key, categories[chunk.Slot], h.ID, chunk, events[i]); err != nil {
			return nil, err
		}
	}
	for _, record := range h.Records {
		if category, known := categories[record.Slot]; known {
			if err := p.record(j, key, category, h.ID, record); err != nil {
				return nil, err
			}
		}
	}
	p.due = j.due
	return p, nil
}

func (p *person) chunk(j *judge, key *vault.PersonKey, category privacy.DataCategory, id privacy.DataSubjectID, chunk SealedChunk, events []vault.Event) error {
	var stay []vault.Event
	for _, event := range events {
		v := j.of(category, "", event.At)
		if v != kept {
			p.counts.add(whatEvents, category, v)
		}
		if v != expired {
			stay = append(stay, event)
		}
	}
	if len(stay) == len(events) {
		return nil
	}
	change := ChunkChange{RecordChange: RecordChange{ID: id, Slot: chunk.Slot, Version: chunk.Version}, Number: chunk.Number, Count: len(stay)}
	if len(stay) > 0 {
		sealed, err := key.SealChunk(category, chunk.Number, chunk.Version+1, stay)
		if err != nil {
			return err
		}
		change.Sealed = sealed
	}
	p.chunks = append(p.chunks, change)
	return nil
}

func (p *person) record(j *judge, key *vault.PersonKey, category privacy.DataCategory, id privacy.DataSubjectID, record SealedRecord) error {
	opened, err := key.OpenRecord(category, record.Version, record.Sealed)
	if err != nil {
		p.unreadable++
		return nil
	}
	stay := vault.Record{}
	for name, field := range opened {
		observed := field.ObservedAt
		if observed.IsZero() {
			observed = record.UpdatedAt
		}
		v := j.of(category, name, observed)
		if v != kept {
			p.counts.add(whatValues, category, v)
		}
		if v != expired {
			stay[name] = field
		}
	}
	if len(stay) == len(opened) {
		return nil
	}
	change := RecordChange{ID: id, Slot: record.Slot, Version: record.Version}
	if len(stay) > 0 {
		if change.Sealed, err = key.SealRecord(category, record.Version+1, stay); err != nil {
			return err
		}
	}
	p.records = append(p.records, change)
	return nil
}
