package pseudonym_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

type people map[privacy.DataSubjectID]bool

func (p people) AuditSubject(_ context.Context, id privacy.DataSubjectID) (audit.Subject, error) {
	if !p[id] {
		return audit.Subject{}, fmt.Errorf("reading person: %w", privacy.ErrNotFound)
	}
	return audit.Subject{ID: id}, nil
}

type decider struct {
	decision pseudonym.Decision
	err      error
}

func (d decider) DecideReidentification(context.Context, pseudonym.Question) (pseudonym.Decision, error) {
	return d.decision, d.err
}

type memoryLog struct {
	events []audit.Event
	err    error
	silent bool
}

func (l *memoryLog) Append(_ context.Context, event audit.Event) (audit.Receipt, error) {
	if l.err != nil || l.silent {
		return audit.Receipt{}, l.err
	}
	l.events = append(l.events, event)
	return audit.Committed([16]byte{1}, [32]byte{1}, uint64(len(l.events))), nil
}

func TestReidentify(t *testing.T) {
	t.Parallel()
	shop, other := mustNew(t, "shop", mustKeys(t)), mustNew(t, "other", mustKeys(t))
	known, erased := mustID(t), mustID(t)
	dpo := privacy.Principal{ID: "dpo@example", Role: privacy.RoleDPO}
	allow := decider{decision: pseudonym.Decision{Allow: true, Policy: audit.Digest{7}, Facts: audit.Digest{8}}}
	tests := map[string]struct {
		principal privacy.Principal
		text      pseudonym.Pseudonym
		decider   decider
		log       memoryLog
		want      error
		kind      audit.Kind
		checks    []string
	}{
		"allowed":       {principal: dpo, text: mustOf(t, shop, known), decider: allow, kind: audit.PersonReidentified},
		"policy denies": {principal: dpo, text: mustOf(t, shop, known), decider: decider{decision: pseudonym.Decision{Checks: []string{"x"}}}, want: privacy.ErrForbidden, kind: audit.ReidentifyDenied, checks: []string{"x"}},
		"policy fails":  {principal: dpo, text: mustOf(t, shop, known), decider: decider{decision: allow.decision, err: privacy.ErrUnavailable}, want: privacy.ErrUnavailable, kind: audit.ReidentifyDenied, checks: []string{"reidentify.policy_decides"}},
		"service":       {principal: privacy.Principal{ID: "s", Role: privacy.RoleService, Recipient: "shop"}, text: mustOf(t, shop, known), decider: allow, want: privacy.ErrForbidden, kind: audit.ReidentifyDenied, checks: []string{"reidentify.role_is_dpo"}},
		"auditor":       {principal: privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, text: mustOf(t, shop, known), decider: allow, want: privacy.ErrForbidden, kind: audit.ReidentifyDenied, checks: []string{"reidentify.role_is_dpo"}},
		"nameless dpo":  {principal: privacy.Principal{Role: privacy.RoleDPO}, text: mustOf(t, shop, known), decider: allow, want: privacy.ErrForbidden, kind: audit.ReidentifyDenied, checks: []string{"reidentify.role_is_dpo"}},
		"malformed":     {principal: dpo, text: "x", decider: allow, want: privacy.ErrInvalid, kind: audit.ReidentifyDenied, checks: []string{"reidentify.pseudonym_is_valid"}},
		"another's":     {principal: dpo, text: mustOf(t, other, known), decider: allow, want: privacy.ErrInvalid, kind: audit.ReidentifyDenied, checks: []string{"reidentify.pseudonym_is_valid"}},
		"erased":        {principal: dpo, text: mustOf(t, shop, erased), decider: allow, want: privacy.ErrNotFound, kind: audit.ReidentifyDenied, checks: []string{"reidentify.person_is_known"}},
		"log down":      {principal: dpo, text: mustOf(t, shop, known), decider: allow, log: memoryLog{err: privacy.ErrUnavailable}, want: privacy.ErrUnavailable},
		"log silent":    {principal: dpo, text: mustOf(t, shop, known), decider: allow, log: memoryLog{silent: true}, want: privacy.ErrUnavailable},
		"denial unlogged": {
			principal: privacy.Principal{ID: "s", Role: privacy.RoleService}, text: mustOf(t, shop, known), decider: allow,
			log: memoryLog{err: privacy.ErrUnavailable}, want: privacy.ErrUnavailable,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reidentifier, err := pseudonym.NewReidentifier(people{known: true}, test.decider, &test.log)
			if err != nil {
				t.Fatal(err)
			}
			id, receipt, err := reidentifier.Reidentify(t.Context(), test.principal, "fraud_investigation", shop, test.text)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if allowed := test.want == nil; allowed != (id == known) || (!allowed && !id.IsZero()) {
				t.Error("the person was told to the wrong caller")
			}
			if test.kind == "" {
				return
			}
			if len(test.log.events) != 1 || receipt.IsZero() {
				t.Fatalf("%d entries, want 1 and its receipt", len(test.log.events))
			}
			event := test.log.events[0]
			if event.Kind != test.kind || event.Recipient != "shop" || event.Principal != test.principal || !slices.Equal(event.Checks, test.checks) {
				t.Errorf("logged %v %v %v", event.Kind, event.Recipient, event.Checks)
			}
			if test.want == nil && (event.Policy != allow.decision.Policy || event.Facts != allow.decision.Facts || event.Subject.ID != known) {
				t.Error("the entry lacks what was decided by and about whom")
			}
			if event.Subject.Unknown && event.Subject.ID != (privacy.DataSubjectID{}) {
				t.Error("an unknown subject has an id")
			}
		})
	}
}
