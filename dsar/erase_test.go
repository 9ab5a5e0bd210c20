package dsar_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// store answers as it is told and keeps what it was asked. The real one is tested in
// package postgres, with the database.
type store struct {
	subject    audit.Subject
	subjectErr error
	counts     dsar.Counts
	receipt    audit.Receipt
	eraseErr   error
	events     []audit.Event
}

func (s *store) AuditSubject(context.Context, privacy.DataSubjectID) (audit.Subject, error) {
	return s.subject, s.subjectErr
}

func (s *store) Erase(_ context.Context, _ privacy.DataSubjectID, event audit.Event) (dsar.Counts, audit.Receipt, error) {
	s.events = append(s.events, event)
	return s.counts, s.receipt, s.eraseErr
}

var (
	person  = privacy.DataSubjectID{1}
	subject = audit.Subject{ID: person, Blinding: audit.BlindingKey{2}}
	dpo     = privacy.Principal{ID: "dpo@example", Role: privacy.RoleDPO}
	receipt = audit.Committed([16]byte{1}, [32]byte{2}, 3)
)

func TestErase(t *testing.T) {
	t.Parallel()
	unknown := audit.Subject{Unknown: true}
	tests := map[string]struct {
		principal privacy.Principal
		store     store
		want      error
		subject   *audit.Subject // of the event that the store was given, if it was
		forgotten bool
	}{
		"erased":         {dpo, store{subject: subject, receipt: receipt}, nil, &subject, true},
		"key damaged":    {dpo, store{subjectErr: fmt.Errorf("opening: %w", privacy.ErrDamaged), receipt: receipt}, nil, &unknown, true},
		"key lost":       {dpo, store{subjectErr: privacy.ErrNotFound, receipt: receipt}, nil, &unknown, true},
		"nobody":         {dpo, store{subjectErr: privacy.ErrNotFound, eraseErr: privacy.ErrNotFound}, privacy.ErrNotFound, &unknown, false},
		"database down":  {dpo, store{subjectErr: privacy.ErrUnavailable}, privacy.ErrUnavailable, nil, false},
		"log down":       {dpo, store{subject: subject, eraseErr: privacy.ErrUnavailable}, privacy.ErrUnavailable, &subject, false},
		"no evidence":    {dpo, store{subject: subject}, privacy.ErrUnavailable, &subject, true},
		"auditor":        {privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, store{subject: subject, receipt: receipt}, privacy.ErrForbidden, nil, false},
		"service":        {privacy.Principal{ID: "s", Role: privacy.RoleService, Recipient: "shop"}, store{subject: subject, receipt: receipt}, privacy.ErrForbidden, nil, false},
		"ingest":         {privacy.Principal{ID: "i", Role: privacy.RoleIngest}, store{subject: subject, receipt: receipt}, privacy.ErrForbidden, nil, false},
		"nameless":       {privacy.Principal{Role: privacy.RoleDPO}, store{subject: subject, receipt: receipt}, privacy.ErrForbidden, nil, false},
		"nobody in role": {privacy.Principal{}, store{subject: subject, receipt: receipt}, privacy.ErrForbidden, nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forgotten := 0
			eraser, err := dsar.New(&test.store, dsar.Config{Forget: func(id privacy.DataSubjectID) {
				if id == person {
					forgotten++
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			result, err := eraser.Erase(t.Context(), test.principal, person)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil && result.Receipt != receipt || err != nil && result != (dsar.Result{}) {
				t.Errorf("result %+v", result)
			}
			if (forgotten == 1) != test.forgotten {
				t.Errorf("caches were told %d times", forgotten)
			}
			switch {
			case test.subject == nil && len(test.store.events) != 0:
				t.Error("the store was asked to erase")
			case test.subject != nil:
				event := test.store.events[0]
				if event.Kind != audit.PersonErased || event.Outcome != audit.Done || event.Principal != dpo || event.Subject != *test.subject {
					t.Errorf("the event says %s %s", event.Kind, event.Outcome)
				}
			}
		})
	}
	if _, err := dsar.New(nil, dsar.Config{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("an eraser without store: %v", err)
	}
}
