package policies

import (
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// unlisted stands, in a table, for every word that neither facts nor catalogue list.
const unlisted = "unlisted"

// noCategory stands for a question that asks for no data category. It is no word of facts.
const noCategory = "(none)"

// The fields of a table, in the order in which its diagrams ask them. A question for
// several data categories opens what the questions for each would open, so one category
// and whether the person agreed to it explicitly stand for the two lists of the facts.
const (
	fieldPurpose = iota
	fieldCategory
	fieldAction
	fieldRole
	fieldRecipient
	fieldReference
	fieldChannel
	fieldHousehold
	fieldKnown
	fieldAge
	fieldJurisdiction
	fieldRestricted
	fieldObjected
	fieldState
	fieldBasis
	fieldExplicit
	fieldAgreed
	fieldIncentive
	fieldTrigger
	fieldCase
	fieldCount
)

// tableField is one field of a table.
type tableField struct {
	name string
	// input is where the rules read it.
	input string
	// set puts a value into facts.
	set func(f *Facts, value string)
	// get is the opposite.
	get func(f *Facts) string
}

func wordField[T ~string](name, input string, of func(f *Facts) *T) tableField {
	return tableField{
		name: name, input: input,
		set: func(f *Facts, value string) { *of(f) = T(value) },
		get: func(f *Facts) string { return string(*of(f)) },
	}
}

// tableFields are the fields in order. Category and agreed are set together, last, by
// [tableSpace.facts].
var tableFields = [fieldCount]tableField{
	fieldPurpose:      wordField("purpose", "input.purpose", func(f *Facts) *privacy.Purpose { return &f.Purpose }),
	fieldCategory:     {name: "category", input: "input.categories"},
	fieldAction:       wordField("action", "input.action", func(f *Facts) *Action { return &f.Action }),
	fieldRole:         wordField("role", "input.role", func(f *Facts) *privacy.Role { return &f.Role }),
	fieldRecipient:    wordField("recipient", "input.recipient", func(f *Facts) *privacy.RecipientID { return &f.Recipient }),
	fieldReference:    wordField("reference", "input.reference", func(f *Facts) *Reference { return &f.Reference }),
	fieldChannel:      wordField("channel", "input.channel", func(f *Facts) *privacy.Channel { return &f.Channel }),
	fieldHousehold:    wordField("household", "input.subject.household", func(f *Facts) *Household { return &f.Subject.Household }),
	fieldKnown:        wordField("known", "input.subject.known", func(f *Facts) *Answer { return &f.Subject.Known }),
	fieldAge:          wordField("age", "input.subject.age", func(f *Facts) *AgeGroup { return &f.Subject.Age }),
	fieldJurisdiction: wordField("jurisdiction", "input.subject.jurisdiction", func(f *Facts) *privacy.Jurisdiction { return &f.Subject.Jurisdiction }),
	fieldRestricted:   wordField("restricted", "input.subject.restricted", func(f *Facts) *Answer { return &f.Subject.Restricted }),
	fieldObjected:     wordField("objected", "input.subject.objected", func(f *Facts) *Answer { return &f.Subject.Objected }),
	fieldState:        wordField("consent", "input.consent.state", func(f *Facts) *ConsentState { return &f.Consent.State }),
	fieldBasis:        wordField("record", "input.consent.basis", func(f *Facts) *privacy.LegalBasis { return &f.Consent.Basis }),
	fieldExplicit:     wordField("explicit", "input.consent.explicit", func(f *Facts) *Answer { return &f.Consent.Explicit }),
	fieldAgreed:       {name: "agreed", input: "input.grants"},
	fieldIncentive:    wordField("incentive", "input.consent.incentive", func(f *Facts) *Answer { return &f.Consent.Incentive }),
	fieldTrigger:      wordField("trigger", "input.trigger", func(f *Facts) *Freshness { return &f.Trigger }),
	fieldCase:         wordField("case", "input.case", func(f *Facts) *Case { return &f.Case }),
}

// tableSpace is the finite space of facts: every word that facts or catalogue list, and
// one that stands for all others.
type tableSpace struct {
	values [fieldCount][]string
	number [fieldCount]map[string]int
}

// newTableSpace returns the space of one or more catalogues. Words that the rules mention
// beside them belong to it as well.
func newTableSpace(mentioned [fieldCount]map[string]bool, catalogues ...*Catalogue) *tableSpace {
	s := &tableSpace{}
	add := func(field int, words ...string) {
		for _, word := range words {
			if !slices.Contains(s.values[field], word) {
				s.values[field] = append(s.values[field], word)
			}
		}
	}
	answers := asWords([]Answer{Yes, No, Unknown})
	add(fieldAction, asWords([]Action{Personalize, Audience, Reidentify})...)
	add(fieldRole, asWords([]privacy.Role{privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor, privacy.RoleIngest})...)
	add(fieldReference, append([]string{string(ByPseudonym)}, asWords(privacy.IdentifierKinds())...)...)
	add(fieldHousehold, asWords([]Household{SingleHousehold, SharedHousehold, UnknownHousehold})...)
	add(fieldAge, asWords([]AgeGroup{Child, Youth, Adult, AgeUnknown})...)
	add(fieldState, asWords(ConsentStates())...)
	add(fieldBasis, asWords([]privacy.LegalBasis{
		privacy.Consent, privacy.Contract, privacy.LegalObligation, privacy.VitalInterests, privacy.PublicTask, privacy.LegitimateInterests, NoBasis,
	})...)
	for _, field := range [...]int{fieldKnown, fieldRestricted, fieldObjected, fieldExplicit, fieldIncentive} {
		add(field, answers...)
	}
	add(fieldAgreed, string(Yes), string(No))
	add(fieldTrigger, asWords([]Freshness{NoTrigger, FreshTrigger, StaleTrigger})...)
	add(fieldCase, asWords([]Case{NoCase, HandledCase})...)
	for _, c := range catalogues {
		add(fieldPurpose, asWords(c.Purposes())...)
		add(fieldCategory, asWords(c.Categories())...)
		add(fieldRecipient, asWords(c.Recipients())...)
		add(fieldChannel, asWords(c.Channels())...)
		add(fieldJurisdiction, asWords(c.Jurisdictions())...)
	}
	add(fieldCategory, noCategory)
	add(fieldRecipient, string(NoRecipient))
	add(fieldJurisdiction, string(UnknownJurisdiction))
	for field := range s.values {
		if field != fieldAgreed {
			add(field, sortedKeys(mentioned[field])...)
			add(field, unlisted)
		}
		s.number[field] = map[string]int{}
		for n, word := range s.values[field] {
			s.number[field][word] = n
		}
	}
	return s
}

func asWords[T ~string](list []T) []string {
	words := make([]string, len(list))
	for i, word := range list {
		words[i] = string(word)
	}
	return words
}

func (s *tableSpace) sizes() []int {
	sizes := make([]int, fieldCount)
	for field, values := range s.values {
		sizes[field] = len(values)
	}
	return sizes
}

// facts returns the facts of a cell.
func (s *tableSpace) facts(cell []int) Facts {
	var f Facts
	for field, value := range cell {
		if set := tableFields[field].set; set != nil {
			set(&f, s.values[field][value])
		}
	}
	category := privacy.DataCategory(s.values[fieldCategory][cell[fieldCategory]])
	if category != noCategory {
		f.Categories = []privacy.DataCategory{category}
		if s.values[fieldAgreed][cell[fieldAgreed]] == string(Yes) {
			f.Grants = f.Categories
		}
	}
	return f
}

// cells returns the cells of which facts are made: one for each category that is asked
// for, or the one that asks for none.
func (s *tableSpace) cells(f *Facts) [][]int {
	cell := make([]int, fieldCount)
	for field, tf := range tableFields {
		if tf.get != nil {
			cell[field] = s.valueOf(field, tf.get(f))
		}
	}
	with := func(category string, agreed Answer) []int {
		c := slices.Clone(cell)
		c[fieldCategory], c[fieldAgreed] = s.valueOf(fieldCategory, category), s.valueOf(fieldAgreed, string(agreed))
		return c
	}
	categories := canonicalList(f.Categories)
	if len(categories) == 0 {
		return [][]int{with(noCategory, No)}
	}
	all := make([][]int, len(categories))
	for i, category := range categories {
		all[i] = with(string(category), YesNo(slices.Contains(f.Grants, category)))
	}
	return all
}

func (s *tableSpace) valueOf(field int, word string) int {
	if n, ok := s.number[field][word]; ok {
		return n
	}
	return s.number[field][unlisted]
}
