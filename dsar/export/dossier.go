package export

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// dossier is everything about a person but their events and log entries.
type dossier struct {
	person     personPart
	attributes []attributePart
	// streams are the categories with events, in order, and how many there are.
	streams    []privacy.DataCategory
	events     map[privacy.DataCategory]int64
	categories []categoryPart
	purposes   []purposePart
	consents   []consentPart
	inferences []inferencePart
	rooms      []roomPart
	// recipients are counted while the log is written.
	recipients map[privacy.RecipientID]*recipientPart
}

// collect reads the dossier.
func (w *writing) collect(ctx context.Context) error {
	d := &w.dossier
	person, categories := w.reader.Person(), w.catalogue.Categories()
	d.person = personPart{w.job.Person.Reveal(), string(person.Jurisdiction), person.Restricted, person.CreatedAt.UTC()}
	records, err := w.reader.Records(ctx, categories)
	if err != nil {
		return err
	}
	if d.events, err = w.reader.Streams(ctx, categories); err != nil {
		return err
	}
	w.knowPerson(records)
	for _, category := range categories {
		w.addAttributes(category, records[category])
		if d.events[category] > 0 && (w.access() || w.portableStream(category)) {
			d.streams = append(d.streams, category)
			w.total += 2 * d.events[category]
		}
	}
	w.total += 2 * int64(len(w.trail))
	for _, category := range categories {
		if slices.Contains(d.streams, category) || slices.ContainsFunc(d.attributes, func(a attributePart) bool { return a.Category == string(category) }) {
			w.addCategory(category, person.Jurisdiction)
		}
	}
	if !w.access() {
		return nil
	}
	w.addPurposes()
	if err := w.addConsents(ctx); err != nil {
		return err
	}
	if err := w.addRooms(ctx); err != nil {
		return err
	}
	d.recipients = map[privacy.RecipientID]*recipientPart{}
	for _, id := range w.catalogue.Recipients() {
		r, _ := w.catalogue.Recipient(id)
		if slices.ContainsFunc(r.Purposes, func(p privacy.Purpose) bool {
			return slices.ContainsFunc(d.purposes, func(held purposePart) bool { return held.Purpose == string(p) })
		}) {
			w.recipient(id)
		}
	}
	return w.addExposures(ctx)
}

// knowPerson teaches the redactor who the person is.
func (w *writing) knowPerson(records map[privacy.DataCategory]vault.Record) {
	var own []vault.Record
	for id, record := range records {
		if category, ok := w.catalogue.Category(id); ok && !category.Shared {
			own = append(own, record)
		}
	}
	w.redactor = newRedactor(own)
}

// shown is a value as the person gets it.
func (w *writing) shown(category privacy.DataCategory, value string) string {
	if c, ok := w.catalogue.Category(category); ok && c.Shared {
		return w.redactor.text(value)
	}
	return value
}

func (w *writing) addAttributes(category privacy.DataCategory, record vault.Record) {
	for _, name := range slices.Sorted(maps.Keys(record)) {
		field := record[name]
		if !w.access() && field.Source != vault.Declared && field.Source != vault.Observed {
			continue
		}
		part := attributePart{
			Category: string(category), Attribute: string(name), Title: w.title("attribute", string(name)),
			Source: string(field.Source), Quality: string(field.Quality),
		}
		if !field.ObservedAt.IsZero() {
			part.ObservedAt = field.ObservedAt.Format(time.DateOnly)
		}
		for _, value := range field.Values {
			part.Values = append(part.Values, w.shown(category, value.RevealPersonalData()))
		}
		w.dossier.attributes = append(w.dossier.attributes, part)
		if w.access() && field.Source == vault.Inferred {
			w.dossier.inferences = append(w.dossier.inferences, inferencePart{
				Kind: "held", Attribute: part.Attribute, Title: part.Title, Values: part.Values,
			})
		}
	}
}

// portableStream reports whether what happened in a category is what the person gave or did
// (GDPR Article 20(1): "provided"; WP 242 rev. 01 counts what was observed).
func (w *writing) portableStream(category privacy.DataCategory) bool {
	return slices.ContainsFunc(w.catalogue.Attributes(), func(name privacy.AttributeName) bool {
		a, _ := w.catalogue.Attribute(name)
		return a.Category == category && (a.Source == policies.Declared || a.Source == policies.Observed)
	})
}

func (w *writing) addCategory(id privacy.DataCategory, law privacy.Jurisdiction) {
	c, _ := w.catalogue.Category(id)
	part := categoryPart{
		Category: string(id), Title: c.Title.In(w.language), Special: c.Special, Shared: c.Shared,
		Events: w.dossier.events[id], Sources: []string{},
	}
	for _, a := range w.dossier.attributes {
		if a.Category == part.Category && !slices.Contains(part.Sources, a.Source) {
			part.Sources = append(part.Sources, a.Source)
		}
	}
	for _, name := range w.catalogue.Attributes() {
		if a, _ := w.catalogue.Attribute(name); a.Category == id && part.Events > 0 && !slices.Contains(part.Sources, string(a.Source)) {
			part.Sources = append(part.Sources, string(a.Source))
		}
	}
	slices.Sort(part.Sources)
	part.Retention = w.retention(id, law)
	w.dossier.categories = append(w.dossier.categories, part)
}

// addPurposes lists the purposes that have a use for something that is held.
func (w *writing) addPurposes() {
	for _, id := range w.catalogue.Purposes() {
		p, _ := w.catalogue.Purpose(id)
		var used []string
		for _, c := range w.dossier.categories {
			if _, uses := p.Categories[privacy.DataCategory(c.Category)]; uses {
				used = append(used, c.Category)
			}
		}
		if len(used) == 0 {
			continue
		}
		w.dossier.purposes = append(w.dossier.purposes, purposePart{
			Purpose: string(id), Title: p.Title.In(w.language), Bases: texts(slices.Sorted(maps.Keys(p.Bases))),
			Categories: used, Profiling: p.Profiling, Marketing: p.Marketing,
		})
	}
}

func (w *writing) addConsents(ctx context.Context) error {
	records, err := w.reader.Consents(ctx)
	if err != nil {
		return err
	}
	for i := range records {
		w.dossier.consents = append(w.dossier.consents, newConsentPart(&records[i], w.title("purpose", string(records[i].Purpose))))
	}
	return nil
}

// addExposures lists what recipients were told that points to something protected.
func (w *writing) addExposures(ctx context.Context) error {
	rows, err := w.reader.Exposures(ctx)
	if err != nil {
		return err
	}
	law := w.reader.Person().Jurisdiction
	for _, row := range rows {
		told, err := gate.OpenExposures(w.reader.Key(), row)
		if err != nil {
			return err
		}
		for _, e := range told {
			part := inferencePart{
				Kind: "told", Recipient: string(row.Recipient), LastTold: e.LastTold.Format(time.DateOnly),
				Group: string(e.Group), Attribute: string(e.Attribute),
			}
			if e.Group != "" {
				part.Title = w.title("group", part.Group)
				for _, weight := range w.catalogue.GroupWeights(e.Group) {
					part.PointsTo = append(part.PointsTo, w.hint(weight.Inference, weight.Weight, law))
				}
			} else {
				part.Title = w.title("attribute", part.Attribute)
				part.Values = []string{w.shownAttribute(e.Attribute, e.Value)}
				for _, inference := range w.catalogue.Inferences() {
					for _, signal := range inference.Attributes {
						if signal.Attribute == e.Attribute && signal.Value == e.Value.RevealPersonalData() {
							part.PointsTo = append(part.PointsTo, w.hint(inference, signal.Weight, law))
						}
					}
				}
			}
			w.dossier.inferences = append(w.dossier.inferences, part)
		}
	}
	return nil
}

func (w *writing) shownAttribute(name privacy.AttributeName, value privacy.Plain) string {
	text := value.RevealPersonalData()
	if a, ok := w.catalogue.Attribute(name); ok {
		return w.shown(a.Category, text)
	}
	return text
}

func (w *writing) hint(i *policies.Inference, weight int, law privacy.Jurisdiction) inferenceHint {
	return inferenceHint{string(i.ID), i.Title.In(w.language), weight, i.Threshold(law)}
}

func (h inferenceHint) String() string {
	return h.Title + " (" + strconv.Itoa(h.Weight) + "/" + strconv.Itoa(h.Threshold) + ")"
}

// recipient returns the line of a recipient.
func (w *writing) recipient(id privacy.RecipientID) *recipientPart {
	part := w.dossier.recipients[id]
	if part == nil {
		part = &recipientPart{Recipient: string(id), Title: w.title("recipient", string(id))}
		if r, ok := w.catalogue.Recipient(id); ok {
			part.Relationship, part.Purposes = string(r.Relationship), texts(r.Purposes)
		}
		w.dossier.recipients[id] = part
	}
	return part
}

// countRecipient counts an entry for whoever asked.
func (w *writing) countRecipient(e *audit.Entry) {
	if e.Recipient == "" {
		return
	}
	part := w.recipient(e.Recipient)
	switch e.Kind {
	case audit.QueryAnswered:
		part.Answered++
		if part.First == nil {
			part.First = &e.Time
		}
		part.Last = &e.Time
	case audit.QueryDenied:
		part.Refused++
	}
}

// recipients returns them in order.
func (w *writing) recipients() []*recipientPart {
	list := make([]*recipientPart, 0, len(w.dossier.recipients))
	for _, id := range slices.Sorted(maps.Keys(w.dossier.recipients)) {
		list = append(list, w.dossier.recipients[id])
	}
	return list
}

// errChanged is about a look at the log that came out otherwise than before.
func errChanged(index uint64) error {
	return fmt.Errorf("reading entry %d of the log again: %w", index, privacy.ErrDamaged)
}
