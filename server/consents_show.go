package server

import (
	"context"
	"errors"
	"strconv"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// ConsentShower shows what a person said and what it amounts to. It must tell a service only
// of purposes that the service may know of, and must log the showing before it returns.
type ConsentShower interface {
	ShowConsents(ctx context.Context, by privacy.Principal, id privacy.DataSubjectID, moment consent.Moment) (consent.Statement, audit.Receipt, error)
}

type consentShowRequest struct {
	DataSubject refRequest `json:"data_subject"`
	Time        string     `json:"time" validate:"max=40"`
	KnownAt     string     `json:"known_at" validate:"max=40"`
}

func (r *consentShowRequest) check() []fieldProblem {
	faults := r.DataSubject.check()
	if _, ok := instant(r.Time); !ok {
		faults = append(faults, fieldProblem{"/time", wantInstant})
	}
	if _, ok := instant(r.KnownAt); !ok {
		faults = append(faults, fieldProblem{"/known_at", wantInstant})
	}
	return faults
}

// showConsents answers POST /v1/consents:show. It changes nothing, and is no GET because no
// name of a person belongs in an address.
func showConsents(ctx context.Context, c *call, request *consentShowRequest) (shownConsents, error) {
	shower := c.server.services.Consents
	if shower == nil {
		return shownConsents{}, refuse(unavailable)
	}
	id, err := c.find(ctx, request.DataSubject.ref())
	if err != nil {
		return shownConsents{}, err
	}
	var moment consent.Moment
	moment.At, _ = instant(request.Time)
	moment.Known, _ = instant(request.KnownAt)
	statement, receipt, err := shower.ShowConsents(ctx, c.principal, id, moment)
	if err == nil && receipt.IsZero() {
		err = errors.New("consents were shown without evidence")
	}
	return shownConsents{statement, receipt, c.principal.Role}, err
}

type shownConsents struct {
	consent.Statement
	receipt audit.Receipt
	to      privacy.Role
}

func (s shownConsents) appendJSON(b []byte) ([]byte, error) {
	b = appendTime(appendKey(append(b, '{'), "time"), s.At)
	b = append(appendKey(b, "standings"), '[')
	for i := range s.Standings {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.appendStanding(b, &s.Standings[i])
	}
	b = append(appendKey(append(b, ']'), "records"), '[')
	for i := range s.Records {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.appendRecord(b, &s.Records[i])
	}
	b = appendLog(appendKey(append(b, ']'), "log"), s.receipt)
	return append(b, '}'), nil
}

// appendStanding tells a service nothing of when a state may change by itself: for a child
// that is a birthday. When a grant ends stands in its record.
func (s *shownConsents) appendStanding(b []byte, line *consent.Standing) []byte {
	b = appendString(appendKey(append(b, '{'), "purpose"), string(line.Purpose))
	b = appendString(appendKey(b, "channel"), string(line.Channel))
	b = appendString(appendKey(b, "state"), string(line.Current.State))
	if !line.Current.Since.IsZero() {
		b = appendTime(appendKey(b, "since"), line.Current.Since)
	}
	if !line.Current.Until.IsZero() && s.to == privacy.RoleDPO {
		b = appendTime(appendKey(b, "until"), line.Current.Until)
	}
	return append(b, '}')
}

// appendRecord leaves out for a service where the evidence is.
func (s *shownConsents) appendRecord(b []byte, r *consent.Record) []byte {
	b = appendString(appendKey(append(b, '{'), "consent_id"), consent.FormatID(r.ID))
	for _, field := range [...]struct{ name, value string }{
		{"purpose", string(r.Purpose)},
		{"channel", string(r.Channel)},
		{"action", string(r.Action)},
		{"legal_basis", string(r.Basis)},
		{"source", r.Source},
		{"actor", string(r.Actor)},
	} {
		b = appendString(appendKey(b, field.name), field.value)
	}
	b = strconv.AppendBool(appendKey(b, "explicit"), r.Explicit)
	b = strconv.AppendBool(appendKey(b, "incentive"), r.Incentive)
	b = strconv.AppendBool(appendKey(b, "guardian_verified"), r.GuardianVerified)
	b = appendStrings(appendKey(b, "categories"), r.Categories)
	evidence := ""
	if s.to == privacy.RoleDPO {
		evidence = r.EvidenceRef
	}
	for _, field := range [...]struct{ name, value string }{
		{"notice_version", r.NoticeVersion},
		{"language", r.Language},
		{"jurisdiction", string(r.Jurisdiction)},
		{"evidence_ref", evidence},
	} {
		if field.value != "" {
			b = appendString(appendKey(b, field.name), field.value)
		}
	}
	b = appendTime(appendKey(b, "effective_at"), r.EffectiveAt)
	b = appendTime(appendKey(b, "recorded_at"), r.RecordedAt)
	if !r.ValidUntil.IsZero() {
		b = appendTime(appendKey(b, "valid_until"), r.ValidUntil)
	}
	return append(b, '}')
}
