package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// AudienceRecipient asks for the audiences of the benchmark.
const AudienceRecipient privacy.RecipientID = "recommender"

// AudienceFinder names the people of an audience; [gate.Gate] does.
type AudienceFinder interface {
	Audience(ctx context.Context, principal privacy.Principal, query gate.AudienceQuery) (gate.Audience, error)
}

// AudienceConfig says what [Audience] measures. The fields without a default are required.
type AudienceConfig struct {
	Gate   AudienceFinder
	Loader Loader
	// Refresh makes the profiles of everybody who was loaded.
	Refresh func(ctx context.Context) error
	// OwnerURL reaches the same database with the right to make a schema.
	OwnerURL string
	// People is how many there are; zero means 1,000,000. Rounds is how often each side is
	// measured; zero means 5.
	People, Rounds int
	// Progress hears what is going on; nil means that nobody does.
	Progress func(step string, done, total int)
}

// AudienceReport is the outcome.
type AudienceReport struct {
	Machine Machine       `json:"machine"`
	People  int           `json:"people"`
	Lines   []AudienceRow `json:"lines"`
}

// AudienceRow is one question. Both sides find the same people, or [Audience] fails.
type AudienceRow struct {
	Question string `json:"question"`
	Members  int    `json:"members"`
	// Plain is the time of the statement by hand over the same tables, and Wide over one wide
	// table; both read ids. Gate is that of the whole answer: policies, search, pseudonyms in
	// order, digest and durable log entry. All are medians. The ratio is that of Gate to Plain.
	Plain     time.Duration `json:"plain_ns"`
	Wide      time.Duration `json:"wide_ns"`
	Gate      time.Duration `json:"gate_ns"`
	Ratio     float64       `json:"ratio"`
	WideRatio float64       `json:"wide_ratio"`
}

var (
	benchTiers   = []string{"bronze", "silver", "gold", "platinum"}
	benchRegions = []string{"Ege", "Marmara", "Akdeniz", "Karadeniz"}
	benchBorn    = []string{"1988-04-12", "2015-01-01"}
)

// The people of the benchmark are copies of models that came in the ordinary way, one for
// each mixture of values. The bare side has their values in clear.
const (
	sqlAudienceModels = `
	create table mahrem_bench.model (n integer primary key, data_subject_id uuid not null, age_group text not null, loyalty_tier text not null, region text not null)`
	sqlAudienceModel = `
	insert into mahrem_bench.model (n, data_subject_id, age_group, loyalty_tier, region)
	select $1, d.data_subject_id, $2, $3, $4
	from vault.data_subject d
	where not exists (select from mahrem_bench.model m where m.data_subject_id = d.data_subject_id)`
	sqlAudiencePeople = `
	create table mahrem_bench.person as
	select gen_random_uuid() as data_subject_id, m.n as model, m.age_group, m.loyalty_tier, m.region,
	    (array['TR', 'CZ', 'DE', 'SK', 'GB'])[1 + p.n % 5] as jurisdiction, p.n % 50 = 0 as restricted, p.n
	from generate_series(1, $1::integer) as p (n)
	join mahrem_bench.model m on m.n = case when p.n % 10 = 0 then 16 else 0 end + (p.n * 31 / 13) % 16`
	sqlAudiencePeopleKey = `alter table mahrem_bench.person add primary key (data_subject_id)`
	sqlAudienceQuiet     = `alter table vault.data_subject disable trigger user`
	sqlAudienceLoud      = `alter table vault.data_subject enable trigger user`
	sqlAudienceSubjects  = `
	insert into vault.data_subject (data_subject_id, jurisdiction, restricted)
	select data_subject_id, jurisdiction, restricted from mahrem_bench.person`
	sqlAudienceKeys = `
	insert into keyring.person_key (data_subject_id, wrapped)
	select data_subject_id, decode(repeat('00', 98), 'hex') from mahrem_bench.person`
	sqlAudienceProfiles = `
	insert into gate.profile (data_subject_id, shape, fresh_until, age, household, tags)
	select p.data_subject_id, g.shape, now() + interval '30 days', g.age, g.household, g.tags
	from mahrem_bench.person p
	join mahrem_bench.model m on m.n = p.model
	join gate.profile g on g.data_subject_id = m.data_subject_id`
	// Nine of ten have chosen, some twice; one in thirty has objected to all marketing.
	sqlAudienceConsents = `
	insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit,
	    notice_version, source, effective_at, valid_until)
	select p.data_subject_id, gen_random_uuid(), c.purpose, c.channel, c.action, c.basis, c.explicit, 'bench-1', 'bench',
	    now() - c.age, case when c.ends then now() - c.age + interval '500 days' end
	from mahrem_bench.person p cross join lateral (
	    select 'recommendations' as purpose, (array['email', '*', 'web'])[1 + p.n % 3] as channel,
	        case when p.n % 7 = 0 then 'refused' else 'granted' end as action, 'consent' as basis, p.n % 4 = 0 as explicit,
	        interval '1 day' * (p.n % 600) + interval '1 microsecond' * p.n as age, p.n % 3 = 0 as ends
	    where p.n % 10 <> 1
	    union all
	    select 'recommendations', '*', (array['withdrawn', 'objected', 'granted'])[1 + p.n % 3], 'consent', p.n % 4 = 0,
	        interval '1 day' * (p.n % 300) + interval '1 hour', false
	    where p.n % 6 = 0
	    union all
	    select 'newsletter', 'email', 'granted', 'consent', false, interval '1 day' * (p.n % 300), false
	    where p.n % 2 = 0
	    union all
	    select 'marketing', '*', 'objected', 'legitimate_interests', false, interval '1 day' * (p.n % 300), false
	    where p.n % 30 = 0
	) c`
	sqlAudienceAnalyze = `vacuum analyze mahrem_bench.person, vault.data_subject, keyring.person_key, gate.profile, consent.record`
)

// The statement by hand is what somebody would write who needs this one audience, with
// values in clear, and who must observe the same rules: restriction and country as they are
// now; of the choices the latest decides, of two at a time the more protective; a no that is
// dated ahead counts at once; a yes ends; an objection stands unless a later explicit yes
// lifts it, and one to all marketing binds this purpose too. It need not say how the rest
// are in the end, nor name anybody, nor write anything down.
const (
	// The people of Mahrem's own tables, with their values in a table beside.
	sqlAudienceByHand = `
with candidate as materialized (
    select p.data_subject_id
    from mahrem_bench.person p
    join vault.data_subject d on d.data_subject_id = p.data_subject_id
    where p.age_group = 'adult' and not d.restricted and d.jurisdiction in ('TR', 'CZ', 'DE', 'SK', 'GB')
        and p.loyalty_tier = any ($1::text[]) and p.region = any ($2::text[])
),` + sqlAudienceByHandConsent
	// One wide table that has all of it, as if nobody else kept restriction and country.
	sqlAudienceWide = `
with candidate as materialized (
    select p.data_subject_id
    from mahrem_bench.person p
    where p.age_group = 'adult' and not p.restricted and p.jurisdiction in ('TR', 'CZ', 'DE', 'SK', 'GB')
        and p.loyalty_tier = any ($1::text[]) and p.region = any ($2::text[])
),` + sqlAudienceByHandConsent
	sqlAudienceByHandConsent = `
latest as (
    select distinct on (r.data_subject_id)
        r.data_subject_id, r.action, r.legal_basis, r.explicit, r.effective_at, r.valid_until
    from candidate c
    join consent.record r on r.data_subject_id = c.data_subject_id
    where r.purpose = 'recommendations' and r.channel in ('email', '*') and r.action <> 'objected'
        and (r.effective_at <= now() or r.action <> 'granted')
    order by r.data_subject_id, least(r.effective_at, now()) desc, r.action desc, r.explicit, r.valid_until nulls last
),
objection as (
    select r.data_subject_id,
        max(least(r.effective_at, now())) filter (where r.purpose = 'recommendations') as to_this,
        max(least(r.effective_at, now())) filter (where r.purpose = 'marketing') as to_all
    from consent.record r
    where r.action = 'objected' and r.purpose in ('recommendations', 'marketing') and r.channel in ('email', '*')
    group by r.data_subject_id
),
marketing as (
    select distinct on (r.data_subject_id)
        r.data_subject_id, r.action, r.legal_basis, r.explicit, r.effective_at, r.valid_until
    from consent.record r
    where r.purpose = 'marketing' and r.channel in ('email', '*') and r.action <> 'objected'
        and (r.effective_at <= now() or r.action <> 'granted')
    order by r.data_subject_id, least(r.effective_at, now()) desc, r.action desc, r.explicit, r.valid_until nulls last
)
select l.data_subject_id
from latest l
left join objection o on o.data_subject_id = l.data_subject_id
left join marketing m on m.data_subject_id = l.data_subject_id
where l.action = 'granted' and l.legal_basis = 'consent' and (l.valid_until is null or l.valid_until > now())
    and (o.to_this is null or l.explicit and l.effective_at > o.to_this)
    and (o.to_all is null or m.action = 'granted' and m.explicit and m.legal_basis = 'consent'
        and m.effective_at > o.to_all and (m.valid_until is null or m.valid_until > now()))`
)

// audienceQuestions are the questions, for both sides.
var audienceQuestions = []struct {
	name           string
	tiers, regions []string
}{
	{"two tiers of one region", []string{"gold", "silver"}, []string{"Ege"}},
	{"two tiers", []string{"gold", "silver"}, nil},
	{"everybody", nil, nil},
}

// Audience measures audiences against a statement by hand, in alternating rounds over the
// same people.
func Audience(ctx context.Context, config AudienceConfig) (AudienceReport, error) {
	if config.People <= 0 {
		config.People = 1_000_000
	}
	if config.Rounds <= 0 {
		config.Rounds = 5
	}
	if config.Progress == nil {
		config.Progress = func(string, int, int) {}
	}
	conn, err := pgx.Connect(ctx, config.OwnerURL)
	if err != nil {
		return AudienceReport{}, fmt.Errorf("connecting as owner: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := config.populate(ctx, conn); err != nil {
		return AudienceReport{}, fmt.Errorf("populating: %w", err)
	}
	report := AudienceReport{Machine: ThisMachine(), People: config.People}
	for n, question := range audienceQuestions {
		row := AudienceRow{Question: question.name}
		query := gate.AudienceQuery{Purpose: "recommendations", Channel: "email"}
		if question.tiers == nil {
			question.tiers = benchTiers
		} else {
			query.Conditions = append(query.Conditions, gate.AudienceCondition{Attribute: "loyalty_tier", In: question.tiers})
		}
		if question.regions == nil {
			question.regions = benchRegions
		} else {
			query.Conditions = append(query.Conditions, gate.AudienceCondition{Attribute: "location.region", In: question.regions})
		}
		var plain, wide, full []time.Duration
		for round := range config.Rounds + 1 {
			config.Progress(question.name, n*(config.Rounds+1)+round, len(audienceQuestions)*(config.Rounds+1))
			byHand, took, err := findByHand(ctx, conn, sqlAudienceByHand, question.tiers, question.regions)
			if err != nil {
				return report, fmt.Errorf("asking by hand: %w", err)
			}
			inWide, tookWide, err := findByHand(ctx, conn, sqlAudienceWide, question.tiers, question.regions)
			if err != nil {
				return report, fmt.Errorf("asking one wide table: %w", err)
			}
			began := time.Now()
			found, err := config.Gate.Audience(ctx, privacy.Principal{ID: "bench", Role: privacy.RoleService, Recipient: AudienceRecipient}, query)
			if err != nil {
				return report, fmt.Errorf("asking the gate: %w", err)
			}
			members := 0
			for range found.Pseudonyms {
				members++
			}
			gateTook := time.Since(began)
			if members != byHand || members != inWide || found.Decision != gate.Allow {
				return report, fmt.Errorf("the gate finds %d people, the statement by hand %d: %w", members, byHand, errAnswer)
			}
			if round > 0 { // the first one warms up
				plain, wide, full = append(plain, took), append(wide, tookWide), append(full, gateTook)
			}
			row.Members = members
		}
		slices.Sort(plain)
		slices.Sort(wide)
		slices.Sort(full)
		row.Plain, row.Wide, row.Gate = plain[len(plain)/2], wide[len(wide)/2], full[len(full)/2]
		row.Ratio, row.WideRatio = row.Gate.Seconds()/row.Plain.Seconds(), row.Gate.Seconds()/row.Wide.Seconds()
		report.Lines = append(report.Lines, row)
	}
	return report, nil
}

// findByHand runs a statement by hand with the room that the gate's has, and reads the
// ids. Left to itself the planner takes few to have agreed, and joins them one by one, which
// takes minutes: whoever wrote this would have found that out.
func findByHand(ctx context.Context, conn *pgx.Conn, statement string, tiers, regions []string) (int, time.Duration, error) {
	began := time.Now()
	if _, err := conn.Exec(ctx, `set work_mem = '128MB'; set jit = off; set plan_cache_mode = force_custom_plan; set enable_nestloop = off`, pgx.QueryExecModeSimpleProtocol); err != nil {
		return 0, 0, err
	}
	rows, err := conn.Query(ctx, statement, tiers, regions)
	if err != nil {
		return 0, 0, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	return len(ids), time.Since(began), err
}

// populate makes models in the ordinary way, and copies of them straight into the tables.
func (c *AudienceConfig) populate(ctx context.Context, conn *pgx.Conn) error {
	for _, statement := range []string{sqlBenchDrop, sqlBenchSchema, sqlAudienceModels} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	n := 0
	for _, born := range benchBorn {
		for _, tier := range benchTiers {
			for _, region := range benchRegions {
				row := intake.Row{
					Identifiers: []intake.RowIdentifier{{Kind: "customer_number", Value: fmt.Sprintf("MODEL-%02d", n)}}, Jurisdiction: "TR",
					Attributes: map[string]json.RawMessage{"birth_date": quoted(born), "loyalty_tier": quoted(tier), "location.region": quoted(region)},
				}
				line, err := json.Marshal(row)
				if err != nil {
					return err
				}
				if _, err := c.Loader.LoadStream(ctx, bytes.NewReader(line), intake.StreamOptions{Principal: privacy.Principal{ID: "bench", Role: privacy.RoleIngest}}); err != nil {
					return err
				}
				group := map[bool]string{true: "adult", false: "child"}[born == benchBorn[0]]
				if _, err := conn.Exec(ctx, sqlAudienceModel, n, group, tier, region); err != nil {
					return err
				}
				n++
			}
		}
	}
	if err := c.Refresh(ctx); err != nil {
		return err
	}
	steps := []struct{ name, statement string }{
		{"people", sqlAudiencePeople},
		{"people", sqlAudiencePeopleKey},
		{"people", sqlAudienceQuiet},
		{"people", sqlAudienceSubjects},
		{"people", sqlAudienceLoud},
		{"keys", sqlAudienceKeys},
		{"profiles", sqlAudienceProfiles},
		{"consents", sqlAudienceConsents},
		{"statistics", sqlAudienceAnalyze},
	}
	for i, step := range steps {
		c.Progress("populating: "+step.name, i, len(steps))
		var err error
		if step.statement == sqlAudiencePeople {
			_, err = conn.Exec(ctx, step.statement, c.People)
		} else {
			_, err = conn.Exec(ctx, step.statement, pgx.QueryExecModeSimpleProtocol)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func quoted(text string) json.RawMessage {
	content, _ := json.Marshal(text) // a text always encodes
	return content
}

// Markdown is the report as a table for docs/performance.md and for a terminal.
func (r AudienceReport) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%d people.\n\n", r.Machine, r.People)
	b.WriteString("| audience | members | SQL by hand | one wide table | whole answer | ratio | to the wide table |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, row := range r.Lines {
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s | %.2f | %.2f |\n", row.Question, row.Members,
			milliseconds(row.Plain), milliseconds(row.Wide), milliseconds(row.Gate), row.Ratio, row.WideRatio)
	}
	return b.String()
}
