package archive

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Compile makes a revision of a bundle as it was kept. It must not examine it again: the
// bundle was in force, and what it decided then is the question.
type Compile func(ctx context.Context, content []byte) (*policies.Revision, error)

// Config has defaults for everything.
type Config struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Random draws what tells processes apart; nil means crypto/rand.
	Random io.Reader
	// FlushEvery is the time between writes of how many people decisions were about;
	// zero means two seconds, and less than zero that only [Archive.Flush] and
	// [Archive.Close] write.
	FlushEvery time.Duration
	// Logger gets what an operator must know; nil means slog.Default().
	Logger *slog.Logger
}

// Archive keeps what decisions are made of and makes them again. It is safe for
// concurrent use.
type Archive struct {
	store     Store
	vault     *vault.Vault
	log       Log
	compile   Compile
	config    Config
	revisions revisions
	tallies   tallies
	stop      chan struct{}
	work      sync.WaitGroup
	closed    sync.Once
}

var _ gate.Witness = (*Archive)(nil)

// New returns an archive and starts its writer. Everything but the config is required.
// Call [Archive.Close].
func New(store Store, v *vault.Vault, log Log, compile Compile, config Config) (*Archive, error) {
	if store == nil || v == nil || log == nil || compile == nil {
		return nil, fmt.Errorf("making archive without store, vault, log or compiler: %w", privacy.ErrInvalid)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	if config.FlushEvery == 0 {
		config.FlushEvery = 2 * time.Second
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	a := &Archive{store: store, vault: v, log: log, compile: compile, config: config, stop: make(chan struct{})}
	if err := a.turnDay(); err != nil {
		return nil, err
	}
	if config.FlushEvery > 0 {
		a.work.Go(a.flushLoop)
	}
	return a, nil
}

func (a *Archive) flushLoop() {
	ticker := time.NewTicker(a.config.FlushEvery)
	defer ticker.Stop()
	failed := false
	for {
		select {
		case <-a.stop:
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := a.Flush(ctx)
		cancel()
		if err != nil && !failed {
			a.config.Logger.Warn("people whom decisions are about are not counted for now", "error", err)
		}
		failed = err != nil
	}
}

// Close stops the writer and writes what is left.
func (a *Archive) Close(ctx context.Context) error {
	var err error
	a.closed.Do(func() {
		close(a.stop)
		a.work.Wait()
		err = a.Flush(ctx)
	})
	return err
}

func (a *Archive) newPart() (part [16]byte, err error) {
	if _, err := io.ReadFull(a.config.Random, part[:]); err != nil {
		return part, fmt.Errorf("drawing a number: %w", err)
	}
	return part, nil
}

// Keep implements the gate's witness.
func (a *Archive) Keep(ctx context.Context, policy audit.Digest, facts policies.Facts, plan *policies.Plan) error {
	r := record{facts: facts.Canonical()}
	if plan != nil {
		r.plan = plan.Canonical()
	}
	row := DecidedRow{Pair: Pair{policy, audit.Digest(facts.Digest())}, Planned: plan != nil}
	var err error
	if row.Sealed, err = a.vault.SealHouse(decidedLabel(row.Pair, row.Planned), r.append(nil)); err != nil {
		return fmt.Errorf("keeping facts and plan: %w", err)
	}
	if err := a.store.KeepDecided(ctx, row); err != nil {
		return fmt.Errorf("keeping facts and plan: %w", err)
	}
	return nil
}

// KeepBundle makes a policy bundle durable, which pack packs if it was not kept before.
// It must be called before the bundle is in force, so that whatever is decided under it
// can be decided again.
func (a *Archive) KeepBundle(ctx context.Context, policy audit.Digest, pack func() []byte) error {
	there, err := a.store.HasBundle(ctx, policy)
	if err == nil && !there {
		err = a.store.KeepBundle(ctx, policy, pack())
	}
	if err != nil {
		return fmt.Errorf("keeping policy bundle: %w", err)
	}
	return nil
}

// open opens a row and checks that it is what its digests say.
func (a *Archive) open(row *DecidedRow) (record, error) {
	plain, err := a.vault.OpenHouse(decidedLabel(row.Pair, row.Planned), row.Sealed)
	if err != nil {
		return record{}, fmt.Errorf("opening record of a decision: %w", err)
	}
	r, err := parseRecord(plain)
	if err != nil {
		return record{}, err
	}
	facts, err := policies.ParseFacts(r.facts)
	if err != nil {
		return record{}, err
	}
	if audit.Digest(facts.Digest()) != row.Facts || row.Planned != (len(r.plan) > 0) {
		return record{}, fmt.Errorf("opening record of a decision: it is of another: %w", privacy.ErrDamaged)
	}
	return r, nil
}

// revisions remembers the bundles that were compiled last: compiling takes longer than
// anything else here.
type revisions struct {
	mu    sync.Mutex
	order []audit.Digest
	made  map[audit.Digest]*policies.Revision
}

const maxRevisions = 4

// revision compiles the bundle that was kept under a digest.
func (a *Archive) revision(ctx context.Context, policy audit.Digest) (*policies.Revision, error) {
	return a.revisions.get(ctx, policy, a.store.Bundle, a.compile)
}

func (c *revisions) get(
	ctx context.Context, policy audit.Digest, read func(context.Context, audit.Digest) ([]byte, error), compile Compile,
) (*policies.Revision, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.made[policy]; r != nil {
		return r, nil
	}
	content, err := read(ctx, policy)
	if err != nil {
		return nil, fmt.Errorf("reading kept policy bundle: %w", err)
	}
	r, err := compile(ctx, content)
	if err != nil {
		return nil, fmt.Errorf("compiling kept policy bundle: %w", errors.Join(err, privacy.ErrDamaged))
	}
	if audit.Digest(r.Digest()) != policy {
		return nil, fmt.Errorf("compiling kept policy bundle: it is another: %w", privacy.ErrDamaged)
	}
	if c.made == nil || len(c.order) >= maxRevisions {
		c.made, c.order = map[audit.Digest]*policies.Revision{}, nil
	}
	c.made[policy], c.order = r, append(c.order, policy)
	return r, nil
}
