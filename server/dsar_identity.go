package server

import (
	"context"
	"errors"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/identity"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// IdentityDesk finds out whether a request comes from its person; [identity.Service] is
// one. It must answer about somebody unknown as about anybody else, and return after what
// it did and the log entry are durable.
type IdentityDesk interface {
	SendCode(ctx context.Context, by privacy.Principal, id dsar.RequestID) (identity.Sent, error)
	VerifyCode(ctx context.Context, by privacy.Principal, id dsar.RequestID, code privacy.Plain) (identity.Verified, error)
	VerifySession(ctx context.Context, by privacy.Principal, id dsar.RequestID, session identity.Session) (identity.Verified, error)
	Judge(ctx context.Context, by privacy.Principal, id dsar.RequestID, ground identity.Ground) (identity.Verified, error)
}

type sendCodeRequest struct {
	Request string `json:"request" validate:"required,max=36"`
}

func sendCode(ctx context.Context, c *call, request *sendCodeRequest) (sentCode, error) {
	desk := c.server.services.Identity
	if desk == nil {
		return sentCode{}, refuse(unavailable)
	}
	id, err := dsar.ParseRequestID(request.Request)
	if err != nil {
		return sentCode{}, refuseField(invalid, "/request", "is not a request")
	}
	sent, err := desk.SendCode(ctx, c.principal, id)
	if err == nil && sent.Receipt.IsZero() {
		err = errors.New("a code was sent without evidence")
	}
	return sentCode{id, sent, c.principal.Role}, ofRequest(err, c.principal)
}

type verifyRequest struct {
	Request string `json:"request" validate:"required,max=36"`
	Method  string `json:"method" validate:"oneof=code session judgement"`
	Code    string `json:"code" validate:"max=16"`
	// Pseudonym and AuthenticatedAt are a service's statement that a person is signed in.
	Pseudonym       string `json:"pseudonym" validate:"max=128"`
	AuthenticatedAt string `json:"authenticated_at" validate:"max=40"`
	Ground          string `json:"ground" validate:"max=64"`
}

// check refuses what does not belong to the method: it would seem to have been heard.
func (r *verifyRequest) check() []fieldProblem {
	var faults []fieldProblem
	for _, field := range []struct{ pointer, value, method string }{
		{"/code", r.Code, "code"},
		{"/pseudonym", r.Pseudonym, "session"},
		{"/authenticated_at", r.AuthenticatedAt, "session"},
		{"/ground", r.Ground, "judgement"},
	} {
		switch {
		case field.method == r.Method && field.value == "":
			faults = append(faults, fieldProblem{field.pointer, "is needed by this method"})
		case field.method != r.Method && field.value != "":
			faults = append(faults, fieldProblem{field.pointer, "does not belong to this method"})
		}
	}
	if _, ok := instant(r.AuthenticatedAt); !ok {
		faults = append(faults, fieldProblem{"/authenticated_at", wantInstant})
	}
	return faults
}

func verifyIdentity(ctx context.Context, c *call, request *verifyRequest) (takenStep, error) {
	desk := c.server.services.Identity
	if desk == nil {
		return takenStep{}, refuse(unavailable)
	}
	id, err := dsar.ParseRequestID(request.Request)
	if err != nil {
		return takenStep{}, refuseField(invalid, "/request", "is not a request")
	}
	var verified identity.Verified
	switch request.Method {
	case "code":
		var code privacy.Plain
		if code, err = identity.ParseCode(request.Code); err == nil {
			verified, err = desk.VerifyCode(ctx, c.principal, id, code)
		}
	case "session":
		verified, err = c.verifySession(ctx, desk, id, request)
	default:
		verified, err = desk.Judge(ctx, c.principal, id, identity.Ground(request.Ground))
	}
	if err == nil && verified.Receipt.IsZero() {
		err = errors.New("identity was verified without evidence")
	}
	return takenStep{verified.Request, verified.Receipt, c.principal.Role, c.server.config.Now()}, ofRequest(err, c.principal)
}

func (c *call) verifySession(ctx context.Context, desk IdentityDesk, id dsar.RequestID, request *verifyRequest) (identity.Verified, error) {
	if c.principal.Recipient == "" {
		return identity.Verified{}, refuse(forbidden)
	}
	person, err := c.find(ctx, gate.Ref{Pseudonym: request.Pseudonym})
	if p, ok := errors.AsType[*problem](err); ok && len(p.errors) == 1 {
		return identity.Verified{}, refuseField(invalid, "/pseudonym", p.errors[0].reason)
	}
	if err != nil {
		return identity.Verified{}, err
	}
	at, _ := instant(request.AuthenticatedAt)
	return desk.VerifySession(ctx, c.principal, id, identity.Session{DataSubject: person, AuthenticatedAt: at})
}

// ofRequest tells whoever may know it that a request is not there; it says nothing about a
// person.
func ofRequest(err error, principal privacy.Principal) error {
	if errors.Is(err, privacy.ErrNotFound) && principal.Role != privacy.RoleService {
		return refuse(notFound)
	}
	return err
}

type sentCode struct {
	id   dsar.RequestID
	sent identity.Sent
	to   privacy.Role
}

func (s sentCode) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "request"), s.id.String())
	b = append(appendKey(b, "expires_at"), '"')
	b = append(s.sent.ExpiresAt.UTC().AppendFormat(b, time.RFC3339), '"')
	if s.to == privacy.RoleDPO {
		b = append(appendKey(b, "address_known"), map[bool]string{true: "true", false: "false"}[s.sent.Reached]...)
	}
	b = appendLog(appendKey(b, "log"), s.sent.Receipt)
	return append(b, '}'), nil
}

var _ IdentityDesk = (*identity.Service)(nil)
