package policies

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// roomInput is facts about a room as the rules see them: lists in ascending order, each word
// once, and of each word of a column only its standing.
type roomInput struct {
	act, party, purpose, roomPurpose, mode, template string
	members, roles                                   []string
	datasets                                         []roomInputDataset
	columns                                          []roomInputColumn
}

type roomInputDataset struct {
	owner, source string
	purposes      []string
	adHoc         bool
}

type roomInputColumn struct {
	dataset                    int
	category, role, vocabulary string
	words                      []string
}

func (f *RoomFacts) input(c *Catalogue) roomInput {
	in := roomInput{
		act: string(f.Act), party: string(f.Party), purpose: string(f.Purpose), roomPurpose: string(f.RoomPurpose), mode: f.Mode,
		template: string(No), members: ascending(f.Members), roles: ascending(f.Roles),
		datasets: make([]roomInputDataset, len(f.Datasets)), columns: make([]roomInputColumn, len(f.Columns)),
	}
	if f.Template {
		in.template = string(Yes)
	}
	for i, d := range f.Datasets {
		in.datasets[i] = roomInputDataset{string(d.Owner), d.Source, ascending(d.Purposes), d.AdHoc}
	}
	for i := range f.Columns {
		column := &f.Columns[i]
		in.columns[i] = roomInputColumn{
			column.Dataset, string(column.Category), column.Role, cmp.Or(column.Vocabulary, "none"), ascending(column.standings(c)),
		}
	}
	return in
}

func (k *RoomColumn) standings(c *Catalogue) (found []WordStanding) {
	for _, word := range k.Values {
		standing := c.StandingOf(word)
		if word == k.Other && standing == WordUnknown {
			continue
		}
		if !slices.Contains(found, standing) {
			found = append(found, standing)
		}
	}
	if !slices.Contains(found, WordProtected) && c.NamesTainted(k.Name) {
		found = append(found, WordProtected)
	}
	return found
}

// ascending is a list in ascending order, each word once.
func ascending[T ~string](words []T) []string {
	sorted := make([]string, len(words))
	for i, word := range words {
		sorted[i] = string(word)
	}
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// append appends the facts in a form that is one to one.
func (in *roomInput) append(b []byte) []byte {
	for _, word := range [...]string{in.act, in.party, in.purpose, in.roomPurpose, in.mode, in.template} {
		b = appendSized(b, word)
	}
	b = appendAllSized(appendAllSized(b, in.members), in.roles)
	b = binary.AppendUvarint(b, uint64(len(in.datasets)))
	for i := range in.datasets {
		d := &in.datasets[i]
		b = appendAllSized(appendSized(appendSized(b, d.owner), d.source), d.purposes)
		if d.adHoc {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(in.columns)))
	for i := range in.columns {
		column := &in.columns[i]
		b = binary.AppendVarint(b, int64(column.dataset))
		b = appendAllSized(appendSized(appendSized(appendSized(b, column.category), column.role), column.vocabulary), column.words)
	}
	return b
}

func appendSized(b []byte, word string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(word))), word...)
}

func appendAllSized(b []byte, words []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(words)))
	for _, word := range words {
		b = appendSized(b, word)
	}
	return b
}

// Keys of the facts about a room, made once.
var (
	keyAct         = ast.StringTerm("act")
	keyParty       = ast.StringTerm("party")
	keyMembers     = ast.StringTerm("members")
	keyRoles       = ast.StringTerm("roles")
	keyRoomPurpose = ast.StringTerm("room_purpose")
	keyMode        = ast.StringTerm("mode")
	keyTemplate    = ast.StringTerm("template")
	keyDatasets    = ast.StringTerm("datasets")
	keyColumns     = ast.StringTerm("columns")
	keyOwner       = ast.StringTerm("owner")
	keyPurposes    = ast.StringTerm("purposes")
	keySource      = ast.StringTerm("source")
	keyAdHoc       = ast.StringTerm("ad_hoc")
	keyDataset     = ast.StringTerm("dataset")
	keyCategory    = ast.StringTerm("category")
	keyVocabulary  = ast.StringTerm("vocabulary")
	keyWords       = ast.StringTerm("words")
)

// value builds the facts for the rules.
func (in *roomInput) value() ast.Value {
	datasets := make([]*ast.Term, len(in.datasets))
	for i := range in.datasets {
		d := &in.datasets[i]
		datasets[i] = ast.ObjectTerm(
			ast.Item(keyOwner, ast.StringTerm(d.owner)),
			ast.Item(keyPurposes, wordTerms(d.purposes)),
			ast.Item(keySource, ast.StringTerm(d.source)),
			ast.Item(keyAdHoc, ast.BooleanTerm(d.adHoc)),
		)
	}
	columns := make([]*ast.Term, len(in.columns))
	for i := range in.columns {
		column := &in.columns[i]
		columns[i] = ast.ObjectTerm(
			ast.Item(keyDataset, ast.IntNumberTerm(column.dataset)),
			ast.Item(keyCategory, ast.StringTerm(column.category)),
			ast.Item(keyRole, ast.StringTerm(column.role)),
			ast.Item(keyVocabulary, ast.StringTerm(column.vocabulary)),
			ast.Item(keyWords, wordTerms(column.words)),
		)
	}
	return ast.NewObject(
		ast.Item(keyV, versionTerm),
		ast.Item(keyAct, ast.StringTerm(in.act)),
		ast.Item(keyParty, ast.StringTerm(in.party)),
		ast.Item(keyMembers, wordTerms(in.members)),
		ast.Item(keyRoles, wordTerms(in.roles)),
		ast.Item(keyPurpose, ast.StringTerm(in.purpose)),
		ast.Item(keyRoomPurpose, ast.StringTerm(in.roomPurpose)),
		ast.Item(keyMode, ast.StringTerm(in.mode)),
		ast.Item(keyTemplate, ast.StringTerm(in.template)),
		ast.Item(keyDatasets, ast.ArrayTerm(datasets...)),
		ast.Item(keyColumns, ast.ArrayTerm(columns...)),
	)
}

func wordTerms(words []string) *ast.Term {
	terms := make([]*ast.Term, len(words))
	for i, word := range words {
		terms[i] = ast.StringTerm(word)
	}
	return ast.ArrayTerm(terms...)
}
