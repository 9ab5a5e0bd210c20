package gate

import (
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// Audience is the answer to an [AudienceQuery].
type Audience struct {
	// DecisionID names the decision and its log entry.
	DecisionID string
	Decision   Decision
	// Obligations are what the recipient must observe about everybody in the audience.
	Obligations []Obligation
	// Reasons name the legal bases of an allowance, and say why there is none.
	Reasons        []policies.Reason
	PolicyRevision string
	// At is the moment of which the audience is.
	At      time.Time
	Receipt audit.Receipt
	// Size is how many people are in the audience; zero in a denial.
	Size int
	// Pseudonyms yields everybody's pseudonym, in an order that says nothing: that of the
	// pseudonyms. The log entry has the SHA-256 of them, each followed by a line feed. Nil in
	// a denial.
	Pseudonyms iter.Seq[pseudonym.Pseudonym]
}

// String says REDACTED.
func (Audience) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (Audience) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (Audience) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// PendingAudience is an audience that has been found but not given; see [Pending].
type PendingAudience struct{ answer Audience }

// Release hands the audience out in exchange for evidence that it is in the log.
func (p PendingAudience) Release(receipt audit.Receipt) (Audience, error) {
	if receipt.IsZero() {
		return Audience{}, fmt.Errorf("releasing an audience that is not in the log: %w", privacy.ErrUnavailable)
	}
	p.answer.DecisionID, p.answer.Receipt = receipt.DecisionID().String(), receipt
	return p.answer, nil
}

// String says REDACTED.
func (PendingAudience) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (PendingAudience) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }
