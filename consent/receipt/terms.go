package receipt

import (
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// The words of the house in those of the Data Privacy Vocabulary. Where the vocabulary has
// no word for what happened, the next wider one stands, and mahrem: says it exactly.

func dpvStatus(a consent.Action) string {
	switch a {
	case consent.Granted, consent.GuardianGranted:
		return "dpv:ConsentGiven"
	case consent.Renewed:
		return "dpv:RenewedConsentGiven"
	case consent.Refused:
		return "dpv:ConsentRefused"
	case consent.Withdrawn, consent.GuardianWithdrawn:
		return "dpv:ConsentWithdrawn"
	case consent.Expired:
		return "dpv:ConsentExpired"
	}
	// An objection (Article 21) is not about consent at all.
	return "dpv:ConsentStatusInvalidForProcessing"
}

// consentType is how a consent was expressed. Explicit is what the ledger says was explicit,
// and nothing else is called so.
func consentType(r *consent.Record) string {
	if r.Explicit {
		return "dpv:ExplicitlyExpressedConsent"
	}
	return "dpv:ExpressedConsent"
}

func dpvBasis(r *consent.Record) string {
	switch r.Basis {
	case privacy.Consent:
		return consentType(r)
	case privacy.Contract:
		return "dpv:Contract"
	case privacy.LegalObligation:
		return "dpv:LegalObligation"
	case privacy.VitalInterests:
		return "dpv:VitalInterest"
	case privacy.PublicTask:
		return "dpv:PublicInterest"
	case privacy.LegitimateInterests:
		return "dpv:LegitimateInterest"
	}
	return "dpv:LegalBasis"
}

func dpvActor(a consent.Actor) string {
	switch a {
	case consent.ByGuardian:
		return "dpv:GuardianOfDataSubject"
	case consent.ByAgent:
		return "dpv:Representative"
	case consent.ByRegistry:
		return "dpv:Authority"
	case consent.BySystem:
		return "dpv:DataController"
	}
	return "dpv:DataSubject"
}

func dpvRecipient(r policies.Relationship) string {
	switch r {
	case policies.FirstParty:
		return "dpv:DataController"
	case policies.Processor:
		return "dpv:DataProcessor"
	}
	return "dpv:ThirdParty"
}
