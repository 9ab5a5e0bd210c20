package policies

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// A Change is something that another bundle opens or closes.
type Change struct {
	Purpose privacy.Purpose `json:"purpose"`
	Title   string          `json:"title"`
	// Opens is whether more is told than before; otherwise less is.
	Opens bool `json:"opens"`
	// Attributes are what is told at another level. Without any, the change is about
	// whether anything may be answered at all, or about an obligation.
	Attributes []privacy.AttributeName `json:"attributes,omitempty"`
	// Obligation is what recipients have to observe that they had not, or no longer.
	Obligation ObligationID `json:"obligation,omitempty"`
	// From and To are the levels of the attributes before and after.
	From Level `json:"from"`
	To   Level `json:"to"`
	// When says for whom, as products of facts among the cells in which this purpose opens
	// the same before or after. Age, jurisdiction and consent are always said.
	When []map[string][]string `json:"when"`
	// Cells is how many cells of the table change, counted for each attribute.
	Cells string `json:"cells"`
}

// Difference is what changes when one bundle takes the place of another.
type Difference struct {
	// Old and New are the digests, OldTable and NewTable the hashes of the tables over the
	// words of both.
	Old      string `json:"old"`
	New      string `json:"new"`
	OldTable string `json:"old_table"`
	NewTable string `json:"new_table"`
	// Opened and Closed are in how many cells something opens that was closed, and the
	// other way round.
	Opened string `json:"opened_cells"`
	Closed string `json:"closed_cells"`
	// Words are the values of each fact.
	Words   map[string][]string `json:"words"`
	Changes []Change            `json:"changes"`
	// Rooms are the changes in clean rooms, which have a table of their own.
	Rooms []RoomChange `json:"rooms"`
	// RoomRules is whether the rules about clean rooms are written otherwise. If they are and
	// Rooms is empty, no room that is compared can tell them apart.
	RoomRules bool `json:"room_rules_changed"`
	// Also are changed values of the catalogue; numbers, windows and weights are no cells.
	Also []LeafChange `json:"catalogue"`
}

// Diff compares two revisions in every cell, and in clean rooms. The order is that of purposes,
// and under a purpose what opens comes first.
func Diff(ctx context.Context, before, after *Revision) (Difference, error) {
	tables, err := makeTables(ctx, before, after)
	if err != nil {
		return Difference{}, err
	}
	o, n := tables[0], tables[1]
	d := o.d
	document := n.document()
	difference := Difference{
		Old: before.String(), New: after.String(), Words: document.Words,
		OldTable: fmt.Sprintf("sha256:%x", o.Hash()), NewTable: fmt.Sprintf("sha256:%x", n.Hash()),
		Opened: d.count(d.without(n.allow, o.allow)).String(), Closed: d.count(d.without(o.allow, n.allow)).String(),
		Changes: []Change{},
	}
	for _, word := range o.space.values[fieldPurpose] {
		difference.Changes = append(difference.Changes, compare(o, n, privacy.Purpose(word))...)
	}
	difference.RoomRules = roomRulesAsWritten(before) != roomRulesAsWritten(after)
	if difference.Rooms, err = diffRooms(ctx, before, after); err != nil {
		return Difference{}, fmt.Errorf("comparing clean rooms: %w", err)
	}
	difference.Also = diffLeaves(catalogueLeaves(before.content), catalogueLeaves(after.content))
	return difference, nil
}

// compare returns the changes under one purpose.
func compare(o, n *Table, purpose privacy.Purpose) []Change {
	d, under := o.d, o.is(fieldPurpose, string(purpose))
	title := string(purpose)
	for _, t := range [...]*Table{o, n} {
		if p, ok := t.revision.catalogue.Purpose(purpose); ok {
			title = p.Title.EN
		}
	}
	type move struct {
		said     diagram
		from, to Level
	}
	var order []move
	moved, cells := map[move][]privacy.AttributeName{}, map[move]*big.Int{}
	for _, name := range attributesOf(o, n) {
		was, is := o.levels4(purpose, name), n.levels4(purpose, name)
		around := d.and(under, d.or(d.not(was[Withheld]), d.not(is[Withheld])))
		for from, before := range was {
			for to, after := range is {
				changed := d.and(under, d.and(before, after))
				if from == to || changed == nothing {
					continue
				}
				m := move{o.essence(changed, around), Level(from), Level(to)}
				if moved[m] == nil {
					order, cells[m] = append(order, m), new(big.Int)
				}
				moved[m] = append(moved[m], name)
				cells[m].Add(cells[m], d.count(changed))
			}
		}
	}
	var changes []Change
	add := func(said diagram, opens bool, cells *big.Int, change Change) {
		change.Purpose, change.Title, change.Opens = purpose, title, opens
		change.When, change.Cells = o.line("", said).When, cells.String()
		changes = append(changes, change)
	}
	for _, m := range order {
		add(m.said, m.from < m.to, cells[m], Change{Attributes: moved[m], From: m.from, To: m.to})
	}
	whole := func(opens bool, cells, around diagram, change Change) {
		if cells != nothing {
			add(o.essence(cells, around), opens, d.count(cells), change)
		}
	}
	either := d.and(under, d.or(o.allow, n.allow))
	whole(true, d.and(under, d.without(n.allow, o.allow)), either, Change{})
	whole(false, d.and(under, d.without(o.allow, n.allow)), either, Change{})
	both := d.and(under, d.and(o.allow, n.allow))
	for _, id := range obligationsOf(o, n) {
		was, is := o.obliges(id), n.obliges(id)
		whole(true, d.and(both, d.without(was, is)), both, Change{Obligation: id})
		whole(false, d.and(both, d.without(is, was)), both, Change{Obligation: id})
	}
	slices.SortStableFunc(changes, func(a, b Change) int {
		switch {
		case a.Opens == b.Opens:
			return 0
		case a.Opens:
			return -1
		}
		return 1
	})
	return changes
}

// levels4 returns for each level the cells in which an attribute is told at it.
func (t *Table) levels4(purpose privacy.Purpose, name privacy.AttributeName) [4]diagram {
	d := t.d
	none := [4]diagram{Withheld: everything}
	attribute, ok := t.revision.catalogue.Attribute(name)
	p, known := t.revision.catalogue.Purpose(purpose)
	if !ok || !known {
		return none
	}
	limit := t.revision.Verdict(purpose, name).Max
	open := d.and(t.allow, t.is(fieldCategory, string(attribute.Category)))
	var atLeast [5]diagram
	atLeast[Withheld] = everything
	for level := Generalized; level <= limit; level++ {
		for ceiling, holds := range t.ceilings {
			if bound, err := ParseLevel(ceiling); err == nil && bound >= level {
				atLeast[level] = d.or(atLeast[level], d.and(d.and(open, t.granted), holds))
			}
		}
	}
	atLeast[Persona] = atLeast[Generalized]
	if p.Persona && attribute.Persona {
		atLeast[Persona] = d.or(atLeast[Persona], open)
	}
	var exactly [4]diagram
	for level := range exactly {
		exactly[level] = d.without(atLeast[level], atLeast[level+1])
	}
	return exactly
}

// obliges returns the cells in which a recipient has to observe something, by rule or
// because purpose, channel, recipient or the category that opens always demand it.
func (t *Table) obliges(id ObligationID) diagram {
	d, c := t.d, t.revision.catalogue
	holds := t.due[string(id)]
	always := func(field int, demands func(word string) []ObligationID) diagram {
		return d.values(field, func(value int) bool { return slices.Contains(demands(t.space.values[field][value]), id) })
	}
	holds = d.or(holds, always(fieldPurpose, func(word string) []ObligationID {
		if p, ok := c.Purpose(privacy.Purpose(word)); ok {
			return p.Obligations
		}
		return nil
	}))
	holds = d.or(holds, always(fieldChannel, func(word string) []ObligationID {
		if ch, ok := c.Channel(privacy.Channel(word)); ok {
			return ch.Obligations
		}
		return nil
	}))
	holds = d.or(holds, always(fieldRecipient, func(word string) []ObligationID {
		if r, ok := c.Recipient(privacy.RecipientID(word)); ok {
			return r.Obligations
		}
		return nil
	}))
	return d.or(holds, d.and(t.granted, always(fieldCategory, func(word string) []ObligationID {
		if k, ok := c.Category(privacy.DataCategory(word)); ok {
			return k.Obligations
		}
		return nil
	})))
}

func attributesOf(tables ...*Table) []privacy.AttributeName {
	var names []privacy.AttributeName
	for _, t := range tables {
		names = append(names, t.revision.catalogue.Attributes()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func obligationsOf(tables ...*Table) []ObligationID {
	var ids []ObligationID
	for _, t := range tables {
		ids = append(ids, t.revision.catalogue.Obligations()...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// essence returns a set that says the same as cells among the cells around it, and
// depends on as few facts as can be. Purpose and category, which stand beside it, are
// not said; age, jurisdiction and consent always are.
func (t *Table) essence(cells, around diagram) diagram {
	d, said := t.d, cells
	for field := range fieldCount {
		switch field {
		case fieldAge, fieldJurisdiction, fieldState, fieldExplicit, fieldAgreed:
			continue
		}
		less := d.forget(said, func(f int) bool { return f == field })
		if field == fieldPurpose || field == fieldCategory || d.and(less, around) == cells {
			said = less
		}
	}
	return said
}
