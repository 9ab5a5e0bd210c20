package policies

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/mahrem/mahrem/privacy"
)

// ObligationID names something the recipient must do with an answer. The catalogue
// describes each.
type ObligationID string

// Obligations that the gate itself has to act upon.
const (
	// NoSourceReference: do not quote where the information came from.
	NoSourceReference ObligationID = "no_source_reference"
	// UseBefore: do not use the answer after the time that the gate adds.
	UseBefore ObligationID = "use_before"
)

// CheckWellFormed is the check that fails for facts which are not mahrem.facts/v1.
const CheckWellFormed = "facts.well_formed"

// Plan is a decision. Its slices are shared between callers and must not be changed.
type Plan struct {
	// Allow is whether anything may be answered at all.
	Allow bool
	// Basis is the legal basis (GDPR Article 6(1)), [NoBasis] when denied.
	Basis privacy.LegalBasis
	// Ceiling is the most detailed level that the basis carries.
	Ceiling Level
	// Failed are the names of the checks that did not pass, sorted. Empty when allowed.
	Failed []string
	// Granted and Denied split the requested data categories, each sorted.
	Granted, Denied []privacy.DataCategory
	// Cleared are the data categories to which the person consented explicitly for this
	// purpose, sorted: inferences that point to them need not be held back.
	Cleared []privacy.DataCategory
	// Persona is whether a persona label may be offered in place of denied values.
	Persona bool
	// Obligations are what the recipient must observe, sorted.
	Obligations []ObligationID
}

// Grants reports whether the plan opens a data category.
func (p *Plan) Grants(category privacy.DataCategory) bool {
	return p.Allow && slices.Contains(p.Granted, category)
}

// deny returns a plan that opens nothing, for one named reason.
func deny(check string, requested []privacy.DataCategory) Plan {
	return Plan{Basis: NoBasis, Failed: []string{check}, Denied: canonicalList(requested)}
}

// Keys of the plan document, made once.
var (
	keyAllow       = ast.StringTerm("allow")
	keyBasis       = ast.StringTerm("basis")
	keyCeiling     = ast.StringTerm("ceiling")
	keyFailed      = ast.StringTerm("failed")
	keyGranted     = ast.StringTerm("granted")
	keyCleared     = ast.StringTerm("cleared")
	keyPersona     = ast.StringTerm("persona")
	keyObligations = ast.StringTerm("obligations")
)

// decodePlan reads the document that the entrypoint returned. A document of another
// shape is an error: the rules are broken, and nothing is allowed on a guess. So is one
// that contradicts itself, such as "allowed" with a failed check.
func decodePlan(value ast.Value, requested []privacy.DataCategory) (Plan, error) {
	object, ok := value.(ast.Object)
	if !ok {
		return Plan{}, fmt.Errorf("reading plan: not an object: %w", ErrPolicy)
	}
	if object.Len() != 8 {
		return Plan{}, fmt.Errorf("reading plan: %d fields: %w", object.Len(), ErrPolicy)
	}
	d := planDecoder{object: object}
	plan := Plan{
		Allow:       d.boolean(keyAllow),
		Basis:       privacy.LegalBasis(d.text(keyBasis)),
		Failed:      words[string](&d, keyFailed),
		Granted:     words[privacy.DataCategory](&d, keyGranted),
		Cleared:     words[privacy.DataCategory](&d, keyCleared),
		Persona:     d.boolean(keyPersona),
		Obligations: words[ObligationID](&d, keyObligations),
	}
	if err := plan.Ceiling.UnmarshalText([]byte(d.text(keyCeiling))); err != nil {
		d.bad = "ceiling"
	}
	if d.bad != "" {
		return Plan{}, fmt.Errorf("reading plan: field %s: %w", d.bad, ErrPolicy)
	}
	if plan.Allow == (len(plan.Failed) > 0) ||
		plan.Allow == (plan.Basis == NoBasis) ||
		!plan.Allow && (len(plan.Granted) > 0 || len(plan.Cleared) > 0 || len(plan.Obligations) > 0 || plan.Persona || plan.Ceiling != Withheld) {
		return Plan{}, fmt.Errorf("reading plan: it contradicts itself: %w", ErrPolicy)
	}
	for _, category := range canonicalList(requested) {
		if !slices.Contains(plan.Granted, category) {
			plan.Denied = append(plan.Denied, category)
		}
	}
	if len(plan.Granted)+len(plan.Denied) != len(canonicalList(requested)) {
		return Plan{}, fmt.Errorf("reading plan: it grants what was not asked for: %w", ErrPolicy)
	}
	return plan, nil
}

// addObligations joins what purpose, channel, recipient and granted categories always
// demand to what the rules demand in this situation.
func (c *Catalogue) addObligations(plan *Plan, facts *Facts) {
	if purpose, ok := c.purposes[facts.Purpose]; ok {
		plan.Obligations = append(plan.Obligations, purpose.Obligations...)
	}
	if channel, ok := c.channels[facts.Channel]; ok {
		plan.Obligations = append(plan.Obligations, channel.Obligations...)
	}
	if recipient, ok := c.recipients[facts.Recipient]; ok {
		plan.Obligations = append(plan.Obligations, recipient.Obligations...)
	}
	for _, id := range plan.Granted {
		if category, ok := c.categories[id]; ok {
			plan.Obligations = append(plan.Obligations, category.Obligations...)
		}
	}
	slices.Sort(plan.Obligations)
	plan.Obligations = slices.Compact(plan.Obligations)
}

type planDecoder struct {
	object ast.Object
	bad    string
}

func (d *planDecoder) get(key *ast.Term) ast.Value {
	if term := d.object.Get(key); term != nil {
		return term.Value
	}
	return nil
}

func (d *planDecoder) boolean(key *ast.Term) bool {
	b, ok := d.get(key).(ast.Boolean)
	if !ok {
		d.bad = key.String()
	}
	return bool(b)
}

func (d *planDecoder) text(key *ast.Term) string {
	s, ok := d.get(key).(ast.String)
	if !ok {
		d.bad = key.String()
	}
	return string(s)
}

// words reads a set of strings, sorted.
func words[T ~string](d *planDecoder, key *ast.Term) []T {
	set, ok := d.get(key).(ast.Set)
	if !ok {
		d.bad = key.String()
		return nil
	}
	if set.Len() == 0 {
		return nil
	}
	list := make([]T, 0, set.Len())
	set.Foreach(func(term *ast.Term) {
		s, ok := term.Value.(ast.String)
		if !ok {
			d.bad = key.String()
			return
		}
		list = append(list, T(s))
	})
	slices.SortFunc(list, func(a, b T) int { return strings.Compare(string(a), string(b)) })
	return list
}

// Verdict is what the catalogue alone says about one attribute under one purpose: the
// most detailed level it may ever have there, whatever the person consents to.
type Verdict struct {
	Max Level
	// Reasons are the names of the checks that keep Max from being exact, sorted.
	Reasons []string
}

// Reason explains one check in words.
type Reason struct {
	// Check is the name of the check, such as "basis.lawful".
	Check string
	// Title says what the check demands.
	Title string
	// Laws are the articles behind it, such as "GDPR-6-1-a".
	Laws []string
}
