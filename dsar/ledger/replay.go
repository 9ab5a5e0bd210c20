package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/mahrem/mahrem/privacy"
)

// Database is what a ledger is replayed into.
type Database interface {
	Known
	// CountPeople is about how many people there are.
	CountPeople(ctx context.Context) (int64, error)
	// People returns the first people after an id, in order, who can be read or of whom there is
	// a key; none at the end.
	People(ctx context.Context, after privacy.DataSubjectID) ([]privacy.DataSubjectID, error)
	// Erase erases a person again as the record says. It MUST be durable when it returns,
	// whatever holds there are on the person: it happened already. It is called again for
	// one that was erased, and reports then that it did nothing.
	Erase(ctx context.Context, id privacy.DataSubjectID, record Record) (erased bool, err error)
	// Apply suppresses and readmits, in order, what the records say, and notes that they were
	// carried out, in one transaction. Whoever they erased is erased already.
	Apply(ctx context.Context, records []Record) error
}

// ReplayConfig says how a ledger is replayed.
type ReplayConfig struct {
	// Tag is the keyed tag of a person's id. Required.
	Tag func(privacy.DataSubjectID) Tag
	// Workers erase people side by side; zero means eight.
	Workers int
	// Progress is told what is being done, and how far it is; nil means nobody is.
	Progress func(what string, done, total int64)
}

// Replayed is what a replay did.
type Replayed struct {
	// Records is how many the ledger has, Missing how many of them the database lacked.
	Records uint64 `json:"records"`
	Missing uint64 `json:"missing"`
	// People is how many were erased again.
	People int64 `json:"people"`
}

// batch is how many records are carried out together.
const batch = 512

// Replay makes a database that was restored forget whom the ledger says it forgot. It reads
// the ledger twice and the ids of the people once. Broken off at any point it is repeated
// from the beginning, and passes quickly over what is done. The error wraps [privacy.ErrDamaged]
// if the ledger does not verify: then nothing was done.
func (l *Ledger) Replay(ctx context.Context, database Database, config ReplayConfig) (Replayed, error) {
	if config.Tag == nil {
		return Replayed{}, fmt.Errorf("replaying erasure ledger without tags: %w", privacy.ErrInvalid)
	}
	if config.Workers <= 0 {
		config.Workers = 8
	}
	if config.Progress == nil {
		config.Progress = func(string, int64, int64) {}
	}
	r := replay{l: l, database: database, config: config, tags: map[Tag]struct{}{}, people: map[Tag][]privacy.DataSubjectID{}}
	if err := r.read(ctx); err != nil {
		return Replayed{}, err
	}
	if len(r.tags) > 0 {
		if err := r.find(ctx); err != nil {
			return Replayed{}, err
		}
	}
	err := r.carryOut(ctx)
	r.done.People = r.erased.Load()
	return r.done, err
}

type replay struct {
	l        *Ledger
	database Database
	config   ReplayConfig
	tags     map[Tag]struct{}                // of everybody who was erased
	people   map[Tag][]privacy.DataSubjectID // who of them are there
	erased   atomic.Int64
	done     Replayed
}

// read learns who was erased.
func (r *replay) read(ctx context.Context) error {
	return r.l.compare(ctx, r.database, func(record Record, missing bool) error {
		r.done.Records++
		if missing {
			r.done.Missing++
		}
		if record.Kind == Erased {
			r.tags[record.Person] = struct{}{}
		}
		return nil
	}, func(done, total int64) { r.config.Progress("reading ledger", done, total) })
}

// find looks at everybody for those who were erased. Tags are computed from ids; the other
// way is not possible.
func (r *replay) find(ctx context.Context) error {
	total, err := r.database.CountPeople(ctx)
	if err != nil {
		return err
	}
	var after privacy.DataSubjectID
	for done := int64(0); ; {
		page, err := r.database.People(ctx, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		for _, id := range page {
			tag := r.config.Tag(id)
			if _, erased := r.tags[tag]; erased {
				r.people[tag] = append(r.people[tag], id)
			}
		}
		after, done = page[len(page)-1], done+int64(len(page))
		r.config.Progress("looking for erased people", done, max(done, total))
	}
}

// carryOut goes through the records in order: an identifier that was readmitted must not be
// suppressed by the erasure before.
func (r *replay) carryOut(ctx context.Context) error {
	var records, missing []Record
	var done int64
	flush := func() error {
		if err := r.erase(ctx, records); err != nil {
			return err
		}
		if len(missing) > 0 {
			if err := r.database.Apply(ctx, missing); err != nil {
				return err
			}
		}
		records, missing = records[:0], missing[:0]
		r.config.Progress("replaying", done, int64(r.done.Records))
		return nil
	}
	err := r.l.compare(ctx, r.database, func(record Record, lacks bool) error {
		if done++; uint64(done) > r.done.Records {
			return nil // written meanwhile, by whoever carries it out
		}
		if record.Kind == Erased && len(r.people[record.Person]) > 0 {
			records = append(records, record)
		}
		if lacks {
			missing = append(missing, record)
		}
		if len(records) < batch && len(missing) < batch {
			return nil
		}
		return flush()
	}, nil)
	if err != nil {
		return err
	}
	return flush()
}

// erase erases side by side: each waits for the disk, and they share it.
func (r *replay) erase(ctx context.Context, records []Record) error {
	var work sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, r.config.Workers)
	for worker := range errs {
		work.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(records) || errs[worker] != nil {
					return
				}
				for _, id := range r.people[records[i].Person] {
					erased, err := r.database.Erase(ctx, id, records[i])
					if err != nil {
						errs[worker] = fmt.Errorf("replaying record %d: %w", records[i].Sequence, err)
						return
					}
					if erased {
						r.erased.Add(1)
					}
				}
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}
