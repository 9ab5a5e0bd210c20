package policies

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/privacy"
)

// Level is how much of a value is released. Levels are ordered: a smaller one tells
// less. The zero value tells nothing.
type Level uint8

// The levels, as a ladder from nothing to everything.
const (
	// Withheld: nothing.
	Withheld Level = iota
	// Persona: only the label of a group of people with similar habits.
	Persona
	// Generalized: a coarser value, such as the city instead of the street.
	Generalized
	// Exact: the value as it is held.
	Exact
)

var levelNames = [...]string{"withheld", "persona", "generalized", "exact"}

// String returns the level's name as policies and answers write it.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return levelNames[Withheld]
}

// ParseLevel returns the level that s names, or an error wrapping [privacy.ErrInvalid].
func ParseLevel(s string) (Level, error) {
	for i, name := range levelNames {
		if s == name {
			return Level(i), nil
		}
	}
	return Withheld, fmt.Errorf("parsing level (exact, generalized, persona or withheld): %w", privacy.ErrInvalid)
}

// MarshalText returns the level's name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is [ParseLevel].
func (l *Level) UnmarshalText(text []byte) error {
	parsed, err := ParseLevel(string(text))
	if err != nil {
		return err
	}
	*l = parsed
	return nil
}

// UnmarshalYAML is [ParseLevel], and names the line.
func (l *Level) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := ParseLevel(node.Value)
	if err != nil || node.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: want exact, generalized, persona or withheld: %w", node.Line, privacy.ErrInvalid)
	}
	*l = parsed
	return nil
}
