package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// StreamOptions go with one request.
type StreamOptions struct {
	// Principal is who delivers; required.
	Principal privacy.Principal
	// Mapping says what the members of a line mean. Nil: lines have the shape of [Row].
	// Its joins are not available.
	Mapping *Mapping
	// Source is part of the events' fingerprints. Empty: the mapping's, or "api".
	Source string
	// Jurisdiction of new people, for lines that do not give one; with a mapping, the
	// mapping's counts.
	Jurisdiction privacy.Jurisdiction
	// MaxRows bounds one request; 10,000.
	MaxRows int
}

// StreamResult is what became of one request.
type StreamResult struct {
	Summary
	// Unchanged are the accepted rows that held nothing new.
	Unchanged int64
	// Rejects are the rows that were turned away, by line.
	Rejects []Reject
	// Receipt is the evidence; it is zero if nothing changed.
	Receipt audit.Receipt
}

// Row is one line of a request without a mapping. Unknown members are refused.
//
//	{"identifiers": [{"kind": "email", "value": "ayse@example.com"}], "jurisdiction": "TR",
//	 "attributes": {"first_name": "Ayşe", "interests": ["sports", "music"]},
//	 "events": [{"type": "purchase", "at": "2026-03-01T12:00:00Z", "id": "o-1/3",
//	             "fields": {"product_group": "grocery.dairy", "amount": "3.20"}}],
//	 "consents": [{"action": "granted", "purpose": "newsletter", "channel": "email",
//	               "notice_version": "v3", "source": "web_form"}]}
type Row struct {
	Identifiers  []RowIdentifier            `json:"identifiers"`
	Jurisdiction privacy.Jurisdiction       `json:"jurisdiction"`
	Attributes   map[string]json.RawMessage `json:"attributes"`
	Events       []RowEvent                 `json:"events"`
	Consents     []RowConsent               `json:"consents"`
}

// RowIdentifier is one identifier of the person of a row.
type RowIdentifier struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// RowEvent is one event. Without an ID, all that it holds tells it from others.
type RowEvent struct {
	Type   string            `json:"type"`
	At     string            `json:"at"`
	ID     string            `json:"id"`
	Fields map[string]string `json:"fields"`
}

// RowConsent is one choice, in the words of [consent.Change].
type RowConsent struct {
	Action        string                 `json:"action"`
	Purpose       privacy.Purpose        `json:"purpose"`
	Channel       privacy.Channel        `json:"channel"`
	Basis         privacy.LegalBasis     `json:"legal_basis"`
	Explicit      bool                   `json:"explicit"`
	Categories    []privacy.DataCategory `json:"categories"`
	NoticeVersion string                 `json:"notice_version"`
	Source        string                 `json:"source"`
	Incentive     bool                   `json:"incentive"`
	EffectiveAt   string                 `json:"effective_at"`
	ValidUntil    string                 `json:"valid_until"`
}

// LoadStream takes the lines of one request as one batch: they are committed together
// with one entry in the log, or not at all. The same lines again change nothing. The
// error wraps [privacy.ErrInvalid] when there are more lines than a request may have.
func (l *Loader) LoadStream(ctx context.Context, in io.Reader, options StreamOptions) (StreamResult, error) {
	begin := time.Now()
	if options.Principal.ID == "" {
		return StreamResult{}, fmt.Errorf("loading stream: nobody loads: %w", privacy.ErrInvalid)
	}
	if options.MaxRows <= 0 {
		options.MaxRows = 10_000
	}
	if options.Source == "" {
		options.Source = "api"
		if options.Mapping != nil {
			options.Source = options.Mapping.Source
		}
	}
	items, rejects, rows, err := l.readStream(in, options)
	if err != nil {
		return StreamResult{}, err
	}
	done, err := l.ingest(ctx, options.Principal, options.Source, items, nil)
	if err != nil {
		return StreamResult{}, fmt.Errorf("loading stream: %w", err)
	}
	rejects = append(rejects, done.rejects...)
	slices.SortFunc(rejects, func(a, b Reject) int { return int(a.Row - b.Row) })
	return StreamResult{
		Summary: Summary{
			Rows: rows, Accepted: done.accepted, Rejected: int64(len(rejects)),
			Persons: int64(len(done.people)), NewPersons: done.newPeople,
			Events: done.events, NewEvents: done.newEvents, Duration: time.Since(begin),
		},
		Unchanged: done.unchanged, Rejects: rejects, Receipt: done.receipt,
	}, nil
}

// readStream reads all rows of a request, which the caller's size limit keeps small.
func (l *Loader) readStream(in io.Reader, options StreamOptions) (items []Item, rejects []Reject, rows int64, err error) {
	limits := limits{cell: l.config.MaxCell, row: l.config.MaxRow}
	next, err := l.streamReader(in, options, limits)
	if err != nil {
		return nil, nil, 0, err
	}
	for {
		item, row, problem, err := next()
		if errors.Is(err, io.EOF) {
			return items, rejects, rows, nil
		}
		if err != nil {
			return nil, nil, 0, err
		}
		if rows++; rows > int64(options.MaxRows) {
			return nil, nil, 0, fmt.Errorf("loading stream: more than %d rows: %w", options.MaxRows, privacy.ErrInvalid)
		}
		if problem == nil {
			problem = item.bound()
		}
		if problem != nil {
			rejects = append(rejects, Reject{row, problem.reason, problem.field})
			continue
		}
		items = append(items, item)
	}
}

func (l *Loader) streamReader(in io.Reader, options StreamOptions, limits limits) (func() (Item, int64, *fault, error), error) {
	if m := options.Mapping; m != nil {
		if len(m.Joins) > 0 {
			return nil, fmt.Errorf("loading stream: a mapping with joins needs files: %w", privacy.ErrInvalid)
		}
		rows, err := newJSON(in, m.wantedColumns(), limits)
		if err != nil {
			return nil, err
		}
		bound, err := newPlan(m, rows.columns(), l.catalogue, l.classifier, l.config.Now())
		if err != nil {
			return nil, err
		}
		return func() (Item, int64, *fault, error) {
			record, row, reason, err := rows.next()
			if err != nil || reason != "" {
				return Item{}, row, &fault{reason: reason}, err
			}
			item, problem := bound.item(record, row)
			return item, row, problem, nil
		}, nil
	}
	lines := newLines(in, limits.row)
	if err := lines.skipBOM(); err != nil {
		return nil, err
	}
	reader := rowReader{l.catalogue, l.config.Streams, options.Jurisdiction, l.config.Now()}
	return func() (Item, int64, *fault, error) {
		for {
			line, row, reason, err := lines.next()
			if err != nil || reason != "" {
				return Item{}, row, &fault{reason: reason}, err
			}
			if line = bytes.TrimSpace(line); len(line) > 0 {
				item, problem := reader.item(line, row)
				return item, row, problem, nil
			}
		}
	}, nil
}

// rowReader turns a line of the fixed shape into an item.
type rowReader struct {
	catalogue    Catalogue
	streams      map[string]privacy.DataCategory
	jurisdiction privacy.Jurisdiction
	now          time.Time
}

func (r rowReader) item(line []byte, number int64) (Item, *fault) {
	if reason := checkBytes(line); reason != "" {
		return Item{}, &fault{reason: reason}
	}
	var row Row
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&row); err != nil {
		return Item{}, &fault{reason: BadJSON}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Item{}, &fault{reason: BadJSON}
	}
	item := Item{Row: number, Jurisdiction: row.Jurisdiction}
	if item.Jurisdiction == "" {
		item.Jurisdiction = r.jurisdiction
	}
	if !r.catalogue.KnowsJurisdiction(item.Jurisdiction) {
		return item, &fault{BadJurisdiction, "/jurisdiction"}
	}
	for i, identifier := range row.Identifiers {
		kind, err := privacy.ParseIdentifierKind(identifier.Kind)
		if err != nil || strings.TrimSpace(identifier.Value) == "" {
			return item, &fault{BadIdentifier, "/identifiers/" + strconv.Itoa(i)}
		}
		item.Identifiers = append(item.Identifiers, privacy.Identifier{Kind: kind, Value: privacy.NewPlain(identifier.Value)})
	}
	if len(item.Identifiers) == 0 {
		return item, &fault{MissingIdentifier, "/identifiers"}
	}
	if problem := r.attributes(&item, row.Attributes); problem != nil {
		return item, problem
	}
	for i, event := range row.Events {
		if problem := r.event(&item, event); problem != nil {
			problem.field = "/events/" + strconv.Itoa(i) + problem.field
			return item, problem
		}
	}
	for i, c := range row.Consents {
		if problem := r.consent(&item, c); problem != nil {
			problem.field = "/consents/" + strconv.Itoa(i)
			return item, problem
		}
	}
	return item, nil
}

// attributes are taken in the order of their names, so that the same line makes the
// same item. Names of the caller are not repeated in the reason.
func (r rowReader) attributes(item *Item, attributes map[string]json.RawMessage) *fault {
	names := make([]string, 0, len(attributes))
	for name := range attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		category, ok := r.catalogue.CategoryOf(privacy.AttributeName(name))
		if !ok {
			return &fault{UnknownAttribute, "/attributes"}
		}
		var list []json.RawMessage
		if json.Unmarshal(attributes[name], &list) != nil {
			list = []json.RawMessage{attributes[name]}
		}
		field := vault.Field{Source: vault.Imported, Quality: vault.Unverified, ObservedAt: r.now.UTC().Truncate(24 * time.Hour)}
		for _, raw := range list {
			decoder := json.NewDecoder(bytes.NewReader(raw))
			decoder.UseNumber()
			var v any
			if decoder.Decode(&v) != nil {
				return &fault{BadJSON, "/attributes"}
			}
			text, ok := scalar(v)
			if !ok {
				return &fault{BadJSON, "/attributes"}
			}
			if strings.ContainsRune(text, 0) {
				return &fault{NULByte, "/attributes"}
			}
			if text != "" {
				field.Values = append(field.Values, privacy.NewPlain(text))
			}
		}
		if len(field.Values) > 0 {
			item.Attributes = append(item.Attributes, Attribute{privacy.AttributeName(name), category, field})
		}
	}
	return nil
}

func (r rowReader) event(item *Item, row RowEvent) *fault {
	stream, ok := r.streams[row.Type]
	if !ok {
		return &fault{UnknownEvent, "/type"}
	}
	at, err := time.Parse(time.RFC3339Nano, row.At)
	if err != nil || !plausible(at) {
		return &fault{BadTime, "/at"}
	}
	event := Event{Stream: stream, Event: vault.Event{Type: row.Type, At: at.UTC(), Fields: make(map[privacy.AttributeName]privacy.Plain, len(row.Fields))}}
	for name, text := range row.Fields {
		if !fieldName.MatchString(name) {
			return &fault{UnknownAttribute, "/fields"}
		}
		if strings.ContainsRune(text, 0) {
			return &fault{NULByte, "/fields"}
		}
		if text != "" {
			event.Event.Fields[privacy.AttributeName(name)] = privacy.NewPlain(text)
		}
	}
	event.Identity = []string{row.Type, row.ID}
	if row.ID == "" {
		event.Identity = wholeIdentity(event.Event)
	}
	item.Events = append(item.Events, event)
	return nil
}

func (r rowReader) consent(item *Item, row RowConsent) *fault {
	change := consent.Change{
		Purpose: row.Purpose, Channel: row.Channel, Basis: row.Basis, Explicit: row.Explicit, Categories: row.Categories,
		NoticeVersion: row.NoticeVersion, Source: row.Source, Incentive: row.Incentive,
	}
	var ok [2]bool
	change.EffectiveAt, ok[0] = optionalTime(row.EffectiveAt)
	change.ValidUntil, ok[1] = optionalTime(row.ValidUntil)
	if !ok[0] || !ok[1] {
		return &fault{reason: BadTime}
	}
	c, problem := newConsent(consent.Action(row.Action), change, r.catalogue, r.now)
	if problem == nil {
		item.Consents = append(item.Consents, c)
	}
	return problem
}

// optionalTime reads a time that may be missing.
func optionalTime(text string) (at time.Time, ok bool) {
	if text == "" {
		return time.Time{}, true
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return at.UTC(), err == nil && plausible(at)
}
