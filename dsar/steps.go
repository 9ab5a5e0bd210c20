package dsar

import (
	"context"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

// The steps that need nothing but the machine. Each returns the request as it is now and
// the evidence; see [Service.Prepare] for the errors.

// Verify records that the person has proved who they are, how, and perhaps a word about
// it. A clock that waited for the proof goes on.
func (s *Service) Verify(ctx context.Context, by privacy.Principal, id RequestID, proof Proof, note privacy.Plain) (Request, audit.Receipt, error) {
	return s.Take(ctx, by, id, Move{Action: ActionVerify, Proof: proof, Note: note})
}

// Start begins the work on a request that is carried out without proof of identity.
func (s *Service) Start(ctx context.Context, by privacy.Principal, id RequestID) (Request, audit.Receipt, error) {
	return s.Take(ctx, by, id, Move{Action: ActionStart})
}

// Pause stops the clock, where the law allows it.
func (s *Service) Pause(ctx context.Context, by privacy.Principal, id RequestID, ground clock.Ground, note privacy.Plain) (Request, audit.Receipt, error) {
	return s.Take(ctx, by, id, Move{Action: ActionPause, Ground: ground, Note: note})
}

// Resume lets it go on.
func (s *Service) Resume(ctx context.Context, by privacy.Principal, id RequestID) (Request, audit.Receipt, error) {
	return s.Take(ctx, by, id, Move{Action: ActionResume})
}

// Extend takes more time, where the law has it and while there is time to say so.
func (s *Service) Extend(ctx context.Context, by privacy.Principal, id RequestID, reason clock.ExtensionReason, note privacy.Plain) (Request, audit.Receipt, error) {
	return s.Take(ctx, by, id, Move{Action: ActionExtend, Extension: reason, Note: note})
}

// Note keeps a note, sealed.
func (s *Service) Note(ctx context.Context, by privacy.Principal, id RequestID, note privacy.Plain) (Request, audit.Receipt, error) {
	if !fits(note, maxText) {
		return Request{}, audit.Receipt{}, &privacy.FieldError{Pointer: "/note", Reason: "is too long"}
	}
	return s.Take(ctx, by, id, Move{Action: ActionNote, Note: note})
}

// Fulfil closes a request as carried out.
func (s *Service) Fulfil(ctx context.Context, by privacy.Principal, id RequestID, evidence Evidence) (Request, audit.Receipt, error) {
	return s.Take(ctx, by, id, Move{Action: ActionFulfil, Evidence: evidence.Digest})
}

// Answer closes a complaint: what came of it, and what the complainant is told, which is
// kept sealed and is what the evidence is of (see [OutcomeDigest]).
func (s *Service) Answer(ctx context.Context, by privacy.Principal, id RequestID, outcome ComplaintOutcome, told privacy.Plain) (Request, audit.Receipt, error) {
	if told.IsEmpty() || !fits(told, maxText) {
		return Request{}, audit.Receipt{}, &privacy.FieldError{Pointer: "/text", Reason: "must say what the complainant is told"}
	}
	return s.Take(ctx, by, id, Move{Action: ActionFulfil, Outcome: outcome, Evidence: OutcomeDigest(outcome, told), Note: told})
}

// Deny closes a request as denied, for a reason that the law of the request has.
func (s *Service) Deny(ctx context.Context, by privacy.Principal, id RequestID, reason DenialReason, note privacy.Plain) (Request, audit.Receipt, error) {
	return s.Take(ctx, by, id, Move{Action: ActionDeny, Denial: reason, Note: note})
}

// Withdraw closes a request that the person has taken back.
func (s *Service) Withdraw(ctx context.Context, by privacy.Principal, id RequestID) (Request, audit.Receipt, error) {
	return s.Take(ctx, by, id, Move{Action: ActionWithdraw})
}
