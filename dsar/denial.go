package dsar

import (
	"slices"
	"strings"
)

// DenialReason is why a request is denied, in the words of the Data Rights Protocol 1.0.
// The list is closed: a reason that is on nobody's list cannot be answered by anybody.
type DenialReason string

// The reasons.
const (
	SuspectedFraud      DenialReason = "suspected_fraud"
	InsufVerification   DenialReason = "insuf_verification"
	NoMatch             DenialReason = "no_match"
	ClaimNotCovered     DenialReason = "claim_not_covered"
	OutsideJurisdiction DenialReason = "outside_jurisdiction"
	TooManyRequests     DenialReason = "too_many_requests"
	OtherReason         DenialReason = "other"
)

// DenialReasons lists them in the order of the protocol.
func DenialReasons() []DenialReason {
	return []DenialReason{
		SuspectedFraud, InsufVerification, NoMatch, ClaimNotCovered, OutsideJurisdiction, TooManyRequests, OtherReason,
	}
}

// IsKnown reports whether the reason is on the list.
func (d DenialReason) IsKnown() bool { return slices.Contains(DenialReasons(), d) }

// law holds the articles of one body of law that the machine quotes.
type law struct {
	name string
	// Where the rules of the machine are written.
	identity, pause, accountability, erasure, denial string
	// reasons is the article of each reason; one that is missing is no ground in this law.
	reasons map[DenialReason]string
	// covered says for a kind why a claim may not be covered, where there is more to say
	// than in reasons.
	covered map[Kind]string
}

// laws, by what a regime's key begins with.
var laws = []struct {
	prefix string
	law    law
}{
	{"gdpr", gdpr("GDPR ")},
	{"uk", gdpr("UK GDPR ")},
	{"kvkk", law{
		name: "KVKK", identity: "Communiqué on applications to the controller, Article 5", pause: "KVKK Article 13(2)",
		accountability: "KVKK Article 13(2)-(3)", erasure: "KVKK Article 7", denial: "KVKK Article 13(3)",
		reasons: map[DenialReason]string{
			SuspectedFraud:      "Communiqué on applications to the controller, Article 5",
			InsufVerification:   "Communiqué on applications to the controller, Article 5",
			NoMatch:             "KVKK Article 11(1)(a)",
			ClaimNotCovered:     "KVKK Article 28",
			OutsideJurisdiction: "KVKK Article 2",
			OtherReason:         "KVKK Article 13(3)",
		},
		covered: map[Kind]string{Erasure: "KVKK Articles 7(1)-(2) and 28"},
	}},
	{"ccpa", law{
		name: "CCPA", identity: "Cal. Civ. Code 1798.130(a)(2)", pause: "11 CCR 7021(b)",
		accountability: "11 CCR 7101", erasure: "Cal. Civ. Code 1798.105(c)", denial: "Cal. Civ. Code 1798.145",
		reasons: map[DenialReason]string{
			SuspectedFraud:      "11 CCR 7060",
			InsufVerification:   "11 CCR 7021(b)",
			NoMatch:             "Cal. Civ. Code 1798.145(j)",
			ClaimNotCovered:     "Cal. Civ. Code 1798.145",
			OutsideJurisdiction: "Cal. Civ. Code 1798.140(i)",
			TooManyRequests:     "Cal. Civ. Code 1798.145(h)(3)",
			OtherReason:         "Cal. Civ. Code 1798.145",
		},
		covered: map[Kind]string{Erasure: "Cal. Civ. Code 1798.105(d)"},
	}},
	{"lgpd", law{
		name: "LGPD", identity: "LGPD Article 18 §3", pause: "LGPD Article 19",
		accountability: "LGPD Article 37", erasure: "LGPD Articles 16 and 18 VI", denial: "LGPD Article 18 §4 II",
		reasons: map[DenialReason]string{
			SuspectedFraud:      "LGPD Article 18 §3",
			InsufVerification:   "LGPD Article 18 §3",
			NoMatch:             "LGPD Article 18 §4 I",
			ClaimNotCovered:     "LGPD Articles 4 and 18 §4 II",
			OutsideJurisdiction: "LGPD Article 3",
			OtherReason:         "LGPD Article 18 §4 II",
		},
		covered: map[Kind]string{Erasure: "LGPD Article 16"},
	}},
}

// gdpr is the law of the Union, and of the United Kingdom, which kept its numbers.
func gdpr(name string) law {
	return law{
		name:     strings.TrimSpace(name),
		identity: name + "Article 12(6)", pause: name + "Article 12(3)", accountability: name + "Article 5(2)",
		erasure: name + "Article 17(1)", denial: name + "Article 12(4)",
		reasons: map[DenialReason]string{
			SuspectedFraud:      name + "Article 12(6)",
			InsufVerification:   name + "Articles 12(2) and 12(6)",
			NoMatch:             name + "Article 11(2)",
			ClaimNotCovered:     name + "Article 12(4)",
			OutsideJurisdiction: name + "Article 3",
			TooManyRequests:     name + "Article 12(5)(b)",
			OtherReason:         name + "Article 12(4)",
		},
		covered: map[Kind]string{
			Access: name + "Article 15(4)", Rectification: name + "Article 16", Erasure: name + "Article 17(3)",
			Restriction: name + "Article 18(1)", Portability: name + "Article 20(1) and (4)", Objection: name + "Article 21(1)",
			Review: name + "Article 22(2)",
		},
	}
}

// lawOf finds the law of a regime. One that is unknown has no articles and no grounds, so
// that nothing is denied under it.
func lawOf(regime string) *law {
	for i := range laws {
		if prefix := laws[i].prefix; regime == prefix || strings.HasPrefix(regime, prefix+"_") {
			return &laws[i].law
		}
	}
	return &law{}
}

// Article returns where a regime's law allows a request of a kind to be denied for the
// reason. It is false where the law has no such ground.
func (d DenialReason) Article(regime string, kind Kind) (string, bool) {
	law := lawOf(regime)
	article, ok := law.reasons[d]
	if special := law.covered[kind]; ok && d == ClaimNotCovered && special != "" {
		article = special
	}
	return article, ok
}
