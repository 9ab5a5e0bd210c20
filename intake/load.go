package intake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Options go with one load.
type Options struct {
	// Principal is who loads; required.
	Principal privacy.Principal
	// Progress hears of every batch; nil: nobody does.
	Progress Progressor
	// RejectPath is the file that gets the rejected rows; empty: only their number is
	// kept. It appears with the first such row.
	RejectPath string
}

// Progressor shows how far a load is. Its methods are called from one goroutine.
type Progressor interface {
	// Begin is called once, when the file is opened. total is its size in bytes as
	// stored, 0 if it is not known.
	Begin(total int64)
	// Step is called after each batch: rows dealt with and bytes read so far.
	Step(rows, bytes int64)
	// End is called once, whether the load succeeded or not.
	End()
}

// Summary is what a load came to.
type Summary struct {
	// Rows is how many the file has, without its header; Accepted + Rejected = Rows.
	Rows, Accepted, Rejected int64
	// Persons are the people of the accepted rows, counted once each up to a quarter
	// of a million people, beyond that once a batch. NewPersons were unknown before.
	Persons, NewPersons int64
	// Events are those of the accepted rows; NewEvents were not there before.
	Events, NewEvents int64
	// Duration of this call.
	Duration time.Duration
	// AlreadyLoaded is set when the same file was loaded with the same mapping before:
	// nothing was done, and the numbers are those of that time.
	AlreadyLoaded bool
	// ResumedAt is the number of rows that an earlier, broken-off load had dealt with.
	ResumedAt int64
}

// maxCounted is how many people a load remembers in order to count them once.
const maxCounted = 1 << 18

// batch is a part of a file on its way to the store.
type batch struct {
	items   []Item
	rejects []Reject
	rows    int64 // in this batch
	last    int64 // line of its last row
	bytes   int64 // read so far
	end     bool
}

// Load brings a whole file in. Batches are committed one after the other, each with the
// progress of the file and an entry in the log; a load that breaks off is taken up
// behind the last committed batch when it is started again, and a file that was loaded
// before changes nothing. Rows that cannot be used are listed, and the load goes on.
//
// The error wraps [privacy.ErrInvalid] when mapping and file do not fit together or the
// file is damaged, and [privacy.ErrUnavailable] when the database or the log is gone;
// what was committed before stays.
func (l *Loader) Load(ctx context.Context, source Source, m *Mapping, options Options) (summary Summary, err error) {
	begin := time.Now()
	defer func() { summary.Duration = time.Since(begin) }()
	if options.Principal.ID == "" {
		return summary, fmt.Errorf("loading: nobody loads: %w", privacy.ErrInvalid)
	}
	format := m.Format
	if format == "" {
		if format, err = source.format(); err != nil {
			return summary, err
		}
	}
	limits := limits{cell: l.config.MaxCell, row: l.config.MaxRow}
	var lookups []*lookup
	digest := sha256.New()
	digest.Write(m.digest[:])
	for _, join := range m.Joins {
		table, err := readLookup(ctx, source, join, limits, maxLookupBytes)
		if err != nil {
			return summary, err
		}
		lookups = append(lookups, table)
		digest.Write(table.digest[:])
	}
	file, err := source.digest(ctx)
	if err != nil {
		return summary, err
	}
	progress, err := l.store.Progress(ctx, file, audit.Digest(digest.Sum(nil)))
	if err != nil {
		return summary, fmt.Errorf("reading progress: %w", err)
	}
	progress.File, progress.Mapping, progress.Source = file, audit.Digest(digest.Sum(nil)), m.Source
	if progress.Done {
		summary = progress.summary()
		summary.AlreadyLoaded = true
		return summary, nil
	}
	rejects, err := openRejects(options.RejectPath, progress.Row)
	if err != nil {
		return summary, err
	}
	defer func() { err = errors.Join(err, rejects.Close()) }()

	var read atomic.Int64
	in, err := source.open(ctx, nil, &read)
	if err != nil {
		return summary, err
	}
	defer in.Close()
	rows, err := openRows(in, m, format, lookups, limits)
	if err != nil {
		return summary, err
	}
	bound, err := newPlan(m, rows.columns(), l.catalogue, l.classifier, l.config.Now())
	if err != nil {
		return summary, err
	}
	if options.Progress != nil {
		options.Progress.Begin(source.Size)
		defer options.Progress.End()
	}
	a := &account{progress: progress, rejects: rejects, seen: map[privacy.DataSubjectID]struct{}{}}
	err = l.pump(ctx, rows, bound, &read, progress.Rows, func(b *batch) error {
		return l.commitBatch(ctx, b, a, m.Source, options)
	})
	summary = a.progress.summary()
	summary.ResumedAt = progress.Rows
	return summary, err
}

// pump reads batches in one goroutine while the one before is committed in another.
func (l *Loader) pump(ctx context.Context, rows rowSource, p *plan, read *atomic.Int64, skip int64, commit func(*batch) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	batches := make(chan *batch)
	var readErr error
	go func() {
		defer close(batches)
		for {
			var b *batch
			if b, readErr = l.readBatch(rows, p, &skip); b.rows > 0 || b.end {
				b.bytes = read.Load()
				select {
				case batches <- b:
				case <-ctx.Done():
					return
				}
			}
			if readErr != nil || b.end {
				return
			}
		}
	}()
	var err error
	ended := false
	for b := range batches {
		if err == nil {
			if err = commit(b); err != nil {
				cancel() // and drain: the reader must not outlive its file
			}
			ended = b.end
		}
	}
	if err == nil {
		err = readErr
	}
	if err == nil && !ended {
		err = ctx.Err() // between two batches
	}
	return err
}

// readBatch reads rows until a batch is full or the file ends.
func (l *Loader) readBatch(rows rowSource, p *plan, skip *int64) (*batch, error) {
	b := &batch{}
	size := 0
	for int(b.rows) < l.config.BatchRows && size < l.config.BatchBytes {
		record, row, reason, err := rows.next()
		if errors.Is(err, io.EOF) {
			b.end = true
			return b, nil
		}
		if err != nil {
			return b, err
		}
		if *skip > 0 {
			*skip--
			continue
		}
		b.rows, b.last = b.rows+1, row
		if reason != "" {
			b.rejects = append(b.rejects, Reject{Row: row, Reason: reason})
			continue
		}
		item, problem := p.item(record, row)
		if problem == nil {
			problem = item.bound()
		}
		if problem != nil {
			b.rejects = append(b.rejects, Reject{row, problem.reason, problem.field})
			continue
		}
		for _, cell := range record {
			size += len(cell) + 16
		}
		size += 256
		b.items = append(b.items, item)
	}
	return b, nil
}

// account is the running state of one load.
type account struct {
	progress Progress
	rejects  *rejectFile
	seen     map[privacy.DataSubjectID]struct{}
}

// commitBatch lists the rejected rows, then commits the batch with its progress. A crash
// in between leaves rows in the list that will be found again: openRejects drops them.
func (l *Loader) commitBatch(ctx context.Context, b *batch, a *account, source string, options Options) error {
	if err := a.rejects.write(b.rejects); err != nil {
		return err
	}
	next := a.progress
	listed := map[int64]bool{}
	done, err := l.ingest(ctx, options.Principal, source, b.items, func(done result) (*Progress, error) {
		var late []Reject
		for _, r := range done.rejects {
			if !listed[r.Row] {
				listed[r.Row] = true
				late = append(late, r)
			}
		}
		if err := a.rejects.write(late); err != nil {
			return nil, err
		}
		next = a.progress
		next.Row = max(next.Row, b.last)
		next.Rows += b.rows
		next.Rejected += int64(len(b.rejects) + len(done.rejects))
		next.Accepted = next.Rows - next.Rejected
		for _, id := range done.people {
			if _, known := a.seen[id]; !known {
				next.Persons++
			}
		}
		next.NewPersons += done.newPeople
		next.Events += done.events
		next.NewEvents += done.newEvents
		next.Done = b.end
		return &next, nil
	})
	if err != nil {
		return err
	}
	for _, id := range done.people {
		if len(a.seen) < maxCounted {
			a.seen[id] = struct{}{}
		}
	}
	a.progress = next
	if options.Progress != nil {
		options.Progress.Step(next.Rows, b.bytes)
	}
	return nil
}

func (p *Progress) summary() Summary {
	return Summary{
		Rows: p.Rows, Accepted: p.Accepted, Rejected: p.Rejected,
		Persons: p.Persons, NewPersons: p.NewPersons, Events: p.Events, NewEvents: p.NewEvents,
	}
}
