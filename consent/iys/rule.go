package iys

import (
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Rule is one of the conditions under which the registry takes a consent.
type Rule string

// The rules, in the order in which they are checked.
const (
	KnownType          Rule = "known_type"
	KnownRecipient     Rule = "known_recipient"
	KnownRecipientType Rule = "known_recipient_type"
	KnownStatus        Rule = "known_status"
	KnownSource        Rule = "known_source"
	// NoRegistrySource: what somebody said at the registry, a sender cannot report.
	NoRegistrySource Rule = "no_registry_source"
	GivenDate        Rule = "given_date"
	NotBefore2015    Rule = "not_before_2015"
	NotInFuture      Rule = "not_in_future"
	// SourceBefore2015: HS_2015 goes with 2015-05-01 00:00:00 and nothing else.
	SourceBefore2015 Rule = "source_before_2015"
	// WithinThreeDays: after the activation of the sender a consent is at most three
	// business days old.
	WithinThreeDays Rule = "within_three_business_days"
	// NoFirstRefusal: RET needs an ONAY before it.
	NoFirstRefusal Rule = "no_first_refusal"
	// NoRepetition: no ONAY after ONAY, no RET after RET.
	NoRepetition Rule = "no_repetition"
	// LaterThanStored: each is later than what the registry holds.
	LaterThanStored Rule = "later_than_stored"
)

// codes are those that the registry documents. It has more, and does not say which.
var codes = map[Rule]string{
	KnownType: "H111", KnownSource: "H113", NoRegistrySource: "H113", KnownRecipient: "H114", NotBefore2015: "H155",
}

// fields are the places in the registry's JSON that a rule is about.
var fields = map[Rule]string{
	KnownType: "type", KnownRecipient: "recipient", KnownRecipientType: "recipientType", KnownStatus: "status",
	KnownSource: "source", NoRegistrySource: "source", GivenDate: "consentDate", NotBefore2015: "consentDate",
	NotInFuture: "consentDate", SourceBefore2015: "consentDate", WithinThreeDays: "consentDate",
	NoFirstRefusal: "status", NoRepetition: "status", LaterThanStored: "consentDate",
}

// Rules lists every rule in the order in which they are checked.
func Rules() []Rule {
	return []Rule{
		KnownType, KnownRecipient, KnownRecipientType, KnownStatus, KnownSource, NoRegistrySource, GivenDate,
		NotBefore2015, NotInFuture, SourceBefore2015, WithinThreeDays, NoFirstRefusal, NoRepetition, LaterThanStored,
	}
}

// Code is the error code by which the registry answers a consent that breaks the rule;
// empty where its documentation gives none.
func (r Rule) Code() string { return codes[r] }

// Field is the name of the JSON field that the rule is about.
func (r Rule) Field() string { return fields[r] }

// Violation says which rule a consent breaks. It wraps [privacy.ErrInvalid] and repeats
// nothing of the consent.
type Violation struct{ Rule Rule }

func (v *Violation) Error() string {
	if code := v.Rule.Code(); code != "" {
		return fmt.Sprintf("the registry would not take it: %s (%s, %s)", v.Rule, v.Rule.Field(), code)
	}
	return fmt.Sprintf("the registry would not take it: %s (%s)", v.Rule, v.Rule.Field())
}

// Unwrap makes a violation an invalid input.
func (*Violation) Unwrap() error { return privacy.ErrInvalid }

// Registered is what the registry holds about one recipient, kind of recipient and type;
// the zero value: nothing.
type Registered struct {
	Status Status
	At     time.Time
}

// Terms are the circumstances of a check.
type Terms struct {
	// Now is the time of the call; required.
	Now time.Time
	// Activated is the last moment at which the sender could load old consents. Zero: it
	// is past, as it is for everybody who has been in the registry for a while.
	Activated time.Time
}

// Check returns the rules that a consent breaks, in the order of [Rules]; none: the
// registry takes it. The error says that the calendar of business days does not reach
// that far, see [Deadline]: then nothing is known, and nothing must be sent.
func Check(c *Consent, registered Registered, terms Terms) ([]Rule, error) {
	var broken []Rule
	breaks := func(rule Rule, when bool) {
		if when {
			broken = append(broken, rule)
		}
	}
	breaks(KnownType, c.Type.Kind() == "")
	breaks(KnownRecipient, c.Type.Kind() != "" && !takesRecipient(c) || c.Type.Kind() == "" && c.Recipient.IsEmpty())
	breaks(KnownRecipientType, c.RecipientType != Individual && c.RecipientType != Merchant)
	breaks(KnownStatus, c.Status != Approved && c.Status != Refused)
	optional := c.RecipientType == Merchant
	breaks(KnownSource, !c.Source.IsSender() && !c.Source.IsRegistry() && (c.Source != "" || !optional))
	breaks(NoRegistrySource, c.Source.IsRegistry())
	if err := checkDate(c, terms, optional, breaks); err != nil {
		return nil, err
	}
	if c.Status == Approved || c.Status == Refused {
		breaks(NoFirstRefusal, registered.Status == "" && c.Status == Refused)
		breaks(NoRepetition, registered.Status == c.Status)
	}
	breaks(LaterThanStored, registered.Status != "" && !c.At.IsZero() && !c.At.After(registered.At))
	return broken, nil
}

func checkDate(c *Consent, terms Terms, optional bool, breaks func(Rule, bool)) error {
	if c.At.IsZero() {
		breaks(GivenDate, !optional)
		breaks(SourceBefore2015, c.Source == Before2015)
		return nil
	}
	before, future := c.At.Before(Epoch), c.At.After(terms.Now)
	breaks(NotBefore2015, before)
	breaks(NotInFuture, future)
	breaks(SourceBefore2015, c.Source == Before2015 && !c.At.Equal(Epoch))
	if before || future || !terms.Now.After(terms.Activated) {
		return nil
	}
	late, err := isLate(c.At, terms.Now)
	if err != nil {
		return err
	}
	breaks(WithinThreeDays, late)
	return nil
}

// Must returns the first broken rule as an error.
func Must(c *Consent, registered Registered, terms Terms) error {
	broken, err := Check(c, registered, terms)
	if err != nil || len(broken) == 0 {
		return err
	}
	violations := make([]error, len(broken))
	for i, rule := range broken {
		violations[i] = &Violation{rule}
	}
	return errors.Join(violations...)
}

// takesRecipient reports whether the recipient has the form that goes with the type: a
// phone number in full, or an address with one @.
func takesRecipient(c *Consent) bool {
	text := c.Recipient.RevealPersonalData()
	if len(text) < 5 || len(text) > 254 {
		return false
	}
	if c.Type == Email {
		at := 0
		for i, b := range []byte(text) {
			if b <= ' ' || b == 0x7f {
				return false
			}
			if b == '@' && (i == 0 || i == len(text)-1) {
				return false
			}
			if b == '@' {
				at++
			}
		}
		return at == 1
	}
	if text[0] != '+' || len(text) < 9 || len(text) > 16 {
		return false
	}
	for _, b := range []byte(text[1:]) {
		if b < '0' || b > '9' {
			return false
		}
	}
	return text[1] != '0'
}
