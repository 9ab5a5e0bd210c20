package gate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// caseFile is one scenario.
type caseFile struct {
	Scenario  string                `yaml:"scenario"`
	Situation string                `yaml:"situation"`
	People    map[string]casePerson `yaml:"people"`
	// Sharing says how many people have a persona label where it matters; of every other
	// enough have.
	Sharing map[policies.PersonaID]int `yaml:"sharing"`
	Cases   []caseEntry                `yaml:"cases"`
}

type caseEntry struct {
	Name   string  `yaml:"name"`
	Person string  `yaml:"person"`
	Ask    caseAsk `yaml:"ask"`
	// Room is asked about instead of a person.
	Room   *caseRoom  `yaml:"room"`
	Expect caseExpect `yaml:"expect"`
}

// casePerson is a person as the database would hold them. Days are counted back from
// the case's clock.
type casePerson struct {
	Unknown      bool                                 `yaml:"unknown"`
	Damaged      bool                                 `yaml:"damaged"`
	Jurisdiction privacy.Jurisdiction                 `yaml:"jurisdiction"`
	Restricted   bool                                 `yaml:"restricted"`
	Attributes   map[privacy.AttributeName]caseValues `yaml:"attributes"`
	Purchases    []caseEvent                          `yaml:"purchases"`
	Views        []caseEvent                          `yaml:"views"`
	Consents     []caseConsent                        `yaml:"consents"`
	// Told is the asking recipient's exposure ledger.
	Told []string `yaml:"told"`
	// Desk are the cases that were opened about the person, by a name of this file.
	Desk map[string]caseDesk `yaml:"desk"`

	sharing map[policies.PersonaID]int
}

// caseValues is a text, a list of texts, or the whole of a field.
type caseValues struct {
	Values  []string      `yaml:"values"`
	Source  vault.Source  `yaml:"source"`
	Quality vault.Quality `yaml:"quality"`
	DaysAgo int           `yaml:"days_ago"`
}

// UnmarshalYAML reads the three forms.
func (v *caseValues) UnmarshalYAML(node *yaml.Node) error {
	*v = caseValues{Source: vault.Declared, Quality: vault.Verified}
	switch node.Kind {
	case yaml.ScalarNode:
		v.Values = []string{node.Value}
		return nil
	case yaml.SequenceNode:
		return node.Decode(&v.Values)
	}
	type plain caseValues
	return node.Decode((*plain)(v))
}

type caseEvent struct {
	// Kind is "purchase" or "view", as the list that it stands in, or "cart".
	Kind    string `yaml:"kind"`
	Group   string `yaml:"group"`
	Amount  string `yaml:"amount"`
	DaysAgo int    `yaml:"days_ago"`
}

type caseConsent struct {
	Purpose    privacy.Purpose        `yaml:"purpose"`
	Channel    privacy.Channel        `yaml:"channel"`
	Action     consent.Action         `yaml:"action"`
	Basis      privacy.LegalBasis     `yaml:"basis"`
	Explicit   bool                   `yaml:"explicit"`
	Categories []privacy.DataCategory `yaml:"categories"`
	Incentive  bool                   `yaml:"incentive"`
	DaysAgo    int                    `yaml:"days_ago"`
	ValidDays  int                    `yaml:"valid_days"`
	// Verified is whether a guardian's authority was verified; it belongs to what guardians
	// do.
	Verified bool `yaml:"guardian_verified"`
	// StaleDays is for how many days another wording has been in force, if more than none.
	StaleDays int `yaml:"stale_days"`
}

// caseDesk is a case that a recipient handles.
type caseDesk struct {
	Recipient privacy.RecipientID `yaml:"recipient"`
	DaysAgo   int                 `yaml:"days_ago"`
	Closed    bool                `yaml:"closed"`
}

type caseAsk struct {
	Role      privacy.Role        `yaml:"role"`
	Recipient privacy.RecipientID `yaml:"recipient"`
	// By is "pseudonym" (the default) or an identifier kind.
	By         string                  `yaml:"by"`
	Action     policies.Action         `yaml:"action"`
	Purpose    privacy.Purpose         `yaml:"purpose"`
	Channel    privacy.Channel         `yaml:"channel"`
	Attributes []privacy.AttributeName `yaml:"attributes"`
	// TriggerAge is how long ago the trigger was, such as "20m".
	TriggerAge string `yaml:"trigger_age"`
	// Size is how many people like this one an audience would have.
	Size int `yaml:"size"`
	// Case is the case that the question names: one of the person's, or any other name
	// for one that is not.
	Case string `yaml:"case"`
	// Signals are what the visitor's browser and page say.
	Signals caseSignals `yaml:"signals"`
}

// caseExpect is complete: what is not named must not be there. Only checks, which the
// recipient does not see, and use_before may be left out.
type caseExpect struct {
	Decision    Decision                              `yaml:"decision"`
	Attributes  map[privacy.AttributeName]caseRelease `yaml:"attributes"`
	Obligations []policies.ObligationID               `yaml:"obligations"`
	Reasons     []string                              `yaml:"reasons"`
	Checks      []string                              `yaml:"checks"`
	// UseBefore is for how long the answer may still be used, such as "70m".
	UseBefore string `yaml:"use_before"`
	// MinimumPeople and QueryCap are the limits of what is allowed in a room.
	MinimumPeople int   `yaml:"minimum_people"`
	QueryCap      int64 `yaml:"query_cap"`
	// SameAs names another case of the file: the two answers must not differ at all.
	SameAs string `yaml:"same_as"`
}

type caseRelease struct {
	Level policies.Level `yaml:"level"`
	Value any            `yaml:"value"`
	// Quality is looked at only where the case names it.
	Quality vault.Quality `yaml:"quality"`
}

func readCases(fsys fs.FS, name string) (*caseFile, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("reading cases: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var file caseFile
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, privacy.ErrInvalid, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one document: %w", name, privacy.ErrInvalid)
	}
	if file.Scenario == "" || file.Situation == "" || strings.Contains(strings.TrimSpace(file.Situation), "\n") || len(file.Cases) == 0 {
		return nil, fmt.Errorf("%s: scenario, a situation of one line and cases are required: %w", name, privacy.ErrInvalid)
	}
	return &file, nil
}
