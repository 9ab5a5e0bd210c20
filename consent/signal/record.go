package signal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Ledger is what recording needs of the consent ledger; [consent.Service] and its store
// are one together.
type Ledger interface {
	// Record records one choice, as [consent.Service.Record] does.
	Record(ctx context.Context, by privacy.Principal, action consent.Action, change consent.Change) (consent.Receipt, error)
	// Show returns the history of the person.
	Show(ctx context.Context, id privacy.DataSubjectID) (consent.Statement, error)
	// MayRecord reports whether the caller may record that action about that purpose.
	MayRecord(by privacy.Principal, action consent.Action, purpose privacy.Purpose) bool
}

// Purposes are those of the catalogue in force, with the signals that bind them.
type Purposes func() []*policies.Purpose

// Recorder writes what signals say into the ledger.
type Recorder struct {
	ledger   Ledger
	log      audit.Appender
	subjects consent.Subjects
	purposes Purposes
	now      func() time.Time
}

// NewRecorder returns a recorder. All but now is required; nil stands for time.Now.
func NewRecorder(ledger Ledger, log audit.Appender, subjects consent.Subjects, purposes Purposes, now func() time.Time) *Recorder {
	if now == nil {
		now = time.Now
	}
	return &Recorder{ledger, log, subjects, purposes, now}
}

// Sighting is a signal as somebody saw it, about one person.
type Sighting struct {
	DataSubject privacy.DataSubjectID
	Reading     *Reading
	// NoticeVersion and EvidenceRef are of the text that was shown and of where the evidence
	// is. Without both no yes is recorded.
	NoticeVersion, EvidenceRef string
	// Language and Jurisdiction are those of the records.
	Language     string
	Jurisdiction privacy.Jurisdiction
}

// Outcome is what became of what one signal said about one purpose.
type Outcome string

// The outcomes.
const (
	// Recorded: a record was added.
	Recorded Outcome = "recorded"
	// Unchanged: the ledger has it.
	Unchanged Outcome = "unchanged"
	// NotUnderstood: the signal was rejected; nothing is recorded for it.
	NotUnderstood Outcome = "not_understood"
	// YesNotProven: a yes without the notice and the evidence.
	YesNotProven Outcome = "yes_not_proven"
	// YesNotAllowed: a yes to a purpose that is not the caller's.
	YesNotAllowed Outcome = "yes_not_allowed"
	// YesContradicted: a yes while another signal of the same call says no, or one from the
	// future.
	YesContradicted Outcome = "yes_contradicted"
)

// Result is one line of what became of a sighting.
type Result struct {
	Purpose privacy.Purpose
	Signal  Name
	Outcome Outcome
	// Action and Receipt are those of a record that was added.
	Action  consent.Action
	Receipt consent.Receipt
}

// Record records what the signals say, purpose by purpose, in the order of the catalogue.
// A no is recorded whoever brings it; a yes only for a caller who may record one, with the
// notice and the evidence, and unless another signal of the call says no. What was recorded
// before from the same signal is not recorded again: so a call may be repeated, also after
// an error, which may leave a part of the lines recorded. What was not understood changes
// nothing and stands in the log.
func (r *Recorder) Record(ctx context.Context, by privacy.Principal, seen Sighting) ([]Result, error) {
	if by.Role != privacy.RoleService && by.Role != privacy.RoleDPO {
		return nil, fmt.Errorf("recording signals: %w", privacy.ErrForbidden)
	}
	subject, err := r.subjects.Subject(ctx, seen.DataSubject)
	if err != nil {
		return nil, fmt.Errorf("finding the person of a signal: %w", err)
	}
	if checks := seen.Reading.Checks(); len(checks) > 0 {
		event := audit.Event{Kind: audit.SignalRejected, Outcome: audit.Denied, Principal: by, Subject: subject, Checks: checks}
		if _, err := r.log.Append(ctx, event); err != nil {
			return nil, fmt.Errorf("logging a signal: %w", err)
		}
	}
	statement, err := r.ledger.Show(ctx, seen.DataSubject)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger for a signal: %w", err)
	}
	var results []Result
	for _, purpose := range r.purposes() {
		choices := seen.Reading.Choices(purpose.Signals)
		contradicted := false
		for _, choice := range choices {
			contradicted = contradicted || choice.Answer.isNo()
		}
		for _, choice := range choices {
			result, err := r.one(ctx, by, &seen, statement.Records, purpose.ID, choice, contradicted)
			if err != nil {
				return nil, err
			}
			results = append(results, result)
		}
	}
	return results, nil
}

// one records what one signal says about one purpose.
func (r *Recorder) one(ctx context.Context, by privacy.Principal, seen *Sighting, records []consent.Record, purpose privacy.Purpose,
	choice Choice, contradicted bool,
) (Result, error) {
	result := Result{Purpose: purpose, Signal: choice.Signal}
	future := choice.At.After(r.now())
	change := consent.Change{
		DataSubject: seen.DataSubject, Purpose: purpose, Channel: privacy.AnyChannel, Source: choice.Signal.Source(),
		EvidenceRef: seen.EvidenceRef, Language: seen.Language, Jurisdiction: seen.Jurisdiction, NoticeVersion: seen.NoticeVersion,
	}
	switch {
	case choice.Fault != "":
		result.Outcome = NotUnderstood
		return result, nil
	case choice.Answer == Yes && (contradicted || future):
		result.Outcome = YesContradicted
		return result, nil
	case choice.Answer == Yes && (seen.NoticeVersion == "" || seen.EvidenceRef == ""):
		result.Outcome = YesNotProven
		return result, nil
	case choice.Answer == Yes && !r.ledger.MayRecord(by, consent.Granted, purpose):
		// Before the ledger is looked at: whether it has the yes is not theirs to know.
		result.Outcome = YesNotAllowed
		return result, nil
	case choice.Answer == Yes:
		result.Action = consent.Granted
	case choice.Answer == Objects:
		result.Action = consent.Objected
	default:
		// A TC string that may tell of an objection is recorded as what it surely is.
		result.Action = consent.Refused
	}
	last, known := recorded(records, choice, result.Action, purpose)
	if known {
		return Result{Purpose: purpose, Signal: choice.Signal, Outcome: Unchanged}, nil
	}
	if !future {
		change.EffectiveAt = choice.At
	}
	change.ID = changeID(seen.DataSubject, purpose, choice, result.Action, last)
	var err error
	result.Receipt, err = r.ledger.Record(ctx, by, result.Action, change)
	var field *privacy.FieldError
	switch {
	case err == nil && result.Receipt.Duplicate:
		return Result{Purpose: purpose, Signal: choice.Signal, Outcome: Unchanged}, nil
	case err == nil:
		result.Outcome = Recorded
		return result, nil
	case errors.Is(err, privacy.ErrForbidden) && choice.Answer == Yes:
		return Result{Purpose: purpose, Signal: choice.Signal, Outcome: YesNotAllowed}, nil
	case errors.Is(err, privacy.ErrConflict), errors.As(err, &field) && field.Pointer == "/id":
		// Somebody else recorded the same at the same time.
		return Result{Purpose: purpose, Signal: choice.Signal, Outcome: Unchanged}, nil
	}
	return Result{}, fmt.Errorf("recording a signal: %w", err)
}

// recorded reports whether the ledger has the choice, and otherwise returns the last record
// that was made from the same signal.
func recorded(records []consent.Record, choice Choice, action consent.Action, purpose privacy.Purpose) (last [16]byte, known bool) {
	var latest *consent.Record
	for i := range records {
		r := &records[i]
		if r.Purpose != purpose || r.Source != choice.Signal.Source() {
			continue
		}
		if !choice.At.IsZero() && r.Action == action && r.EffectiveAt.Equal(choice.At) {
			return last, true
		}
		if latest == nil || !r.EffectiveAt.Before(latest.EffectiveAt) {
			latest = r
		}
	}
	if latest == nil {
		return last, false
	}
	return latest.ID, choice.At.IsZero() && latest.Action == action
}

// changeID is the same for the same choice, so that two who see the same signal at the same
// time record it once. It holds nothing that could be turned back.
func changeID(id privacy.DataSubjectID, purpose privacy.Purpose, choice Choice, action consent.Action, last [16]byte) [16]byte {
	h := sha256.New()
	fmt.Fprintf(h, "mahrem/consent/signal/v1\x00%x\x00%s\x00%s\x00%s\x00%d\x00%x", id, purpose, choice.Signal, action, choice.At.UnixMilli(), last)
	var out [16]byte
	copy(out[:], h.Sum(nil))
	// The form of a UUID of version 8: made from other data.
	out[6], out[8] = out[6]&0x0f|0x80, out[8]&0x3f|0x80
	return out
}
