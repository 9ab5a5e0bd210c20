package intake

import (
	"context"
	"fmt"

	"github.com/mahrem/mahrem/privacy"
)

// known is an identifier of a batch: its indexes, and whom it turned out to name.
type known struct {
	identifier privacy.Identifier
	indexes    [][]byte
	tags       [][16]byte // by which it would be suppressed
	suppressed bool
	person     *person
	item       *Item // that brought it, if it is new
}

// person is everybody's share of a batch.
type person struct {
	id          privacy.DataSubjectID
	isNew       bool
	items       []*Item
	identifiers []*known // new ones
}

// index computes the blind indexes of a batch, once for each identifier. Two spellings
// of one identifier get one entry, because they have one index.
func (l *Loader) index(items []Item) (kept []*Item, of [][]*known, all []*known, rejects []Reject) {
	byText := map[privacy.Identifier]*known{}
	byIndex := map[string]*known{}
rows:
	for i := range items {
		item := &items[i]
		named := make([]*known, 0, len(item.Identifiers))
		for _, identifier := range item.Identifiers {
			k, ok := byText[identifier]
			if !ok {
				indexes, err := l.vault.BlindIndexes(identifier)
				if err != nil {
					rejects = append(rejects, Reject{item.Row, BadIdentifier, "/identifiers"})
					continue rows
				}
				key := string(identifier.Kind) + "\x00" + string(indexes[0])
				if k, ok = byIndex[key]; !ok {
					k = &known{identifier: identifier, indexes: indexes, tags: make([][16]byte, len(indexes))}
					for i := range indexes {
						k.tags[i] = l.vault.SuppressionTag(identifier.Kind, indexes[i])
					}
					byIndex[key] = k
					all = append(all, k)
				}
				byText[identifier] = k
			}
			named = append(named, k)
		}
		kept, of = append(kept, item), append(of, named)
	}
	return kept, of, all, rejects
}

// identify asks the store whom the identifiers name and gives each row its person, in
// the order of the rows: nobody known makes a new person, one known person takes the
// row and its new identifiers, and a row that names two different people is rejected, and
// so is one that names somebody who was erased.
// Following the rows one by one makes the result independent of where a batch ends.
func (l *Loader) identify(ctx context.Context, items []*Item, of [][]*known, all []*known) (people []*person, conflicts []Reject, err error) {
	lookups := make([]Lookup, len(all))
	for i, k := range all {
		lookups[i] = Lookup{Kind: k.identifier.Kind, BlindIndexes: k.indexes, Suppressions: k.tags}
	}
	found, err := l.store.Resolve(ctx, lookups)
	if err != nil {
		return nil, nil, fmt.Errorf("resolving identifiers: %w", err)
	}
	byID := map[privacy.DataSubjectID]*person{}
	for i, k := range all {
		k.person, k.suppressed = nil, found[i].Suppressed
		if id := found[i].Person; !id.IsZero() {
			if byID[id] == nil {
				byID[id] = &person{id: id}
			}
			k.person = byID[id]
		}
	}
	for i, item := range items {
		var owner *person
		conflict, suppressed := false, false
		for _, k := range of[i] {
			suppressed = suppressed || k.suppressed
			if k.person != nil {
				conflict = conflict || owner != nil && owner != k.person
				owner = k.person
			}
		}
		if suppressed {
			conflicts = append(conflicts, Reject{item.Row, Suppressed, "/identifiers"})
			continue
		}
		if conflict {
			conflicts = append(conflicts, Reject{item.Row, IdentifierConflict, "/identifiers"})
			continue
		}
		if owner == nil {
			id, err := privacy.NewDataSubjectID(l.config.Random)
			if err != nil {
				return nil, nil, err
			}
			owner = &person{id: id, isNew: true}
		}
		if len(owner.items) == 0 {
			people = append(people, owner)
		}
		owner.items = append(owner.items, item)
		for _, k := range of[i] {
			if k.person == nil {
				k.person, k.item = owner, item
				owner.identifiers = append(owner.identifiers, k)
			}
		}
	}
	return people, conflicts, nil
}
