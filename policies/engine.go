package policies

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/mahrem/mahrem/privacy"
)

// Config tunes an [Engine]. The zero value is ready to use.
type Config struct {
	// MemoLimit bounds how many plans a revision remembers per generation; 0 means
	// 32,768, a negative number none.
	MemoLimit int
	// EvaluationLimit bounds one evaluation; 0 means 50 ms. It is tried three times, because a
	// machine with too much to do is late without a fault of the rules; what is still late is
	// an error, which denies.
	EvaluationLimit time.Duration
	// Keys must have signed every bundle. Nil takes bundles without looking at who signed
	// them, which is for the one in the binary, and for writing rules.
	Keys *Keys
	// Withstood remembers which bundles need not be attacked again. Nil attacks each time.
	Withstood *Withstood
	// Now is the clock that statements expire by; nil means time.Now.
	Now func() time.Time
	// Examine plays the scenarios of a candidate through whatever answers queries. Its
	// error refuses the candidate. Nil plays none.
	Examine func(context.Context, *Revision, fs.FS) error
	// Commit records, durably, that a revision becomes active. It is called last, after
	// everything else went well; its error refuses the candidate, with the word of the
	// [*Refusal] if it is one. Nil records nothing.
	Commit func(context.Context, *Revision, *Content) error
	// Refused is told why a candidate did not become active. It must not block. May be
	// nil.
	Refused func(*Refusal)
}

// Engine holds the active revision and replaces it as a whole.
type Engine struct {
	config  Config
	active  atomic.Pointer[Revision]
	mu      sync.Mutex // one activation at a time
	lastErr atomic.Pointer[Refusal]
	unread  atomic.Pointer[Refusal] // why the source cannot be read now

	activations, refusals atomic.Uint64
	failures              failures
}

// New returns an engine without a revision; call [Engine.Activate] before anything else.
func New(config Config) *Engine {
	if config.MemoLimit == 0 {
		config.MemoLimit = defaultMemoLimit
	}
	if config.EvaluationLimit == 0 {
		config.EvaluationLimit = EvaluationLimit
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Engine{config: config}
}

// Open returns an engine on which a bundle is active.
func Open(ctx context.Context, bundle fs.FS, config Config) (*Engine, error) {
	engine := New(config)
	if err := engine.Activate(ctx, bundle); err != nil {
		return nil, err
	}
	return engine, nil
}

// Revision returns the active revision, nil before the first activation. Whoever
// decides keeps one revision for the whole decision.
func (e *Engine) Revision() *Revision { return e.active.Load() }

// Activate makes a bundle the active revision: it verifies who signed it, compiles the
// rules under restricted capabilities, checks the catalogue, expands the verdict tables,
// attacks the candidate with facts that must be denied (see [Revision.Probe]), plays its
// scenarios and records what it is about to do. Only then is it swapped in, in one step,
// so that no decision mixes revisions. A candidate that fails changes nothing; the error
// wraps a [*Refusal], and mostly [privacy.ErrInvalid].
func (e *Engine) Activate(ctx context.Context, bundle fs.FS) error {
	content, err := ReadBundle(bundle)
	return e.activate(ctx, content, err)
}

// ActivateContent is [Engine.Activate] of a bundle that was read already.
func (e *Engine) ActivateContent(ctx context.Context, content *Content) error {
	return e.activate(ctx, content, nil)
}

// ActivateFrom is [Engine.Activate] of what the source has now.
func (e *Engine) ActivateFrom(ctx context.Context, source Source) error {
	content, err := source.Read(ctx)
	return e.activate(ctx, content, err)
}

// Resume makes a bundle active that was so before, because what should take its place was
// refused. [Engine.Status] goes on saying why. The bundle is tried like any other, but that
// it is refused is told to the caller alone.
func (e *Engine) Resume(ctx context.Context, content *Content) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.try(ctx, content); err != nil {
		return fmt.Errorf("resuming policies: %w", err)
	}
	e.activations.Add(1)
	return nil
}

func (e *Engine) activate(ctx context.Context, content *Content, err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		err = e.try(ctx, content)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("activating policies: %w: %w", ctx.Err(), privacy.ErrUnavailable)
	}
	if err != nil {
		refusal, ok := errors.AsType[*Refusal](err)
		if !ok {
			refusal = refuse(PolicyInvalid, err)
		}
		if content != nil {
			refusal.Digest = content.Digest()
		}
		e.lastErr.Store(refusal)
		e.tellRefused(refusal)
		return fmt.Errorf("activating policies: %w", refusal)
	}
	e.lastErr.Store(nil)
	e.activations.Add(1)
	return nil
}

func (e *Engine) try(ctx context.Context, content *Content) (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("examining candidate: panic: %w", ErrPolicy)
		}
	}()
	var signed Signed
	if e.config.Keys != nil {
		if signed, err = e.config.Keys.Verify(content, e.config.Now()); err != nil {
			return err
		}
	}
	revision, err := e.build(ctx, content.files)
	if err != nil {
		return err
	}
	revision.signed, revision.identity = signed, content.identity()
	if err := e.config.Withstood.attack(ctx, revision); err != nil {
		return refuse(PolicyMutation, err)
	}
	if e.config.Examine != nil {
		// Nobody waits for these answers, and a machine that is busy with others must not look
		// like a scenario that fails.
		revision.limit = revision.activating()
		if err := e.config.Examine(ctx, revision, content.FS()); err != nil {
			return refuse(PolicyCases, err)
		}
		revision.limit = e.config.EvaluationLimit
	}
	if e.config.Commit != nil {
		if err := e.config.Commit(ctx, revision, content); err != nil {
			if _, ok := errors.AsType[*Refusal](err); !ok {
				err = refuse(PolicyUnrecorded, err)
			}
			return err
		}
	}
	e.active.Store(revision)
	return nil
}

func (e *Engine) build(ctx context.Context, content bundleContent) (r *Revision, err error) {
	defer func() {
		if recover() != nil {
			r, err = nil, fmt.Errorf("building revision: panic: %w", ErrPolicy)
		}
	}()
	var catalogue *Catalogue
	var modules map[string]*ast.Module
	var compiler *ast.Compiler
	// Catalogue and rules meet only after both were read.
	err = inParallel(2, func(i int) (err error) {
		defer func() {
			if recover() != nil {
				err = fmt.Errorf("reading bundle: panic: %w", ErrPolicy)
			}
		}()
		if i == 1 {
			modules, compiler, err = readRules(content)
			return err
		}
		if catalogue, err = LoadCatalogue(newTree(content), catalogueDir); err != nil {
			return refuse(CatalogueInvalid, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	revision := &Revision{
		digest: content.digest(), content: content, catalogue: catalogue, compiler: compiler, modules: modules, reasons: collectReasons(modules),
		store: newStore(catalogue.document()), words: newVocabulary(catalogue), limit: e.config.EvaluationLimit,
		failures: &e.failures,
	}
	if revision.plan, err = prepare(ctx, compiler, revision.store, planQuery); err != nil {
		return nil, err
	}
	if revision.room, err = prepare(ctx, compiler, revision.store, roomQuery); err != nil {
		return nil, err
	}
	if revision.required, err = revision.readRequired(ctx); err != nil {
		return nil, err
	}
	if err := revision.checkExplained(); err != nil {
		return nil, err
	}
	if revision.asked, err = newAsked(ctx, compiler, revision.store); err != nil {
		return nil, err
	}
	verdicts, err := prepare(ctx, compiler, revision.store, verdictQuery)
	if err != nil {
		return nil, err
	}
	if err := revision.expand(ctx, verdicts); err != nil {
		return nil, err
	}
	if err := proveExact(compiler); err != nil {
		revision.memoNote = err.Error()
	} else if e.config.MemoLimit > 0 {
		revision.memo = newMemo(e.config.MemoLimit)
	}
	if e.config.MemoLimit > 0 && proveRoomExact(compiler) == nil {
		revision.roomMemo = newMemory[RoomDecision](min(e.config.MemoLimit, maxRoomDecisions))
	}
	return revision, nil
}

// readRules parses, checks and compiles the rules of a bundle.
func readRules(content bundleContent) (map[string]*ast.Module, *ast.Compiler, error) {
	modules, err := parseModules(content, false)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range sortedKeys(modules) {
		if complaints := lint(modules[name]); len(complaints) > 0 {
			return nil, nil, fmt.Errorf("checking rules: %s %s: %w", name, complaints[0], privacy.ErrInvalid)
		}
	}
	compiler, err := compileModules(modules)
	if err != nil {
		return nil, nil, err
	}
	if err := checkReads(compiler, planQuery, canonicalInputs); err != nil {
		return nil, nil, err
	}
	if err := checkReads(compiler, verdictQuery, pairInputs); err != nil {
		return nil, nil, err
	}
	if err := checkReads(compiler, roomQuery, roomInputs); err != nil {
		return nil, nil, err
	}
	return modules, compiler, nil
}
