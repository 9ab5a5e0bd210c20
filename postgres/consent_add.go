package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// Changes that come at the same time share a transaction: a commit costs much more than a
// row. Two are under way at most, so that one is prepared while the other is written.
const (
	consentGroups    = 2
	consentGroupSize = 256
)

// consentCall is one change that waits for its transaction.
type consentCall struct {
	row   consentRow
	event audit.Event
	added consent.Added
	err   error
	done  chan struct{}
	taken bool // by a group; until then its caller may give up
}

// consentQueue holds the changes that wait, in order, and runs groups of them while there
// are any. It needs no closing.
type consentQueue struct {
	mu      sync.Mutex
	waiting []*consentCall
	people  map[privacy.DataSubjectID]bool // in groups that are under way
	running int
}

// Add implements [consent.Store]. What several callers add at the same time is committed
// together, each with an entry of its own; what is wrong with one of them is told to that
// one only.
func (s *ConsentStore) Add(ctx context.Context, r consent.Record, event audit.Event) (consent.Added, error) {
	if err := ctx.Err(); err != nil {
		return consent.Added{}, fmt.Errorf("adding consent record: %w: %w", privacy.ErrUnavailable, err)
	}
	c := &consentCall{row: consentRow{record: r}, event: event, done: make(chan struct{})}
	s.queue.mu.Lock()
	s.queue.waiting = append(s.queue.waiting, c)
	if s.queue.running < consentGroups {
		s.queue.running++
		go s.runGroups()
	}
	s.queue.mu.Unlock()
	select {
	case <-c.done:
	case <-ctx.Done():
		if s.queue.giveUp(c) {
			return consent.Added{}, fmt.Errorf("adding consent record: %w: %w", privacy.ErrUnavailable, ctx.Err())
		}
		<-c.done // it is being written; what becomes of it is known soon
	}
	if c.err != nil {
		return consent.Added{}, fmt.Errorf("adding consent record: %w", c.err)
	}
	return c.added, nil
}

// giveUp takes a call back that no group has taken.
func (q *consentQueue) giveUp(c *consentCall) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c.taken {
		return false
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(w *consentCall) bool { return w == c })
	return true
}

// take returns the calls of the next group. Those about people of another group wait for the
// next one: they would find them locked.
func (q *consentQueue) take() []*consentCall {
	q.mu.Lock()
	defer q.mu.Unlock()
	var group, rest []*consentCall
	for _, c := range q.waiting {
		if len(group) < consentGroupSize && !q.people[c.row.record.DataSubject] {
			c.taken = true
			group = append(group, c)
		} else {
			rest = append(rest, c)
		}
	}
	q.waiting = rest
	if len(group) == 0 {
		q.running--
		return nil
	}
	if q.people == nil {
		q.people = map[privacy.DataSubjectID]bool{}
	}
	for _, c := range group {
		q.people[c.row.record.DataSubject] = true
	}
	return group
}

func (q *consentQueue) leave(group []*consentCall) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range group {
		delete(q.people, c.row.record.DataSubject)
	}
}

func (s *ConsentStore) runGroups() {
	for {
		runtime.Gosched() // whoever is about to add, and only waits for a processor, comes along
		group := s.queue.take()
		if group == nil {
			return
		}
		alone := s.runGroup(group)
		s.queue.leave(group)
		for _, c := range alone {
			go s.runAlone(c) // somebody else has the person; nobody waits for that but its caller
		}
	}
}

// runGroup commits a group and answers its callers, but for those that it returns: they must
// be tried alone.
func (s *ConsentStore) runGroup(group []*consentCall) (alone []*consentCall) {
	err := s.commit(group, false)
	for _, c := range group {
		switch {
		case c.row.outcome == rowBusy && (err == nil || !errors.Is(err, privacy.ErrUnavailable)):
			alone = append(alone, c)
		case err == nil:
			close(c.done)
		case len(group) > 1 && !errors.Is(err, privacy.ErrUnavailable) && !errors.Is(err, privacy.ErrDamaged):
			alone = append(alone, c) // nothing was committed, and whose fault it is shows then
		default:
			c.err = err
			close(c.done)
		}
	}
	return alone
}

func (s *ConsentStore) runAlone(c *consentCall) {
	if err := s.commit([]*consentCall{c}, true); err != nil {
		c.err = err
	}
	close(c.done)
}

// commit adds what the calls ask for in one transaction. An error means that none was added;
// or, if it wraps [privacy.ErrUnavailable], that this is not known. Else each call has its
// own result, unless its row is busy.
func (s *ConsentStore) commit(calls []*consentCall, wait bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*s.log.config.Deadline)
	defer cancel()
	rows := make([]*consentRow, len(calls))
	asked := make([]consent.Record, len(calls))
	for i, c := range calls {
		rows[i], asked[i] = &c.row, c.row.record
	}
	var head audit.Receipt
	receipts, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		if err := addConsentRows(ctx, tx, s.db, rows, nil, wait); err != nil {
			return nil, err
		}
		var events []audit.Event
		duplicate := false
		for _, c := range calls {
			switch c.row.outcome {
			case rowAdded:
				c.event.List = audit.Digest(c.row.commitment)
				events = append(events, c.event)
			case rowDuplicate:
				duplicate = true
			}
		}
		if len(events) > 0 || !duplicate {
			return events, nil
		}
		var err error
		head, err = headReceipt(ctx, tx)
		return nil, err
	})
	if err != nil {
		for i, c := range calls {
			c.row.record = asked[i] // as it was, for another attempt
		}
		return err
	}
	if len(receipts) > 0 {
		head = receipts[len(receipts)-1]
	}
	for _, c := range calls {
		switch c.row.outcome {
		case rowAdded:
			c.added = consent.Added{Receipt: receipts[0], Record: c.row.record}
			receipts = receipts[1:]
		case rowDuplicate:
			c.added = consent.Added{Receipt: head, Duplicate: true, Record: c.row.record}
		case rowConflict:
			c.err = fmt.Errorf("its id is that of another: %w", privacy.ErrConflict)
		case rowNobody:
			c.err = privacy.ErrNotFound
		}
	}
	return nil
}

// headReceipt is that of the entry with which the log ends.
func headReceipt(ctx context.Context, q querier) (audit.Receipt, error) {
	rows, err := q.Query(ctx, sqlAuditTail, 1)
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("reading last entry: %w", translate(err))
	}
	stored, err := collectEntries(rows)
	if err != nil {
		return audit.Receipt{}, err
	}
	if len(stored) != 1 {
		return audit.Receipt{}, fmt.Errorf("the log is empty and the ledger is not: %w", privacy.ErrDamaged)
	}
	entry, err := audit.ParseEntry(stored[0].Leaf)
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("reading last entry: %w: %w", privacy.ErrDamaged, err)
	}
	return audit.Committed(entry.ID, stored[0].LeafHash, stored[0].Index), nil
}

// MaxConsentBatch is how many records [ConsentStore.AddBatch] takes at once.
const MaxConsentBatch = 20_000

// AddBatch adds many records in one transaction with one entry consent.imported, made from
// event, whose List is the digest of their commitments. Of records that are there already
// nothing changes; those with another one's id, and those about nobody, are left out, and the
// result says of each what became of it. If nothing was added there is no entry. A record
// without an ID gets one.
func (s *ConsentStore) AddBatch(ctx context.Context, records []consent.Record, event audit.Event) (consent.BatchResult, error) {
	if len(records) > MaxConsentBatch {
		return consent.BatchResult{}, fmt.Errorf("adding %d consent records at once, of at most %d: %w", len(records), MaxConsentBatch, privacy.ErrInvalid)
	}
	rows := make([]*consentRow, len(records))
	for i := range records {
		rows[i] = &consentRow{record: records[i]}
		if rows[i].record.ID == [16]byte{} {
			_, _ = rand.Read(rows[i].record.ID[:]) // never fails
		}
	}
	result := consent.BatchResult{}
	receipts, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		var err error
		var events []audit.Event
		events, result.Added, err = addConsentBatch(ctx, tx, s.db, rows, event)
		return events, err
	})
	if err != nil {
		return consent.BatchResult{}, fmt.Errorf("adding consent records: %w", err)
	}
	if len(receipts) > 0 {
		result.Receipt = receipts[0]
	}
	result.Outcomes = make([]consent.BatchOutcome, len(rows))
	digest := consent.NewBatchDigest()
	for i, row := range rows {
		switch row.outcome {
		case rowAdded:
			digest.Add(row.commitment)
		case rowDuplicate:
			result.Outcomes[i] = consent.BatchDuplicate
		case rowConflict:
			result.Outcomes[i] = consent.BatchConflict
		default:
			result.Outcomes[i] = consent.BatchNobody
		}
	}
	if result.Added > 0 {
		result.Digest = digest.Sum()
	}
	return result, nil
}

// addConsentBatch adds rows under one entry, and returns the event for it: none if no row
// was added.
func addConsentBatch(ctx context.Context, tx pgx.Tx, db *DB, rows []*consentRow, event audit.Event) ([]audit.Event, int, error) {
	var batch consentBatch
	_, _ = rand.Read(batch.id[:]) // never fails
	if err := addConsentRows(ctx, tx, db, rows, &batch, true); err != nil {
		return nil, 0, err
	}
	added := 0
	for _, row := range rows {
		if row.outcome == rowAdded {
			added++
		}
	}
	if added == 0 {
		return nil, 0, nil
	}
	event.Kind, event.Outcome, event.List, event.Count = audit.ConsentImported, audit.Done, batch.digest, uint64(added)
	return []audit.Event{event}, added, nil
}
