package gate

import (
	"context"
	"errors"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault"
)

// channelOffice is the channel of acts inside the data protection office.
const channelOffice privacy.Channel = "office"

// Reidentification asks who stands behind a recipient's pseudonym.
type Reidentification struct {
	Recipient privacy.RecipientID
	Pseudonym string
	// Purpose is a catalogue purpose that orders re-identification, such as answering
	// the data subject's own request.
	Purpose privacy.Purpose
}

// Reidentified is the answer, for a data protection officer's eyes.
type Reidentified struct {
	DataSubject privacy.DataSubjectID
	Receipt     audit.Receipt
}

// Reidentify is the one way back from a pseudonym: for a data protection officer, for a
// purpose that orders it, allowed by the policies, and in the log before the answer
// exists. A refusal stands in the log too. Errors are those of
// [pseudonym.Reidentifier.Reidentify], and [privacy.FieldError].
func (g *Gate) Reidentify(ctx context.Context, principal privacy.Principal, request Reidentification) (Reidentified, error) {
	revision := g.engine.Revision()
	if revision == nil {
		return Reidentified{}, unavailable("reidentifying without an active policy")
	}
	if !g.sheets.of(revision).knowsPurpose(request.Purpose) {
		return Reidentified{}, refuse("/purpose", "is not in the catalogue")
	}
	names, err := g.pseudonyms.Of(request.Recipient)
	if errors.Is(err, privacy.ErrNotFound) {
		return Reidentified{}, refuse("/recipient", "has no pseudonyms")
	}
	if err != nil {
		return Reidentified{}, fmt.Errorf("reidentifying: %w", err)
	}
	way, err := pseudonym.NewReidentifier(g, g, g.log)
	if err != nil {
		return Reidentified{}, err
	}
	id, receipt, err := way.Reidentify(ctx, principal, request.Purpose, names, pseudonym.Pseudonym(request.Pseudonym))
	if err != nil {
		return Reidentified{}, err
	}
	return Reidentified{DataSubject: id, Receipt: receipt}, nil
}

var (
	_ pseudonym.Decider = (*Gate)(nil)
	_ pseudonym.People  = (*Gate)(nil)
)

// AuditSubject implements [pseudonym.People].
func (g *Gate) AuditSubject(ctx context.Context, id privacy.DataSubjectID) (audit.Subject, error) {
	snapshot, err := g.store.Load(ctx, LoadQuery{DataSubject: id})
	if err != nil {
		return audit.Subject{}, fmt.Errorf("finding person: %w", err)
	}
	if !snapshot.Known {
		return audit.Subject{}, fmt.Errorf("finding person: %w", privacy.ErrNotFound)
	}
	key, err := g.vault.OpenPersonKey(id, snapshot.WrappedKey, vault.UseEvidence)
	if err != nil {
		return audit.Subject{}, fmt.Errorf("finding person: %w", err)
	}
	return key.Subject(), nil
}

// DecideReidentification implements [pseudonym.Decider].
func (g *Gate) DecideReidentification(ctx context.Context, question pseudonym.Question) (pseudonym.Decision, error) {
	revision := g.engine.Revision()
	if revision == nil {
		return pseudonym.Decision{}, unavailable("deciding without an active policy")
	}
	s := g.sheets.of(revision)
	snapshot, err := g.store.Load(ctx, LoadQuery{
		DataSubject: question.DataSubject, Purposes: []privacy.Purpose{question.Purpose}, Channel: channelOffice,
		Records: []Slot{g.vault.Slot(question.DataSubject, categoryCore)},
	})
	if err != nil {
		return pseudonym.Decision{}, fmt.Errorf("deciding about reidentification: %w", err)
	}
	p := state{
		known: snapshot.Known, jurisdiction: snapshot.Jurisdiction, restricted: snapshot.Restricted,
		consents: snapshot.Consents, at: snapshot.At,
	}
	if g.config.Now != nil {
		p.at = g.config.Now()
	}
	if p.known {
		key, err := g.vault.OpenPersonKey(question.DataSubject, snapshot.WrappedKey, vault.UseReidentify)
		if err != nil {
			return pseudonym.Decision{}, fmt.Errorf("deciding about reidentification: %w", err)
		}
		person := &sealedPerson{vault: g.vault, key: key, snapshot: &snapshot}
		if p.core, err = person.record(categoryCore); err != nil {
			return pseudonym.Decision{}, fmt.Errorf("deciding about reidentification: %w", err)
		}
	}
	decision, m, err := p.decideReidentification(ctx, s, question.Principal, question.Purpose)
	if err != nil {
		return pseudonym.Decision{}, err
	}
	if err := g.keep(ctx, &audit.Event{Policy: decision.Policy, Facts: decision.Facts}, &m); err != nil {
		return pseudonym.Decision{}, fmt.Errorf("deciding about reidentification: %w", err)
	}
	return decision, nil
}

// reidentification asks the policies.
func (p *state) reidentification(ctx context.Context, s *sheet, principal privacy.Principal, purpose privacy.Purpose) (pseudonym.Decision, error) {
	decision, _, err := p.decideReidentification(ctx, s, principal, purpose)
	return decision, err
}

func (p *state) decideReidentification(ctx context.Context, s *sheet, principal privacy.Principal, purpose privacy.Purpose) (pseudonym.Decision, made, error) {
	f := policies.Facts{
		Action: policies.Reidentify, Role: principal.Role, Recipient: recipientOf(principal),
		Purpose: purpose, Channel: channelOffice, Reference: policies.ByPseudonym,
		Trigger: policies.NoTrigger, Case: policies.NoCase,
	}
	known, _ := s.catalogue.Purpose(purpose)
	p.describe(&f, s, known)
	plan, err := s.revision.Decide(ctx, f)
	if errors.Is(err, privacy.ErrUnavailable) {
		return pseudonym.Decision{}, made{}, fmt.Errorf("deciding about reidentification: %w", err)
	}
	if err != nil {
		return pseudonym.Decision{
			Checks: []string{CheckPolicy}, Policy: audit.Digest(s.digest), Facts: audit.Digest(f.Digest()),
		}, made{facts: f}, nil
	}
	return pseudonym.Decision{
		Allow: plan.Allow, Checks: plan.Failed, Policy: audit.Digest(s.digest), Facts: audit.Digest(f.Digest()),
	}, made{f, plan, true}, nil
}
