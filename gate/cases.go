package gate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// CaseResult is what became of one case.
type CaseResult struct {
	// File, Scenario and Name say which case it is; Situation is the market situation
	// behind it, in one line.
	File, Scenario, Situation, Name string
	// Failures say what differs from the expectation; empty if nothing does.
	Failures []string
}

// Passed reports whether the case came out as expected.
func (r CaseResult) Passed() bool { return len(r.Failures) == 0 }

// caseFile is one scenario.
type caseFile struct {
	Scenario  string                `yaml:"scenario"`
	Situation string                `yaml:"situation"`
	People    map[string]casePerson `yaml:"people"`
	Cases     []caseEntry           `yaml:"cases"`
}

type caseEntry struct {
	Name   string     `yaml:"name"`
	Person string     `yaml:"person"`
	Ask    caseAsk    `yaml:"ask"`
	Expect caseExpect `yaml:"expect"`
}

// casePerson is a person as the database would hold them. Days are counted back from
// the case's clock.
type casePerson struct {
	Unknown      bool                                 `yaml:"unknown"`
	Damaged      bool                                 `yaml:"damaged"`
	Jurisdiction privacy.Jurisdiction                 `yaml:"jurisdiction"`
	Restricted   bool                                 `yaml:"restricted"`
	Attributes   map[privacy.AttributeName]caseValues `yaml:"attributes"`
	Purchases    []caseEvent                          `yaml:"purchases"`
	Views        []caseEvent                          `yaml:"views"`
	Consents     []caseConsent                        `yaml:"consents"`
	// Told is the asking recipient's exposure ledger.
	Told []string `yaml:"told"`
}

// caseValues is a text, a list of texts, or the whole of a field.
type caseValues struct {
	Values  []string      `yaml:"values"`
	Source  vault.Source  `yaml:"source"`
	Quality vault.Quality `yaml:"quality"`
	DaysAgo int           `yaml:"days_ago"`
}

// UnmarshalYAML reads the three forms.
func (v *caseValues) UnmarshalYAML(node *yaml.Node) error {
	*v = caseValues{Source: vault.Declared, Quality: vault.Verified}
	switch node.Kind {
	case yaml.ScalarNode:
		v.Values = []string{node.Value}
		return nil
	case yaml.SequenceNode:
		return node.Decode(&v.Values)
	}
	type plain caseValues
	return node.Decode((*plain)(v))
}

type caseEvent struct {
	Group   string `yaml:"group"`
	Amount  string `yaml:"amount"`
	DaysAgo int    `yaml:"days_ago"`
}

type caseConsent struct {
	Purpose    privacy.Purpose        `yaml:"purpose"`
	Channel    privacy.Channel        `yaml:"channel"`
	Action     consent.Action         `yaml:"action"`
	Basis      privacy.LegalBasis     `yaml:"basis"`
	Explicit   bool                   `yaml:"explicit"`
	Categories []privacy.DataCategory `yaml:"categories"`
	Incentive  bool                   `yaml:"incentive"`
	DaysAgo    int                    `yaml:"days_ago"`
	ValidDays  int                    `yaml:"valid_days"`
}

type caseAsk struct {
	Role      privacy.Role        `yaml:"role"`
	Recipient privacy.RecipientID `yaml:"recipient"`
	// By is "pseudonym" (the default) or an identifier kind.
	By         string                  `yaml:"by"`
	Action     policies.Action         `yaml:"action"`
	Purpose    privacy.Purpose         `yaml:"purpose"`
	Channel    privacy.Channel         `yaml:"channel"`
	Attributes []privacy.AttributeName `yaml:"attributes"`
	// TriggerAge is how long ago the trigger was, such as "20m".
	TriggerAge string `yaml:"trigger_age"`
}

// caseExpect is complete: what is not named must not be there. Only checks, which the
// recipient does not see, may be left out.
type caseExpect struct {
	Decision    Decision                              `yaml:"decision"`
	Attributes  map[privacy.AttributeName]caseRelease `yaml:"attributes"`
	Obligations []policies.ObligationID               `yaml:"obligations"`
	Reasons     []string                              `yaml:"reasons"`
	Checks      []string                              `yaml:"checks"`
	// SameAs names another case of the file: the two answers must not differ at all.
	SameAs string `yaml:"same_as"`
}

type caseRelease struct {
	Level policies.Level `yaml:"level"`
	Value any            `yaml:"value"`
}

// caseClock is when every case takes place.
var caseClock = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// RunCases plays every case in the YAML files of fsys, or of its folder cases if it has
// one, against a policy revision, through the same decision and ladder that answers
// queries. The error is about cases that cannot be read; a case that comes out
// otherwise than expected is a result.
func RunCases(ctx context.Context, fsys fs.FS, revision *policies.Revision) ([]CaseResult, error) {
	dir := "."
	if info, err := fs.Stat(fsys, "cases"); err == nil && info.IsDir() {
		dir = "cases"
	}
	files, err := fs.Glob(fsys, path.Join(dir, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("finding cases: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("finding cases: there are none: %w", privacy.ErrNotFound)
	}
	s := newSheet(revision)
	var results []CaseResult
	for _, name := range files {
		file, err := readCases(fsys, name)
		if err != nil {
			return nil, err
		}
		played, err := file.play(ctx, s, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		results = append(results, played...)
	}
	return results, nil
}

func readCases(fsys fs.FS, name string) (*caseFile, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("reading cases: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var file caseFile
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, privacy.ErrInvalid, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one document: %w", name, privacy.ErrInvalid)
	}
	if file.Scenario == "" || file.Situation == "" || strings.Contains(strings.TrimSpace(file.Situation), "\n") || len(file.Cases) == 0 {
		return nil, fmt.Errorf("%s: scenario, a situation of one line and cases are required: %w", name, privacy.ErrInvalid)
	}
	return &file, nil
}

func (f *caseFile) play(ctx context.Context, s *sheet, name string) ([]CaseResult, error) {
	var results []CaseResult
	answers := map[string]Answer{}
	for i := range f.Cases {
		c := &f.Cases[i]
		person, ok := f.People[c.Person]
		if !ok || c.Name == "" {
			return nil, fmt.Errorf("case %d (%q): name and a person of this file are required: %w", i+1, c.Name, privacy.ErrInvalid)
		}
		if _, twice := answers[c.Name]; twice {
			return nil, fmt.Errorf("case %q is there twice: %w", c.Name, privacy.ErrInvalid)
		}
		answer, event, err := c.play(ctx, s, &person)
		if err != nil {
			return nil, fmt.Errorf("case %q: %w", c.Name, err)
		}
		answers[c.Name] = answer
		r := CaseResult{File: path.Base(name), Scenario: f.Scenario, Situation: strings.TrimSpace(f.Situation), Name: c.Name}
		r.Failures = c.Expect.compare(answer, event)
		if c.Expect.SameAs != "" {
			other, ok := answers[c.Expect.SameAs]
			if !ok {
				return nil, fmt.Errorf("case %q: same_as names no earlier case: %w", c.Name, privacy.ErrInvalid)
			}
			if !reflect.DeepEqual(answer, other) {
				r.Failures = append(r.Failures, fmt.Sprintf("the answer differs from that of %q", c.Expect.SameAs))
			}
		}
		results = append(results, r)
	}
	return results, nil
}

// play decides one case. Nothing is written, so the answer has no receipt.
func (c *caseEntry) play(ctx context.Context, s *sheet, person *casePerson) (Answer, audit.Event, error) {
	p, opened, err := person.state(s)
	if err != nil {
		return Answer{}, audit.Event{}, err
	}
	principal := privacy.Principal{ID: "case", Role: c.Ask.Role, Recipient: c.Ask.Recipient}
	if principal.Role == "" {
		principal.Role = privacy.RoleService
	}
	if c.Ask.Action == policies.Reidentify {
		decision, err := p.reidentification(ctx, s, principal, c.Ask.Purpose)
		if err != nil {
			return Answer{}, audit.Event{}, err
		}
		answer := Answer{Decision: Deny}
		if decision.Allow {
			answer.Decision = Allow
		}
		return answer, audit.Event{Checks: decision.Checks}, nil
	}
	query := Query{Purpose: c.Ask.Purpose, Channel: c.Ask.Channel, Attributes: c.Ask.Attributes}
	if c.Ask.By == "" || c.Ask.By == string(policies.ByPseudonym) {
		query.DataSubject.Pseudonym = "case"
	} else {
		query.DataSubject.Identifier = privacy.Identifier{Kind: privacy.IdentifierKind(c.Ask.By), Value: privacy.NewPlain("case")}
	}
	if c.Ask.TriggerAge != "" {
		age, err := time.ParseDuration(c.Ask.TriggerAge)
		if err != nil {
			return Answer{}, audit.Event{}, fmt.Errorf("reading trigger_age: %w", privacy.ErrInvalid)
		}
		query.Trigger = &Trigger{OccurredAt: caseClock.Add(-age)}
	}
	r, err := query.validate(s)
	if err != nil {
		return Answer{}, audit.Event{}, err
	}
	d := decision{
		sheet: s, principal: principal, request: r, state: p, opener: opened,
		told: ledger(nil).with(person.Told, dayOf(caseClock)), tie: caseTie,
	}
	v, err := d.decided(ctx)
	return v.pending.answer, v.event, err
}

// decided decides without haste: an evaluation that ran into its time limit, because the
// machine had other things to do, says nothing about the rules and is made again.
func (d *decision) decided(ctx context.Context) (v verdict, err error) {
	for range 10 {
		v, err = d.decide(ctx)
		if err != nil || !slices.Contains(v.event.Checks, CheckPolicy) {
			break
		}
	}
	return v, err
}

func caseTie(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return h.Sum64()
}

// state builds the person.
func (c *casePerson) state(s *sheet) (state, *plainPerson, error) {
	p := state{known: !c.Unknown, jurisdiction: c.Jurisdiction, restricted: c.Restricted, at: caseClock}
	opened := &plainPerson{records: map[privacy.DataCategory]vault.Record{}, damaged: c.Damaged}
	for name, v := range c.Attributes {
		a := s.attributes[name]
		if a == nil {
			return state{}, nil, fmt.Errorf("attribute %s is not in the catalogue: %w", name, privacy.ErrInvalid)
		}
		field := vault.Field{Source: v.Source, Quality: v.Quality, ObservedAt: daysAgo(v.DaysAgo).Truncate(24 * time.Hour)}
		for _, value := range v.Values {
			field.Values = append(field.Values, privacy.NewPlain(value))
		}
		if opened.records[a.Category] == nil {
			opened.records[a.Category] = vault.Record{}
		}
		opened.records[a.Category][name] = field
	}
	p.core = opened.records[categoryCore]
	opened.streams = map[privacy.DataCategory][]event{
		"purchases": caseEvents("purchase", c.Purchases),
		"views":     caseEvents("view", c.Views),
	}
	for i, given := range c.Consents {
		record := consent.Record{
			ID: [16]byte{byte(i + 1)}, Purpose: given.Purpose, Channel: given.Channel, Action: given.Action, Basis: given.Basis,
			Explicit: given.Explicit, Categories: given.Categories, Incentive: given.Incentive, EffectiveAt: daysAgo(given.DaysAgo),
		}
		if record.Basis == "" {
			record.Basis = privacy.Consent
		}
		if given.ValidDays > 0 {
			record.ValidUntil = record.EffectiveAt.AddDate(0, 0, given.ValidDays)
		}
		if _, ok := consent.ParseAction(string(record.Action)); !ok || !s.knowsPurpose(record.Purpose) {
			return state{}, nil, fmt.Errorf("consent %d: unknown action or purpose: %w", i+1, privacy.ErrInvalid)
		}
		p.consents = append(p.consents, record)
	}
	return p, opened, nil
}

func daysAgo(n int) time.Time { return caseClock.AddDate(0, 0, -n) }

func caseEvents(kind string, given []caseEvent) []event {
	events := make([]event, len(given))
	for i, e := range given {
		events[i] = event{kind: kind, at: daysAgo(e.DaysAgo), group: e.Group, amount: e.Amount}
	}
	return events
}

// plainPerson opens what was never sealed.
type plainPerson struct {
	records map[privacy.DataCategory]vault.Record
	streams map[privacy.DataCategory][]event
	damaged bool
}

func (p *plainPerson) record(category privacy.DataCategory) (vault.Record, error) {
	if p.damaged {
		return nil, fmt.Errorf("opening record: %w", privacy.ErrDamaged)
	}
	return p.records[category], nil
}

func (p *plainPerson) events(stream privacy.DataCategory) ([]event, error) {
	if p.damaged {
		return nil, fmt.Errorf("opening events: %w", privacy.ErrDamaged)
	}
	return p.streams[stream], nil
}

// compare lists what differs.
func (e *caseExpect) compare(answer Answer, event audit.Event) []string {
	var failures []string
	differ := func(what string, got, want any) {
		failures = append(failures, fmt.Sprintf("%s: got %v, want %v", what, got, want))
	}
	if answer.Decision != e.Decision {
		differ("decision", answer.Decision, e.Decision)
	}
	for name, want := range e.Attributes {
		got, ok := answer.Attributes[name]
		switch {
		case !ok:
			differ("attribute "+string(name), "nothing", want.Level)
		case got.Level != want.Level:
			differ("level of "+string(name), got.Level, want.Level)
		case fmt.Sprint(got.RevealPersonalData()) != fmt.Sprint(want.Value):
			differ("value of "+string(name), got.RevealPersonalData(), want.Value)
		}
	}
	for name := range answer.Attributes {
		if _, wanted := e.Attributes[name]; !wanted {
			differ("attribute "+string(name), answer.Attributes[name].RevealPersonalData(), "nothing")
		}
	}
	var obligations []policies.ObligationID
	for _, o := range answer.Obligations {
		obligations = append(obligations, o.ID)
	}
	if !sameSet(obligations, e.Obligations) {
		differ("obligations", obligations, e.Obligations)
	}
	var reasons []string
	for _, r := range answer.Reasons {
		reasons = append(reasons, r.Check)
	}
	if !sameSet(reasons, e.Reasons) {
		differ("reasons", reasons, e.Reasons)
	}
	if e.Checks != nil && !sameSet(event.Checks, e.Checks) {
		differ("checks in the log", event.Checks, e.Checks)
	}
	slices.Sort(failures)
	return failures
}

func sameSet[T ~string](a, b []T) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
