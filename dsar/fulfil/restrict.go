package fulfil

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// Restrict stops all processing of a person's data but storing them (GDPR Article 18(2)):
// the gate releases nothing of theirs until it is lifted.
func (s *Service) Restrict(ctx context.Context, by privacy.Principal, id dsar.RequestID) (Done, error) {
	return s.setRestricted(ctx, by, id, dsar.ActionRestrict, true)
}

// Unrestrict lifts a restriction, also after its request was closed. The person must have
// been told before (Article 18(3)): informed says so, and without it the act is refused
// with [CheckInformed].
func (s *Service) Unrestrict(ctx context.Context, by privacy.Principal, id dsar.RequestID, informed bool) (Done, error) {
	if !informed {
		change, err := s.requests.Prepare(ctx, by, id, dsar.Move{Action: dsar.ActionUnrestrict})
		if err != nil {
			return Done{}, fmt.Errorf("lifting a restriction: %w", err)
		}
		return Done{}, s.refuse(ctx, &change, &dsar.Refusal{
			Check: CheckInformed, Article: "GDPR Article 18(3)", Reason: "the person must be told before a restriction is lifted",
		})
	}
	return s.setRestricted(ctx, by, id, dsar.ActionUnrestrict, false)
}

func (s *Service) setRestricted(ctx context.Context, by privacy.Principal, id dsar.RequestID, action dsar.Action, restricted bool) (Done, error) {
	return retried(func() (Done, error) {
		change, err := s.requests.Prepare(ctx, by, id, dsar.Move{Action: action})
		if err != nil {
			return Done{}, fmt.Errorf("restricting: %w", err)
		}
		if err := s.known(ctx, &change); err != nil {
			return Done{}, err
		}
		receipt, err := s.store.Restrict(ctx, change, change.After.DataSubject, restricted)
		if err != nil {
			return Done{}, fmt.Errorf("restricting: %w", err)
		}
		return Done{change.After, change.Event.List, receipt}, nil
	})
}

// Object records an objection to a purpose on a channel, [privacy.AnyChannel] for all, in
// the consent ledger, where it binds the very next query (GDPR Article 21).
func (s *Service) Object(ctx context.Context, by privacy.Principal, id dsar.RequestID, purpose privacy.Purpose, channel privacy.Channel) (Done, error) {
	return retried(func() (Done, error) {
		change, err := s.requests.Prepare(ctx, by, id, dsar.Move{Action: dsar.ActionObject, Note: privacy.NewPlain(string(purpose) + " " + string(channel))})
		if err != nil {
			return Done{}, fmt.Errorf("recording an objection: %w", err)
		}
		if err := s.known(ctx, &change); err != nil {
			return Done{}, err
		}
		record, err := consent.Change{
			DataSubject: change.After.DataSubject, Purpose: purpose, Channel: channel, Source: "dsar",
		}.Record(consent.Objected, s.words, s.config.Now())
		if err != nil {
			return Done{}, err
		}
		if _, err := io.ReadFull(s.config.Random, record.ID[:]); err != nil {
			return Done{}, fmt.Errorf("drawing consent id: %w", err)
		}
		change.Event.Purpose, change.Event.Channel = record.Purpose, record.Channel
		receipt, err := s.store.Object(ctx, change, record)
		if err != nil {
			return Done{}, fmt.Errorf("recording an objection: %w", err)
		}
		return Done{change.After, change.Event.List, receipt}, nil
	})
}

// Finding is what a human makes of a decision that a machine has made.
type Finding string

// The findings.
const (
	// Upheld: the decision was right.
	Upheld Finding = "upheld"
	// Changed: another decision takes its place.
	Changed Finding = "changed"
	// Withdrawn: there is no decision any more.
	Withdrawn Finding = "withdrawn"
)

// Findings lists them.
func Findings() []Finding { return []Finding{Upheld, Changed, Withdrawn} }

// maxReasons bounds the reasons of a review.
const maxReasons = 8000

// Review records what a human has made of an automated decision, with their reasons, which
// are sealed with the step (GDPR Article 22(3), KVKK Article 11(1)(g)).
func (s *Service) Review(ctx context.Context, by privacy.Principal, id dsar.RequestID, finding Finding, reasons privacy.Plain) (Done, error) {
	if !slices.Contains(Findings(), finding) {
		return Done{}, &privacy.FieldError{Pointer: "/finding", Reason: "must be upheld, changed or withdrawn"}
	}
	text := strings.TrimSpace(reasons.RevealPersonalData())
	if text == "" || len(text) > maxReasons {
		return Done{}, &privacy.FieldError{Pointer: "/reasons", Reason: "must be said"}
	}
	change, receipt, err := s.requests.Take(ctx, by, id, dsar.Move{Action: dsar.ActionReview, Note: privacy.NewPlain(string(finding) + ": " + text)})
	if err != nil {
		return Done{}, fmt.Errorf("recording a review: %w", err)
	}
	return Done{change, dsar.StepDigest(id, change.Version, dsar.ActionReview, [32]byte{}), receipt}, nil
}
