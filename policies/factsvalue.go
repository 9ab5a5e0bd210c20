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
	versionTerm     = ast.IntNumberTerm(FactsVersion)
)

// value builds the facts as the rules see them, without a detour over JSON.
func (f *Facts) value() ast.Value {
	subject := ast.NewObject(
		[2]*ast.Term{keyKnown, word(f.Subject.Known)},
		[2]*ast.Term{keyAge, word(f.Subject.Age)},
		[2]*ast.Term{keyJurisdiction, word(f.Subject.Jurisdiction)},
		[2]*ast.Term{keyRestricted, word(f.Subject.Restricted)},
		[2]*ast.Term{keyObjected, word(f.Subject.Objected)},
		[2]*ast.Term{keyHousehold, word(f.Subject.Household)},
	)
	consent := ast.NewObject(
		[2]*ast.Term{keyState, word(f.Consent.State)},
		[2]*ast.Term{keyExplicit, word(f.Consent.Explicit)},
		[2]*ast.Term{keyBasis, word(f.Consent.Basis)},
		[2]*ast.Term{keyIncentive, word(f.Consent.Incentive)},
	)
	return ast.NewObject(
		[2]*ast.Term{keyV, versionTerm},
		[2]*ast.Term{keyAction, word(f.Action)},
		[2]*ast.Term{keyRole, word(f.Role)},
		[2]*ast.Term{keyRecipient, word(f.Recipient)},
		[2]*ast.Term{keyPurpose, word(f.Purpose)},
		[2]*ast.Term{keyChannel, word(f.Channel)},
		[2]*ast.Term{keyReference, word(f.Reference)},
		[2]*ast.Term{keySubject, ast.NewTerm(subject)},
		[2]*ast.Term{keyConsent, ast.NewTerm(consent)},
		[2]*ast.Term{keyTrigger, word(f.Trigger)},
		[2]*ast.Term{keyCase, word(f.Case)},
		[2]*ast.Term{keyGrants, wordList(f.Grants)},
		[2]*ast.Term{keyCategories, wordList(f.Categories)},
	)
}

func word[T ~string](s T) *ast.Term { return ast.StringTerm(string(s)) }

func wordList(list []privacy.DataCategory) *ast.Term {
	list = canonicalList(list)
	terms := make([]*ast.Term, len(list))
	for i, category := range list {
		terms[i] = word(category)
	}
	return ast.ArrayTerm(terms...)
}
