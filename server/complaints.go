package server

import (
	"context"
	"errors"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/letter"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// LetterWriter writes what a person is told about a request, in the name of the controller.
type LetterWriter interface {
	// Write returns the letter as text, or an error that wraps [privacy.ErrNotFound] if
	// nobody has said who the controller is.
	Write(kind letter.Kind, r *dsar.Request) (string, error)
}

type complaintRequest struct {
	Category     string              `json:"category" validate:"required,max=64"`
	Jurisdiction string              `json:"jurisdiction" validate:"required,max=8"`
	Language     string              `json:"language" validate:"oneof=en tr cs"`
	DataSubject  *pseudonymRequest   `json:"data_subject"`
	Identifiers  []identifierRequest `json:"identifiers" validate:"max=8,dive"`
	Contact      string              `json:"contact" validate:"max=320"`
	Text         string              `json:"text" validate:"max=8000"`
	ReceivedAt   string              `json:"received_at" validate:"max=40"`
}

// pseudonymRequest names a person as a recipient knows them.
type pseudonymRequest struct {
	Pseudonym string `json:"pseudonym" validate:"required,max=128"`
}

func (r *complaintRequest) check() []fieldProblem {
	var faults []fieldProblem
	if (r.DataSubject == nil) == (len(r.Identifiers) == 0) {
		faults = append(faults, fieldProblem{"/identifiers", "must name the person, unless data_subject does by a pseudonym"})
	}
	if _, ok := instant(r.ReceivedAt); !ok {
		faults = append(faults, fieldProblem{"/received_at", wantInstant})
	}
	return faults
}

// fileComplaint answers POST /v1/complaints. A complaint needs no proof of anything, and its
// acknowledgement says nothing of what is known.
func fileComplaint(ctx context.Context, c *call, request *complaintRequest) (filedComplaint, error) {
	desk := c.server.services.Requests
	if desk == nil {
		return filedComplaint{}, refuse(unavailable)
	}
	received, _ := instant(request.ReceivedAt)
	opening := dsar.Opening{
		Kind: dsar.Complaint, Category: dsar.Category(request.Category), Jurisdiction: privacy.Jurisdiction(request.Jurisdiction),
		Language: request.Language, Contact: privacy.NewPlain(request.Contact), Text: privacy.NewPlain(request.Text),
		Via: dsar.ViaAPI, ReceivedAt: received,
	}
	for _, i := range request.Identifiers {
		opening.Identifiers = append(opening.Identifiers, privacy.Identifier{Kind: privacy.IdentifierKind(i.Kind), Value: privacy.NewPlain(i.Value)})
	}
	if request.DataSubject != nil {
		var err error
		if opening.DataSubject, err = c.find(ctx, gate.Ref{Pseudonym: request.DataSubject.Pseudonym}); err != nil {
			return filedComplaint{}, err
		}
	}
	opened, err := desk.Open(ctx, c.principal, opening)
	if err != nil {
		return filedComplaint{}, err
	}
	if opened.Receipt.IsZero() || opened.Number.IsZero() {
		return filedComplaint{}, errors.New("a complaint was filed without evidence or without a number")
	}
	filed := filedComplaint{openedRequest: openedRequest{opened, c.principal.Role, c.server.config.Now()}}
	if c.server.services.Letters != nil {
		// The complaint is recorded: that no letter can be written is no reason to say that it
		// is not.
		text, err := c.server.services.Letters.Write(letter.Acknowledge, &opened.Request)
		if err != nil && !errors.Is(err, privacy.ErrNotFound) {
			c.server.config.Log.Warn("writing an acknowledgement", "error", err)
		}
		filed.acknowledgement = text
	}
	return filed, nil
}

// filedComplaint is what a caller is told of a complaint: a service nothing that depends on
// whether the person is known.
type filedComplaint struct {
	openedRequest
	// acknowledgement is the letter to hand over; empty: there is none.
	acknowledgement string
}

func (f filedComplaint) appendJSON(b []byte) ([]byte, error) {
	b, err := f.openedRequest.appendJSON(b)
	if err != nil {
		return b, err
	}
	b = b[:len(b)-1] // more comes
	if f.to == privacy.RoleService {
		b = appendComplaint(b, &f.Request)
	}
	b = appendString(appendKey(b, "category_title"), letter.CategoryTitle(f.Language, f.Category))
	if f.acknowledgement != "" {
		b = appendString(appendKey(b, "acknowledgement"), f.acknowledgement)
	}
	return append(b, '}'), nil
}

// appendComplaint appends what only a complaint has, and nothing for another request.
func appendComplaint(b []byte, r *dsar.Request) []byte {
	if r.Number.IsZero() {
		return b
	}
	b = appendString(appendKey(b, "complaint"), r.Number.String())
	b = appendString(appendKey(b, "category"), string(r.Category))
	if r.Outcome != "" {
		b = appendString(appendKey(b, "outcome"), string(r.Outcome))
	}
	return b
}
