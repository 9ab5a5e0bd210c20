package gate

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// TestWhatCannotBeLoggedIsNotDecided: the gate has no store, no keys and no log, so that
// whatever is touched before the refusal would panic.
func TestWhatCannotBeLoggedIsNotDecided(t *testing.T) {
	t.Parallel()
	engine, err := policies.Open(t.Context(), policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	bare := New(nil, engine, nil, nil, nil, Config{Audiences: noAudiences{}})
	query := Query{
		DataSubject: Ref{Pseudonym: "p"}, Purpose: "recommendations", Channel: "web", Attributes: scenarioAttributes,
	}
	for _, recipient := range []privacy.RecipientID{"web shop", privacy.RecipientID(strings.Repeat("x", 200))} {
		principal := privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: recipient}
		if _, err := bare.Ask(t.Context(), principal, query); !errors.Is(err, privacy.ErrUnavailable) {
			t.Errorf("asking: %v", err)
		}
		if _, err := bare.Evaluate(t.Context(), principal, Question{Query: query}); !errors.Is(err, privacy.ErrUnavailable) {
			t.Errorf("evaluating: %v", err)
		}
		if _, err := bare.Audience(t.Context(), principal, AudienceQuery{Purpose: "recommendations", Channel: "web"}); !errors.Is(err, privacy.ErrUnavailable) {
			t.Errorf("asking for an audience: %v", err)
		}
	}

	s := newSheet(engine.Revision())
	principal := privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "web_shop"}
	if len(s.required) == 0 {
		t.Error("the rules require no check")
	}
	if err := s.fits(principal, "recommendations", "web", make([]*attribute, 128)); err != nil {
		t.Errorf("as many attributes as fit: %v", err)
	}
	field, ok := errors.AsType[*privacy.FieldError](s.fits(principal, "recommendations", "web", make([]*attribute, 129)))
	if !ok || field.Pointer != "/attributes" {
		t.Errorf("more attributes than fit: %v", field)
	}
	// Rules that can name more checks than fit.
	for i := range 64 {
		s.required = append(s.required, fmt.Sprintf("z%02d", i))
	}
	if err := s.fits(principal, "recommendations", "web", nil); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("more checks than fit: %v", err)
	}
}

type noAudiences struct{ AudienceStore }
