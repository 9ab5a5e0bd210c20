package policies

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Config tunes an [Engine]. The zero value is ready to use.
type Config struct {
	// MemoLimit bounds how many plans a revision remembers per generation; 0 means
	// 32,768, a negative number none.
	MemoLimit int
	// EvaluationLimit bounds one decision; 0 means 50 ms. A decision that takes longer is
	// an error, which denies.
	EvaluationLimit time.Duration
	// Activated is told about every revision that becomes active. It must not block. May
	// be nil.
	Activated func(*Revision)
	// Refused is told why a candidate did not. It must not block. May be nil.
	Refused func(error)
}

// Engine holds the active revision and replaces it as a whole.
type Engine struct {
	config  Config
	active  atomic.Pointer[Revision]
	mu      sync.Mutex // one activation at a time
	lastErr atomic.Pointer[error]
}

// New returns an engine without a revision; call [Engine.Activate] before anything else.
func New(config Config) *Engine {
	if config.MemoLimit == 0 {
		config.MemoLimit = defaultMemoLimit
	}
	if config.EvaluationLimit == 0 {
		config.EvaluationLimit = evaluationLimit
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

// LastError returns why the last activation was refused, nil if it was not.
func (e *Engine) LastError() error {
	if err := e.lastErr.Load(); err != nil {
		return *err
	}
	return nil
}

// Activate makes a bundle the active revision: it compiles the rules under restricted
// capabilities, checks the catalogue, expands the verdict tables, and attacks the
// candidate with facts that must be denied (see [Revision.Probe]). Only then is it
// swapped in, in one step, so that no decision mixes revisions. A candidate that fails
// changes nothing; the error, which mostly wraps [privacy.ErrInvalid], says why.
func (e *Engine) Activate(ctx context.Context, bundle fs.FS) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	content, err := readBundle(bundle)
	if err == nil {
		err = e.activate(ctx, bundle, content)
	}
	if err != nil {
		err = fmt.Errorf("activating policies: %w", err)
		if e.config.Refused != nil {
			e.config.Refused(err)
		}
	}
	e.lastErr.Store(&err)
	return err
}

func (e *Engine) activate(ctx context.Context, bundle fs.FS, content bundleContent) error {
	revision, err := e.build(ctx, bundle, content)
	if err != nil {
		return err
	}
	if _, err := revision.Probe(ctx); err != nil {
		return err
	}
	e.active.Store(revision)
	if e.config.Activated != nil {
		e.config.Activated(revision)
	}
	return nil
}

func (e *Engine) build(ctx context.Context, bundle fs.FS, content bundleContent) (r *Revision, err error) {
	defer func() {
		if recover() != nil {
			r, err = nil, fmt.Errorf("building revision: panic: %w", ErrPolicy)
		}
	}()
	catalogue, err := LoadCatalogue(bundle, catalogueDir)
	if err != nil {
		return nil, err
	}
	// The catalogue was read again after what the digest stands for.
	if digest, err := BundleDigest(bundle); err != nil || digest != content.digest() {
		return nil, fmt.Errorf("reading policy bundle: it changed meanwhile: %w", privacy.ErrInvalid)
	}
	modules, err := parseModules(content, false)
	if err != nil {
		return nil, err
	}
	for _, name := range sortedKeys(modules) {
		if complaints := lint(modules[name]); len(complaints) > 0 {
			return nil, fmt.Errorf("checking rules: %s %s: %w", name, complaints[0], privacy.ErrInvalid)
		}
	}
	reasons := collectReasons(modules)
	compiler, err := compileModules(modules)
	if err != nil {
		return nil, err
	}
	if err := checkReads(compiler, planQuery, canonicalInputs); err != nil {
		return nil, err
	}
	if err := checkReads(compiler, verdictQuery, pairInputs); err != nil {
		return nil, err
	}
	revision := &Revision{
		digest: content.digest(), catalogue: catalogue, compiler: compiler, reasons: reasons,
		words: newVocabulary(catalogue), limit: e.config.EvaluationLimit,
	}
	store := newStore(catalogue.document())
	if revision.plan, err = prepare(ctx, compiler, store, planQuery); err != nil {
		return nil, err
	}
	if err := revision.checkExplained(ctx, store); err != nil {
		return nil, err
	}
	verdicts, err := prepare(ctx, compiler, store, verdictQuery)
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
	return revision, nil
}

// Watch looks at a bundle directory every interval and activates what changed, until
// ctx ends. A directory that is being written to is left alone until it looks the same
// twice; a candidate that is refused is not tried again until it changes.
func (e *Engine) Watch(ctx context.Context, dir string, interval time.Duration) error {
	if interval <= 0 {
		return fmt.Errorf("watching policies: want a positive interval: %w", privacy.ErrInvalid)
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var seen, tried [32]byte
	if r := e.Revision(); r != nil {
		tried = r.Digest()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		bundle := os.DirFS(dir)
		digest, err := BundleDigest(bundle)
		if err != nil || digest != seen {
			seen = digest
			continue
		}
		if digest == tried {
			continue
		}
		tried = digest
		if err := e.Activate(ctx, bundle); errors.Is(err, context.Canceled) {
			return nil
		}
	}
}
