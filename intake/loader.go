package intake

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Config has defaults for everything.
type Config struct {
	// Now dates attributes that carry no date; time.Now.
	Now func() time.Time
	// Random draws the ids of new people; crypto/rand.Reader.
	Random io.Reader
	// BatchRows and BatchBytes end a batch, whichever comes first; 16,384 and 8 MiB.
	BatchRows, BatchBytes int
	// MaxCell and MaxRow reject longer ones; 64 KiB and 1 MiB.
	MaxCell, MaxRow int
	// Workers seal at the same time; the number of processors.
	Workers int
	// Streams gives the category in which the events of a type are sealed when they
	// come without a mapping ([Loader.LoadStream]); purchases and views.
	Streams map[string]privacy.DataCategory
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	c.BatchRows = cmp.Or(max(c.BatchRows, 0), 16<<10)
	c.BatchBytes = cmp.Or(max(c.BatchBytes, 0), 8<<20)
	c.MaxCell = cmp.Or(max(c.MaxCell, 0), 64<<10)
	c.MaxRow = cmp.Or(max(c.MaxRow, 0), 1<<20)
	c.Workers = cmp.Or(max(c.Workers, 0), runtime.GOMAXPROCS(0))
	if c.Streams == nil {
		c.Streams = map[string]privacy.DataCategory{"purchase": "purchases", "view": "views"}
	}
	return c
}

// Loader brings rows into the vault. It is safe for concurrent use.
type Loader struct {
	store      Store
	vault      *vault.Vault
	catalogue  Catalogue
	classifier Classifier
	config     Config
}

// New returns a loader. store, keys and catalogue are required; without a classifier a
// mapping that asks for product groups does not bind.
func New(store Store, keys *vault.Vault, catalogue Catalogue, classifier Classifier, config Config) *Loader {
	return &Loader{store: store, vault: keys, catalogue: catalogue, classifier: classifier, config: config.withDefaults()}
}

// maxAttempts is how often a batch is tried against others who write about the same
// people.
const maxAttempts = 8

// result is what became of one batch.
type result struct {
	people              []privacy.DataSubjectID
	newPeople           int64
	accepted, unchanged int64
	events, newEvents   int64
	rejects             []Reject
	receipt             audit.Receipt
}

// prepare is called with a batch's outcome just before it is committed, and gives the
// progress to commit with it. It is called again if the batch has to be tried again.
type prepare func(result) (*Progress, error)

// ingest commits one batch.
func (l *Loader) ingest(ctx context.Context, by privacy.Principal, source string, items []Item, before prepare) (result, error) {
	kept, of, all, rejects := l.index(items)
	for attempt := 1; ; attempt++ {
		done, err := l.try(ctx, by, source, kept, of, all, rejects, before)
		if err == nil || !errors.Is(err, privacy.ErrConflict) || attempt == maxAttempts {
			return done, err
		}
		if err := pause(ctx, attempt); err != nil {
			return result{}, err
		}
	}
}

func (l *Loader) try(ctx context.Context, by privacy.Principal, source string, items []*Item, of [][]*known, all []*known, rejects []Reject, before prepare) (done result, err error) {
	people, conflicts, err := l.identify(ctx, items, of, all)
	if err != nil {
		return done, err
	}
	done.rejects = append(rejects[:len(rejects):len(rejects)], conflicts...)
	done.accepted = int64(len(items) - len(conflicts))
	dossiers := make([]*dossier, len(people))
	_ = l.parallel(len(people), func(i int) error {
		dossiers[i] = l.assemble(people[i], source)
		return nil
	})
	var wanted []Wanted
	at := make([]int, len(people)) // of each person in wanted
	for i, d := range dossiers {
		done.people = append(done.people, d.id)
		for _, item := range d.items {
			done.events += int64(len(item.Events))
		}
		if d.isNew {
			done.newPeople++
			at[i] = -1
			continue
		}
		at[i] = len(wanted)
		wanted = append(wanted, d.wanted)
	}
	var held []Held
	if len(wanted) > 0 {
		if held, err = l.store.Held(ctx, wanted); err != nil {
			return done, fmt.Errorf("reading what is held: %w", err)
		}
	}
	changes, err := l.sealAll(dossiers, held, at)
	if err != nil {
		return done, err
	}
	done.newEvents = int64(len(changes.Fingerprints))
	for _, person := range people {
		for _, item := range person.items {
			if !item.changed {
				done.unchanged++
			}
		}
	}
	if before != nil {
		if changes.Progress, err = before(done); err != nil {
			return done, err
		}
	}
	if changes.IsEmpty() {
		if changes.Progress == nil {
			return done, nil
		}
		return done, wrap("noting progress", l.store.SetProgress(ctx, *changes.Progress))
	}
	changes.order()
	done.receipt, err = l.store.Commit(ctx, changes, audit.Event{
		Kind: audit.BatchIngested, Principal: by, Outcome: audit.Done,
		List: changes.Digest(), Count: uint64(done.accepted),
	})
	return done, wrap("committing batch", err)
}

// sealAll seals on several processors and puts the parts together.
func (l *Loader) sealAll(dossiers []*dossier, held []Held, at []int) (Changes, error) {
	parts := make([]Changes, l.config.Workers)
	share := (len(dossiers) + len(parts) - 1) / len(parts)
	err := l.parallel(len(parts), func(part int) error {
		for i := part * share; i < min((part+1)*share, len(dossiers)); i++ {
			var h Held
			if at[i] >= 0 {
				h = held[at[i]]
			}
			if err := l.seal(dossiers[i], h, &parts[part]); err != nil {
				return err
			}
		}
		return nil
	})
	all := parts[0]
	for _, part := range parts[1:] {
		all.People = append(all.People, part.People...)
		all.Touched = append(all.Touched, part.Touched...)
		all.Identifiers = append(all.Identifiers, part.Identifiers...)
		all.Records = append(all.Records, part.Records...)
		all.Chunks = append(all.Chunks, part.Chunks...)
		all.Fingerprints = append(all.Fingerprints, part.Fingerprints...)
		all.Consents = append(all.Consents, part.Consents...)
	}
	return all, err
}

// parallel runs do for 0 to n-1 on the configured number of workers and returns one of
// the errors.
func (l *Loader) parallel(n int, do func(i int) error) error {
	workers := min(l.config.Workers, n)
	if workers <= 1 {
		for i := range n {
			if err := do(i); err != nil {
				return err
			}
		}
		return nil
	}
	var next atomic.Int64
	errs := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || errs[w] != nil {
					return
				}
				errs[w] = do(i)
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Digest stands for the batch in the log: SHA-256 over what was written, in order. It
// is over ids, slots, versions and sealed bytes, so it binds the rows of the database
// to the entry and tells nothing about anybody.
func (c *Changes) Digest() audit.Digest {
	hash := sha256.New()
	hash.Write([]byte("mahrem/batch/v1\x00"))
	var number [8]byte
	count := func(n int64) {
		binary.BigEndian.PutUint64(number[:], uint64(n))
		hash.Write(number[:])
	}
	blob := func(b []byte) {
		count(int64(len(b)))
		hash.Write(b)
	}
	count(int64(len(c.People)))
	for _, p := range c.People {
		hash.Write(p.ID[:])
		blob(p.Wrapped)
	}
	count(int64(len(c.Identifiers)))
	for _, i := range c.Identifiers {
		hash.Write(i.ID[:])
		blob([]byte(i.Kind))
		blob(i.BlindIndex)
	}
	count(int64(len(c.Records)))
	for _, r := range c.Records {
		hash.Write(r.ID[:])
		hash.Write(r.Slot[:])
		count(r.Version)
		blob(r.Sealed)
	}
	count(int64(len(c.Chunks)))
	for _, k := range c.Chunks {
		hash.Write(k.ID[:])
		hash.Write(k.Slot[:])
		count(k.Chunk)
		count(k.Version)
		blob(k.Sealed)
	}
	count(int64(len(c.Consents)))
	for _, r := range c.Consents {
		hash.Write(r.DataSubject[:])
		hash.Write(r.ID[:])
	}
	return audit.Digest(hash.Sum(nil))
}

// pause waits a little before another attempt, so that two loaders do not meet again.
func pause(ctx context.Context, attempt int) error {
	wait := time.Duration(5+mathrand.IntN(20*attempt)) * time.Millisecond
	select {
	case <-ctx.Done():
		return fmt.Errorf("waiting to try a batch again: %w: %w", privacy.ErrUnavailable, ctx.Err())
	case <-time.After(wait):
		return nil
	}
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
