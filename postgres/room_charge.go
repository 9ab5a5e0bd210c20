package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// charging is a charge that waits for its turn, and what became of it.
type charging struct {
	charge cleanroom.Charge
	event  audit.Event
	taken  bool // it is in a transaction, under the ledger's mu
	done   chan struct{}

	// Whoever carries it out sets these before done is closed. A charge that is busy has
	// left nothing: somebody else is computing, or has computed, the same.
	run     cleanroom.RunID
	receipt audit.Receipt
	busy    bool
	err     error
}

const (
	// maxCharges bounds the charges of one transaction.
	maxCharges = 256
	// chargeWithin bounds one transaction.
	chargeWithin = 30 * time.Second
)

// await has a charge carried out. A caller who gives up before it was begun has left
// nothing; afterwards they wait for what becomes of it.
func (l *RoomLedger) await(ctx context.Context, c *charging) error {
	l.mu.Lock()
	l.waiting = append(l.waiting, c)
	if !l.working {
		l.working = true
		go l.work()
	}
	l.mu.Unlock()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	if !c.taken {
		l.waiting = slices.DeleteFunc(l.waiting, func(w *charging) bool { return w == c })
		l.mu.Unlock()
		return fmt.Errorf("charging a question: %w: %w", privacy.ErrUnavailable, ctx.Err())
	}
	l.mu.Unlock()
	<-c.done
	return nil
}

// work carries out whatever waits, as much at once as there is, until nothing does.
func (l *RoomLedger) work() {
	for {
		l.mu.Lock()
		batch := l.waiting[:min(len(l.waiting), maxCharges)]
		l.waiting = l.waiting[len(batch):]
		if len(batch) == 0 {
			l.waiting, l.working = nil, false
			l.mu.Unlock()
			return
		}
		for _, c := range batch {
			c.taken = true
		}
		l.mu.Unlock()
		l.carryOut(batch)
		for _, c := range batch {
			close(c.done)
		}
	}
}

// carryOut charges a batch in one transaction. If that is refused, each gets one of its own,
// so that a charge which the tables do not take has no other one fall with it.
func (l *RoomLedger) carryOut(batch []*charging) {
	ctx, cancel := context.WithTimeout(context.Background(), chargeWithin)
	defer cancel()
	err := l.chargeAll(ctx, batch)
	if err == nil {
		return
	}
	if len(batch) > 1 && !errors.Is(err, privacy.ErrUnavailable) {
		for _, c := range batch {
			l.carryOut([]*charging{c})
		}
		return
	}
	for _, c := range batch {
		c.busy, c.err = false, err
	}
}

// chargeAll charges what fits, one after the other, and refuses the rest; each has its entry.
func (l *RoomLedger) chargeAll(ctx context.Context, batch []*charging) error {
	var logged []*charging // those with an entry, in the order of the entries
	stale := 0
	receipts, err := l.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		for _, c := range batch {
			c.busy, c.err = false, nil
		}
		books, err := l.openBooks(ctx, tx, batch)
		if err != nil {
			return nil, err
		}
		for _, c := range batch {
			c.err, c.busy = books.charge(&c.charge)
		}
		runs, err := books.write(ctx, tx)
		if err != nil {
			return nil, err
		}
		stale = len(books.stale)
		events := books.staleEvents()
		for _, c := range batch {
			event := c.event
			switch {
			case c.busy:
				continue
			case errors.Is(c.err, cleanroom.ErrExhausted):
				event.Kind, event.Outcome, event.Checks = audit.RoomDenied, audit.Denied, []string{"budget_exhausted"}
			case c.err != nil:
				continue
			default:
				var mine bool
				if c.run, mine = runs[c.charge.Question]; !mine {
					// Another process was quicker with a question that costs nothing.
					c.busy = true
					continue
				}
			}
			events = append(events, event)
			logged = append(logged, c)
		}
		return events, nil
	})
	if err != nil {
		return err
	}
	for i, c := range logged {
		c.receipt = receipts[stale+i]
	}
	return nil
}

// books are the budgets that a batch is about, locked.
type books struct {
	budgets   map[cleanroom.DatasetRef]*cleanroom.Left // without what consumers have spent
	consumers map[consumerOf]cleanroom.Rho             // what they have spent
	taken     map[audit.Digest]bool                    // questions that run or have an answer
	stale     []staleRun

	spent    map[cleanroom.DatasetRef]cleanroom.Rho // by this batch
	consumed map[consumerOf]cleanroom.Rho
	runs     []*cleanroom.Charge
}

type consumerOf struct {
	dataset  cleanroom.DatasetRef
	consumer cleanroom.PartyID
}

// staleRun is a run that has not ended within its lease: whoever computed it is gone.
type staleRun struct {
	id       cleanroom.RunID
	question []byte
	consumer cleanroom.PartyID
}

// The budgets of datasets, locked in the order of their names, so that nobody waits for
// somebody who waits for them. What the later statements read is as of after the lock.
const sqlBudgetLock = `
select b.owner, b.dataset, b.cap, b.spent, b.consumer_cap
from cleanroom.budget b
where (b.owner, b.dataset) in (select wanted.owner, wanted.dataset from unnest($1::text[], $2::text[]) as wanted (owner, dataset))
order by b.owner, b.dataset
for update of b`

const sqlConsumerSpent = `
select c.owner, c.dataset, c.consumer, c.spent
from unnest($1::text[], $2::text[], $3::text[]) as wanted (owner, dataset, consumer)
join cleanroom.consumer_budget c on c.owner = wanted.owner and c.dataset = wanted.dataset and c.consumer = wanted.consumer`

const sqlRunTaken = `
select r.question
from cleanroom.release r
where r.question = any ($1::bytea[])
union all
select r.question
from cleanroom.run r
where r.question = any ($1::bytea[]) and r.state = 'running' and r.begun_at >= clock_timestamp() - $2::interval`

const sqlRunExpire = `
update cleanroom.run
set state = 'failed', ended_at = greatest(clock_timestamp(), begun_at)
where question = any ($1::bytea[]) and state = 'running' and begun_at < clock_timestamp() - $2::interval
returning run_id, question, consumer`

func (l *RoomLedger) openBooks(ctx context.Context, tx pgx.Tx, batch []*charging) (*books, error) {
	b := &books{
		budgets: map[cleanroom.DatasetRef]*cleanroom.Left{}, consumers: map[consumerOf]cleanroom.Rho{}, taken: map[audit.Digest]bool{},
		spent: map[cleanroom.DatasetRef]cleanroom.Rho{}, consumed: map[consumerOf]cleanroom.Rho{},
	}
	var questions [][]byte
	var datasets []cleanroom.DatasetRef
	var owners, names, consumers []string
	for _, c := range batch {
		questions = append(questions, c.charge.Question[:])
		for _, d := range c.charge.Datasets {
			key := consumerOf{d, c.charge.Consumer}
			if _, known := b.consumers[key]; known {
				continue
			}
			b.consumers[key] = 0
			datasets = append(datasets, d)
			owners, names, consumers = append(owners, string(d.Owner)), append(names, string(d.Dataset)), append(consumers, string(c.charge.Consumer))
		}
	}
	reads := &pgx.Batch{}
	lockOwners, lockNames := splitRefs(distinctRefs(datasets))
	reads.Queue(sqlBudgetLock, lockOwners, lockNames).Query(eachRow(func(row pgx.CollectableRow) error {
		var left cleanroom.Left
		err := row.Scan(&left.Dataset.Owner, &left.Dataset.Dataset, &left.Cap, &left.Spent, &left.ConsumerCap)
		b.budgets[left.Dataset] = &left
		return err
	}))
	reads.Queue(sqlConsumerSpent, owners, names, consumers).Query(eachRow(func(row pgx.CollectableRow) error {
		var key consumerOf
		var spent cleanroom.Rho
		err := row.Scan(&key.dataset.Owner, &key.dataset.Dataset, &key.consumer, &spent)
		b.consumers[key] = spent
		return err
	}))
	reads.Queue(sqlRunExpire, questions, l.config.Lease).Query(eachRow(b.addStale))
	reads.Queue(sqlRunTaken, questions, l.config.Lease).Query(eachRow(func(row pgx.CollectableRow) error {
		var question []byte
		if err := row.Scan(&question); err != nil {
			return err
		}
		b.taken[audit.Digest(question)] = true
		return nil
	}))
	if err := tx.SendBatch(ctx, reads).Close(); err != nil {
		return nil, fmt.Errorf("locking budgets: %w", translate(err))
	}
	return b, nil
}

// addStale reads a run that was closed because nobody finished it.
func (b *books) addStale(row pgx.CollectableRow) error {
	var run staleRun
	err := row.Scan(&run.id, &run.question, &run.consumer)
	b.stale = append(b.stale, run)
	return err
}

// eachRow has read called for each row of a statement in a batch.
func eachRow(read func(pgx.CollectableRow) error) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		_, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) { return struct{}{}, read(row) })
		return err
	}
}

// staleEvents are the entries of the runs that were closed because nobody finished them.
func (b *books) staleEvents() []audit.Event {
	events := make([]audit.Event, len(b.stale))
	for i, run := range b.stale {
		events[i] = audit.Event{Kind: audit.RoomFailed, Outcome: audit.Done, Recipient: run.consumer, List: audit.Digest(run.question)}
	}
	return events
}

// charge takes the cost of a question out of the budgets, if all of them have it left.
func (b *books) charge(charge *cleanroom.Charge) (err error, busy bool) {
	if b.taken[charge.Question] {
		return nil, true
	}
	exhausted := &cleanroom.Exhausted{}
	fits := true
	for _, d := range charge.Datasets {
		budget := b.budgets[d]
		if budget == nil {
			return fmt.Errorf("a dataset has no budget: %w", privacy.ErrNotFound), false
		}
		key := consumerOf{d, charge.Consumer}
		left := *budget
		left.Spent += b.spent[d]
		left.Consumed = b.consumers[key] + b.consumed[key]
		exhausted.Left = append(exhausted.Left, left)
		fits = fits && charge.Cost <= left.Rho()
	}
	if !fits {
		return exhausted, false
	}
	if charge.Cost > 0 { // a cap may be lower than what is spent, and nothing fits below it
		for _, d := range charge.Datasets {
			b.spent[d] += charge.Cost
			b.consumed[consumerOf{d, charge.Consumer}] += charge.Cost
		}
	}
	b.taken[charge.Question] = true
	b.runs = append(b.runs, charge)
	return nil, false
}

const sqlBudgetSpend = `
update cleanroom.budget b
set spent = b.spent + wanted.cost
from unnest($1::text[], $2::text[], $3::bigint[]) as wanted (owner, dataset, cost)
where b.owner = wanted.owner and b.dataset = wanted.dataset and b.spent + wanted.cost <= b.cap`

const sqlConsumerSpend = `
insert into cleanroom.consumer_budget as c (owner, dataset, consumer, cap, spent)
select b.owner, b.dataset, wanted.consumer, b.consumer_cap, wanted.cost
from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as wanted (owner, dataset, consumer, cost)
join cleanroom.budget b on b.owner = wanted.owner and b.dataset = wanted.dataset
on conflict (owner, dataset, consumer) do update set spent = c.spent + excluded.spent
where c.spent + excluded.spent <= c.cap`

const sqlRunAdd = `
insert into cleanroom.run (room_id, consumer, question, datasets, cost, state, begun_at)
select wanted.room, wanted.consumer, wanted.question, string_to_array(wanted.datasets, ','), wanted.cost, 'running', clock_timestamp()
from unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::bigint[])
    as wanted (room, consumer, question, datasets, cost)
order by wanted.question
on conflict (question) where state = 'running' do nothing
returning run_id, question`

// write puts what was charged into the tables, which check it once more.
func (b *books) write(ctx context.Context, tx pgx.Tx) (map[audit.Digest]cleanroom.RunID, error) {
	runs := map[audit.Digest]cleanroom.RunID{}
	if len(b.runs) == 0 {
		return runs, nil
	}
	writes := &pgx.Batch{}
	spent := func(want int) func(tag pgconn.CommandTag) error {
		return func(tag pgconn.CommandTag) error {
			if int(tag.RowsAffected()) != want {
				return fmt.Errorf("a budget is not what it was when it was locked: %w", privacy.ErrConflict)
			}
			return nil
		}
	}
	if len(b.spent) > 0 {
		var owners, names, cowners, cnames, consumers []string
		var costs, ccosts []int64
		for d, cost := range b.spent {
			owners, names, costs = append(owners, string(d.Owner)), append(names, string(d.Dataset)), append(costs, int64(cost))
		}
		for key, cost := range b.consumed {
			cowners, cnames = append(cowners, string(key.dataset.Owner)), append(cnames, string(key.dataset.Dataset))
			consumers, ccosts = append(consumers, string(key.consumer)), append(ccosts, int64(cost))
		}
		writes.Queue(sqlBudgetSpend, owners, names, costs).Exec(spent(len(owners)))
		writes.Queue(sqlConsumerSpend, cowners, cnames, consumers, ccosts).Exec(spent(len(cowners)))
	}
	var rooms, consumers, datasets []string
	var questions [][]byte
	var costs []int64
	for _, r := range b.runs {
		rooms, consumers, questions = append(rooms, string(r.Room)), append(consumers, string(r.Consumer)), append(questions, r.Question[:])
		datasets, costs = append(datasets, strings.Join(datasetWords(r.Datasets), ",")), append(costs, int64(r.Cost))
	}
	writes.Queue(sqlRunAdd, rooms, consumers, questions, datasets, costs).Query(eachRow(func(row pgx.CollectableRow) error {
		var id cleanroom.RunID
		var question []byte
		err := row.Scan(&id, &question)
		if err == nil {
			runs[audit.Digest(question)] = id
		}
		return err
	}))
	if err := tx.SendBatch(ctx, writes).Close(); err != nil {
		return nil, fmt.Errorf("charging budgets: %w", translate(err))
	}
	for _, r := range b.runs {
		// Whoever else asks the same holds the lock of the same budgets, if there are any.
		if _, mine := runs[r.Question]; !mine && len(r.Datasets) > 0 {
			return nil, fmt.Errorf("charging budgets: a question is running that was not: %w", privacy.ErrConflict)
		}
	}
	return runs, nil
}

// distinctRefs returns the datasets sorted, each once.
func distinctRefs(datasets []cleanroom.DatasetRef) []cleanroom.DatasetRef {
	sorted := slices.Clone(datasets)
	slices.SortFunc(sorted, func(a, b cleanroom.DatasetRef) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Dataset, b.Dataset))
	})
	return slices.Compact(sorted)
}
