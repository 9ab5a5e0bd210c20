package gate

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Limits of one question about an audience.
const (
	// MaxConditions bounds the conditions of an audience, MaxWords the words of each.
	MaxConditions = 8
	MaxWords      = 64
)

// AudienceQuery asks who may be reached: everybody whom a purpose and a channel are open
// about, and who meets all conditions.
type AudienceQuery struct {
	Purpose    privacy.Purpose
	Channel    privacy.Channel
	Conditions []AudienceCondition
}

// AudienceCondition is met by whom an attribute has one of the words of. The attribute is a
// column of the catalogue. Where the purpose has it open exactly the words are its values,
// where it is generalized the coarser ones, and personas are their labels.
type AudienceCondition struct {
	Attribute privacy.AttributeName
	In        []string
}

// audienceRequest is a question about an audience that was found well formed.
type audienceRequest struct {
	query   AudienceQuery
	columns []*attribute // of the conditions
	// levels is at which level each column is open, as far as the question goes.
	levels []policies.Level
}

// validate checks the question against the catalogue. The error is a
// [privacy.FieldError].
func (q *AudienceQuery) validate(s *sheet) (*audienceRequest, error) {
	r := &audienceRequest{query: *q, columns: make([]*attribute, len(q.Conditions)), levels: make([]policies.Level, len(q.Conditions))}
	if !s.knowsPurpose(q.Purpose) {
		return nil, refuse("/purpose", "is not in the catalogue")
	}
	if !s.knowsChannel(q.Channel) {
		return nil, refuse("/channel", "is not in the catalogue")
	}
	if len(q.Conditions) > MaxConditions {
		return nil, refuse("/conditions", fmt.Sprintf("must be at most %d", MaxConditions))
	}
	for i, condition := range q.Conditions {
		pointer := "/conditions/" + strconv.Itoa(i)
		at := slices.IndexFunc(s.columns, func(a *attribute) bool { return a.ID == condition.Attribute })
		if at < 0 {
			return nil, refuse(pointer+"/attribute", "is not one by which audiences may be formed")
		}
		r.columns[i] = s.columns[at]
		if slices.Contains(r.columns[:i], r.columns[i]) {
			return nil, refuse(pointer+"/attribute", "is named twice")
		}
		if len(condition.In) == 0 || len(condition.In) > MaxWords {
			return nil, refuse(pointer+"/in", fmt.Sprintf("must name 1 to %d words", MaxWords))
		}
		for j, word := range condition.In {
			if slices.Contains(condition.In[:j], word) {
				return nil, refuse(pointer+"/in/"+strconv.Itoa(j), "is named twice")
			}
		}
	}
	return r, nil
}

// validateWords checks the words of the conditions, once it is known at which level the
// question has each column open.
func (r *audienceRequest) validateWords(s *sheet) error {
	for i, condition := range r.query.Conditions {
		for j, word := range condition.In {
			known := r.columns[i].AudienceWord(r.levels[i], word)
			if r.columns[i].ID == attributePersona {
				_, known = s.catalogue.Persona(policies.PersonaID(word))
			}
			if !known {
				return refuse(fmt.Sprintf("/conditions/%d/in/%d", i, j),
					"is not a word of this column at the level "+r.levels[i].String()+", at which it is open here")
			}
		}
	}
	return nil
}

// question is the part that the policies judge.
func (r *audienceRequest) question(principal privacy.Principal) policies.AudienceQuestion {
	q := policies.AudienceQuestion{
		Role: principal.Role, Recipient: recipientOf(principal), Purpose: r.query.Purpose, Channel: r.query.Channel,
	}
	for _, a := range r.columns {
		if i, found := slices.BinarySearch(q.Categories, a.Category); !found {
			q.Categories = slices.Insert(q.Categories, i, a.Category)
		}
	}
	return q
}

// attributes returns the sorted names of the columns, for the log.
func (r *audienceRequest) attributes() []privacy.AttributeName {
	names := make([]privacy.AttributeName, len(r.columns))
	for i, a := range r.columns {
		names[i] = a.ID
	}
	slices.Sort(names)
	return names
}
