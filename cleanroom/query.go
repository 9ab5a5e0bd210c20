package cleanroom

import (
	"encoding/json"

	"github.com/mahrem/mahrem/privacy"
)

// Query is a question about groups of people. Whatever it can say is said by its fields:
// there are no expressions, no casts, no "or" and no "not", no sub-queries and no order.
type Query struct {
	Room    RoomID          `json:"room"`
	From    []From          `json:"from,omitempty"`     // one dataset, or several that are joined
	Join    string          `json:"join,omitempty"`     // "match" if there are several
	Where   []Predicate     `json:"where,omitempty"`    // all of them hold
	GroupBy []string        `json:"group_by,omitempty"` // alias.column
	Metrics []Metric        `json:"metrics,omitempty"`
	Privacy Privacy         `json:"privacy,omitzero"`
	Purpose privacy.Purpose `json:"purpose"`
	// Template is name@version of a co-signed template that the query follows. Such a query
	// says either all that the template says, or nothing but the Values of its holes.
	Template string                     `json:"template,omitempty"`
	Values   map[string]json.RawMessage `json:"values,omitempty"`
}

// From names a dataset (owner.dataset) and what it is called in the query.
type From struct {
	Dataset string `json:"dataset"`
	As      string `json:"as"`
}

// Predicate limits a column (alias.column). Value is a word of the domain for "=", a list of
// them for "in", [from, to] for "between".
type Predicate struct {
	Column   string          `json:"col"`
	Operator string          `json:"op"`
	Value    json.RawMessage `json:"val"`
}

// Metric is a number that is asked for.
type Metric struct {
	Function Function `json:"fn"`
	Column   string   `json:"col,omitempty"`
	As       string   `json:"as"`
}

// Privacy is how noisy the answer is to be.
type Privacy struct {
	// NoisePeople is the standard deviation of the noise, in people.
	NoisePeople int `json:"noise_people"`
	// MaxGroupsPerPerson bounds in how many groups one person counts.
	MaxGroupsPerPerson int `json:"max_groups_per_person"`
}
