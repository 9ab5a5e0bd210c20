package certificate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/certificate"
	"github.com/mahrem/mahrem/privacy"
)

// shelf keeps certificates in memory. The real one is tested in package postgres.
type shelf struct {
	facts    certificate.Facts
	kept     [][]byte
	events   []audit.Event
	conflict int // how often somebody else comes first
	err      error
}

func (s *shelf) Facts(context.Context, certificate.ID) (certificate.Facts, error) {
	return s.facts, s.err
}

func (s *shelf) Latest(context.Context, certificate.ID) ([]byte, error) {
	if len(s.kept) == 0 {
		return nil, nil
	}
	return s.kept[len(s.kept)-1], nil
}

func (s *shelf) Add(_ context.Context, _ certificate.ID, c *certificate.Certificate, signed []byte, event audit.Event) error {
	if s.conflict > 0 {
		s.conflict--
		return fmt.Errorf("adding: %w", privacy.ErrConflict)
	}
	if c.Revision != int64(len(s.kept)+1) {
		return fmt.Errorf("adding revision %d", c.Revision)
	}
	s.kept, s.events = append(s.kept, signed), append(s.events, event)
	return nil
}

func (s *shelf) Due(_ context.Context, limit int) ([]certificate.ID, error) {
	return make([]certificate.ID, min(limit, 2)), nil
}

type prover struct {
	proof audit.Inclusion
	err   error
}

func (p prover) Prove(_ context.Context, index uint64) (audit.Inclusion, error) {
	if index != p.proof.Index {
		return audit.Inclusion{}, privacy.ErrNotFound
	}
	return p.proof, p.err
}

func issuer(t *testing.T, s *shelf, p prover) *certificate.Issuer {
	t.Helper()
	at := moment
	i, err := certificate.NewIssuer(s, p, signer(t, certificate.SignerName(origin), key), certificate.IssuerConfig{Now: func() time.Time {
		at = at.Add(time.Minute + 123*time.Microsecond)
		return at
	}})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestIssue(t *testing.T) {
	t.Parallel()
	c := sample(t)
	s := &shelf{facts: certificate.Facts{Request: c.Request, Erasure: c.Erasure, Withheld: c.Withheld, Processors: c.Processors}}
	p := prover{proof: audit.Inclusion{Leaf: []byte(c.Log.Leaf), Checkpoint: []byte(c.Log.Checkpoint)}}
	i := issuer(t, s, p)
	first, err := i.Issue(t.Context(), certificate.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := certificate.Verify(first, logKey(t))
	if err != nil || got.Revision != 1 {
		t.Fatalf("the first: %v", err)
	}
	if len(s.events) != 1 || s.events[0].Kind != audit.CertificateIssued || s.events[0].List == (audit.Digest{}) {
		t.Errorf("events %v", s.events)
	}

	// Nothing has changed: the same bytes, and no new entry.
	again, err := i.Issue(t.Context(), certificate.ID{1})
	if err != nil || !bytes.Equal(again, first) || len(s.kept) != 1 {
		t.Errorf("asked again: %v, %d kept", err, len(s.kept))
	}

	// A processor answers.
	s.facts.Processors = append([]certificate.Processor(nil), s.facts.Processors...)
	s.facts.Processors[1] = certificate.Processor{Name: "mail_house", Status: certificate.Completed, At: certificate.At(moment)}
	s.conflict = 2
	second, err := i.Issue(t.Context(), certificate.ID{1})
	if err != nil || len(s.kept) != 2 {
		t.Fatalf("after an answer: %v", err)
	}
	if got, _, err = certificate.Verify(second, logKey(t)); err != nil || got.Revision != 2 || got.Processors[1].Status != certificate.Completed {
		t.Errorf("the second: %v", err)
	}

	// What was withheld is gone: the day it was first found so stays.
	s.facts.Withheld = append([]certificate.Withheld(nil), s.facts.Withheld...)
	s.facts.Withheld[0].ErasedAt = certificate.At(moment.Add(time.Hour))
	if _, err = i.Issue(t.Context(), certificate.ID{1}); err != nil || len(s.kept) != 3 {
		t.Fatalf("after the ground ended: %v", err)
	}
	s.facts.Withheld[0].ErasedAt = certificate.At(moment.Add(2 * time.Hour))
	if _, err = i.Issue(t.Context(), certificate.ID{1}); err != nil || len(s.kept) != 3 {
		t.Errorf("a later look: %v, %d kept", err, len(s.kept))
	}
	if n, err := i.IssueDue(t.Context(), 10); n != 2 || err != nil {
		t.Errorf("issued %d, %v", n, err)
	}
}

func TestIssueFails(t *testing.T) {
	t.Parallel()
	c := sample(t)
	facts := certificate.Facts{Request: c.Request, Erasure: c.Erasure}
	good := prover{proof: audit.Inclusion{Leaf: []byte(c.Log.Leaf), Checkpoint: []byte(c.Log.Checkpoint)}}
	incomplete := facts
	incomplete.Erasure.Approvals = 0
	for name, test := range map[string]struct {
		store  *shelf
		prover prover
		want   error
	}{
		"no erasure":          {&shelf{err: privacy.ErrNotFound}, good, privacy.ErrNotFound},
		"log down":            {&shelf{facts: facts}, prover{proof: good.proof, err: privacy.ErrUnavailable}, privacy.ErrUnavailable},
		"nobody approved":     {&shelf{facts: incomplete}, good, privacy.ErrInvalid},
		"others for ever":     {&shelf{facts: facts, conflict: 99}, good, privacy.ErrUnavailable},
		"kept one is damaged": {&shelf{facts: facts, kept: [][]byte{[]byte("x")}}, good, privacy.ErrDamaged},
	} {
		signed, err := issuer(t, test.store, test.prover).Issue(t.Context(), certificate.ID{1})
		if signed != nil || !errors.Is(err, test.want) || len(test.store.events) != 0 {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if _, err := certificate.NewIssuer(nil, good, nil, certificate.IssuerConfig{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("an issuer of nothing: %v", err)
	}
}
