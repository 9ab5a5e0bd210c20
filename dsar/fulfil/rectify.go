package fulfil

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Correction says what is right.
type Correction struct {
	Attribute privacy.AttributeName
	// Values take the place of all that stand there; at least one.
	Values []privacy.Plain
}

// The bounds of a correction.
const (
	maxCorrections = 64
	maxValues      = 256
	maxValue       = 4096
)

// Rectify sets what the person says is right, as declared by them and verified; a dispute
// is settled by it. Errors:
//
//   - [privacy.FieldError]: an attribute or a value is none;
//   - [*dsar.Refusal]: of the machine, and [CheckKnown];
//   - as [dsar.Service.Prepare].
func (s *Service) Rectify(ctx context.Context, by privacy.Principal, id dsar.RequestID, corrections []Correction) (Done, error) {
	categories, err := s.check(corrections)
	if err != nil {
		return Done{}, err
	}
	today := s.config.Now().UTC().Truncate(24 * time.Hour)
	return retried(func() (Done, error) {
		return s.rewrite(ctx, by, id, dsar.ActionRectify, slices.Collect(maps.Values(categories)), func(records map[privacy.DataCategory]vault.Record) error {
			for _, c := range corrections {
				records[categories[c.Attribute]][c.Attribute] = vault.Field{
					Values: slices.Clone(c.Values), Source: vault.Declared, Quality: vault.Verified, ObservedAt: today,
				}
			}
			return nil
		})
	})
}

// Dispute marks attributes as contested by the person: they are not used until they are
// rectified, or the person is told that they were right (GDPR Article 18(1)(a)). All of
// them must be held, or the act is refused with [CheckHeld].
func (s *Service) Dispute(ctx context.Context, by privacy.Principal, id dsar.RequestID, attributes []privacy.AttributeName) (Done, error) {
	corrections := make([]Correction, len(attributes))
	for i, name := range attributes {
		corrections[i] = Correction{Attribute: name}
	}
	categories, err := s.categories(corrections)
	if err != nil {
		return Done{}, err
	}
	return retried(func() (Done, error) {
		return s.rewrite(ctx, by, id, dsar.ActionDispute, slices.Collect(maps.Values(categories)), func(records map[privacy.DataCategory]vault.Record) error {
			for _, name := range attributes {
				field, held := records[categories[name]][name]
				if !held {
					return &dsar.Refusal{Check: CheckHeld, Article: "GDPR Article 18(1)(a)", Reason: "nothing is held that could be contested"}
				}
				field.Quality = vault.Disputed
				records[categories[name]][name] = field
			}
			return nil
		})
	})
}

// check finds the category of each attribute and sees that the values can be stored.
func (s *Service) check(corrections []Correction) (map[privacy.AttributeName]privacy.DataCategory, error) {
	categories, err := s.categories(corrections)
	if err != nil {
		return nil, err
	}
	for i, c := range corrections {
		attribute, _ := s.catalogue().Attribute(c.Attribute)
		pointer := "/corrections/" + strconv.Itoa(i) + "/values"
		if len(c.Values) == 0 || len(c.Values) > maxValues || len(c.Values) > 1 && !attribute.List {
			return nil, &privacy.FieldError{Pointer: pointer, Reason: "must be one value, or several of a list"}
		}
		for n, value := range c.Values {
			if reason := fault(attribute, value.RevealPersonalData()); reason != "" {
				return nil, &privacy.FieldError{Pointer: pointer + "/" + strconv.Itoa(n), Reason: reason}
			}
		}
	}
	return categories, nil
}

// fault says what is wrong with a value, or nothing.
func fault(attribute *policies.Attribute, text string) string {
	switch {
	case text == "" || len(text) > maxValue || !utf8.ValidString(text):
		return "must be text of 1 to " + strconv.Itoa(maxValue) + " bytes"
	case attribute.Generalize == nil:
		return ""
	}
	// A ladder that cannot read a value withholds it for ever: it must be right at once.
	switch attribute.Generalize.Function {
	case "age_band", "year":
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			return "must be a day such as 1985-01-31"
		}
	case "band":
		if _, err := strconv.Atoi(text); err != nil {
			return "must be a number"
		}
	}
	return ""
}

func (s *Service) categories(corrections []Correction) (map[privacy.AttributeName]privacy.DataCategory, error) {
	if len(corrections) == 0 || len(corrections) > maxCorrections {
		return nil, &privacy.FieldError{Pointer: "/corrections", Reason: "must be 1 to " + strconv.Itoa(maxCorrections)}
	}
	categories := map[privacy.AttributeName]privacy.DataCategory{}
	for i, c := range corrections {
		pointer := "/corrections/" + strconv.Itoa(i) + "/attribute"
		attribute, known := s.catalogue().Attribute(c.Attribute)
		switch _, twice := categories[c.Attribute]; {
		case !known:
			return nil, &privacy.FieldError{Pointer: pointer, Reason: "is not in the catalogue"}
		case attribute.Derived != "":
			return nil, &privacy.FieldError{Pointer: pointer, Reason: "is computed from events and not stored"}
		case twice:
			return nil, &privacy.FieldError{Pointer: pointer, Reason: "is named twice"}
		}
		categories[c.Attribute] = attribute.Category
	}
	return categories, nil
}

// rewrite opens the records of categories, has change change them, and commits them with a
// step of the request.
func (s *Service) rewrite(ctx context.Context, by privacy.Principal, id dsar.RequestID, action dsar.Action,
	categories []privacy.DataCategory, change func(map[privacy.DataCategory]vault.Record) error,
) (Done, error) {
	first, err := s.requests.Prepare(ctx, by, id, dsar.Move{Action: action})
	if err != nil {
		return Done{}, fmt.Errorf("rectifying: %w", err)
	}
	if err := s.known(ctx, &first); err != nil {
		return Done{}, err
	}
	person := first.After.DataSubject
	held, err := s.open(ctx, person, categories)
	if err != nil {
		return Done{}, fmt.Errorf("rectifying: %w", err)
	}
	before := held.clone()
	if err := change(held.records); err != nil {
		if refusal, ok := err.(*dsar.Refusal); ok {
			return Done{}, s.refuse(ctx, &first, refusal)
		}
		return Done{}, err
	}
	statement, evidence, err := statementOf(held.key, id, action, before, held.records)
	if err != nil {
		return Done{}, err
	}
	records, err := held.seal(s.vault)
	if err != nil {
		return Done{}, fmt.Errorf("rectifying: %w", err)
	}
	// The step is prepared again with what is evidence of it. Whoever changes a record in
	// between is seen by its version.
	step, err := s.requests.Prepare(ctx, by, id, dsar.Move{Action: action, Evidence: evidence, Note: statement})
	if err != nil {
		return Done{}, fmt.Errorf("rectifying: %w", err)
	}
	receipt, err := s.store.Replace(ctx, step, person, records)
	if err != nil {
		return Done{}, fmt.Errorf("rectifying: %w", err)
	}
	return Done{step.After, evidence, receipt}, nil
}
