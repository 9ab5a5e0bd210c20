package policies

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/mahrem/mahrem/privacy"
)

// EvaluationLimit bounds one evaluation for a request unless it is said otherwise. A rule that
// needs longer is broken. At activation, when a machine may be busy starting, the limit is forty
// times wider, though not for ever, and never below two seconds.
const (
	EvaluationLimit = 50 * time.Millisecond
	activationLimit = 2 * time.Second
	activationMost  = time.Minute
)

// activating is the limit of one evaluation while the revision is made or looked through.
func (r *Revision) activating() time.Duration {
	wider := r.limit * time.Duration(activationLimit/EvaluationLimit)
	return max(activationLimit, r.limit, min(wider, activationMost))
}

// Revision is one activated bundle: rules, catalogue and the tables expanded from them.
// It is immutable and safe for concurrent use.
type Revision struct {
	digest    [sha256.Size]byte
	identity  [sha256.Size]byte // of the bundle with its statement
	signed    Signed            // zero if it was activated without
	content   bundleContent
	catalogue *Catalogue
	verdicts  map[verdictKey]Verdict
	reasons   map[string]Reason
	plan      rego.PreparedEvalQuery
	room      rego.PreparedEvalQuery
	compiler  *ast.Compiler
	modules   map[string]*ast.Module // the rules as they were written
	store     storage.Store
	required  []string // the checks that every request needs, sorted
	asked     *asked
	words     vocabulary
	limit     time.Duration
	memo      *memo // nil when it could not be proven exact
	memoNote  string
	roomMemo  *memory[RoomDecision] // nil when it could not be proven exact
	failures  *failures

	filtersMu sync.Mutex
	filters   map[string]Filter // by the canonical facts of the question
}

// Digest returns the digest of the bundle; see [BundleDigest].
func (r *Revision) Digest() [sha256.Size]byte { return r.digest }

// String returns the digest as "sha256:…", which answers carry.
func (r *Revision) String() string { return "sha256:" + hex.EncodeToString(r.digest[:]) }

// Catalogue returns what the rules speak about.
func (r *Revision) Catalogue() *Catalogue { return r.catalogue }

// Decide returns the plan for the facts. On an error, which wraps [ErrPolicy], nothing
// may be answered. Facts that are not well formed are denied by name.
//
// A plan that was computed before under equal facts is returned again; that this is
// exact was proven when the revision was activated (see [Revision.Memo]).
func (r *Revision) Decide(ctx context.Context, facts Facts) (Plan, error) {
	if err := facts.Validate(); err != nil {
		return deny(CheckWellFormed, nil), nil
	}
	if r.memo == nil {
		return r.decide(ctx, &facts)
	}
	var buffer [768]byte
	key := facts.AppendCanonical(buffer[:0])
	if plan, ok := r.memo.get(key); ok {
		return plan, nil
	}
	plan, err := r.decide(ctx, &facts)
	if err == nil {
		r.memo.put(key, plan)
	}
	return plan, err
}

// PlanUncached is [Revision.Decide] without the memo.
func (r *Revision) PlanUncached(ctx context.Context, facts Facts) (Plan, error) {
	if err := facts.Validate(); err != nil {
		return deny(CheckWellFormed, nil), nil
	}
	return r.decide(ctx, &facts)
}

// slowTries is how often a decision is tried that runs into the limit. The limit is time
// on the clock, and on a machine with too much to do it also passes while nobody works on
// the decision. Rules that are slow themselves are slow each time.
const slowTries = 3

// decide is evaluate for somebody who waits for the answer.
func (r *Revision) decide(ctx context.Context, facts *Facts) (plan Plan, err error) {
	for range slowTries {
		if plan, err = r.evaluate(ctx, facts, r.limit); !errors.Is(err, errSlow) {
			break
		}
	}
	if err != nil {
		r.failures.count(err)
	}
	return plan, err
}

// evaluate asks the rules. Whatever goes wrong in there is an error and never a plan.
func (r *Revision) evaluate(ctx context.Context, facts *Facts, limit time.Duration, options ...rego.EvalOption) (Plan, error) {
	var buffer [512]byte
	question := facts.appendQuestion(buffer[:0])
	scratch := r.asked.open(question)
	all := [8]rego.EvalOption{rego.EvalVirtualCache(scratch), rego.EvalBaseCache(r.asked)}
	value, err := evaluate(ctx, &r.plan, facts.value(r.words), limit, append(all[:2], options...)...)
	r.asked.close(scratch, question, err == nil)
	if err != nil {
		return Plan{}, err
	}
	plan, err := decodePlan(value, facts.Categories)
	if err == nil && plan.Allow {
		r.catalogue.addObligations(&plan, facts)
	}
	return plan, err
}

func evaluate(ctx context.Context, query *rego.PreparedEvalQuery, input ast.Value, limit time.Duration, options ...rego.EvalOption) (value ast.Value, err error) {
	defer func() {
		if recover() != nil {
			value, err = nil, fmt.Errorf("evaluating rules: %w: %w", errPanicked, ErrPolicy)
		}
	}()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("evaluating rules: %w: %w", ctx.Err(), privacy.ErrUnavailable)
	}
	cancel := topdown.NewCancel()
	timer := time.AfterFunc(limit, cancel.Cancel)
	defer timer.Stop()
	all := [8]rego.EvalOption{rego.EvalParsedInput(input), rego.EvalExternalCancel(cancel), keepValue, noMetrics}
	options = append(all[:4], options...)
	results, err := query.Eval(ctx, options...)
	switch {
	case topdown.IsCancel(err), cancel.Cancelled(): // also when the last step did not notice
		return nil, fmt.Errorf("evaluating rules: longer than %v: %w: %w", limit, errSlow, ErrPolicy)
	case err != nil:
		return nil, fmt.Errorf("evaluating rules: %w: %w", err, ErrPolicy)
	case len(results) != 1 || len(results[0].Expressions) != 1:
		return nil, fmt.Errorf("evaluating rules: %d results: %w", len(results), ErrPolicy)
	}
	value, ok := results[0].Expressions[0].Value.(ast.Value)
	if !ok {
		return nil, fmt.Errorf("evaluating rules: no value: %w", ErrPolicy)
	}
	return value, nil
}

var (
	keepValue = rego.EvalGenerateJSON(asValue)
	noMetrics = rego.EvalMetrics(metrics.NoOp())
)

// asValue keeps a result in the rules' own form.
func asValue(term *ast.Term, _ *rego.EvalContext) (any, error) { return term.Value, nil }

type verdictKey struct {
	purpose   privacy.Purpose
	attribute privacy.AttributeName
}

// Verdict returns the most detailed level that an attribute may ever have under a
// purpose. What the catalogue does not know is withheld.
func (r *Revision) Verdict(purpose privacy.Purpose, attribute privacy.AttributeName) Verdict {
	return r.verdicts[verdictKey{purpose, attribute}]
}

var (
	keyMax     = ast.StringTerm("max")
	keyReasons = ast.StringTerm("reasons")
)

func decodeVerdict(value ast.Value) (Verdict, error) {
	object, ok := value.(ast.Object)
	if !ok || object.Len() != 2 {
		return Verdict{}, fmt.Errorf("reading verdict: %w", ErrPolicy)
	}
	d := planDecoder{object: object}
	verdict := Verdict{Reasons: words[string](&d, keyReasons)}
	level, err := ParseLevel(d.text(keyMax))
	if err != nil || d.bad != "" || (level == Exact) != (len(verdict.Reasons) == 0) {
		return Verdict{}, fmt.Errorf("reading verdict: %w", ErrPolicy)
	}
	verdict.Max = level
	return verdict, nil
}
