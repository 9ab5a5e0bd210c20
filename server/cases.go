package server

import (
	"context"
	"errors"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/privacy"
)

// CaseRegistry opens and closes cases; [casework.Service] is one. Each method must return
// after the change and its log entry are durable, and must not tell a recipient of
// another's cases.
type CaseRegistry interface {
	Open(ctx context.Context, by privacy.Principal, request casework.Request) (casework.Opened, error)
	Close(ctx context.Context, by privacy.Principal, id casework.ID) (audit.Receipt, error)
}

type caseRequest struct {
	DataSubject refRequest `json:"data_subject"`
	Kind        string     `json:"kind" validate:"oneof=support complaint"`
	Recipient   string     `json:"recipient" validate:"max=64"`
}

func (r *caseRequest) check() []fieldProblem { return r.DataSubject.check() }

type closeRequest struct {
	Case string `json:"case" validate:"required,max=64"`
}

func openCase(ctx context.Context, c *call, request *caseRequest) (openedCase, error) {
	registry := c.server.services.Cases
	if registry == nil {
		return openedCase{}, refuse(unavailable)
	}
	id, err := c.find(ctx, request.DataSubject.ref())
	if err != nil {
		return openedCase{}, err
	}
	opened, err := registry.Open(ctx, c.principal, casework.Request{
		DataSubject: id, Recipient: privacy.RecipientID(request.Recipient), Kind: casework.Kind(request.Kind),
	})
	if err == nil && opened.Receipt.IsZero() {
		err = errors.New("a case was opened without evidence")
	}
	return openedCase(opened), err
}

func closeCase(ctx context.Context, c *call, request *closeRequest) (closedCase, error) {
	registry := c.server.services.Cases
	if registry == nil {
		return closedCase{}, refuse(unavailable)
	}
	id, err := casework.ParseID(request.Case)
	if err != nil {
		return closedCase{}, refuseField(invalid, "/case", "is not a case")
	}
	receipt, err := registry.Close(ctx, c.principal, id)
	if err == nil && receipt.IsZero() {
		err = errors.New("a case was closed without evidence")
	}
	return closedCase{id, receipt}, err
}

type openedCase casework.Opened

func (o openedCase) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "case"), o.ID.String())
	b = appendString(appendKey(b, "kind"), string(o.Kind))
	b = appendString(appendKey(b, "recipient"), string(o.Recipient))
	b = append(appendKey(b, "ends_at"), '"')
	b = append(o.EndsAt.UTC().AppendFormat(b, time.RFC3339), '"')
	b = appendLog(appendKey(b, "log"), o.Receipt)
	return append(b, '}'), nil
}

type closedCase struct {
	id      casework.ID
	receipt audit.Receipt
}

func (r closedCase) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "case"), r.id.String())
	b = appendLog(appendKey(b, "log"), r.receipt)
	return append(b, '}'), nil
}
