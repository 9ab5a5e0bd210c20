package gate

import (
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"
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

// memberList holds pseudonyms, all of one length, in one piece of memory.
type memberList struct {
	names *pseudonym.Pseudonyms
	text  []byte
	width int
	order []int32
}

// all yields the pseudonyms in their order.
func (m *memberList) all(yield func(pseudonym.Pseudonym) bool) {
	for _, i := range m.order {
		if !yield(pseudonym.Pseudonym(m.at(i))) {
			return
		}
	}
}

func (m *memberList) len() int { return len(m.order) }

func (m *memberList) at(i int32) []byte { return m.text[int(i)*m.width:][:m.width] }

// add appends the pseudonym of a person.
func (m *memberList) add(id privacy.DataSubjectID) error {
	name, err := m.names.Of(id)
	if err != nil {
		return fmt.Errorf("naming a member: %w", err)
	}
	if m.width == 0 {
		m.width = len(name)
	}
	if len(name) != m.width {
		return fmt.Errorf("naming a member: %w", privacy.ErrDamaged)
	}
	if len(m.order) >= maxAudience {
		return fmt.Errorf("naming more than %d members: %w", maxAudience, privacy.ErrUnavailable)
	}
	m.order = append(m.order, int32(len(m.order)))
	m.text = append(m.text, name...)
	return nil
}

// sort puts the pseudonyms in order. Where somebody came from, first or last, does not show.
func (m *memberList) sort() {
	slices.SortFunc(m.order, func(i, j int32) int { return slices.Compare(m.at(i), m.at(j)) })
}

// digest is the SHA-256 of the pseudonyms in order, each followed by a line feed.
func (m *memberList) digest() audit.Digest {
	h := sha256.New()
	line := make([]byte, 0, m.width+1)
	for _, i := range m.order {
		line = append(append(line[:0], m.at(i)...), '\n')
		_, _ = h.Write(line) // never fails
	}
	return audit.Digest(h.Sum(nil))
}
