package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Comparer asks about people both ways; [gate.Gate] does.
type Comparer interface {
	CompareAudience(ctx context.Context, principal privacy.Principal, query gate.AudienceQuery, people []privacy.DataSubjectID) (gate.Comparison, error)
}

// EquivalenceConfig says what [Equivalence] compares. The fields without a default are
// required.
type EquivalenceConfig struct {
	Gate     Comparer
	Loader   Loader
	Revision *policies.Revision
	// Refresh makes the profiles of everybody who was loaded.
	Refresh func(ctx context.Context) error
	// OwnerURL reaches the same database with the right to restrict people.
	OwnerURL string
	// People and Questions are how many of each are made up; zero means 300 and 60.
	People, Questions int
	// Seed makes others up.
	Seed uint64
	// Progress hears what is going on; nil means that nobody does.
	Progress func(step string, done, total int)
}

// EquivalenceReport is the outcome.
type EquivalenceReport struct {
	People int `json:"people"`
	// Questions were asked, Empty of them found nobody.
	Questions int `json:"questions"`
	Empty     int `json:"empty"`
	// Comparisons is how many single queries were held against an audience, Members how
	// many of them found their person in it.
	Comparisons int `json:"comparisons"`
	Members     int `json:"members"`
	Missing     int `json:"missing"`
	Extra       int `json:"extra"`
	Differences int `json:"differences"`
}

// Equivalence makes up people and questions, and asks both ways: by audience and by a
// single query about each person. Everything the rules can see of a person varies.
func Equivalence(ctx context.Context, config EquivalenceConfig) (EquivalenceReport, error) {
	if config.People <= 0 {
		config.People = 300
	}
	if config.Questions <= 0 {
		config.Questions = 60
	}
	if config.Progress == nil {
		config.Progress = func(string, int, int) {}
	}
	e := equivalence{EquivalenceConfig: config, random: rand.New(rand.NewPCG(config.Seed, 7))} //nolint:gosec // made-up data
	e.catalogue = config.Revision.Catalogue()
	e.purposes = audiencePurposes(e.catalogue)
	if len(e.purposes) == 0 {
		return EquivalenceReport{}, fmt.Errorf("comparing: no recipient may ask for audiences and single people alike: %w", privacy.ErrNotFound)
	}
	config.Progress("making people up", 0, config.Questions+1)
	people, err := e.populate(ctx)
	if err != nil {
		return EquivalenceReport{}, err
	}
	report := EquivalenceReport{People: len(people)}
	for asked := 0; asked < 50*config.Questions && report.Questions < config.Questions; asked++ {
		config.Progress("asking both ways", 1+report.Questions, config.Questions+1)
		by, query := e.question()
		c, err := config.Gate.CompareAudience(ctx, by, query, people)
		if errors.Is(err, privacy.ErrInvalid) {
			continue // words of another level than the column is open at
		}
		if err != nil {
			return report, fmt.Errorf("comparing: %w", err)
		}
		report.Questions++
		report.Comparisons += c.People
		report.Members += c.Members
		report.Missing += c.Missing
		report.Extra += c.Extra
		if c.Members == 0 {
			report.Empty++
		}
	}
	report.Differences = report.Missing + report.Extra
	config.Progress("done", config.Questions+1, config.Questions+1)
	return report, nil
}

type equivalence struct {
	EquivalenceConfig
	catalogue *policies.Catalogue
	random    *rand.Rand
	purposes  []audiencePurpose
}

// audiencePurpose is a purpose with somebody who may ask for it both ways.
type audiencePurpose struct {
	*policies.Purpose
	recipients []privacy.RecipientID
}

func audiencePurposes(c *policies.Catalogue) []audiencePurpose {
	var found []audiencePurpose
	for _, id := range c.Purposes() {
		purpose, _ := c.Purpose(id)
		if !slices.Contains(purpose.Actions, policies.Audience) || !slices.Contains(purpose.Actions, policies.Personalize) {
			continue
		}
		p := audiencePurpose{Purpose: purpose}
		for _, recipient := range c.Recipients() {
			if r, _ := c.Recipient(recipient); slices.Contains(r.Purposes, id) {
				p.recipients = append(p.recipients, recipient)
			}
		}
		if len(p.recipients) > 0 && len(p.Channels) > 0 {
			found = append(found, p)
		}
	}
	return found
}

func pickOne[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// openWords are values of columns that take any.
var openWords = []string{"north", "south", "east", "west"}

// words are what a column may hold, coarser words among them.
func (e *equivalence) words(name privacy.AttributeName) []string {
	a, _ := e.catalogue.Attribute(name)
	if name == "persona" {
		var labels []string
		for _, label := range e.catalogue.Personas() {
			labels = append(labels, string(label.ID))
		}
		return labels[:min(3, len(labels))]
	}
	if a.Audience.Open {
		return openWords
	}
	words := slices.Clone(a.Audience.Words)
	if a.Generalize != nil {
		for _, exact := range a.Audience.Words {
			if coarse := a.Generalize.Map[exact]; coarse != "" && !slices.Contains(words, coarse) {
				words = append(words, coarse)
			}
		}
	}
	return words
}

// question draws who asks, and one or two conditions.
func (e *equivalence) question() (privacy.Principal, gate.AudienceQuery) {
	r, purpose := e.random, pickOne(e.random, e.purposes)
	query := gate.AudienceQuery{Purpose: purpose.ID, Channel: pickOne(r, purpose.Channels)}
	columns := e.catalogue.AudienceAttributes()
	if r.IntN(6) > 0 {
		columns = slices.DeleteFunc(columns, func(name privacy.AttributeName) bool {
			return e.Revision.Verdict(purpose.ID, name).Max == policies.Withheld
		})
	}
	r.Shuffle(len(columns), func(i, j int) { columns[i], columns[j] = columns[j], columns[i] })
	for _, name := range columns[:min(len(columns), 1+r.IntN(2))] {
		words := slices.Clone(e.words(name))
		r.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		query.Conditions = append(query.Conditions, gate.AudienceCondition{Attribute: name, In: words[:1+r.IntN(max(1, len(words)/2))]})
	}
	return privacy.Principal{ID: "equivalence", Role: privacy.RoleService, Recipient: pickOne(r, purpose.recipients)}, query
}

// populate brings people in the way everybody else comes in, restricts some, and has their
// profiles made.
func (e *equivalence) populate(ctx context.Context) ([]privacy.DataSubjectID, error) {
	const batch = 500
	for first := 0; first < e.People; first += batch {
		var lines bytes.Buffer
		encoder := json.NewEncoder(&lines)
		for n := first; n < min(first+batch, e.People); n++ {
			if err := encoder.Encode(e.row(n)); err != nil {
				return nil, err
			}
		}
		result, err := e.Loader.LoadStream(ctx, &lines, intake.StreamOptions{Principal: privacy.Principal{ID: "equivalence", Role: privacy.RoleIngest}})
		if err != nil {
			return nil, err
		}
		if len(result.Rejects) > 0 {
			return nil, fmt.Errorf("%d rows were rejected, the first for %s at %s", len(result.Rejects), result.Rejects[0].Reason, result.Rejects[0].Field)
		}
	}
	conn, err := pgx.Connect(ctx, e.OwnerURL)
	if err != nil {
		return nil, fmt.Errorf("connecting as owner: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, `update vault.data_subject set restricted = get_byte(uuid_send(data_subject_id), 15) < 20 returning data_subject_id`)
	if err != nil {
		return nil, fmt.Errorf("restricting people: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return nil, fmt.Errorf("restricting people: %w", err)
	}
	people := make([]privacy.DataSubjectID, len(ids))
	for i := range ids {
		people[i] = ids[i]
	}
	return people, e.Refresh(ctx)
}

// row makes a person up.
func (e *equivalence) row(n int) intake.Row {
	r := e.random
	row := intake.Row{
		Identifiers:  []intake.RowIdentifier{{Kind: "customer_number", Value: fmt.Sprintf("EQ-%d-%06d", e.Seed, n)}},
		Jurisdiction: pickOne(r, e.catalogue.Jurisdictions()), Attributes: map[string]json.RawMessage{},
	}
	set := func(name, value string) { row.Attributes[name], _ = json.Marshal(value) } // a text always encodes
	if r.IntN(8) > 0 {
		years := 18 + r.IntN(60)
		if r.IntN(5) == 0 {
			years = 10 + r.IntN(10)
		}
		set("birth_date", time.Now().AddDate(-years, 0, -r.IntN(365)).Format(time.DateOnly))
	}
	if r.IntN(4) > 0 {
		set("household", pickOne(r, []string{"single", "shared"}))
	}
	for _, name := range e.catalogue.AudienceAttributes() {
		if r.IntN(5) > 0 {
			set(string(name), pickOne(r, e.words(name)))
		}
	}
	for _, purpose := range e.purposes {
		for range 1 + r.IntN(2) - r.IntN(2) {
			channels := append([]privacy.Channel{privacy.AnyChannel, privacy.AnyChannel, privacy.AnyChannel}, purpose.Channels...)
			row.Consents = append(row.Consents, e.consent(purpose.ID, pickOne(r, channels)))
		}
	}
	if r.IntN(8) == 0 {
		row.Consents = append(row.Consents, e.consent(policies.GeneralMarketing, privacy.AnyChannel))
	}
	return row
}

// consent draws a choice: mostly a yes, sometimes one that has ended or was explicit.
func (e *equivalence) consent(purpose privacy.Purpose, channel privacy.Channel) intake.RowConsent {
	r := e.random
	at := time.Now().UTC().Add(-time.Duration(1+r.IntN(300*24)) * time.Hour).Truncate(time.Hour)
	choice := intake.RowConsent{
		Action: string(consent.Granted), Purpose: purpose, Channel: channel, Basis: privacy.Consent, Source: "made_up",
		EffectiveAt: at.Format(time.RFC3339),
	}
	if r.IntN(5) == 0 || purpose == policies.GeneralMarketing {
		choice.Action = string(pickOne(r, []consent.Action{consent.Refused, consent.Withdrawn, consent.Objected}))
		if choice.Action == string(consent.Objected) {
			choice.Basis = privacy.LegitimateInterests
		}
		return choice
	}
	choice.NoticeVersion, choice.Explicit, choice.Incentive = "made-up-1", r.IntN(2) == 0, r.IntN(6) == 0
	if r.IntN(8) == 0 {
		choice.Basis = privacy.Contract
	}
	if r.IntN(4) == 0 {
		choice.ValidUntil = at.Add(time.Duration(1+r.IntN(400*24)) * time.Hour).Format(time.RFC3339)
	}
	return choice
}
