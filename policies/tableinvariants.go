package policies

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// A Violation is something that must never be and that a table has.
type Violation struct {
	// Invariant says what must be.
	Invariant string `json:"invariant"`
	// Cells is in how many cells it is not so.
	Cells *big.Int `json:"cells"`
	// Example are the facts of one of them.
	Example Facts `json:"-"`
}

func (v Violation) Error() string {
	return fmt.Sprintf("%s: not so in %s cells, such as %s", v.Invariant, v.Cells, v.Example.Canonical())
}

// Violations looks in all cells for what must never be, whatever the rules say. It knows
// the catalogue and nothing of the rules.
func (t *Table) Violations() []Violation {
	var found []Violation
	for _, invariant := range t.invariants() {
		if invariant.wrong == nothing {
			continue
		}
		cell := make([]int, fieldCount)
		for at := invariant.wrong; at > everything; at = t.d.nodes[at].next[cell[t.d.nodes[at].field]] {
			node := t.d.nodes[at]
			cell[node.field] = slices.IndexFunc(node.next, func(to diagram) bool { return to != nothing })
		}
		found = append(found, Violation{invariant.what, t.d.count(invariant.wrong), t.space.facts(cell)})
	}
	return found
}

// Invariants says what [Table.Violations] looks for.
func (t *Table) Invariants() []string {
	var what []string
	for _, invariant := range t.invariants() {
		what = append(what, invariant.what)
	}
	return what
}

// is returns the cells in which a field has one of the words.
func (t *Table) is(field int, words ...string) diagram {
	return t.d.values(field, func(value int) bool { return slices.Contains(words, t.space.values[field][value]) })
}

// purposes returns the cells of purposes that are in the catalogue and of which keep is
// true.
func (t *Table) purposes(keep func(p *Purpose) bool) diagram {
	return t.d.values(fieldPurpose, func(value int) bool {
		purpose, ok := t.revision.catalogue.Purpose(privacy.Purpose(t.space.values[fieldPurpose][value]))
		return ok && keep(purpose)
	})
}

type invariant struct {
	what  string
	wrong diagram // the cells in which it is not so
}

func (t *Table) invariants() []invariant {
	d, c := t.d, t.revision.catalogue
	open := t.allow
	given := d.and(d.or(t.is(fieldState, string(ConsentGranted)), t.keepsStale()), t.is(fieldBasis, string(privacy.Consent)))
	explicitly := d.and(d.and(given, t.is(fieldExplicit, string(Yes))), t.is(fieldAgreed, string(Yes)))
	admitted, ambiguous, named, levelled := nothing, nothing, nothing, nothing
	for _, basis := range sortedKeys(t.bases) {
		ambiguous = d.or(ambiguous, d.and(named, t.bases[basis]))
		named = d.or(named, t.bases[basis])
		admitted = d.or(admitted, d.and(t.bases[basis], t.purposes(func(p *Purpose) bool { return has(p.Bases, privacy.LegalBasis(basis)) })))
	}
	for _, level := range sortedKeys(t.ceilings) {
		ambiguous = d.or(ambiguous, d.and(levelled, t.ceilings[level]))
		levelled = d.or(levelled, t.ceilings[level])
	}
	special, needsExplicit, unused := nothing, nothing, nothing
	for _, id := range c.Categories() {
		category, of := c.categories[id], t.is(fieldCategory, string(id))
		if category.Special {
			special = d.or(special, of)
		}
		for _, j := range category.ExplicitIn {
			needsExplicit = d.or(needsExplicit, d.and(of, t.is(fieldJurisdiction, string(j))))
		}
		unused = d.or(unused, d.and(of, t.purposes(func(p *Purpose) bool { return !has(p.Categories, id) })))
	}
	inCatalogue := t.d.values(fieldCategory, func(value int) bool {
		return has(c.categories, privacy.DataCategory(t.space.values[fieldCategory][value]))
	})
	opens := d.and(open, t.granted)
	obliged := t.bases[string(privacy.LegalObligation)]
	list := []invariant{
		{"nothing is open without a legal basis that the purpose admits", d.without(open, admitted)},
		{"what is open has one basis and one level", d.or(d.without(open, levelled), d.and(open, ambiguous))},
		{"consent is claimed only where it was given", d.without(d.and(open, t.bases[string(privacy.Consent)]), given)},
		{"consent is explicit where the purpose demands it", d.without(d.and(d.and(open, t.bases[string(privacy.Consent)]), t.purposes(func(p *Purpose) bool { return p.Explicit })), t.is(fieldExplicit, string(Yes)))},
		{"what was refused, withdrawn or objected to is done on no other basis, unless law obliges", d.without(d.and(open, t.is(fieldState, string(ConsentWithdrawn), string(ConsentRefused), string(ConsentObjected), unlisted)), obliged)},
		{"a yes to an older wording counts only where the purpose says so", d.without(d.and(d.and(open, t.bases[string(privacy.Consent)]), t.is(fieldState, string(ConsentStaleNotice))), t.keepsStale())},
		{"a child's yes without a verified guardian is none", d.and(d.and(open, t.is(fieldState, string(ConsentGuardianMissing))), d.or(t.bases[string(privacy.Consent)], t.cleared))},
		{"no special category opens without explicit consent to it", d.without(d.and(opens, special), explicitly)},
		{"no special category opens for a purpose that may not ask for it", d.without(d.and(opens, special), t.purposes(func(p *Purpose) bool { return p.Special }))},
		{"nothing opens without explicit consent where the law of the place demands it", d.without(d.and(opens, needsExplicit), explicitly)},
		{"explicit consent to a category counts only if it was given", d.without(d.and(open, t.cleared), explicitly)},
		{"nobody is profiled but adults", d.without(d.and(open, t.purposes(func(p *Purpose) bool { return p.Profiling })), t.is(fieldAge, string(Adult)))},
		{"nobody is served at an age that the purpose does not admit", d.and(open, t.agesNotAdmitted())},
		{"nothing opens that the purpose has no use for", d.or(d.and(opens, unused), d.without(opens, inCatalogue))},
		{"restricted data serves only what law lets go on", d.without(d.without(open, t.is(fieldRestricted, string(No))), d.and(t.is(fieldRestricted, string(Yes)), t.purposes(func(p *Purpose) bool { return p.DespiteRestriction })))},
		{"an objection binds, unless law lets it go on", d.without(d.without(open, t.is(fieldObjected, string(No))), d.and(t.is(fieldObjected, string(Yes)), t.purposes(func(p *Purpose) bool { return p.DespiteObjection })))},
		{"nobody unknown has anything opened", d.without(open, t.is(fieldKnown, string(Yes)))},
		{"nothing opens where the law is unknown", d.and(open, t.is(fieldJurisdiction, string(UnknownJurisdiction), unlisted))},
		{"only a data protection officer re-identifies, for what was ordered", d.without(d.and(open, t.is(fieldAction, string(Reidentify))), d.and(t.is(fieldRole, string(privacy.RoleDPO)), t.purposes(func(p *Purpose) bool { return p.Reidentification })))},
		{"only services ask for data", d.without(d.without(open, t.is(fieldAction, string(Reidentify))), t.is(fieldRole, string(privacy.RoleService)))},
		{"data that needs a case opens only to whoever handles it", d.without(d.and(opens, t.needsCase()), t.is(fieldCase, string(HandledCase)))},
		{"a stale trigger opens nothing", d.and(open, t.is(fieldTrigger, string(StaleTrigger)))},
	}
	strange := nothing
	for _, field := range [...]int{
		fieldPurpose, fieldAction, fieldRole, fieldRecipient, fieldReference, fieldChannel, fieldKnown, fieldAge, fieldJurisdiction,
		fieldRestricted, fieldObjected, fieldState, fieldExplicit, fieldIncentive, fieldTrigger, fieldCase,
	} {
		strange = d.or(strange, t.is(field, unlisted))
	}
	return append(list, invariant{"a word that nobody knows opens nothing", d.and(open, strange)})
}

// keepsStale are the cells in which a yes to an older wording counts.
func (t *Table) keepsStale() diagram {
	return t.d.and(t.is(fieldState, string(ConsentStaleNotice)), t.purposes(func(p *Purpose) bool { return p.StaleNotice == StaleKeep }))
}

func (t *Table) agesNotAdmitted() diagram {
	wrong := t.is(fieldAge, unlisted)
	for _, age := range [...]AgeGroup{Child, Youth, Adult, AgeUnknown} {
		wrong = t.d.or(wrong, t.d.and(t.is(fieldAge, string(age)), t.purposes(func(p *Purpose) bool { return !slices.Contains(p.Ages, age) })))
	}
	return wrong
}

func (t *Table) needsCase() diagram {
	return t.d.values(fieldCategory, func(value int) bool {
		category, ok := t.revision.catalogue.Category(privacy.DataCategory(t.space.values[fieldCategory][value]))
		return ok && category.Case
	})
}
