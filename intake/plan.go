package intake

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// plan is a mapping bound to the columns of a file and the words of a catalogue, so
// that a row costs no look-up of a name.
type plan struct {
	jurisdiction     privacy.Jurisdiction
	jurisdictionFrom *value
	identifiers      []identifierPlan
	attributes       []attributePlan
	events           []eventPlan
	consents         []consentPlan
	catalogue        Catalogue
	now              time.Time
}

type identifierPlan struct {
	IdentifierMap
	column int
}

type attributePlan struct {
	name     privacy.AttributeName
	category privacy.DataCategory
	value    value
	field    vault.Field
	observed *moment
}

type eventPlan struct {
	kind   string
	stream privacy.DataCategory
	at     moment
	id     []int
	when   int
	in     []string
	fields []fieldPlan
}

type fieldPlan struct {
	name  privacy.AttributeName
	value value
}

type consentPlan struct {
	change             consent.Change
	action             value
	effective, expires *moment
}

// binder resolves names while a plan is made and keeps the first mistake.
type binder struct {
	columns    map[string]int
	classifier Classifier
	err        error
}

func (b *binder) column(name, at string) int {
	i, ok := b.columns[name]
	if !ok && b.err == nil {
		b.err = invalid(at, "is not a column of the file")
	}
	return i
}

// newPlan binds m to columns.
func newPlan(m *Mapping, columns []string, catalogue Catalogue, classifier Classifier, now time.Time) (*plan, error) {
	b := &binder{columns: make(map[string]int, len(columns)), classifier: classifier}
	for i, name := range columns {
		if _, twice := b.columns[name]; twice {
			return nil, fmt.Errorf("binding mapping: the file has two columns of one name: %w", privacy.ErrInvalid)
		}
		b.columns[name] = i
	}
	p := &plan{jurisdiction: m.Jurisdiction, catalogue: catalogue, now: now}
	if m.Jurisdiction != "" && !catalogue.KnowsJurisdiction(m.Jurisdiction) {
		return nil, fmt.Errorf("binding mapping: %w", invalid("/jurisdiction", "is not in the catalogue"))
	}
	if m.JurisdictionFrom != nil {
		v := b.value(*m.JurisdictionFrom, "/jurisdiction_from")
		p.jurisdictionFrom = &v
	}
	for i, identifier := range m.Identifiers {
		p.identifiers = append(p.identifiers, identifierPlan{identifier, b.column(identifier.Column, fmt.Sprintf("/identifiers/%d/column", i))})
	}
	for i, attribute := range m.Attributes {
		p.attributes = append(p.attributes, b.attribute(attribute, catalogue, now, fmt.Sprintf("/attributes/%d", i)))
	}
	for i, event := range m.Events {
		at := fmt.Sprintf("/events/%d", i)
		if !catalogue.KnowsCategory(event.Stream) {
			b.fail(at+"/stream", "is not a category of the catalogue")
		}
		p.events = append(p.events, b.event(event, at))
	}
	for i, c := range m.Consents {
		at := fmt.Sprintf("/consents/%d", i)
		cp := consentPlan{action: b.value(c.Action, at+"/action")}
		cp.change = consent.Change{
			DataSubject: placeholder, Purpose: c.Purpose, Channel: c.Channel, Basis: c.Basis, Explicit: c.Explicit,
			Categories: c.Categories, NoticeVersion: c.NoticeVersion, Source: c.Source, Incentive: c.Incentive,
		}
		cp.effective, cp.expires = b.optional(c.EffectiveAt, at+"/effective_at"), b.optional(c.ValidUntil, at+"/valid_until")
		if _, err := cp.change.Record(consent.Granted, catalogue, now); err != nil && b.err == nil {
			b.err = fmt.Errorf("%s: %w", at, err)
		}
		p.consents = append(p.consents, cp)
	}
	if b.err != nil {
		return nil, fmt.Errorf("binding mapping: %w", b.err)
	}
	return p, nil
}

// placeholder stands for the person while a consent is validated, before it is known
// who they are.
var placeholder = privacy.DataSubjectID{0xff}

func (b *binder) fail(at, reason string) {
	if b.err == nil {
		b.err = invalid(at, reason)
	}
}

func (b *binder) attribute(m AttributeMap, catalogue Catalogue, now time.Time, at string) attributePlan {
	category, ok := catalogue.CategoryOf(m.Name)
	if !ok {
		b.fail(at+"/name", "is not an attribute of the catalogue")
	}
	p := attributePlan{name: m.Name, category: category, value: b.value(m.ValueMap, at), observed: b.optional(m.Observed, at+"/observed")}
	p.field = vault.Field{Source: m.Source, Quality: m.Quality, ObservedAt: now.UTC().Truncate(24 * time.Hour)}
	if p.field.Source == "" {
		p.field.Source = vault.Imported
	}
	if p.field.Quality == "" {
		p.field.Quality = vault.Unverified
	}
	return p
}

func (b *binder) event(m EventMap, at string) eventPlan {
	p := eventPlan{kind: m.Type, stream: m.Stream, at: b.moment(m.At, at+"/at"), when: -1}
	for i, name := range m.ID {
		p.id = append(p.id, b.column(name, fmt.Sprintf("%s/id/%d", at, i)))
	}
	if m.When != nil {
		p.when, p.in = b.column(m.When.Column, at+"/when/column"), m.When.In
	}
	for name, v := range m.Fields {
		p.fields = append(p.fields, fieldPlan{name, b.value(v, fmt.Sprintf("%s/fields/%s", at, name))})
	}
	slices.SortFunc(p.fields, func(a, b fieldPlan) int { return strings.Compare(string(a.name), string(b.name)) })
	return p
}

// item reads one row. The record may be reused afterwards.
func (p *plan) item(record []string, row int64) (Item, *fault) {
	item := Item{Row: row, Jurisdiction: p.jurisdiction}
	for i, identifier := range p.identifiers {
		text := strings.TrimSpace(record[identifier.column])
		if text == "" {
			if !identifier.Optional {
				return item, &fault{MissingIdentifier, "/identifiers/" + strconv.Itoa(i)}
			}
			continue
		}
		item.Identifiers = append(item.Identifiers, privacy.Identifier{
			Kind: identifier.Kind, Value: privacy.NewPlain(identifier.Prefix + text),
		})
	}
	if len(item.Identifiers) == 0 {
		return item, &fault{MissingIdentifier, "/identifiers"}
	}
	if p.jurisdictionFrom != nil {
		text, problem := p.jurisdictionFrom.one(record)
		if problem != nil {
			return item, problem
		}
		if text != "" {
			item.Jurisdiction = privacy.Jurisdiction(text)
		}
		if !p.catalogue.KnowsJurisdiction(item.Jurisdiction) {
			return item, &fault{BadJurisdiction, "/jurisdiction_from"}
		}
	}
	for i := range p.attributes {
		if problem := p.attributes[i].add(&item, record); problem != nil {
			return item, problem
		}
	}
	for i := range p.events {
		if problem := p.events[i].add(&item, record); problem != nil {
			return item, problem
		}
	}
	for i := range p.consents {
		if problem := p.consents[i].add(&item, record, p.catalogue, p.now); problem != nil {
			return item, problem
		}
	}
	return item, nil
}

func (p *attributePlan) add(item *Item, record []string) *fault {
	values, problem := p.value.many(record)
	if problem != nil || len(values) == 0 {
		return problem
	}
	field := p.field
	if p.observed != nil {
		at, given, problem := p.observed.read(record)
		if problem != nil {
			return problem
		}
		if given {
			field.ObservedAt = at.UTC().Truncate(24 * time.Hour)
		}
	}
	field.Values = make([]privacy.Plain, len(values))
	for i, text := range values {
		field.Values[i] = privacy.NewPlain(text)
	}
	item.Attributes = append(item.Attributes, Attribute{Name: p.name, Category: p.category, Field: field})
	return nil
}

func (p *eventPlan) add(item *Item, record []string) *fault {
	if p.when >= 0 && !slices.Contains(p.in, record[p.when]) {
		return nil
	}
	at, given, problem := p.at.read(record)
	if problem != nil {
		return problem
	}
	if !given {
		return &fault{BadTime, p.at.where}
	}
	event := Event{Stream: p.stream, Event: vault.Event{Type: p.kind, At: at, Fields: make(map[privacy.AttributeName]privacy.Plain, len(p.fields))}}
	if len(p.id) > 0 {
		event.Identity = make([]string, 1, len(p.id)+1)
		event.Identity[0] = p.kind
		for _, column := range p.id {
			event.Identity = append(event.Identity, record[column])
		}
	}
	for i := range p.fields {
		text, problem := p.fields[i].value.one(record)
		if problem != nil {
			return problem
		}
		if text != "" {
			event.Event.Fields[p.fields[i].name] = privacy.NewPlain(text)
		}
	}
	if event.Identity == nil {
		event.Identity = wholeIdentity(event.Event)
	}
	item.Events = append(item.Events, event)
	return nil
}

// wholeIdentity is the identity of an event that has no ID of its own.
func wholeIdentity(event vault.Event) []string {
	parts := []string{event.Type, strconv.FormatInt(event.At.UnixMilli(), 10)}
	names := make([]string, 0, len(event.Fields))
	for name := range event.Fields {
		names = append(names, string(name))
	}
	slices.Sort(names)
	for _, name := range names {
		parts = append(parts, name, event.Fields[privacy.AttributeName(name)].RevealPersonalData())
	}
	return parts
}

func (p *consentPlan) add(item *Item, record []string, catalogue Catalogue, now time.Time) *fault {
	action, problem := p.action.one(record)
	if problem != nil || action == "" {
		return problem
	}
	change := p.change
	if consent.Action(action) != consent.Granted {
		change.Explicit, change.Incentive, change.Categories = false, false, nil
	}
	if p.effective != nil {
		at, _, problem := p.effective.read(record)
		if problem != nil {
			return problem
		}
		change.EffectiveAt = at
	}
	if p.expires != nil && consent.Action(action) == consent.Granted {
		at, _, problem := p.expires.read(record)
		if problem != nil {
			return problem
		}
		change.ValidUntil = at
	}
	c, problem := newConsent(consent.Action(action), change, catalogue, now)
	if problem != nil {
		return problem
	}
	item.Consents = append(item.Consents, c)
	return nil
}

// newConsent validates a change and says what tells it from the person's other ones.
func newConsent(action consent.Action, change consent.Change, catalogue Catalogue, now time.Time) (Consent, *fault) {
	change.DataSubject = placeholder
	record, err := change.Record(action, catalogue, now)
	if err != nil {
		return Consent{}, &fault{BadConsent, "/consents"}
	}
	effective := ""
	switch {
	case change.EffectiveAt.IsZero() && action != consent.Granted:
		// A no without a date is a new one each time that it is delivered: the person may
		// have said yes since the last one, and nobody can tell.
		effective = "at " + strconv.FormatInt(now.UnixMicro(), 10)
	case !change.EffectiveAt.IsZero():
		effective = strconv.FormatInt(change.EffectiveAt.UnixMicro(), 10)
	}
	return Consent{Record: record, Identity: []string{
		"consent", string(record.Purpose), string(record.Channel), string(action), record.NoticeVersion, record.Source, effective,
	}}, nil
}
