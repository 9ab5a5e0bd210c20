package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault"
)

// Engine gives the policy revision in force. One query uses one revision.
type Engine interface {
	Revision() *policies.Revision
}

// Pseudonyms gives each recipient's pseudonyms. For a recipient that has none it must
// return an error wrapping [privacy.ErrNotFound].
type Pseudonyms interface {
	Of(recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error)
}

// Config has defaults for everything.
type Config struct {
	// Now is the clock of every decision, consent included, for tests. Nil: the database's
	// clock, by which consent is dated. With any other, one that is behind it lets a
	// withdrawal wait.
	Now func() time.Time
	// Chunks is how many of the newest chunks of an event stream are read. Zero: 4.
	Chunks int
	// Witness keeps what decisions were made of, before they are in the log. Nil keeps
	// nothing: then no decision can be shown or made again later.
	Witness Witness
	// Audiences finds the people of audiences. Nil: no audience is answered.
	Audiences AudienceStore
	// Crowds counts who shares a persona label. A label is told only if enough people do;
	// nil counts nobody, and then no label is told.
	Crowds Crowds
	// CrowdWait is how long a query waits for the first count before it tells no label. Zero: a second.
	CrowdWait time.Duration
}

// Gate answers queries. It is safe for concurrent use.
type Gate struct {
	store      Store
	engine     Engine
	vault      *vault.Vault
	pseudonyms Pseudonyms
	log        audit.Appender
	config     Config
	sheets     sheets
	counters   counters
	kept       kept
	// audiences bounds how many are looked for at once.
	audiences chan struct{}
	crowd     crowd
}

// New returns a gate. Everything but the config is required.
func New(store Store, engine Engine, v *vault.Vault, pseudonyms Pseudonyms, log audit.Appender, config Config) *Gate {
	if config.Chunks <= 0 {
		config.Chunks = 4
	}
	if config.CrowdWait <= 0 {
		config.CrowdWait = CrowdWait
	}
	return &Gate{
		store: store, engine: engine, vault: v, pseudonyms: pseudonyms, log: log, config: config,
		audiences: make(chan struct{}, maxAudiences),
		crowd:     crowd{crowds: config.Crowds, wait: config.CrowdWait, vault: v, now: time.Now},
	}
}

// Counters are totals since the start. They are about the house and not about anybody.
type Counters struct {
	Allowed, Denied, Failed uint64
	// Suppressed counts answers from which composition took something away.
	Suppressed uint64
	// Exposures counts answers that were added to an exposure ledger, Redone the
	// decisions that were made again because another query came first.
	Exposures, Redone uint64
	// Disagreed counts kinds of people whom a filter let into an audience against the
	// policies. They were left out; that there were any is a defect.
	Disagreed uint64
}

type counters struct {
	allowed, denied, failed, suppressed, exposures, redone, disagreed atomic.Uint64
}

// Counters returns the totals.
func (g *Gate) Counters() Counters {
	c := &g.counters
	return Counters{
		Allowed: c.allowed.Load(), Denied: c.denied.Load(), Failed: c.failed.Load(), Suppressed: c.suppressed.Load(),
		Exposures: c.exposures.Load(), Redone: c.redone.Load(), Disagreed: c.disagreed.Load(),
	}
}

// attempts bounds how often a decision is made again because another query of the same
// recipient about the same person came first.
const attempts = 3

// Ask answers one query. A denial is an answer and not an error, and stands in the log
// like any other. Errors:
//
//   - [privacy.FieldError]: the query is malformed or names something unknown;
//   - [privacy.ErrNotFound]: the person does not exist, for callers who may know that;
//   - [privacy.ErrUnavailable]: the database or the log could not be reached or
//     written, or the state is older than the consent token demands.
//
// With an error nothing was released.
func (g *Gate) Ask(ctx context.Context, principal privacy.Principal, query Query) (Answer, error) {
	revision := g.engine.Revision()
	if revision == nil {
		return Answer{}, unavailable("asking without an active policy")
	}
	s := g.sheets.of(revision)
	r, err := query.validate(s)
	if err != nil {
		return Answer{}, err
	}
	if err := s.fits(principal, r.Purpose, r.Channel, r.attributes); err != nil {
		return Answer{}, err
	}
	for range attempts {
		answer, err := g.ask(ctx, s, principal, r)
		if err == nil {
			return answer, nil
		}
		if !errors.Is(err, privacy.ErrConflict) {
			if !errors.Is(err, privacy.ErrNotFound) {
				g.counters.failed.Add(1)
			}
			return Answer{}, err
		}
		g.counters.redone.Add(1)
	}
	g.counters.failed.Add(1)
	return Answer{}, unavailable("answering while others ask about the same person")
}

func (g *Gate) ask(ctx context.Context, s *sheet, principal privacy.Principal, r *request) (Answer, error) {
	m, err := g.meet(ctx, s, principal, r, g.loadQuery)
	if err != nil {
		return Answer{}, err
	}
	logged := false
	defer func() { m.settle(g.vault, logged) }()
	if err := g.reject(ctx, &m.decision); err != nil {
		return Answer{}, err
	}
	if m.damaged {
		answer, err := g.damaged(ctx, &m.decision)
		logged = err == nil
		return answer, err
	}
	v, err := m.decide(ctx)
	if err != nil {
		return Answer{}, err
	}
	receipt, err := g.commit(ctx, &m.decision, m.person, &m.snapshot, &v)
	if err != nil {
		return Answer{}, err
	}
	logged = true
	if m.hidden() {
		return Answer{}, fmt.Errorf("asking about a person: %w", privacy.ErrNotFound)
	}
	return v.pending.Release(receipt)
}

// find returns the caller's pseudonyms, if it has any, and the person; the zero id
// stands for nobody. What is no pseudonym of this recipient is nobody's.
func (g *Gate) find(ctx context.Context, principal privacy.Principal, r *request) (*pseudonym.Pseudonyms, privacy.DataSubjectID, error) {
	var nobody privacy.DataSubjectID
	var names *pseudonym.Pseudonyms
	if principal.Recipient != "" {
		var err error
		names, err = g.pseudonyms.Of(principal.Recipient)
		if err != nil && !errors.Is(err, privacy.ErrNotFound) {
			return nil, nobody, fmt.Errorf("finding person: %w", err)
		}
	}
	if r.DataSubject.Pseudonym != "" {
		if names == nil {
			return nil, nobody, nil
		}
		id, err := names.DataSubject(pseudonym.Pseudonym(r.DataSubject.Pseudonym))
		if err != nil {
			return names, nobody, nil
		}
		return names, id, nil
	}
	indexes, err := g.vault.BlindIndexes(r.DataSubject.Identifier)
	if err != nil {
		return nil, nobody, refuse("/data_subject/identifier/value", "is not an identifier of this kind")
	}
	id, err := g.store.Resolve(ctx, r.DataSubject.Identifier.Kind, indexes)
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		return nil, nobody, fmt.Errorf("finding person: %w", err)
	}
	return names, id, nil
}

// loadQuery says what the decision may need. Sealed parts are read before it is known
// whether they may be opened, in order to read once; reading is not opening.
func (g *Gate) loadQuery(s *sheet, principal privacy.Principal, r *request, id privacy.DataSubjectID) LoadQuery {
	load := LoadQuery{
		DataSubject: id, Channel: r.Channel, Recipient: principal.Recipient,
		Purposes: append(make([]privacy.Purpose, 0, 2), r.Purpose),
		Records:  make([]Slot, 0, 2+len(r.attributes)),
		Chunks:   g.config.Chunks, LogSize: r.hasToken, Case: r.caseID,
	}
	purpose, _ := s.catalogue.Purpose(r.Purpose)
	if purpose.Marketing {
		for _, general := range s.marketing {
			if general != r.Purpose {
				load.Purposes = append(load.Purposes, general)
			}
		}
	}
	load.Records = append(load.Records, g.vault.Slot(id, categoryCore))
	persona := false
	for _, a := range r.attributes {
		if a.derive != nil {
			load.Streams = addSlot(load.Streams, g.vault.Slot(id, a.Category))
		} else if a.Category != categoryCore {
			load.Records = addSlot(load.Records, g.vault.Slot(id, a.Category))
		}
		persona = persona || a.Persona && purpose.Persona
	}
	if persona {
		load.Records = addSlot(load.Records, g.vault.Slot(id, s.profile))
	}
	return load
}

func addSlot(slots []Slot, slot Slot) []Slot {
	if slices.Contains(slots, slot) {
		return slots
	}
	return append(slots, slot)
}

// open unwraps the person's key and opens what decisions need: the core facts and the
// recipient's ledger.
func (g *Gate) open(d *decision, s *sheet, snapshot *Snapshot, id privacy.DataSubjectID) (*sealedPerson, error) {
	key, err := g.vault.OpenPersonKey(id, snapshot.WrappedKey, vault.UseQuery)
	if err != nil {
		return nil, fmt.Errorf("opening person: %w", err)
	}
	d.subject = key.Subject()
	person := &sealedPerson{vault: g.vault, key: key, snapshot: snapshot}
	d.opener = person
	if d.state.core, err = person.record(categoryCore); err != nil {
		return nil, err
	}
	if row := &snapshot.Exposure; row.Number > 0 {
		plain, err := key.OpenBytes(exposureLabel(d.principal.Recipient), row.Number, row.Sealed)
		if err != nil {
			return nil, fmt.Errorf("opening exposure ledger: %w", err)
		}
		told, err := parseLedger(plain)
		if err != nil {
			return nil, err
		}
		d.told = told.since(d.horizon(s))
	}
	return person, nil
}

// refreshDays is after how many days something that is told again is recorded again.
// The ledger looks back so much longer, so that nothing is forgotten in between.
const refreshDays = 30

// horizon is the first day that the ledger still counts.
func (d *decision) horizon(s *sheet) uint64 {
	lookback := policies.DefaultLookback
	if recipient, ok := s.catalogue.Recipient(d.principal.Recipient); ok && recipient.Lookback.Duration > 0 {
		lookback = recipient.Lookback.Duration
	}
	return dayOf(d.state.at.Add(-lookback - refreshDays*24*time.Hour))
}

// damaged denies, because something stored about the person does not open.
func (g *Gate) damaged(ctx context.Context, d *decision) (Answer, error) {
	facts, _ := d.request.facts(d.sheet, d.principal, &d.state)
	d.made.facts = facts
	// The answer does not depend on it: nothing is told either way.
	if plan, err := d.sheet.revision.Decide(ctx, facts); err == nil {
		d.made.plan, d.made.planned = plan, true
	}
	v := d.deny(audit.Event{
		Kind: audit.QueryDenied, Outcome: audit.Denied, Principal: d.principal, Subject: d.subject,
		Purpose: d.request.Purpose, Channel: d.request.Channel,
		Policy: audit.Digest(d.sheet.digest), Facts: audit.Digest(facts.Digest()),
	}, CheckDamaged, d.damagedReasons(ctx, facts))
	receipt, err := g.commit(ctx, d, nil, nil, &v)
	if err != nil {
		return Answer{}, err
	}
	return v.pending.Release(receipt)
}

// commit makes the evidence durable: the entry alone, or together with a new row of the
// exposure ledger when the answer tells something that the recipient did not know.
func (g *Gate) commit(ctx context.Context, d *decision, person *sealedPerson, snapshot *Snapshot, v *verdict) (audit.Receipt, error) {
	if err := g.keep(ctx, &v.event, &d.made); err != nil {
		return audit.Receipt{}, notLogged(err)
	}
	news := d.news(v.contributors)
	if len(news) == 0 {
		receipt, err := g.log.Append(ctx, v.event)
		if err != nil {
			return audit.Receipt{}, notLogged(err)
		}
		g.count(v, false)
		g.met(&v.event)
		return receipt, nil
	}
	row := ExposureRow{
		DataSubject: person.key.DataSubject(), Recipient: d.principal.Recipient,
		Number: snapshot.Exposure.Number + 1, ReleasedAt: d.state.at,
	}
	var err error
	row.Sealed, err = person.key.SealBytes(exposureLabel(row.Recipient), row.Number, d.told.with(news, dayOf(d.state.at)).append(nil))
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("sealing exposure ledger: %w", err)
	}
	receipt, err := g.store.RecordExposure(ctx, row, v.event)
	switch {
	case errors.Is(err, privacy.ErrConflict), errors.Is(err, privacy.ErrNotFound):
		// Somebody else was told something meanwhile, or the person was erased: decide again.
		return audit.Receipt{}, fmt.Errorf("logging decision: %w", privacy.ErrConflict)
	case err != nil:
		return audit.Receipt{}, notLogged(err)
	}
	g.count(v, true)
	g.met(&v.event)
	return receipt, nil
}

// notLogged is the error of an answer without evidence. Whatever kept the evidence from
// being written, the caller gets nothing and may ask again.
func notLogged(err error) error {
	if errors.Is(err, privacy.ErrUnavailable) {
		return fmt.Errorf("logging decision: %w", err)
	}
	return fmt.Errorf("logging decision: %w: %w", privacy.ErrUnavailable, err)
}

// news returns the contributors that the recipient has not been told lately.
func (d *decision) news(contributors []string) []string {
	var news []string
	today := dayOf(d.state.at)
	for _, key := range contributors {
		if i, told := d.told.find(key); !told || d.told[i].day+refreshDays < today {
			news = append(news, key)
		}
	}
	return news
}

func (g *Gate) count(v *verdict, exposed bool) {
	if v.pending.answer.Decision == Allow {
		g.counters.allowed.Add(1)
	} else {
		g.counters.denied.Add(1)
	}
	if v.suppressed {
		g.counters.suppressed.Add(1)
	}
	if exposed {
		g.counters.exposures.Add(1)
	}
}
