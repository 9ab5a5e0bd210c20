package assembly

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/audit"
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
	key, err := h.People.PersonKey(ctx, id)
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
	return d, nil
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

// CheckConfirmation stands in the log when an erasure was refused because its token does
// not fit the person as they are now.
const CheckConfirmation = "erasure.confirmed"

// LogPlanShown notes that somebody looked at what is held about a person in order to
// erase them. It must be called before the plan is shown.
func (h *House) LogPlanShown(ctx context.Context, by privacy.Principal, id privacy.DataSubjectID) error {
	return h.logErasure(ctx, id, audit.Event{Kind: audit.PersonShown, Principal: by, Outcome: audit.Done})
}

// LogErasureDenied notes that an erasure was asked for with a token that does not fit.
func (h *House) LogErasureDenied(ctx context.Context, by privacy.Principal, id privacy.DataSubjectID) error {
	return h.logErasure(ctx, id, audit.Event{Kind: audit.ErasureDenied, Principal: by, Outcome: audit.Denied, Checks: []string{CheckConfirmation}})
}

func (h *House) logErasure(ctx context.Context, id privacy.DataSubjectID, event audit.Event) error {
	var err error
	event.Subject, err = h.People.AuditSubject(ctx, id)
	if errors.Is(err, privacy.ErrDamaged) {
		// As in the erasure itself: nothing is left to tag the entry with.
		event.Subject, err = audit.Subject{Unknown: true}, nil
	}
	if err != nil {
		return err
	}
	if _, err := h.Log.Append(ctx, event); err != nil {
		return fmt.Errorf("logging what became of an erasure: %w", err)
	}
	return nil
}

// Holding is one line of what is held about a person, without saying what it says.
type Holding struct {
	What   string `json:"what"`
	Amount string `json:"amount"`
}

// ErasurePlan is what an erasure would destroy, and the token that confirms it.
type ErasurePlan struct {
	Holdings []Holding `json:"holdings"`
	Token    string    `json:"confirmation_token"`
}

// PlanErasure says what is held about a person. The token binds the person, the
// operator and the versions of everything held, under the person's own blinding key: it
// fits nobody else and nothing else.
func (h *House) PlanErasure(ctx context.Context, by privacy.Principal, id privacy.DataSubjectID) (ErasurePlan, error) {
	subject, err := h.People.AuditSubject(ctx, id)
	var d *Dossier
	if err == nil {
		d, err = h.dossier(ctx, id)
	}
	if errors.Is(err, privacy.ErrDamaged) {
		// What does not open protects nobody, and must not stand in the way.
		return ErasurePlan{Token: "damaged", Holdings: []Holding{{"records that do not open any more", "all"}}}, nil
	}
	if err != nil {
		return ErasurePlan{}, err
	}
	statement, err := h.Consent.Show(ctx, id)
	if err != nil {
		return ErasurePlan{}, err
	}
	var plan ErasurePlan
	for _, category := range h.Engine.Revision().Catalogue().Categories() {
		if record, held := d.Records[category]; held {
			plan.Holdings = append(plan.Holdings, Holding{"category " + string(category), fmt.Sprintf("%d attributes", len(record))})
		}
		if events := d.Streams[category]; len(events) > 0 {
			plan.Holdings = append(plan.Holdings, Holding{"stream " + string(category), fmt.Sprintf("%d events", len(events))})
		}
	}
	plan.Holdings = append(plan.Holdings, Holding{"consent records", fmt.Sprint(len(statement.Records))})
	mac := hmac.New(sha256.New, subject.Blinding[:])
	fmt.Fprintf(mac, "mahrem/erase/v1\x00%s\x00%s\x00%d\x00%s", subject.ID.Reveal(), by.ID, len(statement.Records), d.versions)
	plan.Token = hex.EncodeToString(mac.Sum(nil)[:8])
	return plan, nil
}
