package clock

import (
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// Regime is a body of law whose clock runs, with the holidays of one place.
type Regime string

// The regimes.
const (
	// GDPREU is the GDPR where the member state is not known: no national holiday is
	// counted, so that no answer is late anywhere.
	GDPREU Regime = "gdpr_eu"
	GDPRCZ Regime = "gdpr_cz" // the GDPR in Czechia
	GDPRDE Regime = "gdpr_de" // the GDPR in Germany
	GDPRFR Regime = "gdpr_fr" // the GDPR in France
	KVKK   Regime = "kvkk"    // Law 6698 of Türkiye
	// UKEngland is the UK GDPR with the bank holidays of England and Wales.
	UKEngland         Regime = "uk_england"
	UKScotland        Regime = "uk_scotland"
	UKNorthernIreland Regime = "uk_northern_ireland"
	CCPA              Regime = "ccpa" // the California Consumer Privacy Act, as amended by the CPRA
	LGPD              Regime = "lgpd" // Law 13.709 of Brazil
)

// Regimes lists them.
func Regimes() []Regime {
	return []Regime{GDPREU, GDPRCZ, GDPRDE, GDPRFR, KVKK, UKEngland, UKScotland, UKNorthernIreland, CCPA, LGPD}
}

// ParseRegime returns the regime that text names, or an error wrapping [privacy.ErrInvalid].
func ParseRegime(text string) (Regime, error) {
	if r := Regime(text); slices.Contains(Regimes(), r) {
		return r, nil
	}
	return "", fmt.Errorf("parsing regime: %w", privacy.ErrInvalid)
}

// RegimeOf returns the regime of a jurisdiction of the catalogue. The United Kingdom as a
// whole has the bank holidays of England and Wales; its nations have keys of their own. An
// unknown jurisdiction is an error that wraps [privacy.ErrInvalid].
func RegimeOf(jurisdiction privacy.Jurisdiction) (Regime, error) {
	switch jurisdiction {
	case "EU":
		return GDPREU, nil
	case "CZ":
		return GDPRCZ, nil
	case "DE":
		return GDPRDE, nil
	case "FR":
		return GDPRFR, nil
	case "TR":
		return KVKK, nil
	case "UK", "UK-ENG", "UK-WLS":
		return UKEngland, nil
	case "UK-SCT":
		return UKScotland, nil
	case "UK-NIR":
		return UKNorthernIreland, nil
	case "US-CA":
		return CCPA, nil
	case "BR":
		return LGPD, nil
	}
	return "", fmt.Errorf("finding the law of a jurisdiction: %w", privacy.ErrInvalid)
}

// Right is what a request asks for, in the words of the kinds of request.
type Right string

// The rights.
const (
	Access        Right = "access"
	Portability   Right = "portability"
	Rectification Right = "rectification"
	Erasure       Right = "erasure"
	Restriction   Right = "restriction" // in California: limiting the use of sensitive data
	Objection     Right = "objection"   // in California: opting out of sale and sharing
	Review        Right = "automated_decision_review"
	Complaint     Right = "complaint" // to the controller itself, about how it treats somebody's data
)

// Rights lists them.
func Rights() []Right {
	return []Right{Access, Portability, Rectification, Erasure, Restriction, Objection, Review, Complaint}
}

// ParseRight returns the right that text names, or an error wrapping [privacy.ErrInvalid].
func ParseRight(text string) (Right, error) {
	if r := Right(text); slices.Contains(Rights(), r) {
		return r, nil
	}
	return "", fmt.Errorf("parsing right: %w", privacy.ErrInvalid)
}
