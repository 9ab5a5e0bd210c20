package server

import (
	"context"
	"errors"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/link"
	"github.com/mahrem/mahrem/privacy"
)

// ConsentWithdrawer takes back several consents at once; [consent.Service] is one. It must
// return after all of them are durable, or none was changed.
type ConsentWithdrawer interface {
	WithdrawAll(ctx context.Context, by privacy.Principal, w consent.Withdrawal) (consent.Receipt, error)
}

// WithdrawalLinks makes links by which people take a consent back, and does what they ask
// for; [link.Desk] is one. Show must change nothing, and whatever is wrong with a token the
// error must wrap [privacy.ErrNotFound], or [link.ErrEnded] for one whose time is over.
type WithdrawalLinks interface {
	Make(ctx context.Context, by privacy.Principal, order link.Order) (link.Made, error)
	Show(token string) (link.Offer, error)
	Use(ctx context.Context, token string) (link.Offer, consent.Receipt, error)
}

type withdrawRequest struct {
	DataSubject   refRequest `json:"data_subject"`
	Purposes      []string   `json:"purposes" validate:"required,min=1,max=64,unique,dive,required,max=64"`
	Channels      []string   `json:"channels" validate:"required,min=1,max=64,unique,dive,required,max=32"`
	NoticeVersion string     `json:"notice_version" validate:"max=64"`
	Source        string     `json:"source" validate:"required,max=64"`
	Actor         string     `json:"actor" validate:"omitempty,oneof=data_subject guardian agent"`
	Language      string     `json:"language" validate:"max=35"`
	EvidenceRef   string     `json:"evidence_ref" validate:"max=128"`
	Jurisdiction  string     `json:"jurisdiction" validate:"max=32"`
	EffectiveAt   string     `json:"effective_at" validate:"max=40"`
}

func (r *withdrawRequest) check() []fieldProblem {
	faults := r.DataSubject.check()
	if _, ok := instant(r.EffectiveAt); !ok {
		faults = append(faults, fieldProblem{"/effective_at", wantInstant})
	}
	return faults
}

func withdrawConsents(ctx context.Context, c *call, request *withdrawRequest) (withdrawAnswer, error) {
	withdrawer := c.server.services.Withdrawer
	if withdrawer == nil {
		return withdrawAnswer{}, refuse(unavailable)
	}
	effectiveAt, _ := instant(request.EffectiveAt)
	w := consent.Withdrawal{
		Purposes: convert[privacy.Purpose](request.Purposes), Channels: convert[privacy.Channel](request.Channels),
		NoticeVersion: request.NoticeVersion, Source: request.Source, Actor: consent.Actor(request.Actor), Language: request.Language,
		EvidenceRef: request.EvidenceRef, Jurisdiction: privacy.Jurisdiction(request.Jurisdiction), EffectiveAt: effectiveAt,
	}
	var err error
	if w.DataSubject, err = c.find(ctx, request.DataSubject.ref()); err != nil {
		return withdrawAnswer{}, err
	}
	receipt, err := withdrawer.WithdrawAll(ctx, c.principal, w)
	if err == nil && receipt.IsZero() {
		err = errors.New("consents were withdrawn without evidence")
	}
	return withdrawAnswer(receipt), err
}

type withdrawAnswer consent.Receipt

func (a withdrawAnswer) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	b = appendString(appendKey(b, "consent_token"), a.Token.String())
	b = appendLog(appendKey(b, "log"), a.Receipt)
	return append(b, '}'), nil
}

type linkRequest struct {
	DataSubject refRequest `json:"data_subject"`
	Purposes    []string   `json:"purposes" validate:"required,min=1,max=64,unique,dive,required,max=64"`
	Channels    []string   `json:"channels" validate:"required,min=1,max=64,unique,dive,required,max=32"`
	Language    string     `json:"language" validate:"omitempty,oneof=en tr cs"`
	Days        int        `json:"days" validate:"min=0,max=3650"`
}

func (r *linkRequest) check() []fieldProblem { return r.DataSubject.check() }

func makeLink(ctx context.Context, c *call, request *linkRequest) (linkAnswer, error) {
	links := c.server.services.Links
	if links == nil {
		return linkAnswer{}, refuse(unavailable)
	}
	order := link.Order{
		Purposes: convert[privacy.Purpose](request.Purposes), Channels: convert[privacy.Channel](request.Channels),
		Language: request.Language, Life: time.Duration(request.Days) * 24 * time.Hour,
	}
	var err error
	if order.DataSubject, err = c.find(ctx, request.DataSubject.ref()); err != nil {
		return linkAnswer{}, err
	}
	made, err := links.Make(ctx, c.principal, order)
	return linkAnswer(made), err
}

// oneClick is what a mail program sends, and says before it does (RFC 8058).
const (
	oneClickField = "List-Unsubscribe"
	oneClickValue = "One-Click"
)

type linkAnswer link.Made

func (a linkAnswer) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	url := a.URL.RevealPersonalData()
	b = appendString(appendKey(b, "url"), url)
	b = appendInstant(b, "expires_at", a.ExpiresAt)
	b = append(appendKey(b, "headers"), '{')
	b = appendString(appendKey(b, oneClickField), "<"+url+">")
	b = appendString(appendKey(b, oneClickField+"-Post"), oneClickField+"="+oneClickValue)
	return append(b, '}', '}'), nil
}
