package gate

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Decision is the outcome of a query.
type Decision string

// The decisions.
const (
	Allow Decision = "allow"
	Deny  Decision = "deny"
)

// Answer is what the caller gets.
type Answer struct {
	// DecisionID names the decision and its log entry, as [audit.DecisionID] writes it.
	DecisionID string
	Decision   Decision
	// Pseudonym is the person as the caller's recipient may call them. Empty in a
	// denial and for a caller that speaks for no recipient.
	Pseudonym string
	// Attributes holds what was released. An attribute that was asked for and is not
	// here was withheld or is not known; the answer does not say which.
	Attributes map[privacy.AttributeName]Released
	// Obligations are what the recipient must observe.
	Obligations []Obligation
	// Reasons name the legal basis of an allowance, and say why less than everything was
	// released, as far as that follows from the question alone.
	Reasons []policies.Reason
	// PolicyRevision is the digest of the deciding policy revision.
	PolicyRevision string
	// Receipt is the evidence of the decision.
	Receipt audit.Receipt
}

// Released is one value as far as it may be known.
type Released struct {
	// Values has one element unless List is set.
	Values []privacy.Plain
	// List is whether the attribute is a list, which may hold any number of values.
	List  bool
	Level policies.Level
	// Quality says how far a stored value can be trusted (GDPR Article 5(1)(d)). Empty
	// for what was worked out from events.
	Quality vault.Quality
}

// RevealPersonalData returns the value in clear for the recipient: a text, or for a
// list attribute a list of texts.
func (r Released) RevealPersonalData() any {
	if !r.List && len(r.Values) == 1 {
		return r.Values[0].RevealPersonalData()
	}
	list := make([]string, len(r.Values))
	for i, value := range r.Values {
		list[i] = value.RevealPersonalData()
	}
	return list
}

// Obligation is something that the recipient must do with an answer. Whoever does not
// understand one must treat the answer as a denial (AuthZEN obligations profile).
type Obligation struct {
	ID policies.ObligationID
	// UseBefore is set for [policies.UseBefore] alone.
	UseBefore time.Time
}

// Pending is an answer that has been worked out but not given. Its content is reached
// only with the receipt of its log entry: an answer without evidence cannot leave.
type Pending struct{ answer Answer }

// Release hands the answer out in exchange for evidence that it is in the log.
func (p Pending) Release(receipt audit.Receipt) (Answer, error) {
	if receipt.IsZero() {
		return Answer{}, fmt.Errorf("releasing an answer that is not in the log: %w", privacy.ErrUnavailable)
	}
	p.answer.DecisionID = receipt.DecisionID().String()
	p.answer.Receipt = receipt
	return p.answer, nil
}

// String says REDACTED.
func (Pending) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (Pending) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (Pending) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalJSON says REDACTED.
func (Pending) MarshalJSON() ([]byte, error) { return []byte(`"` + privacy.Redacted + `"`), nil }
