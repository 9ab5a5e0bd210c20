package server

import (
	"slices"
	"strings"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// What the entities of AuthZEN mean here: the subject is the recipient whose token it is,
// the action is what it wants to do and for which purpose, the resource is the profile of
// one person, by pseudonym. Consent, age and time are no business of the caller's and are
// not read from it.
const (
	subjectService    = "service"
	resourceProfile   = "profile"
	actionPersonalize = string(policies.Personalize)
	// obligationCustom is the obligation type of the AuthZEN obligations profile that
	// all of ours have: what is to be done stands in the properties.
	obligationCustom = "custom"
	maxWord          = 64
)

// asked is a question as it is being read.
type asked struct {
	gate.Question
	// types and actions are the obligations that the caller says it supports, by type
	// and by what is to be done. Nil: it says nothing.
	types, actions []string
}

// question reads the mahrem parts of an evaluation. What is missing or of another type
// is a fault, and the decision is no.
func (e *evaluationRequest) question(recipient privacy.RecipientID) (gate.Question, []fieldProblem) {
	var a asked
	var faults []fieldProblem
	no := func(pointer, reason string) { faults = append(faults, fieldProblem{pointer, reason}) }
	if e.subject.kind != subjectService {
		no("/subject/type", "must be "+subjectService)
	}
	if e.subject.id != string(recipient) {
		no("/subject/id", "must be the recipient for whom the token speaks")
	}
	if e.action.kind != actionPersonalize {
		no("/action/name", "must be "+actionPersonalize)
	}
	if e.resource.kind != resourceProfile {
		no("/resource/type", "must be "+resourceProfile)
	}
	for _, part := range [...]struct {
		data []byte
		at   string
		read func(a *asked, r *looseReader, key string) *fault
	}{
		{e.action.properties, "/action/properties", (*asked).readAction},
		{e.resource.properties, "/resource/properties", (*asked).readResource},
		{e.context, "/context", (*asked).readContext},
	} {
		if part.data == nil {
			continue
		}
		r := newLooseReader(part.data)
		if f := r.whole(func(key string) *fault { return part.read(&a, r, key) }); f != nil {
			no(part.at+f.pointer, f.reason)
		}
	}
	if a.Purpose == "" && len(faults) == 0 {
		no("/action/properties/purpose", "must name a purpose")
	}
	if a.Channel == "" && len(faults) == 0 {
		no("/context/channel", "must name a channel")
	}
	a.DataSubject.Pseudonym = e.resource.id
	switch {
	case a.types != nil && !slices.Contains(a.types, obligationCustom):
		a.Negotiated = true
	case a.actions != nil:
		a.Negotiated, a.Observes = true, convert[policies.ObligationID](a.actions)
	}
	return a.Question, faults
}

func (a *asked) readAction(r *looseReader, key string) *fault {
	if key != "purpose" {
		return nil
	}
	return keepWord(r, key, &a.Purpose)
}

func (a *asked) readResource(r *looseReader, key string) *fault {
	if key != "attributes" {
		return nil
	}
	return r.within(key, func() *fault {
		names, f := r.words(gate.MaxAttributes)
		if f == nil && len(names) == 0 {
			f = r.fault("must not be empty; leave it out to ask about all that the purpose admits")
		}
		a.Attributes = convert[privacy.AttributeName](names)
		return f
	})
}

func (a *asked) readContext(r *looseReader, key string) *fault {
	switch key {
	case "channel":
		return keepWord(r, key, &a.Channel)
	case "consent_token":
		return keepWord(r, key, &a.ConsentToken)
	case "case":
		return keepWord(r, key, &a.Case)
	case "require_all":
		return r.within(key, func() (f *fault) {
			a.RequireAll, f = r.yes()
			return f
		})
	case "trigger":
		return r.within(key, func() *fault { return r.object(func(key string) *fault { return a.readTrigger(r, key) }) })
	case "supported_obligations":
		return keepWords(r, key, &a.types)
	case "supported_custom_obligations":
		return keepWords(r, key, &a.actions)
	}
	return nil
}

func (a *asked) readTrigger(r *looseReader, key string) *fault {
	if key != "occurred_at" {
		return nil
	}
	return r.within(key, func() *fault {
		text, f := r.word()
		if f != nil {
			return f
		}
		at, ok := instant(text)
		if !ok || text == "" || len(text) > 40 {
			return r.fault(wantInstant)
		}
		a.Trigger = &gate.Trigger{OccurredAt: at}
		return nil
	})
}

func keepWord[T ~string](r *looseReader, key string, into *T) *fault {
	return r.within(key, func() *fault {
		word, f := r.word()
		if f == nil && (word == "" || len(word) > maxWord) {
			f = r.fault("must have 1 to 64 bytes")
		}
		*into = T(word)
		return f
	})
}

func keepWords(r *looseReader, key string, into *[]string) *fault {
	return r.within(key, func() (f *fault) {
		*into, f = r.words(maxWord)
		return f
	})
}

// placeOf turns the place of a fault in a query into the place in an evaluation.
func placeOf(pointer string) string {
	for _, place := range [...][2]string{
		{"/data_subject", "/resource/id"},
		{"/purpose", "/action/properties/purpose"},
		{"/attributes", "/resource/properties/attributes"},
		{"/channel", "/context/channel"},
		{"/consent_token", "/context/consent_token"},
		{"/trigger", "/context/trigger"},
		{"/case", "/context/case"},
	} {
		if rest, ok := strings.CutPrefix(pointer, place[0]); ok {
			if place[0] == "/data_subject" {
				rest = ""
			}
			return place[1] + rest
		}
	}
	return ""
}
