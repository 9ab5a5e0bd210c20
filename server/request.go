package server

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-playground/validator/v10"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// The request bodies. Tags say what can be said about one field alone; whether a
// purpose or an attribute exists is the catalogue's to say, behind the gate.

type queryRequest struct {
	DataSubject  refRequest      `json:"data_subject"`
	Purpose      string          `json:"purpose" validate:"required,max=64"`
	Channel      string          `json:"channel" validate:"required,max=32"`
	Attributes   []string        `json:"attributes" validate:"required,min=1,max=64"`
	Trigger      *triggerRequest `json:"trigger"`
	ConsentToken string          `json:"consent_token" validate:"max=64"`
	Case         string          `json:"case" validate:"max=64"`
	Signals      *signalsRequest `json:"signals"`
}

type refRequest struct {
	Pseudonym  string             `json:"pseudonym" validate:"max=128"`
	Identifier *identifierRequest `json:"identifier"`
}

type identifierRequest struct {
	Kind  string `json:"kind" validate:"oneof=email phone customer_number cookie_id"`
	Value string `json:"value" validate:"required,max=320"`
}

type triggerRequest struct {
	OccurredAt string `json:"occurred_at" validate:"required,max=40"`
}

type consentRequest struct {
	DataSubject   refRequest `json:"data_subject"`
	ID            string     `json:"id" validate:"max=36"`
	Action        string     `json:"action" validate:"oneof=granted renewed refused withdrawn objected guardian_granted guardian_withdrawn"`
	Purpose       string     `json:"purpose" validate:"required,max=64"`
	Channel       string     `json:"channel" validate:"required,max=32"`
	LegalBasis    string     `json:"legal_basis" validate:"omitempty,oneof=consent contract legal_obligation vital_interests public_task legitimate_interests"`
	Explicit      bool       `json:"explicit"`
	Categories    []string   `json:"categories" validate:"max=32,unique,dive,required,max=64"`
	NoticeVersion string     `json:"notice_version" validate:"max=64"`
	Source        string     `json:"source" validate:"required,max=64"`
	Incentive     bool       `json:"incentive"`
	Actor         string     `json:"actor" validate:"omitempty,oneof=data_subject guardian agent"`
	Verified      bool       `json:"guardian_verified"`
	Language      string     `json:"language" validate:"max=35"`
	EvidenceRef   string     `json:"evidence_ref" validate:"max=128"`
	Jurisdiction  string     `json:"jurisdiction" validate:"max=32"`
	EffectiveAt   string     `json:"effective_at" validate:"max=40"`
	ValidUntil    string     `json:"valid_until" validate:"max=40"`
	Receipt       string     `json:"receipt" validate:"omitempty,oneof=iso27560 kantara"`
}

type reidentifyRequest struct {
	Recipient string `json:"recipient" validate:"required,max=64"`
	Pseudonym string `json:"pseudonym" validate:"required,max=128"`
	Purpose   string `json:"purpose" validate:"required,max=64"`
}

// instant reads a time (RFC 3339). The empty text is the zero time.
func instant(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	at, err := time.Parse(time.RFC3339, text)
	return at.UTC(), err == nil
}

const wantInstant = "must be a time such as 2026-03-01T12:00:00Z"

func (r *refRequest) check() []fieldProblem {
	if (r.Pseudonym == "") == (r.Identifier == nil) {
		return []fieldProblem{{"/data_subject", "must have either a pseudonym or an identifier"}}
	}
	return nil
}

// key is equal for two that name the person in the same way.
func (r *refRequest) key() string {
	if r.Identifier == nil {
		return r.Pseudonym
	}
	return r.Identifier.Kind + " " + r.Identifier.Value
}

func (r *refRequest) ref() gate.Ref {
	ref := gate.Ref{Pseudonym: r.Pseudonym}
	if r.Identifier != nil {
		ref.Identifier = privacy.Identifier{Kind: privacy.IdentifierKind(r.Identifier.Kind), Value: privacy.NewPlain(r.Identifier.Value)}
	}
	return ref
}

func (r *queryRequest) check() []fieldProblem {
	faults := r.DataSubject.check()
	// By hand, because this runs for every query and tags about lists are slow.
	for i, name := range r.Attributes {
		switch {
		case name == "":
			faults = append(faults, fieldProblem{"/attributes/" + strconv.Itoa(i), "must not be empty"})
		case slices.Contains(r.Attributes[:i], name):
			faults = append(faults, fieldProblem{"/attributes/" + strconv.Itoa(i), "is named twice"})
		}
	}
	if r.Trigger != nil {
		if _, ok := instant(r.Trigger.OccurredAt); !ok {
			faults = append(faults, fieldProblem{"/trigger/occurred_at", wantInstant})
		}
	}
	return faults
}

func (r *queryRequest) query() gate.Query {
	query := gate.Query{
		DataSubject: r.DataSubject.ref(), Purpose: privacy.Purpose(r.Purpose), Channel: privacy.Channel(r.Channel),
		Attributes: convert[privacy.AttributeName](r.Attributes), ConsentToken: r.ConsentToken, Case: r.Case,
	}
	if r.Trigger != nil {
		at, _ := instant(r.Trigger.OccurredAt)
		query.Trigger = &gate.Trigger{OccurredAt: at}
	}
	return query
}

func (r *consentRequest) check() []fieldProblem {
	faults := r.DataSubject.check()
	if _, err := consent.ParseID(r.ID); r.ID != "" && err != nil {
		faults = append(faults, fieldProblem{"/id", "must be a UUID such as 6f1c2d3e-4f50-4172-8394-a5b6c7d8e9f0"})
	}
	if _, ok := instant(r.EffectiveAt); !ok {
		faults = append(faults, fieldProblem{"/effective_at", wantInstant})
	}
	if _, ok := instant(r.ValidUntil); !ok {
		faults = append(faults, fieldProblem{"/valid_until", wantInstant})
	}
	return faults
}

// change leaves out the person, who has to be found first.
func (r *consentRequest) change() consent.Change {
	effectiveAt, _ := instant(r.EffectiveAt)
	validUntil, _ := instant(r.ValidUntil)
	id, _ := consent.ParseID(r.ID)
	return consent.Change{
		ID: id, Actor: consent.Actor(r.Actor), GuardianVerified: r.Verified, Language: r.Language, EvidenceRef: r.EvidenceRef,
		Jurisdiction: privacy.Jurisdiction(r.Jurisdiction),
		Purpose:      privacy.Purpose(r.Purpose), Channel: privacy.Channel(r.Channel), Basis: privacy.LegalBasis(r.LegalBasis),
		Explicit: r.Explicit, Categories: convert[privacy.DataCategory](r.Categories), NoticeVersion: r.NoticeVersion,
		Source: r.Source, Incentive: r.Incentive, EffectiveAt: effectiveAt, ValidUntil: validUntil,
	}
}

func convert[T ~string](list []string) []T {
	out := make([]T, len(list))
	for i, s := range list {
		out[i] = T(s)
	}
	return out
}

// rules checks the tags of a request.
type rules struct{ validate *validator.Validate }

func newRules() *rules {
	validate := validator.New(validator.WithRequiredStructEnabled())
	validate.RegisterTagNameFunc(func(field reflect.StructField) string {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		return name
	})
	return &rules{validate: validate}
}

// check returns what is wrong, with pointers, in the order of the fields.
func (r *rules) check(request any) []fieldProblem {
	err := r.validate.Struct(request)
	if err == nil {
		return nil
	}
	found, ok := err.(validator.ValidationErrors)
	if !ok {
		panic("server: request type that cannot be validated")
	}
	faults := make([]fieldProblem, len(found))
	for i, fault := range found {
		faults[i] = fieldProblem{pointerOf(fault.Namespace()), reasonOf(fault)}
	}
	return faults
}

// pointerOf turns queryRequest.attributes[2] into /attributes/2.
func pointerOf(namespace string) string {
	_, path, _ := strings.Cut(namespace, ".")
	return "/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(path)
}

// reasonOf says what would be right. It never sees the value.
func reasonOf(fault validator.FieldError) string {
	switch fault.Tag() {
	case "required":
		return "must be there and not be empty"
	case "oneof":
		return "must be one of " + strings.ReplaceAll(fault.Param(), " ", ", ")
	case "unique":
		return "must not name anything twice"
	case "min", "max":
		word := map[string]string{"min": "at least ", "max": "at most "}[fault.Tag()]
		what := " characters"
		if fault.Kind() == reflect.Slice {
			what = " entries"
		}
		if _, err := strconv.Atoi(fault.Param()); err == nil {
			return "must have " + word + fault.Param() + what
		}
	}
	return "is not as the contract says"
}
