package retention

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Policy is the policy revision in force.
type Policy struct {
	Catalogue *policies.Catalogue
	Digest    audit.Digest
}

// Config holds what a runner may be told otherwise.
type Config struct {
	// Policy returns the revision in force. Required.
	Policy func() Policy
	// Origin is that of the log. Signer signs reports with the log's key, under the name
	// of [SignerName]; nil: there are no reports.
	Origin string
	Signer note.Signer
	// BatchSize is how many people are dealt with at once; zero means 64.
	BatchSize int
	// RowLimit is how many rows are deleted at once; zero means 1000.
	RowLimit int
	// Random draws ids; nil means crypto/rand.
	Random io.Reader
}

// Runner lets go of what has had its period.
type Runner struct {
	store  Store
	vault  *vault.Vault
	config Config
}

// New returns a runner over store.
func New(store Store, v *vault.Vault, config Config) (*Runner, error) {
	if store == nil || v == nil || config.Policy == nil {
		return nil, fmt.Errorf("making retention without store, vault or policy: %w", privacy.ErrInvalid)
	}
	if config.BatchSize <= 0 {
		config.BatchSize = 64
	}
	if config.RowLimit <= 0 {
		config.RowLimit = 1000
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	return &Runner{store, v, config}, nil
}

// Outcome is what a run did, or would do.
type Outcome struct {
	Run RunID
	// At is the moment for which everything was judged.
	At time.Time
	// People is how many were looked at, Changed of how many something went.
	People, Changed int64
	Counts          []Count
	// Skipped is how many people were in use all the time; they are looked at next time.
	Skipped int64
	// Unreadable is how many blobs did not open and were left alone.
	Unreadable int64
	// Last is when the last run before this one came to its end; zero: none did.
	Last time.Time
	// Overdue is whether that is longer ago than the catalogue allows.
	Overdue bool
}

// Plan says what a run would destroy just now, and destroys nothing. It looks at everybody,
// due or not. The principal is a data protection officer, an auditor or the system.
func (r *Runner) Plan(ctx context.Context, by privacy.Principal, progress func(done, total int64)) (Outcome, error) {
	if by.Role != privacy.RoleDPO && by.Role != privacy.RoleAuditor && by != (privacy.Principal{}) {
		return Outcome{}, fmt.Errorf("planning retention: %w", privacy.ErrForbidden)
	}
	outcome, err := r.run(ctx, by, true, progress)
	if err != nil {
		return outcome, fmt.Errorf("planning retention: %w", err)
	}
	return outcome, nil
}

// Run destroys what has had its period, of everybody who is due. What it did before an
// error is done and logged, and the next run goes on behind it. Only a data protection
// officer may, and the system itself. The error wraps [privacy.ErrInvalid] if the catalogue
// has no periods.
func (r *Runner) Run(ctx context.Context, by privacy.Principal, progress func(done, total int64)) (Outcome, error) {
	if (by.Role != privacy.RoleDPO || by.ID == "") && by != (privacy.Principal{}) {
		return Outcome{}, fmt.Errorf("running retention: %w", privacy.ErrForbidden)
	}
	outcome, err := r.run(ctx, by, false, progress)
	if err != nil {
		return outcome, fmt.Errorf("running retention: %w", err)
	}
	return outcome, nil
}

// running is one run while it goes on.
type running struct {
	*Runner
	by       privacy.Principal
	dry      bool
	policy   Policy
	examiner *examiner
	outcome  Outcome
	counts   tally
}

func (r *Runner) run(ctx context.Context, by privacy.Principal, dry bool, progress func(done, total int64)) (Outcome, error) {
	policy := r.config.Policy()
	if !policy.Catalogue.Retains() {
		return Outcome{}, fmt.Errorf("the catalogue has no retention.yaml: %w", privacy.ErrInvalid)
	}
	at, err := r.store.Now(ctx)
	if err != nil {
		return Outcome{}, err
	}
	last, err := r.store.LastFinished(ctx)
	if err != nil {
		return Outcome{}, err
	}
	run := &running{
		Runner: r, by: by, dry: dry, policy: policy, counts: tally{},
		examiner: &examiner{r.vault, policy.Catalogue, dsar.HoldScopes(policy.Catalogue, r.vault), at},
		outcome:  Outcome{At: at, Last: last, Overdue: !last.IsZero() && policy.Catalogue.ReportEvery().After(last).Before(at)},
	}
	id, err := privacy.NewDataSubjectID(r.config.Random)
	if err != nil {
		return Outcome{}, err
	}
	run.outcome.Run = RunID(id)
	if !dry {
		if err := r.store.BeginRun(ctx, Run{ID: run.outcome.Run, Policy: policy.Digest, Started: at}); err != nil {
			return Outcome{}, err
		}
	}
	err = run.all(ctx, progress)
	run.outcome.Counts = run.counts.list()
	if err != nil {
		return run.outcome, err
	}
	if !dry {
		if at, err = r.store.Now(ctx); err != nil {
			return run.outcome, err
		}
		err = r.store.FinishRun(ctx, run.outcome.Run, at)
	}
	return run.outcome, err
}

func (r *running) all(ctx context.Context, progress func(done, total int64)) error {
	// A plan looks at everybody, as if all were due.
	dueBy := r.outcome.At
	if r.dry {
		dueBy = dueBy.Add(2 * lookAgain)
	}
	total, err := r.store.CountDue(ctx, dueBy)
	if err != nil {
		return err
	}
	var after privacy.DataSubjectID
	for {
		people, err := r.store.Due(ctx, after, dueBy, r.config.BatchSize)
		if err != nil {
			return err
		}
		if len(people) == 0 {
			break
		}
		if err := r.people(ctx, people); err != nil {
			return err
		}
		after = people[len(people)-1]
		if progress != nil {
			progress(min(r.outcome.People, total), total)
		}
	}
	if err := r.withheld(ctx); err != nil {
		return err
	}
	for _, kind := range policies.RecordKinds() {
		if err := r.rows(ctx, kind); err != nil {
			return err
		}
	}
	return nil
}

// tries is how often somebody who is in use is tried again.
const tries = 3

// people deals with a batch, and if somebody of it is in use, with each alone.
func (r *running) people(ctx context.Context, people []privacy.DataSubjectID) error {
	err := r.batch(ctx, people)
	if !errors.Is(err, privacy.ErrConflict) {
		return err
	}
	for i := range people {
		for try := 1; ; try++ {
			err := r.batch(ctx, people[i:i+1])
			if err == nil {
				break
			}
			if !errors.Is(err, privacy.ErrConflict) {
				return err
			}
			if try == tries {
				r.outcome.Skipped++
				break
			}
		}
	}
	return nil
}

func (r *running) batch(ctx context.Context, people []privacy.DataSubjectID) error {
	list, err := r.store.Read(ctx, people)
	if err != nil {
		return err
	}
	changed := Batch{Run: r.outcome.Run}
	same := Batch{Run: r.outcome.Run}
	counts, untouched := tally{}, tally{}
	var unreadable int
	for i := range list {
		p, err := r.examiner.examine(&list[i])
		if err != nil {
			return err
		}
		unreadable += p.unreadable
		to, sum := &same, untouched
		if p.changes() {
			to, sum = &changed, counts
			to.People, to.Holds = append(to.People, list[i].ID), append(to.Holds, list[i].Holds)
			to.Records, to.Chunks = append(to.Records, p.records...), append(to.Chunks, p.chunks...)
		}
		to.Marks = append(to.Marks, Mark{list[i].ID, p.due})
		sum.merge(p.counts.list())
	}
	changed.Counts, same.Counts = counts.list(), untouched.list()
	if !r.dry {
		if len(changed.People) > 0 {
			if _, err := r.store.Apply(ctx, changed, r.event(audit.RetentionApplied, changed.Counts)); err != nil {
				return err
			}
		}
		if len(same.Marks) > 0 {
			if err := r.store.Look(ctx, same); err != nil {
				return err
			}
		}
	}
	r.outcome.People += int64(len(list))
	r.outcome.Changed += int64(len(changed.People))
	r.outcome.Unreadable += int64(unreadable)
	r.counts.merge(changed.Counts)
	r.counts.merge(same.Counts)
	return nil
}

// event is the entry of one step: what went, by counts, and under which catalogue.
func (r *running) event(kind audit.Kind, counts []Count) audit.Event {
	text := fmt.Appendf(nil, "mahrem.retention/v1\nrun %x\n", r.outcome.Run)
	var items uint64
	for _, c := range counts {
		text = fmt.Appendf(text, "%s %s %d\n", c.What, c.Category, c.Destroyed)
		items += uint64(c.Destroyed)
	}
	return audit.Event{Kind: kind, Outcome: audit.Done, Principal: r.by, Policy: r.policy.Digest, List: sha256.Sum256(text), Count: items}
}

// withheld destroys what erasures had to leave, once its ground has ended.
func (r *running) withheld(ctx context.Context) error {
	for {
		limit := r.config.RowLimit
		if r.dry {
			limit = math.MaxInt32 // all at once: they stay, and would come again
		}
		ids, err := r.store.Ended(ctx, r.outcome.At, limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		n := int64(len(ids))
		if !r.dry {
			n, _, err = r.store.DropWithheld(ctx, r.outcome.Run, ids, r.event(audit.WithheldErased, []Count{{What: whatWithheld, Destroyed: n}}))
			if errors.Is(err, ErrNothing) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		r.counts.merge([]Count{{What: whatWithheld, Destroyed: n}})
		if r.dry {
			return nil
		}
	}
}

// rows deletes old rows of a kind.
func (r *running) rows(ctx context.Context, kind policies.RecordKind) error {
	period, ok := r.policy.Catalogue.RetentionRecord(kind)
	if !ok {
		return nil
	}
	before := period.Keep.Before(r.outcome.At)
	total, err := r.store.CountOld(ctx, kind, before)
	if err != nil || total == 0 {
		return err
	}
	if r.dry {
		r.counts.merge([]Count{{What: string(kind), Destroyed: total}})
		return nil
	}
	for {
		n := min(total, int64(r.config.RowLimit))
		destroyed, held, err := r.store.DropOld(ctx, r.outcome.Run, kind, before, r.config.RowLimit,
			r.event(audit.RetentionApplied, []Count{{What: string(kind), Destroyed: n}}))
		if errors.Is(err, ErrNothing) {
			if held > 0 {
				r.counts.merge([]Count{{What: string(kind), Held: held}})
			}
			return nil
		}
		if err != nil {
			return err
		}
		r.counts.merge([]Count{{What: string(kind), Destroyed: destroyed}})
		total = max(1, total-destroyed)
	}
}
