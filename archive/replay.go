package archive

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Why a decision is not what it was, or cannot be made again.
const (
	// PlanDiffers: the kept bundle decides otherwise on the kept facts.
	PlanDiffers = "plan.differs"
	// EntryDiffers: the entry in the log says something else than the kept plan.
	EntryDiffers = "entry.differs"
	// RecordMissing: facts and plan were not kept.
	RecordMissing = "record.missing"
	// RecordDamaged: what was kept does not open, or is not what the log has the digest of.
	RecordDamaged = "record.damaged"
	// BundleMissing: the policy bundle was not kept.
	BundleMissing = "bundle.missing"
	// BundleDamaged: the kept bundle does not compile, or is another.
	BundleDamaged = "bundle.damaged"
	// PolicyFails: the kept bundle comes to no plan now.
	PolicyFails = "policy.decides"
)

// Replay is what came of making decisions again.
type Replay struct {
	// Decisions is how many there were, Same how many came out byte by byte as they were.
	Decisions, Same uint64
	// Undecided is how many of the same had no plan: the policies failed then. They are
	// not made again, because a failure need not repeat.
	Undecided uint64
	// Pairs is how many different facts under how many Policies they were made of.
	Pairs, Policies int
	// Findings are the others, one for each facts and reason.
	Findings []Finding
	// Receipt is the evidence of the replay.
	Receipt audit.Receipt
}

// Finding is what is wrong with decisions of the same facts under the same policy.
type Finding struct {
	// Why is one of the words above.
	Why string
	// First is the first of them, Decisions how many there are.
	First     audit.DecisionID
	Decisions uint64
	// Kept and Again are the canonical plans, where they differ.
	Kept, Again []byte
}

// ReplayOne makes one decision again. Errors are those of [Archive.Show].
func (a *Archive) ReplayOne(ctx context.Context, by privacy.Principal, id audit.DecisionID) (Replay, error) {
	if !mayLook(by) {
		return Replay{}, fmt.Errorf("replaying decision: %w", privacy.ErrForbidden)
	}
	d, err := a.at(ctx, id.Index)
	if err == nil && (d.id != id || !isDecision(d.entry.Kind) || d.entry.Policy == (audit.Digest{})) {
		err = privacy.ErrNotFound
	}
	if err != nil {
		return Replay{}, fmt.Errorf("replaying decision: %w", err)
	}
	r := newReplayer(a.records, a.revision)
	r.add(&d)
	return a.replayed(ctx, by, r, digestOf(id))
}

// ReplaySince makes all decisions again that were made since then, each facts once.
func (a *Archive) ReplaySince(ctx context.Context, by privacy.Principal, since time.Time) (Replay, error) {
	if !mayLook(by) {
		return Replay{}, fmt.Errorf("replaying decisions: %w", privacy.ErrForbidden)
	}
	r, list := newReplayer(a.records, a.revision), sha256.New()
	err := a.walk(ctx, since, func(d *decision) {
		r.add(d)
		_, _ = io.WriteString(list, d.id.String()+"\n")
	})
	if err != nil {
		return Replay{}, fmt.Errorf("replaying decisions: %w", err)
	}
	return a.replayed(ctx, by, r, audit.Digest(list.Sum(nil)))
}

// replayed makes the decisions again, and notes in the log that somebody had that done.
func (a *Archive) replayed(ctx context.Context, by privacy.Principal, r *replayer, list audit.Digest) (Replay, error) {
	result, err := r.run(ctx)
	if err != nil {
		return Replay{}, fmt.Errorf("replaying decisions: %w", err)
	}
	result.Receipt, err = a.logShown(ctx, by, audit.Digest{}, list, result.Decisions)
	return result, err
}

// replayer gathers decisions that must come out alike: same policy and facts, and the
// same said in the log.
type replayer struct {
	records  func(ctx context.Context, pairs []Pair) (records, error)
	revision func(ctx context.Context, policy audit.Digest) (*policies.Revision, error)
	groups   map[string]*group
	key      []byte // reused
}

type group struct {
	first decision
	count uint64
}

func newReplayer(
	read func(context.Context, []Pair) (records, error), revision func(context.Context, audit.Digest) (*policies.Revision, error),
) *replayer {
	return &replayer{records: read, revision: revision, groups: map[string]*group{}}
}

func (r *replayer) add(d *decision) {
	e := &d.entry
	key := append(r.key[:0], e.Policy[:]...)
	key = append(key, e.Facts[:]...)
	key = append(key, e.Kind...)
	key = append(append(key, ' '), e.Outcome...)
	// Words have no spaces.
	for _, word := range []string{string(e.Role), string(e.Recipient), string(e.Purpose), string(e.Channel)} {
		key = append(append(key, ' '), word...)
	}
	for _, check := range e.Checks {
		key = append(append(key, ' '), check...)
	}
	for _, attribute := range e.Attributes {
		key = append(append(key, " +"...), attribute...)
	}
	if r.key = key; r.groups[string(key)] != nil {
		r.groups[string(key)].count++
		return
	}
	r.groups[string(key)] = &group{*d, 1}
}

func (r *replayer) run(ctx context.Context) (Replay, error) {
	var result Replay
	pairs, policiesSeen := map[Pair]bool{}, map[audit.Digest]bool{}
	groups := make([]*group, 0, len(r.groups))
	for _, g := range r.groups {
		groups = append(groups, g)
		pairs[g.first.pair()] = true
		policiesSeen[g.first.entry.Policy] = true
	}
	result.Pairs, result.Policies = len(pairs), len(policiesSeen)
	// Those of one policy together: each bundle is compiled once.
	slices.SortFunc(groups, func(a, b *group) int {
		if c := bytes.Compare(a.first.entry.Policy[:], b.first.entry.Policy[:]); c != 0 {
			return c
		}
		return cmp.Compare(a.first.id.Index, b.first.id.Index)
	})
	for chunk := range slices.Chunk(groups, recordsAtOnce) {
		wanted := make([]Pair, len(chunk))
		for i, g := range chunk {
			wanted[i] = g.first.pair()
		}
		kept, err := r.records(ctx, wanted)
		if err != nil {
			return Replay{}, err
		}
		for _, g := range chunk {
			finding, err := r.replay(ctx, &g.first, kept)
			if err != nil {
				return Replay{}, err
			}
			result.Decisions += g.count
			if finding.Why != "" {
				finding.First, finding.Decisions = g.first.id, g.count
				result.Findings = append(result.Findings, finding)
				continue
			}
			result.Same += g.count
			if undecided(&g.first.entry) {
				result.Undecided += g.count
			}
		}
	}
	slices.SortFunc(result.Findings, func(a, b Finding) int { return cmp.Compare(a.First.Index, b.First.Index) })
	return result, nil
}

// recordsAtOnce bounds the rows of one read.
const recordsAtOnce = 1000

// replay makes one decision again. A finding without a word says that it is as it was.
func (p *replayer) replay(ctx context.Context, d *decision, kept records) (Finding, error) {
	r, ok, err := kept.of(d)
	switch {
	case err != nil:
		return Finding{Why: RecordDamaged}, nil
	case !ok:
		return Finding{Why: RecordMissing}, nil
	case len(r.plan) == 0:
		return Finding{}, nil
	}
	facts, err := policies.ParseFacts(r.facts)
	if err != nil {
		return Finding{Why: RecordDamaged}, nil
	}
	plan, err := policies.ParsePlan(r.plan)
	if err != nil {
		return Finding{Why: RecordDamaged}, nil
	}
	revision, err := p.revision(ctx, d.entry.Policy)
	switch {
	case errors.Is(err, privacy.ErrNotFound):
		return Finding{Why: BundleMissing}, nil
	case errors.Is(err, privacy.ErrDamaged):
		return Finding{Why: BundleDamaged}, nil
	case err != nil:
		return Finding{}, err
	}
	again, err := revision.PlanUncached(ctx, facts)
	if ctx.Err() != nil {
		return Finding{}, fmt.Errorf("deciding again: %w: %w", privacy.ErrUnavailable, ctx.Err())
	}
	if err != nil {
		return Finding{Why: PolicyFails}, nil
	}
	if canonical := again.Canonical(); !bytes.Equal(canonical, r.plan) {
		return Finding{Why: PlanDiffers, Kept: r.plan, Again: canonical}, nil
	}
	if !isAbout(&d.entry, &facts) || !agrees(&d.entry, &plan) || !isGranted(&d.entry, &plan, revision.Catalogue()) {
		return Finding{Why: EntryDiffers, Kept: r.plan, Again: again.Canonical()}, nil
	}
	return Finding{}, nil
}

// isAbout reports whether the entry names the question that the facts are about.
func isAbout(entry *audit.Entry, facts *policies.Facts) bool {
	if entry.Kind != audit.QueryAnswered && entry.Kind != audit.QueryDenied {
		return true // re-identification has no channel, and asks in the name of another
	}
	recipient := entry.Recipient
	if recipient == "" {
		recipient = policies.NoRecipient
	}
	return entry.Role == facts.Role && recipient == facts.Recipient && entry.Purpose == facts.Purpose && entry.Channel == facts.Channel
}

// isGranted reports whether every attribute that was released is of a data category that the
// plan opens, or may have a persona label in its place.
func isGranted(entry *audit.Entry, plan *policies.Plan, catalogue *policies.Catalogue) bool {
	for _, name := range entry.Attributes {
		attribute, known := catalogue.Attribute(name)
		if !known || !plan.Grants(attribute.Category) && !(plan.Allow && plan.Persona && attribute.Persona) {
			return false
		}
	}
	return true
}

// agrees reports whether the entry says what the plan says. The gate may deny what a
// plan allows, for reasons of its own, and never the other way round.
func agrees(entry *audit.Entry, plan *policies.Plan) bool {
	switch entry.Kind {
	case audit.QueryAnswered, audit.PersonReidentified:
		return plan.Allow && entry.Outcome == audit.Allowed
	}
	if entry.Outcome != audit.Denied {
		return false
	}
	if !plan.Allow {
		return slices.Equal(entry.Checks, plan.Failed) || damagedOnly(entry)
	}
	return len(entry.Checks) > 0 && !slices.ContainsFunc(entry.Checks, func(check string) bool { return !gate.IsOwnCheck(check) })
}
