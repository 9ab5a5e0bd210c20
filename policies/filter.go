package policies

import (
	"encoding/json"
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// AudienceQuestion is what is known before any person is looked at.
type AudienceQuestion struct {
	Role      privacy.Role
	Recipient privacy.RecipientID
	Purpose   privacy.Purpose
	Channel   privacy.Channel
	// Categories are the data categories of the attributes that the audience is chosen by.
	Categories []privacy.DataCategory
}

// FilterKind says whom a filter lets through.
type FilterKind uint8

// The kinds. The zero value is nobody, so that a filter that was forgotten is shut.
const (
	// FilterNone lets nobody through.
	FilterNone FilterKind = iota
	// FilterAll lets everybody through.
	FilterAll
	// FilterWhere lets those through who meet the condition.
	FilterWhere
)

// Filter is what the rules demand of a person, as a condition on facts about the person.
type Filter struct {
	Kind FilterKind
	// Where is set with [FilterWhere] alone.
	Where *Condition
}

// Match reports whether the filter lets a person through. A filter that contradicts
// itself lets nobody through.
func (f Filter) Match(facts *Facts) bool {
	switch f.Kind {
	case FilterAll:
		return f.Where == nil
	case FilterWhere:
		return f.Where != nil && f.Where.Match(facts)
	}
	return false
}

// ConditionOp is how a condition judges.
type ConditionOp uint8

// The operators. The zero value is none of them and matches nobody.
const (
	// And matches if all of its terms do; it has at least one.
	And ConditionOp = iota + 1
	// Or matches if one of its terms does; it has at least one.
	Or
	// In matches if the field has one of the values.
	In
	// NotIn matches if the field has none of the values.
	NotIn
)

// Condition is a tree: And and Or over Terms, In and NotIn over Field and Values, which
// are sorted. It is immutable.
type Condition struct {
	Op     ConditionOp
	Field  Field
	Values []string
	Terms  []Condition
}

// Match is the meaning of a condition. A condition that is not well formed matches nobody.
func (c *Condition) Match(facts *Facts) bool {
	switch c.Op {
	case And:
		return len(c.Terms) > 0 && !slices.ContainsFunc(c.Terms, func(t Condition) bool { return !t.Match(facts) })
	case Or:
		return slices.ContainsFunc(c.Terms, func(t Condition) bool { return t.Match(facts) })
	case In:
		value, ok := c.Field.of(facts)
		return ok && slices.Contains(c.Values, value)
	case NotIn:
		value, ok := c.Field.of(facts)
		return ok && !slices.Contains(c.Values, value)
	}
	return false
}

// MarshalJSON writes the condition as UCAST, the form in which other policy engines
// exchange conditions too.
func (c Condition) MarshalJSON() ([]byte, error) {
	type node struct {
		Type     string `json:"type"`
		Operator string `json:"operator"`
		Field    Field  `json:"field,omitempty"`
		Value    any    `json:"value"`
	}
	switch c.Op {
	case And:
		return json.Marshal(node{Type: "compound", Operator: "and", Value: c.Terms})
	case Or:
		return json.Marshal(node{Type: "compound", Operator: "or", Value: c.Terms})
	case In:
		return json.Marshal(node{Type: "field", Operator: "in", Field: c.Field, Value: c.Values})
	case NotIn:
		return json.Marshal(node{Type: "field", Operator: "nin", Field: c.Field, Value: c.Values})
	}
	return nil, ErrPolicy
}

// Field is a fact about a person that a filter may judge, by its place in the facts.
type Field string

// The fields. There are no others: a rule that reads one makes the filter an error.
const (
	FieldKnown        Field = "subject.known"
	FieldAge          Field = "subject.age"
	FieldJurisdiction Field = "subject.jurisdiction"
	FieldRestricted   Field = "subject.restricted"
	FieldObjected     Field = "subject.objected"
	FieldHousehold    Field = "subject.household"
	FieldState        Field = "consent.state"
	FieldExplicit     Field = "consent.explicit"
	FieldBasis        Field = "consent.basis"
	FieldIncentive    Field = "consent.incentive"
)

func (f Field) of(facts *Facts) (string, bool) {
	switch f {
	case FieldKnown:
		return string(facts.Subject.Known), true
	case FieldAge:
		return string(facts.Subject.Age), true
	case FieldJurisdiction:
		return string(facts.Subject.Jurisdiction), true
	case FieldRestricted:
		return string(facts.Subject.Restricted), true
	case FieldObjected:
		return string(facts.Subject.Objected), true
	case FieldHousehold:
		return string(facts.Subject.Household), true
	case FieldState:
		return string(facts.Consent.State), true
	case FieldExplicit:
		return string(facts.Consent.Explicit), true
	case FieldBasis:
		return string(facts.Consent.Basis), true
	case FieldIncentive:
		return string(facts.Consent.Incentive), true
	}
	return "", false
}

// AudienceFacts returns the facts under which one person of an audience is judged: what
// a single query would be asked, without a trigger, a case or grants for categories.
func (r *Revision) AudienceFacts(q AudienceQuestion, subject SubjectFacts, consent ConsentFacts) Facts {
	return Facts{
		Action: Audience, Role: q.Role, Recipient: q.Recipient, Purpose: q.Purpose, Channel: q.Channel,
		Reference: ByPseudonym, Subject: subject, Consent: consent, Trigger: NoTrigger, Case: NoCase,
		Categories: q.Categories,
	}
}
