package server

import (
	"context"
	"errors"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/fulfil"
	"github.com/mahrem/mahrem/privacy"
)

// ObjectionDesk takes objections; [fulfil.Service] is one. What it does at once must be
// durable, with its log entries, when it returns.
type ObjectionDesk interface {
	FileObjection(ctx context.Context, by privacy.Principal, filing fulfil.Filing) (fulfil.Filed, error)
}

type objectionRequest struct {
	DataSubject  refRequest `json:"data_subject"`
	Purposes     []string   `json:"purposes" validate:"max=32,unique,dive,required,max=64"`
	Channel      string     `json:"channel" validate:"max=32"`
	Jurisdiction string     `json:"jurisdiction" validate:"required,max=8"`
	Language     string     `json:"language" validate:"oneof=en tr cs"`
	Contact      string     `json:"contact" validate:"max=320"`
	Text         string     `json:"text" validate:"max=8000"`
}

func (r *objectionRequest) check() []fieldProblem { return r.DataSubject.check() }

// fileObjection answers POST /v1/objections.
func fileObjection(ctx context.Context, c *call, request *objectionRequest) (filedObjection, error) {
	desk := c.server.services.Objections
	if desk == nil {
		return filedObjection{}, refuse(unavailable)
	}
	person, err := c.find(ctx, request.DataSubject.ref())
	if err != nil {
		return filedObjection{}, err
	}
	filing := fulfil.Filing{
		Opening: dsar.Opening{
			DataSubject: person, Jurisdiction: privacy.Jurisdiction(request.Jurisdiction), Language: request.Language,
			Contact: privacy.NewPlain(request.Contact), Text: privacy.NewPlain(request.Text), Via: dsar.ViaAPI,
		},
		Channel: privacy.Channel(request.Channel),
	}
	for _, purpose := range request.Purposes {
		filing.Purposes = append(filing.Purposes, privacy.Purpose(purpose))
	}
	filed, err := desk.FileObjection(ctx, c.principal, filing)
	if err == nil && (filed.Receipt.IsZero() || filed.Token == (consent.Token{}) && filed.Receipt.Index() != 0) {
		err = errors.New("an objection was filed without evidence")
	}
	return filedObjection{filed, openedRequest{dsar.Opened{Request: filed.Request, Receipt: filed.Receipt}, c.principal.Role, c.server.config.Now()}}, err
}

// filedObjection is what a caller is told of an objection: what it does, by the catalogue, the
// token by which later queries are bound to it, and the request that it became.
type filedObjection struct {
	filed fulfil.Filed
	openedRequest
}

func (f filedObjection) appendJSON(b []byte) ([]byte, error) {
	b, err := f.openedRequest.appendJSON(b)
	if err != nil {
		return b, err
	}
	b = append(appendKey(b[:len(b)-1], "purposes"), '[')
	for i, p := range f.filed.Purposes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(appendKey(append(b, '{'), "purpose"), string(p.Purpose))
		b = append(appendString(appendKey(b, "effect"), string(p.Effect)), '}')
	}
	b = append(b, ']')
	b = appendString(appendKey(b, "channel"), string(f.filed.Channel))
	b = appendString(appendKey(b, "consent_token"), f.filed.Token.String())
	return append(b, '}'), nil
}
