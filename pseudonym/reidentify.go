package pseudonym

import (
	"context"
	"errors"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Question is one request to learn who is behind a pseudonym.
type Question struct {
	// Principal asks, and must be a data protection officer.
	Principal privacy.Principal
	// Purpose says why, as a key of the catalogue.
	Purpose privacy.Purpose
	// Recipient is whose pseudonym it is.
	Recipient privacy.RecipientID
	// DataSubject is the person behind the pseudonym. The policy sees facts about them.
	DataSubject privacy.DataSubjectID
}

// Decision is what the policy says to a question.
type Decision struct {
	Allow bool
	// Checks are the policy checks that did not pass, sorted.
	Checks []string
	// Policy and Facts are the digests that make the decision repeatable.
	Policy, Facts audit.Digest
}

// Decider puts a question to the policy. An error is a denial. Implementations MUST
// NOT allow on missing facts.
type Decider interface {
	DecideReidentification(ctx context.Context, question Question) (Decision, error)
}

// People knows the person's blinding key for the log. It MUST return an error that wraps
// [privacy.ErrNotFound] for somebody who is unknown or was erased.
type People interface {
	AuditSubject(ctx context.Context, id privacy.DataSubjectID) (audit.Subject, error)
}

// Reidentifier is the way back from a pseudonym to a person.
type Reidentifier struct {
	people  People
	decider Decider
	log     audit.Appender
}

// NewReidentifier returns the way back. All three are required.
func NewReidentifier(people People, decider Decider, log audit.Appender) (*Reidentifier, error) {
	if people == nil || decider == nil || log == nil {
		return nil, fmt.Errorf("making reidentifier without people, decider or log: %w", privacy.ErrInvalid)
	}
	return &Reidentifier{people: people, decider: decider, log: log}, nil
}

// The checks that stand before the policy.
const (
	checkRole      = "reidentify.role_is_dpo"
	checkPseudonym = "reidentify.pseudonym_is_valid"
	checkPerson    = "reidentify.person_is_known"
	checkDecision  = "reidentify.policy_decides"
)

// Reidentify returns the person behind text, after the log holds that principal asked
// and was told. Refused attempts are logged as well. Errors:
//
//   - [privacy.ErrForbidden]: not a data protection officer, or the policy denies;
//   - [privacy.ErrInvalid]: not a pseudonym of this recipient;
//   - [privacy.ErrNotFound]: the person was erased;
//   - [privacy.ErrUnavailable]: the log cannot be written, so nobody was told anything.
func (r *Reidentifier) Reidentify(ctx context.Context, principal privacy.Principal, purpose privacy.Purpose,
	pseudonyms *Pseudonyms, text Pseudonym,
) (privacy.DataSubjectID, audit.Receipt, error) {
	event := audit.Event{
		Kind: audit.ReidentifyDenied, Outcome: audit.Denied, Principal: principal,
		Purpose: purpose, Recipient: pseudonyms.Recipient(), Subject: audit.Subject{Unknown: true},
	}
	if principal.Role != privacy.RoleDPO || principal.ID == "" {
		return r.deny(ctx, event, privacy.ErrForbidden, checkRole)
	}
	id, err := pseudonyms.DataSubject(text)
	if err != nil {
		return r.deny(ctx, event, err, checkPseudonym)
	}
	subject, err := r.people.AuditSubject(ctx, id)
	if err != nil {
		if !errors.Is(err, privacy.ErrNotFound) {
			return privacy.DataSubjectID{}, audit.Receipt{}, fmt.Errorf("finding person behind pseudonym: %w", err)
		}
		return r.deny(ctx, event, err, checkPerson)
	}
	event.Subject = subject
	decision, err := r.decider.DecideReidentification(ctx, Question{
		Principal: principal, Purpose: purpose, Recipient: pseudonyms.Recipient(), DataSubject: id,
	})
	if err != nil {
		return r.deny(ctx, event, fmt.Errorf("deciding about reidentification: %w", err), checkDecision)
	}
	event.Policy, event.Facts = decision.Policy, decision.Facts
	if !decision.Allow {
		return r.deny(ctx, event, privacy.ErrForbidden, decision.Checks...)
	}
	event.Kind, event.Outcome = audit.PersonReidentified, audit.Allowed
	receipt, err := r.log.Append(ctx, event)
	if err != nil {
		return privacy.DataSubjectID{}, audit.Receipt{}, fmt.Errorf("logging reidentification: %w", err)
	}
	if receipt.IsZero() {
		return privacy.DataSubjectID{}, audit.Receipt{}, fmt.Errorf("logging reidentification without receipt: %w", privacy.ErrUnavailable)
	}
	return id, receipt, nil
}

// deny logs the refusal and returns cause; a refusal that cannot be logged is reported
// as such, because then the log is the trouble.
func (r *Reidentifier) deny(ctx context.Context, event audit.Event, cause error, checks ...string,
) (privacy.DataSubjectID, audit.Receipt, error) {
	event.Checks = checks
	receipt, err := r.log.Append(ctx, event)
	if err != nil {
		return privacy.DataSubjectID{}, audit.Receipt{}, fmt.Errorf("logging refused reidentification: %w", err)
	}
	return privacy.DataSubjectID{}, receipt, fmt.Errorf("reidentifying: %w", cause)
}
