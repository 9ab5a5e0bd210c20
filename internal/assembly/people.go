package assembly

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Dossier is everything that is held about one person, opened. It is for the person,
// through a data protection officer (GDPR Article 15).
type Dossier struct {
	Jurisdiction privacy.Jurisdiction
	Restricted   bool
	// Records by data category.
	Records map[privacy.DataCategory]vault.Record
	// Streams are events by data category, newest first.
	Streams map[privacy.DataCategory][]vault.Event
	// Stays are the clean rooms that they were drawn into.
	Stays []export.Stay
	// versions changes with everything that is held.
	versions string
}

// maxDossierChunks bounds what is opened of one stream: a hundred thousand events.
const maxDossierChunks = 2000

// Dossier opens everything that is held about a person, and logs that it was shown
// before it returns.
func (h *House) Dossier(ctx context.Context, by privacy.Principal, id privacy.DataSubjectID) (*Dossier, error) {
	d, err := h.dossier(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := h.LogShown(ctx, by, id); err != nil {
		return nil, err
	}
	return d, nil
}

func (h *House) dossier(ctx context.Context, id privacy.DataSubjectID) (*Dossier, error) {
	person, err := h.People.Person(ctx, id)
	if err != nil {
		return nil, err
	}
	key, err := h.People.PersonKey(ctx, id, vault.UseShow)
	if err != nil {
		return nil, err
	}
	categories := h.Engine.Revision().Catalogue().Categories()
	records, err := h.People.Records(ctx, key, categories)
	if err != nil {
		return nil, err
	}
	d := &Dossier{
		Jurisdiction: person.Jurisdiction, Restricted: person.Restricted,
		Records: map[privacy.DataCategory]vault.Record{}, Streams: map[privacy.DataCategory][]vault.Event{},
	}
	var versions strings.Builder
	for _, category := range categories {
		if record, held := records[category]; held {
			d.Records[category] = record.Record
			fmt.Fprintf(&versions, "%s@%d ", category, record.Version)
		}
		chunks, err := h.People.Chunks(ctx, key, category, maxDossierChunks)
		if err != nil {
			return nil, err
		}
		for _, chunk := range chunks {
			events := slices.Clone(chunk.Events)
			slices.Reverse(events)
			d.Streams[category] = append(d.Streams[category], events...)
			fmt.Fprintf(&versions, "%s/%d@%d ", category, chunk.Number, chunk.Version)
		}
	}
	d.versions = versions.String()
	d.Stays, err = h.Rooms.Reader.Stays(ctx, id)
	return d, err
}

// LogShown notes that somebody looked at a person. It must be called before what was
// looked at is shown.
func (h *House) LogShown(ctx context.Context, by privacy.Principal, id privacy.DataSubjectID) error {
	subject, err := h.People.AuditSubject(ctx, id)
	if err != nil {
		return err
	}
	if _, err := h.Log.Append(ctx, audit.Event{Kind: audit.PersonShown, Principal: by, Outcome: audit.Done, Subject: subject}); err != nil {
		return fmt.Errorf("logging that a person was shown: %w", err)
	}
	return nil
}
