package assembly

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/fulfil"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// openFulfil opens the room in which what people ask for is carried out.
func (h *House) openFulfil() (err error) {
	h.Fulfil, err = fulfil.New(postgres.NewFulfilStore(h.DB, h.Log), h.Requests, h.Keys.Vault(), h.Log,
		func() *policies.Catalogue { return h.Engine.Revision().Catalogue() }, wordsOf(h.Engine),
		fulfil.Config{Now: h.options.Now, Random: h.options.Random})
	return err
}

// ToldOf names the recipients who were told one of these attributes of a person, sorted: each
// of them must hear of a rectification or a restriction (GDPR Article 19). It goes through
// the whole log, in which nothing but the person's own key leads to them.
func (h *House) ToldOf(ctx context.Context, person privacy.DataSubjectID, attributes []privacy.AttributeName, progress func(done, total uint64)) ([]privacy.RecipientID, error) {
	subject, err := h.People.AuditSubject(ctx, person)
	if err != nil {
		return nil, err
	}
	trail, err := audit.NewTrail([]audit.Subject{subject})
	if err != nil {
		return nil, err
	}
	size, err := h.Log.Size(ctx)
	if err != nil {
		return nil, err
	}
	told := map[privacy.RecipientID]bool{}
	_, err = trail.Scan(ctx, h.Log, audit.TrailConfig{Size: size, Progress: progress}, func(_ int, index uint64) error {
		stored, err := h.Log.Entries(ctx, index, 1)
		if err != nil {
			return err
		}
		if len(stored) != 1 {
			return fmt.Errorf("reading entry %d: %w", index, privacy.ErrDamaged)
		}
		entry, err := audit.ParseEntry(stored[0].Leaf)
		if err != nil {
			return err
		}
		if entry.Kind == audit.QueryAnswered && entry.Recipient != "" &&
			slices.ContainsFunc(entry.Attributes, func(name privacy.AttributeName) bool { return attributes == nil || slices.Contains(attributes, name) }) {
			told[entry.Recipient] = true
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("finding who was told: %w", err)
	}
	return slices.Sorted(maps.Keys(told)), nil
}
