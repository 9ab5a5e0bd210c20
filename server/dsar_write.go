package server

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// openedRequest is what a caller is told of a request that it has opened. A service is
// told nothing that depends on whether the person is known: not whether somebody else has
// the same request open already, which two identifiers of one person would show, and dates
// that follow from what the service itself has said.
type openedRequest struct {
	dsar.Opened
	to privacy.Role
	at time.Time
}

func (o openedRequest) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	if o.to == privacy.RoleService {
		b = appendString(appendKey(b, "request"), o.ID.String())
		b = appendString(appendKey(b, "kind"), string(o.Kind))
		b = appendString(appendKey(b, "status"), "open")
		b = appendInstant(b, "received_at", o.ReceivedAt)
		b = appendInstant(b, "acknowledge_by", o.AcknowledgeBy)
		b = appendInstant(b, "due_at", o.DueAt)
	} else {
		b = appendRequest(b, &o.Request, o.at)
	}
	b = appendLog(appendKey(b, "log"), o.Receipt)
	return append(b, '}'), nil
}

// takenStep is a request after a step.
type takenStep struct {
	dsar.Request
	receipt audit.Receipt
	to      privacy.Role
	at      time.Time
}

func (s takenStep) appendJSON(b []byte) ([]byte, error) {
	b = append(b, '{')
	if s.to == privacy.RoleService {
		b = appendStatus(b, &dsar.Status{ID: s.ID, Kind: s.Kind, Closed: s.State.Closed(), ReceivedAt: s.ReceivedAt, ClosedAt: s.ClosedAt})
	} else {
		b = appendRequest(b, &s.Request, s.at)
	}
	b = appendLog(appendKey(b, "log"), s.receipt)
	return append(b, '}'), nil
}

type polledRequest dsar.Status

func (p polledRequest) appendJSON(b []byte) ([]byte, error) {
	return append(appendStatus(append(b, '{'), (*dsar.Status)(&p)), '}'), nil
}

func appendStatus(b []byte, s *dsar.Status) []byte {
	status := "open"
	if s.Closed {
		status = "closed"
	}
	b = appendString(appendKey(b, "request"), s.ID.String())
	b = appendString(appendKey(b, "kind"), string(s.Kind))
	b = appendString(appendKey(b, "status"), status)
	b = appendInstant(b, "received_at", s.ReceivedAt)
	return appendInstant(b, "closed_at", s.ClosedAt)
}

// appendInstant appends a time under a name, and nothing for the zero time.
func appendInstant(b []byte, name string, at time.Time) []byte {
	if at.IsZero() {
		return b
	}
	b = append(appendKey(b, name), '"')
	return append(at.UTC().AppendFormat(b, time.RFC3339), '"')
}

// appendRequest appends the members of a request as officers and auditors see them.
func appendRequest(b []byte, r *dsar.Request, at time.Time) []byte {
	person := "unknown"
	switch {
	case !r.ErasedAt.IsZero():
		person = "erased"
	case !r.DataSubject.IsZero():
		person = "known"
	}
	for _, member := range [...]struct{ name, value string }{
		{"request", r.ID.String()},
		{"kind", string(r.Kind)},
		{"state", string(r.State)},
		{"person", person},
		{"regime", r.Regime},
		{"jurisdiction", string(r.Jurisdiction)},
		{"language", r.Language},
		{"received_via", string(r.Via)},
	} {
		b = appendString(appendKey(b, member.name), member.value)
	}
	for _, moment := range [...]struct {
		name string
		at   time.Time
	}{
		{"received_at", r.ReceivedAt},
		{"acknowledge_by", r.AcknowledgeBy},
		{"due_at", r.DueAt},
		{"extended_at", r.ExtendedAt},
		{"paused_at", r.PausedAt},
		{"verified_at", r.VerifiedAt},
		{"erased_at", r.ErasedAt},
		{"closed_at", r.ClosedAt},
	} {
		b = appendInstant(b, moment.name, moment.at)
	}
	if days, due := r.DaysLeft(at); due {
		b = appendInt(appendKey(b, "days_left"), int64(days))
	}
	if r.Denial != "" {
		b = appendString(appendKey(b, "denial_reason"), string(r.Denial))
		if article, ok := r.Denial.Article(r.Regime, r.Kind); ok {
			b = appendString(appendKey(b, "denial_article"), article)
		}
	}
	b = appendComplaint(b, r)
	if r.DuplicateOf != (dsar.RequestID{}) {
		b = appendString(appendKey(b, "duplicate_of"), r.DuplicateOf.String())
	}
	return appendInt(appendKey(b, "version"), r.Version)
}

type shownRequest dsar.Shown

func (s shownRequest) appendJSON(b []byte) ([]byte, error) {
	b = appendRequest(append(b, '{'), &s.Request, s.At)
	b = append(appendKey(b, "duplicates"), '[')
	for i, id := range s.Duplicates {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, id.String())
	}
	b = append(b, ']')
	if s.Opened {
		b = append(appendKey(b, "contents"), '{')
		b = appendString(appendKey(b, "contact"), s.Contents.Contact.RevealPersonalData())
		b = appendString(appendKey(b, "text"), s.Contents.Text.RevealPersonalData())
		b = append(appendKey(b, "identifiers"), '[')
		for i, identifier := range s.Contents.Identifiers {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(appendKey(append(b, '{'), "kind"), string(identifier.Kind))
			b = append(appendString(appendKey(b, "value"), identifier.Value.RevealPersonalData()), '}')
		}
		b = append(b, ']', '}')
	}
	b = append(appendKey(b, "steps"), '[')
	for i := range s.Steps {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendStep(b, &s.Steps[i])
	}
	b = append(b, ']')
	if s.Opened {
		b = appendLog(appendKey(b, "shown"), s.Receipt)
	}
	return append(b, '}'), nil
}

func appendStep(b []byte, s *dsar.ShownStep) []byte {
	b = strconv.AppendInt(appendKey(append(b, '{'), "step"), s.Number, 10)
	b = appendString(appendKey(b, "action"), string(s.Action))
	b = appendString(appendKey(b, "state"), string(s.To))
	b = appendInstant(b, "at", s.At)
	b = appendString(appendKey(b, "by_actor"), hex.EncodeToString(s.By[:]))
	for _, word := range [...]struct{ name, value string }{
		{"ground", s.Detail.Ground},
		{"extension_reason", s.Detail.Extension},
		{"proof", s.Detail.Proof},
		{"evidence", s.Detail.Evidence},
		{"note", s.Detail.Note.RevealPersonalData()},
	} {
		if word.value != "" {
			b = appendString(appendKey(b, word.name), word.value)
		}
	}
	return append(b, '}')
}

type queuePage dsar.Page

func (p queuePage) appendJSON(b []byte) ([]byte, error) {
	b = append(appendKey(append(b, '{'), "totals"), '{')
	b = appendInt(appendKey(b, "open"), p.Totals.Open)
	b = appendInt(appendKey(b, "overdue"), p.Totals.Overdue)
	b = append(appendInt(appendKey(b, "waiting"), p.Totals.Waiting), '}')
	b = append(appendKey(b, "requests"), '[')
	for i := range p.Requests {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendRequest(append(b, '{'), &p.Requests[i], p.At), '}')
	}
	b = append(b, ']')
	if p.More {
		b = appendString(appendKey(b, "next"), p.Requests[len(p.Requests)-1].ID.String())
	}
	return append(b, '}'), nil
}
