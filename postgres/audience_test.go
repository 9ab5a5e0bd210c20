package postgres

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// crowd is people with random ledgers and profiles, without any sealed data.
type crowd struct {
	db     *DB
	at     time.Time
	people []crowdPerson
	search gate.AudienceSearch
}

type crowdPerson struct {
	id      privacy.DataSubjectID
	subject policies.SubjectFacts
	records []consent.Record
	tags    []gate.Tag
	// out is why they must be in no audience.
	out string
}

var crowdTags = []gate.Tag{{0x11}, {0x22}, {0x33}}

// newCrowd draws people whose records crowd into few moments, so that ties, ends and
// objections meet, some of them dated ahead of the clock.
func newCrowd(t testing.TB, r *rand.Rand, n int) *crowd {
	t.Helper()
	db, database := newDB(t)
	c := &crowd{db: db, at: time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)}
	c.search = gate.AudienceSearch{
		At: c.at, Shape: gate.Tag{0xaa}, Ages: []gate.Tag{{1}, {2}, {3}, {4}}, Households: []gate.Tag{{5}, {6}, {7}},
		Countries: []string{"CZ", "TR", "EU", "SK"}, Laws: []int32{1, 2, 3, 3}, LawNames: []privacy.Jurisdiction{"unknown", "CZ", "TR", "EU"},
	}
	lawOf := map[string]privacy.Jurisdiction{"CZ": "CZ", "TR": "TR", "SK": "EU", "US": "unknown"}
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	moment := func(days ...int) time.Time { return c.at.AddDate(0, 0, days[r.IntN(len(days))]) }
	owner := database.OwnerPool(t)
	batch := &pgx.Batch{}
	batch.Queue(`insert into consent.stale_notice (purpose, notice_version, stale_at)
		select p, v, s from unnest($1::text[]) p, unnest($2::text[], $3::timestamptz[]) as n (v, s)`,
		[]string{"own", "general"}, []string{"", "old", "fresh", "soon"},
		[]*time.Time{timeOrNull(c.at.AddDate(0, 0, -3)), timeOrNull(c.at), nil, timeOrNull(c.at.Add(time.Microsecond))})
	for i := range n {
		p := crowdPerson{id: privacy.DataSubjectID{byte(i >> 8), byte(i), 0x77, byte(r.IntN(256))}}
		country := pick("CZ", "TR", "SK", "US")
		age, household := r.IntN(len(gate.CellAges)), r.IntN(len(gate.CellHouseholds))
		p.subject = policies.SubjectFacts{
			Known: policies.Yes, Age: gate.CellAges[age], Household: gate.CellHouseholds[household],
			Jurisdiction: lawOf[country], Restricted: policies.YesNo(r.IntN(4) == 0),
		}
		for _, tag := range crowdTags {
			if r.IntN(2) == 0 {
				p.tags = append(p.tags, tag)
			}
		}
		shape, until := gate.Tag{0xaa}, c.at.Add(time.Hour)
		if r.IntN(4) == 0 {
			switch p.out = pick("shape", "time", "key", "age"); p.out {
			case "shape":
				shape = gate.Tag{0xab}
			case "time":
				until = c.at
			}
		}
		ageTag := c.search.Ages[age]
		if p.out == "age" {
			ageTag = gate.Tag{}
		}
		id := [16]byte(p.id)
		batch.Queue(`insert into vault.data_subject (data_subject_id, jurisdiction, restricted) values ($1, $2, $3)`, id, country, p.subject.Restricted == policies.Yes)
		if p.out != "key" {
			batch.Queue(`insert into keyring.person_key (data_subject_id, wrapped) values ($1, $2)`, id, make([]byte, 98))
		}
		batch.Queue(`update gate.profile set shape = $2, fresh_until = $3, age = $4, household = $5, tags = $6 where data_subject_id = $1`,
			id, shape, until, ageTag, c.search.Households[household], append([]gate.Tag{}, p.tags...))
		for range r.IntN(8) {
			record := consent.Record{
				Purpose: privacy.Purpose(pick("own", "own", "own", "own", "general", "broad", "other")), Channel: privacy.Channel(pick("web", "email", "*")),
				Action:      consent.Action(pick("granted", "granted", "renewed", "guardian_granted", "guardian_granted", "refused", "withdrawn", "guardian_withdrawn", "expired", "objected", "objected")),
				Basis:       privacy.LegalBasis(pick("consent", "consent", "consent", "consent", "contract", "legitimate_interests", "vital_interests")),
				EffectiveAt: moment(-4, -3, -3, -2, -1, 0, 1), Incentive: r.IntN(2) == 0,
			}
			switch r.IntN(16) {
			case 0, 1:
				record.EffectiveAt = record.EffectiveAt.Add(time.Microsecond) // just later decides too
			case 2:
				record.EffectiveAt = time.Date(1700, 1, 1+r.IntN(3), 0, 0, 0, 0, time.UTC) // and so does later among the long ago
			}
			for b := range record.ID {
				record.ID[b] = byte(r.IntN(256))
			}
			if record.Explicit = r.IntN(2) == 0; record.Explicit && r.IntN(2) == 0 {
				record.Categories = []privacy.DataCategory{"health"}
			}
			record.Actor, record.NoticeVersion = consent.ByDataSubject, pick("old", "fresh", "fresh", "soon", "unknown", "fresh")
			if record.Action == consent.GuardianGranted || record.Action == consent.GuardianWithdrawn || record.Action == consent.Renewed && r.IntN(2) == 0 {
				record.Actor, record.GuardianVerified = consent.ByGuardian, r.IntN(4) > 0
			}
			if record.Action.IsYes() && r.IntN(2) == 0 {
				record.ValidUntil = record.EffectiveAt.AddDate(0, 0, 1+r.IntN(3))
			}
			p.records = append(p.records, record)
		}
		if i%20 == 7 {
			// An explicit yes after an objection sets it aside, until it ends.
			until := moment(-1, 0, 1)
			p.records = []consent.Record{
				{ID: [16]byte{1}, Purpose: "own", Channel: "*", Action: consent.Objected, Basis: privacy.LegitimateInterests, EffectiveAt: moment(-4, -3)},
				{ID: [16]byte{2}, Purpose: "own", Channel: "*", Action: consent.Granted, Basis: privacy.Consent, Explicit: true, EffectiveAt: moment(-3, -2), ValidUntil: until},
			}
		}
		if i%20 == 13 {
			// Of two choices of long ago the later one decides too.
			p.records = []consent.Record{
				{ID: [16]byte{1}, Purpose: "own", Channel: "*", Action: consent.Withdrawn, Basis: privacy.Consent, EffectiveAt: time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC)},
				{ID: [16]byte{2}, Purpose: "own", Channel: "*", Action: consent.Granted, Basis: privacy.Consent, EffectiveAt: time.Date(1700, 1, 2, 0, 0, 0, 0, time.UTC)},
			}
		}
		for n := range p.records {
			record := &p.records[n]
			binary.BigEndian.PutUint32(record.ID[12:], uint32(i)) // two people have no record in common
			record.Actor = cmp.Or(record.Actor, consent.ByDataSubject)
			record.NoticeVersion = cmp.Or(record.NoticeVersion, "fresh")
			record.StaleAt = crowdStale(c.at, record)
			batch.Queue(`insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, categories,
				notice_version, source, incentive, effective_at, valid_until, actor, guardian_verified)
				values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 's', $10, $11, $12, $13, $14)`,
				id, record.ID, string(record.Purpose), string(record.Channel), string(record.Action), string(record.Basis), record.Explicit,
				texts(record.Categories), record.NoticeVersion, record.Incentive, record.EffectiveAt, timeOrNull(record.ValidUntil),
				string(record.Actor), record.GuardianVerified)
		}
		c.people = append(c.people, p)
	}
	if err := owner.SendBatch(t.Context(), batch).Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

// crowdStale is when the wording of a record went out of date.
func crowdStale(at time.Time, r *consent.Record) time.Time {
	if r.Purpose != "own" && r.Purpose != "general" {
		return time.Time{}
	}
	return map[string]time.Time{"unknown": at.AddDate(0, 0, -3), "old": at, "soon": at.Add(time.Microsecond)}[r.NoticeVersion]
}

// facts is what the gate would make of a person who asks for purpose own.
func (c *crowd) facts(p *crowdPerson, channel privacy.Channel, general []privacy.Purpose) policies.Facts {
	records := slices.Clone(p.records)
	bindNow(records, c.at)
	// Whoever was a child when they said yes and is none now has an end in the ledger.
	childhood := func(time.Time) (bool, time.Time) { return p.subject.Age == policies.Child, time.Time{} }
	current := consent.FoldFor(consent.ForPurpose(records, "own"), channel, c.at, childhood)
	f := policies.Facts{Subject: p.subject, Consent: policies.ConsentFacts{
		State: policies.ConsentState(current.State), Explicit: policies.YesNo(current.Explicit), Basis: current.Basis,
		Incentive: policies.YesNo(current.Incentive),
	}}
	if current.Basis == "" {
		f.Consent.Basis = policies.NoBasis
	}
	objects := current.Objects()
	for _, purpose := range general {
		objects = objects || consent.FoldFor(consent.ForPurpose(records, purpose), channel, c.at, childhood).Objects()
	}
	f.Subject.Objected = policies.YesNo(objects)
	return f
}

func (c *crowd) find(t testing.TB, search gate.AudienceSearch) map[privacy.DataSubjectID]gate.Cell {
	t.Helper()
	found := map[privacy.DataSubjectID]gate.Cell{}
	at, err := NewAudienceStore(c.db).FindAudience(t.Context(), search, func(id privacy.DataSubjectID, cell gate.Cell) error {
		if _, twice := found[id]; twice {
			t.Error("somebody is found twice")
		}
		found[id] = cell
		return nil
	})
	if err != nil || !at.Equal(c.at) {
		t.Fatalf("searching: clock %v, %v", at, err)
	}
	return found
}

// TestAudienceFoldsConsent: the fold in SQL is that of package consent, for every person,
// and whoever must not be found is not.
func TestAudienceFoldsConsent(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 11))
	c := newCrowd(t, r, 1500)
	states := map[policies.ConsentState]int{}
	for _, channel := range []privacy.Channel{"web", "email", "push"} {
		for _, general := range [][]privacy.Purpose{nil, {"general"}, {"general", "broad"}} {
			search := c.search
			search.Purpose, search.Channel, search.General = "own", channel, general
			search.Filter.Kind = policies.FilterAll
			found := c.find(t, search)
			for i := range c.people {
				p := &c.people[i]
				cell, in := found[p.id]
				if in != (p.out == "") {
					t.Fatalf("person %d (out: %q): found %t", i, p.out, in)
				}
				if !in {
					continue
				}
				subject, given, ok := cell.Facts(search.LawNames)
				want := c.facts(p, channel, general)
				states[want.Consent.State]++
				if !ok || subject != want.Subject || given != want.Consent {
					t.Fatalf("person %d, channel %s, general %v: got %+v %+v, want %+v %+v\n%+v", i, channel, general, subject, given, want.Subject, want.Consent, p.records)
				}
			}
		}
	}
	for _, state := range gate.CellStates {
		if states[state] < 50 {
			t.Errorf("state %s was seen %d times only", state, states[state])
		}
	}
}

// randomCondition draws a tree over all fields.
func randomCondition(r *rand.Rand, depth int) policies.Condition {
	if depth > 0 && r.IntN(3) > 0 {
		c := policies.Condition{Op: []policies.ConditionOp{policies.And, policies.Or}[r.IntN(2)]}
		for range 1 + r.IntN(3) {
			c.Terms = append(c.Terms, randomCondition(r, depth-1))
		}
		return c
	}
	words := map[policies.Field][]string{
		policies.FieldKnown: {"yes", "no"}, policies.FieldAge: {"child", "youth", "adult", "unknown"},
		policies.FieldJurisdiction: {"CZ", "TR", "EU", "unknown", "DE"}, policies.FieldRestricted: {"yes", "no"},
		policies.FieldObjected: {"yes", "no"}, policies.FieldHousehold: {"single", "shared", "unknown"},
		policies.FieldState:    {"granted", "withdrawn", "refused", "objected", "expired", "never_asked", "stale_notice", "guardian_missing"},
		policies.FieldExplicit: {"yes", "no"}, policies.FieldBasis: {"none", "consent", "contract", "legitimate_interests"},
		policies.FieldIncentive: {"yes", "no"},
	}
	fields := make([]policies.Field, 0, len(words))
	for field := range words {
		fields = append(fields, field)
	}
	slices.Sort(fields)
	c := policies.Condition{Op: []policies.ConditionOp{policies.In, policies.NotIn}[r.IntN(2)], Field: fields[r.IntN(len(fields))]}
	for _, word := range append(words[c.Field], "nonsense") {
		if r.IntN(2) == 0 {
			c.Values = append(c.Values, word)
		}
	}
	return c
}

// TestAudienceFilterInSQL: a condition finds in SQL whom it matches in Go, and nobody else.
func TestAudienceFilterInSQL(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 2))
	c := newCrowd(t, r, 700)
	search := c.search
	search.Purpose, search.Channel, search.General = "own", "web", []privacy.Purpose{"general"}
	some := 0
	for range 120 {
		where := randomCondition(r, 3)
		search.Filter = policies.Filter{Kind: policies.FilterWhere, Where: &where}
		search.Tags = nil
		for range r.IntN(3) {
			search.Tags = append(search.Tags, [][]gate.Tag{crowdTags[:1], crowdTags[1:], crowdTags[2:]}[r.IntN(3)])
		}
		found := c.find(t, search)
		if len(found) > 0 {
			some++
		}
		for i := range c.people {
			p := &c.people[i]
			facts := c.facts(p, "web", search.General)
			want := p.out == "" && where.Match(&facts)
			for _, tags := range search.Tags {
				want = want && slices.ContainsFunc(tags, func(tag gate.Tag) bool { return slices.Contains(p.tags, tag) })
			}
			if _, got := found[p.id]; got != want {
				t.Fatalf("%+v %x: person %+v: found %t, want %t", where, search.Tags, facts, got, want)
			}
		}
	}
	if some < 50 {
		t.Errorf("only %d of 120 conditions found anybody", some)
	}
}

// TestAudienceFilterFailsClosed: what is no filter, or one that is not understood, finds
// nobody.
func TestAudienceFilterFailsClosed(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, rand.New(rand.NewPCG(1, 1)), 20)
	in := policies.Condition{Op: policies.In, Field: policies.FieldKnown, Values: []string{"yes"}}
	for name, filter := range map[string]policies.Filter{
		"zero":             {},
		"zero with where":  {Where: &in},
		"unknown kind":     {Kind: 99, Where: &in},
		"where of nothing": {Kind: policies.FilterWhere},
		"no operator":      {Kind: policies.FilterWhere, Where: &policies.Condition{Field: policies.FieldKnown, Values: []string{"yes"}}},
		"empty and":        {Kind: policies.FilterWhere, Where: &policies.Condition{Op: policies.And}},
		"empty or":         {Kind: policies.FilterWhere, Where: &policies.Condition{Op: policies.Or}},
		"unknown field":    {Kind: policies.FilterWhere, Where: &policies.Condition{Op: policies.In, Field: "subject.name; drop table", Values: []string{"yes"}}},
		"field and terms":  {Kind: policies.FilterWhere, Where: &policies.Condition{Op: policies.NotIn, Field: policies.FieldAge, Terms: []policies.Condition{in}}},
		"no values":        {Kind: policies.FilterWhere, Where: &policies.Condition{Op: policies.In, Field: policies.FieldState}},
	} {
		search := c.search
		search.Purpose, search.Channel, search.Filter = "own", "web", filter
		n := 0
		_, _ = NewAudienceStore(c.db).FindAudience(t.Context(), search, func(privacy.DataSubjectID, gate.Cell) error { n++; return nil })
		if n != 0 {
			t.Errorf("%s: finds %d people", name, n)
		}
	}
	search := c.search
	search.Purpose, search.Channel, search.Filter = "own", "web", policies.Filter{Kind: policies.FilterAll}
	boom := fmt.Errorf("boom: %w", policies.ErrPolicy)
	_, err := NewAudienceStore(c.db).FindAudience(t.Context(), search, func(privacy.DataSubjectID, gate.Cell) error { return boom })
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v, want the error of found", err)
	}
}
