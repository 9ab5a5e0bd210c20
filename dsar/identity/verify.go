package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// Verified is a request whose person has proved who they are.
type Verified struct {
	Request dsar.Request
	Receipt audit.Receipt
}

// VerifyCode takes the code that somebody typed. Of an attempt that fails, the log has an
// entry and the code one attempt less. Errors:
//
//   - [*dsar.Refusal] with [CheckCode]: the code is wrong, too old or used; it is the same
//     for a person who is unknown;
//   - [*dsar.Refusal] with [CheckAttempts]: too many attempts, right or wrong;
//   - as [dsar.Service.Prepare].
func (s *Service) VerifyCode(ctx context.Context, by privacy.Principal, id dsar.RequestID, code privacy.Plain) (Verified, error) {
	for n := 1; ; n++ {
		verified, err := s.verifyCode(ctx, by, id, code)
		if errors.Is(err, errOvertaken) && n < attempts {
			continue // the attempt was not counted, and its outcome not told
		}
		return verified, err
	}
}

func (s *Service) verifyCode(ctx context.Context, by privacy.Principal, id dsar.RequestID, typed privacy.Plain) (Verified, error) {
	// Preparing the attempt that fails comes first: it says whether there is such a request
	// and whether the caller may know.
	failed, err := s.requests.Prepare(ctx, by, id, dsar.Move{Action: dsar.ActionMistrust})
	if err != nil {
		return Verified{}, fmt.Errorf("verifying identity: %w", err)
	}
	codes, err := s.store.Codes(ctx, id)
	if err != nil {
		return Verified{}, fmt.Errorf("verifying identity: %w", err)
	}
	if refusal := codes.mayTry(article); refusal != nil {
		return Verified{}, s.refuse(ctx, &failed, refusal)
	}
	code, _ := codes.last()
	right := code.matches(tagOf(s.vault, id, code.Number, typed))
	inTime := code.UsedAt.IsZero() && codes.At.Before(code.ExpiresAt)
	// Nobody who is unknown is ever verified by a code, whatever was drawn for them.
	if right && inTime && !failed.After.DataSubject.IsZero() {
		change, err := s.requests.Prepare(ctx, by, id, dsar.Move{Action: dsar.ActionVerify, Proof: dsar.ProofCode})
		if err != nil {
			return Verified{}, fmt.Errorf("verifying identity: %w", err)
		}
		return s.counted(ctx, change, code, true)
	}
	failed.Event.Outcome, failed.Event.Checks = audit.Denied, []string{CheckCode}
	if _, err := s.counted(ctx, failed, code, false); err != nil {
		return Verified{}, err
	}
	return Verified{}, &dsar.Refusal{Check: CheckCode, Article: article, Reason: "the code is wrong, too old or was used before"}
}

func (s *Service) counted(ctx context.Context, change dsar.Change, code Code, right bool) (Verified, error) {
	receipt, err := s.store.CountAttempt(ctx, change, code, right)
	if err != nil {
		return Verified{}, fmt.Errorf("verifying identity: %w", overtaken(err))
	}
	if receipt.IsZero() {
		return Verified{}, fmt.Errorf("verifying identity without a log entry: %w", privacy.ErrUnavailable)
	}
	return Verified{change.After, receipt}, nil
}

// Session is a service's statement that somebody is signed in to their account there. Its
// token is its signature; it holds for the request it is made for.
type Session struct {
	// DataSubject is whose account it is.
	DataSubject privacy.DataSubjectID
	// AuthenticatedAt is when they last proved who they are to the service.
	AuthenticatedAt time.Time
}

// The window of a session.
const (
	sessionAge  = 15 * time.Minute
	sessionSkew = time.Minute
)

// VerifySession takes a statement of a service of the company's own about a request that it
// opened. A statement about somebody else than the request, or of another time, is refused
// with [CheckSession], as is every one about a person who is unknown.
func (s *Service) VerifySession(ctx context.Context, by privacy.Principal, id dsar.RequestID, session Session) (Verified, error) {
	if by.Role != privacy.RoleService || s.config.MayAttest == nil || !s.config.MayAttest(by.Recipient) {
		return Verified{}, fmt.Errorf("stating that a person is signed in: %w", privacy.ErrForbidden)
	}
	r, err := s.requests.Prepare(ctx, by, id, dsar.Move{Action: dsar.ActionMistrust})
	if err != nil {
		return Verified{}, fmt.Errorf("verifying identity: %w", err)
	}
	codes, err := s.store.Codes(ctx, id)
	if err != nil {
		return Verified{}, fmt.Errorf("verifying identity: %w", err)
	}
	if refusal := codes.mayTryAtAll(article); refusal != nil {
		return Verified{}, s.refuse(ctx, &r, refusal)
	}
	age := s.config.Now().Sub(session.AuthenticatedAt)
	same := !session.DataSubject.IsZero() && r.After.DataSubject == session.DataSubject
	if same && age <= sessionAge && age >= -sessionSkew {
		request, receipt, err := s.requests.Take(ctx, by, id, dsar.Move{Action: dsar.ActionVerify, Proof: dsar.ProofSession, Version: r.Before})
		if err != nil {
			return Verified{}, fmt.Errorf("verifying identity: %w", err)
		}
		return Verified{request, receipt}, nil
	}
	// The attempt is a step of the request like any other. It is the step after those that
	// were counted, so that attempts at the same time do not add up to more.
	if _, _, err := s.requests.Take(ctx, by, id, dsar.Move{Action: dsar.ActionMistrust, Version: r.Before}); err != nil {
		return Verified{}, fmt.Errorf("verifying identity: %w", err)
	}
	return Verified{}, &dsar.Refusal{Check: CheckSession, Article: article, Reason: "the statement is not about this request's person, or not of the last minutes"}
}

// Ground is why a data protection officer is convinced. None of them is a document that was
// copied, and none is free text.
type Ground string

// The grounds.
const (
	// KnownInPerson: the officer or a colleague knows the person.
	KnownInPerson Ground = "known_in_person"
	// CalledBack: the person was called on a number that was known before.
	CalledBack Ground = "called_back_on_known_number"
	// WroteFromKnown: the request came from an address that was known before.
	WroteFromKnown Ground = "wrote_from_known_address"
	// AnsweredQuestions: the person knew what only they and the company know.
	AnsweredQuestions Ground = "answered_questions"
	// SeenDocument: an identity document was looked at, and not copied.
	SeenDocument Ground = "document_seen_not_copied"
	// QualifiedSignature: the request bears a qualified electronic signature (eIDAS Article
	// 25, Turkish Law 5070).
	QualifiedSignature Ground = "qualified_signature"
	// NotaryLetter: it came through a notary (KVKK communiqué on applications, Article 5).
	NotaryLetter Ground = "notary"
	// Representative: somebody with authority acts for the person.
	Representative Ground = "representative_with_authority"
)

// Grounds lists them.
func Grounds() []Ground {
	return []Ground{
		KnownInPerson, CalledBack, WroteFromKnown, AnsweredQuestions, SeenDocument, QualifiedSignature, NotaryLetter, Representative,
	}
}

// Judge records the judgement of a data protection officer.
func (s *Service) Judge(ctx context.Context, by privacy.Principal, id dsar.RequestID, ground Ground) (Verified, error) {
	if by.Role != privacy.RoleDPO {
		return Verified{}, fmt.Errorf("judging identity: %w", privacy.ErrForbidden)
	}
	if !slices.Contains(Grounds(), ground) {
		return Verified{}, &privacy.FieldError{Pointer: "/ground", Reason: fmt.Sprintf("must be one of %v", Grounds())}
	}
	request, receipt, err := s.requests.Take(ctx, by, id, dsar.Move{
		Action: dsar.ActionVerify, Proof: dsar.ProofJudgement, Note: privacy.NewPlain(string(ground)),
	})
	if err != nil {
		return Verified{}, fmt.Errorf("judging identity: %w", err)
	}
	return Verified{request, receipt}, nil
}
