package gate

import (
	"context"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// meeting is a decision with what was read for it.
type meeting struct {
	decision
	person   *sealedPerson
	snapshot Snapshot
	// damaged is whether something that was read does not open.
	damaged bool
}

// hidden reports whether the caller is to be told that there is no such person.
func (m *meeting) hidden() bool {
	return !m.state.known && m.principal.MayKnowWhetherPersonExists()
}

// settle notes that nothing was decided after the person's key had been opened, so that a
// use of it is either in the log or known to have come to nothing.
func (m *meeting) settle(v *vault.Vault, logged bool) {
	if !logged && !m.subject.Unknown {
		v.Abandoned(vault.UseQuery)
	}
}

// meet finds the person and reads what a decision needs, in one round trip.
func (g *Gate) meet(ctx context.Context, s *sheet, principal privacy.Principal, r *request,
	loadQuery func(*sheet, privacy.Principal, *request, privacy.DataSubjectID) LoadQuery,
) (*meeting, error) {
	names, id, err := g.find(ctx, principal, r)
	if err != nil {
		return nil, err
	}
	m := &meeting{decision: decision{sheet: s, principal: principal, request: r}}
	if m.snapshot, err = g.store.Load(ctx, loadQuery(s, principal, r, id)); err != nil {
		return nil, fmt.Errorf("asking: %w", err)
	}
	snapshot := &m.snapshot
	if r.hasToken && snapshot.LogSize <= r.token.Index() {
		return nil, unavailable("asking a state older than the consent token")
	}
	m.state = state{
		known: snapshot.Known && !id.IsZero(), jurisdiction: snapshot.Jurisdiction, restricted: snapshot.Restricted,
		consents: snapshot.Consents, at: snapshot.At,
	}
	if g.config.Now != nil {
		m.state.at = g.config.Now()
	}
	m.state.consents = r.heed(s, &m.state)
	m.state.handled = snapshot.Case.IsOpen(m.state.at)
	m.shared = func(ctx context.Context, label policies.PersonaID) bool { return g.crowd.shared(ctx, s, label) }
	m.subject = audit.Subject{Unknown: true}
	if !m.state.known {
		return m, nil
	}
	if m.person, err = g.open(&m.decision, s, snapshot, id); err != nil {
		m.damaged = true
		return m, nil
	}
	if names != nil {
		text, err := names.Of(id)
		if err != nil {
			m.settle(g.vault, false)
			return nil, fmt.Errorf("asking: %w", err)
		}
		m.pseudonym = string(text)
	}
	m.tie = func(key string) uint64 { return g.vault.TieBreak(id, key) }
	return m, nil
}
