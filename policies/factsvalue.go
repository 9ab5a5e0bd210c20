package policies

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/mahrem/mahrem/privacy"
)

// Keys of the facts document, made once.
var (
	keyV            = ast.StringTerm("v")
	keyAction       = ast.StringTerm("action")
	keyRole         = ast.StringTerm("role")
	keyRecipient    = ast.StringTerm("recipient")
	keyPurpose      = ast.StringTerm("purpose")
	keyChannel      = ast.StringTerm("channel")
	keyReference    = ast.StringTerm("reference")
	keySubject      = ast.StringTerm("subject")
	keyKnown        = ast.StringTerm("known")
	keyAge          = ast.StringTerm("age")
	keyJurisdiction = ast.StringTerm("jurisdiction")
	keyRestricted   = ast.StringTerm("restricted")
	keyObjected     = ast.StringTerm("objected")
	keyHousehold    = ast.StringTerm("household")
	keyConsent      = ast.StringTerm("consent")
	keyState        = ast.StringTerm("state")
	keyExplicit     = ast.StringTerm("explicit")
	keyIncentive    = ast.StringTerm("incentive")
	keyTrigger      = ast.StringTerm("trigger")
	keyCase         = ast.StringTerm("case")
	keyGrants       = ast.StringTerm("grants")
	keyCategories   = ast.StringTerm("categories")
	emptyTerm       = ast.ArrayTerm()
	versionTerm     = ast.IntNumberTerm(FactsVersion)
)

// vocabulary holds a term for every word that facts can well contain, made once.
type vocabulary map[string]*ast.Term

func newVocabulary(c *Catalogue) vocabulary {
	v := vocabulary{}
	v.add(string(NoRecipient), string(ByPseudonym), string(Yes), string(No), string(Unknown))
	addAll(v, []Action{Personalize, Audience, Reidentify})
	addAll(v, []privacy.Role{privacy.RoleService, privacy.RoleDPO, privacy.RoleAuditor, privacy.RoleIngest})
	addAll(v, privacy.IdentifierKinds())
	addAll(v, []AgeGroup{Child, Youth, Adult})
	addAll(v, []Household{SingleHousehold, SharedHousehold})
	addAll(v, ConsentStates())
	addAll(v, []privacy.LegalBasis{privacy.Consent, privacy.Contract, privacy.LegalObligation, privacy.LegitimateInterests})
	addAll(v, []Freshness{FreshTrigger, StaleTrigger})
	v.add(string(HandledCase))
	addAll(v, c.Purposes())
	addAll(v, c.Channels())
	addAll(v, c.Recipients())
	addAll(v, c.Jurisdictions())
	addAll(v, c.Categories())
	return v
}

func (v vocabulary) add(words ...string) {
	for _, s := range words {
		v[s] = ast.StringTerm(s)
	}
}

func addAll[T ~string](v vocabulary, words []T) {
	for _, s := range words {
		v.add(string(s))
	}
}

func (v vocabulary) word(s string) *ast.Term {
	if term, ok := v[s]; ok {
		return term
	}
	return ast.StringTerm(s)
}

// value builds the facts as the rules see them, without a detour over JSON.
func (f *Facts) value(v vocabulary) ast.Value {
	subject := ast.NewObject(
		[2]*ast.Term{keyKnown, v.word(string(f.Subject.Known))},
		[2]*ast.Term{keyAge, v.word(string(f.Subject.Age))},
		[2]*ast.Term{keyJurisdiction, v.word(string(f.Subject.Jurisdiction))},
		[2]*ast.Term{keyRestricted, v.word(string(f.Subject.Restricted))},
		[2]*ast.Term{keyObjected, v.word(string(f.Subject.Objected))},
		[2]*ast.Term{keyHousehold, v.word(string(f.Subject.Household))},
	)
	consent := ast.NewObject(
		[2]*ast.Term{keyState, v.word(string(f.Consent.State))},
		[2]*ast.Term{keyExplicit, v.word(string(f.Consent.Explicit))},
		[2]*ast.Term{keyBasis, v.word(string(f.Consent.Basis))},
		[2]*ast.Term{keyIncentive, v.word(string(f.Consent.Incentive))},
	)
	return ast.NewObject(
		[2]*ast.Term{keyV, versionTerm},
		[2]*ast.Term{keyAction, v.word(string(f.Action))},
		[2]*ast.Term{keyRole, v.word(string(f.Role))},
		[2]*ast.Term{keyRecipient, v.word(string(f.Recipient))},
		[2]*ast.Term{keyPurpose, v.word(string(f.Purpose))},
		[2]*ast.Term{keyChannel, v.word(string(f.Channel))},
		[2]*ast.Term{keyReference, v.word(string(f.Reference))},
		[2]*ast.Term{keySubject, ast.NewTerm(subject)},
		[2]*ast.Term{keyConsent, ast.NewTerm(consent)},
		[2]*ast.Term{keyTrigger, v.word(string(f.Trigger))},
		[2]*ast.Term{keyCase, v.word(string(f.Case))},
		[2]*ast.Term{keyGrants, v.list(f.Grants)},
		[2]*ast.Term{keyCategories, v.list(f.Categories)},
	)
}

func (v vocabulary) list(list []privacy.DataCategory) *ast.Term {
	if len(list) == 0 {
		return emptyTerm
	}
	list = canonicalList(list)
	terms := make([]*ast.Term, len(list))
	for i, category := range list {
		terms[i] = v.word(string(category))
	}
	return ast.ArrayTerm(terms...)
}
