package assembly

import (
	"context"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// ShowConsents implements [server.ConsentShower]. Who may record a yes to a purpose may know
// what was said about it; who may of a purpose of marketing, also what was said about all
// marketing, which binds it.
func (h *House) ShowConsents(ctx context.Context, by privacy.Principal, id privacy.DataSubjectID, moment consent.Moment) (consent.Statement, audit.Receipt, error) {
	statement, err := h.Consent.ShowAt(ctx, id, moment)
	if err != nil {
		return consent.Statement{}, audit.Receipt{}, err
	}
	switch by.Role {
	case privacy.RoleDPO:
	case privacy.RoleService:
		w := wordsOf(h.Engine)
		unknown := func(purpose privacy.Purpose) bool { return !w.mayKnow(by.Recipient, purpose) }
		statement.Records = slices.DeleteFunc(statement.Records, func(r consent.Record) bool { return unknown(r.Purpose) })
		statement.Standings = slices.DeleteFunc(statement.Standings, func(s consent.Standing) bool { return unknown(s.Purpose) })
	default:
		return consent.Statement{}, audit.Receipt{}, fmt.Errorf("showing consents: %w", privacy.ErrForbidden)
	}
	subject, err := h.People.AuditSubject(ctx, id)
	if err != nil {
		return consent.Statement{}, audit.Receipt{}, err
	}
	receipt, err := h.Log.Append(ctx, audit.Event{Kind: audit.PersonShown, Principal: by, Outcome: audit.Done, Subject: subject})
	if err != nil {
		return consent.Statement{}, audit.Receipt{}, fmt.Errorf("logging that consents were shown: %w", err)
	}
	return statement, receipt, nil
}

func (w words) mayKnow(recipient privacy.RecipientID, purpose privacy.Purpose) bool {
	if w.mayGrant(recipient, purpose) {
		return true
	}
	catalogue := w.engine.Revision().Catalogue()
	return purpose == policies.GeneralMarketing && slices.ContainsFunc(catalogue.Purposes(), func(id privacy.Purpose) bool {
		p, known := catalogue.Purpose(id)
		return known && p.Marketing && w.mayGrant(recipient, id)
	})
}
