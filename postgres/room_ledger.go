package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// RoomLedgerConfig says how budgets are kept.
type RoomLedgerConfig struct {
	// Lease is how long a run may take; after that somebody else may ask the same question
	// anew, and the run cannot be finished any more. It must be longer than any statement of
	// the executor. Zero means 5 minutes.
	Lease time.Duration
	// Poll is how often a question that somebody else is computing is looked for; zero means
	// 50 milliseconds.
	Poll time.Duration
}

// RoomLedger keeps privacy budgets, runs and answers. Charges that come at the same time
// share a transaction, in which they are admitted one after the other: that is what lets
// many parties ask about one dataset, whose budget is a single row.
type RoomLedger struct {
	db     *DB
	log    transactor
	config RoomLedgerConfig

	mu      sync.Mutex
	waiting []*charging
	working bool
}

var _ cleanroom.Ledger = (*RoomLedger)(nil)

// NewRoomLedger returns the ledger in db, whose changes commit with their entries in log.
func NewRoomLedger(db *DB, log *AuditLog, config RoomLedgerConfig) *RoomLedger {
	if config.Lease <= 0 {
		config.Lease = 5 * time.Minute
	}
	if config.Poll <= 0 {
		config.Poll = 50 * time.Millisecond
	}
	return &RoomLedger{db: db, log: log, config: config}
}

const sqlReleaseFind = `
select r.room_id, r.consumer, r.question, r.query, r.snapshots, r.mode, r.cost, r.answer, r.digest, r.released_at
from cleanroom.release r
where r.question = $1`

func readRelease(row pgx.CollectableRow) (*cleanroom.Release, error) {
	var r cleanroom.Release
	var question, digest []byte
	if err := row.Scan(&r.Room, &r.Consumer, &question, &r.Query, &r.Snapshots, &r.Mode, &r.Cost, &r.Answer, &digest, &r.ReleasedAt); err != nil {
		return nil, err
	}
	r.Digest = sha256.Sum256(r.Answer)
	if len(question) != len(r.Question) || string(digest) != string(r.Digest[:]) {
		return nil, fmt.Errorf("an answer does not have its digest: %w", privacy.ErrDamaged)
	}
	r.Question, r.ReleasedAt = audit.Digest(question), r.ReleasedAt.UTC()
	return &r, nil
}

// Begin implements [cleanroom.Ledger].
func (l *RoomLedger) Begin(ctx context.Context, charge cleanroom.Charge, event audit.Event) (cleanroom.Run, error) {
	if err := checkCharge(&charge); err != nil {
		return cleanroom.Run{}, err
	}
	if event.Kind != audit.RoomCharged {
		return cleanroom.Run{}, fmt.Errorf("charging a question with an event of kind %q: %w", event.Kind, privacy.ErrInvalid)
	}
	for {
		answer, err := queryFirst(ctx, l.db, "finding answer", readRelease, sqlReleaseFind, charge.Question[:])
		if err == nil {
			return cleanroom.Run{Answer: answer}, nil
		}
		if !errors.Is(err, privacy.ErrNotFound) {
			return cleanroom.Run{}, err
		}
		c := &charging{charge: charge, event: event, done: make(chan struct{})}
		if err := l.await(ctx, c); err != nil {
			return cleanroom.Run{}, err
		}
		if c.err != nil {
			return cleanroom.Run{}, fmt.Errorf("charging a question: %w", c.err)
		}
		if !c.busy {
			return cleanroom.Run{ID: c.run, Receipt: c.receipt}, nil
		}
		select {
		case <-ctx.Done():
			return cleanroom.Run{}, fmt.Errorf("waiting for an answer that is being computed: %w: %w", privacy.ErrUnavailable, ctx.Err())
		case <-time.After(l.config.Poll):
		}
	}
}

func checkCharge(charge *cleanroom.Charge) error {
	if charge.Cost < 0 || len(charge.Datasets) > maxChargedDatasets {
		return fmt.Errorf("charging a question: a cost below zero or more than %d datasets: %w", maxChargedDatasets, privacy.ErrInvalid)
	}
	for i, a := range charge.Datasets {
		for _, b := range charge.Datasets[:i] {
			if a == b {
				return fmt.Errorf("charging a question: a dataset that pays twice: %w", privacy.ErrInvalid)
			}
		}
	}
	return nil
}

// maxChargedDatasets bounds how many datasets one question may touch.
const maxChargedDatasets = 16

const sqlRunEnd = `
update cleanroom.run
set state = $2, ended_at = greatest(clock_timestamp(), begun_at)
where run_id = $1 and state = 'running'
returning question, room_id, consumer, cost`

// endRun ends a run that is running.
func endRun(ctx context.Context, tx pgx.Tx, run cleanroom.RunID, state string) (question []byte, room cleanroom.RoomID, consumer cleanroom.PartyID, cost cleanroom.Rho, err error) {
	err = tx.QueryRow(ctx, sqlRunEnd, run, state).Scan(&question, &room, &consumer, &cost)
	if errors.Is(err, pgx.ErrNoRows) {
		err = fmt.Errorf("the run is over: %w", privacy.ErrConflict)
	}
	return question, room, consumer, cost, translate(err)
}

const sqlReleaseAdd = `
insert into cleanroom.release (question, run_id, room_id, consumer, query, snapshots, mode, cost, answer, digest, released_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp())
returning released_at`

// Finish implements [cleanroom.Ledger]. It sets when the answer was released.
func (l *RoomLedger) Finish(ctx context.Context, run cleanroom.RunID, release *cleanroom.Release, event audit.Event) (audit.Receipt, error) {
	// The entry of an audience is about the list that was handed out, and is another kind.
	if release.Digest != sha256.Sum256(release.Answer) || event.Kind == audit.RoomReleased && event.List != release.Digest {
		return audit.Receipt{}, fmt.Errorf("storing an answer: neither it nor its entry may have another digest: %w", privacy.ErrInvalid)
	}
	var at time.Time
	receipt, err := l.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		question, room, consumer, cost, err := endRun(ctx, tx, run, "answered")
		if err != nil {
			return err
		}
		if string(question) != string(release.Question[:]) || room != release.Room || consumer != release.Consumer || cost != release.Cost {
			return fmt.Errorf("the run is that of another question: %w", privacy.ErrInvalid)
		}
		snapshots := release.Snapshots
		if snapshots == nil {
			snapshots = []cleanroom.SnapshotID{}
		}
		return translate(tx.QueryRow(ctx, sqlReleaseAdd, question, run, string(room), string(consumer), release.Query,
			snapshots, string(release.Mode), cost, release.Answer, release.Digest[:]).Scan(&at))
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("storing an answer: %w", err)
	}
	release.ReleasedAt = at.UTC()
	return receipt, nil
}

// Fail implements [cleanroom.Ledger].
func (l *RoomLedger) Fail(ctx context.Context, run cleanroom.RunID, event audit.Event) error {
	_, err := l.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		_, _, _, _, err := endRun(ctx, tx, run, "failed")
		return err
	})
	if err != nil {
		return fmt.Errorf("closing a run without an answer: %w", err)
	}
	return nil
}

const sqlRunExpireAll = `
update cleanroom.run
set state = 'failed', ended_at = greatest(clock_timestamp(), begun_at)
where state = 'running' and begun_at < clock_timestamp() - $1::interval
returning run_id, question, consumer`

// Expire closes the runs whose lease is over, each with its entry, and returns how many there
// were: whoever computed them is gone, and perhaps nobody asks the same again.
func (l *RoomLedger) Expire(ctx context.Context) (int, error) {
	expired := &books{}
	_, err := l.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		expired.stale = nil
		rows, err := tx.Query(ctx, sqlRunExpireAll, l.config.Lease)
		if err == nil {
			err = eachRow(expired.addStale)(rows)
		}
		return expired.staleEvents(), translate(err)
	})
	if err != nil {
		return 0, fmt.Errorf("closing runs that nobody finished: %w", err)
	}
	return len(expired.stale), nil
}

const sqlRunRepeat = `
insert into cleanroom.run (room_id, consumer, question, datasets, cost, state, begun_at, ended_at)
select $2, $3, r.question, $4::text[], 0, 'repeated', now(), now()
from cleanroom.release r
where r.question = $1`

// Repeat implements [cleanroom.Ledger].
func (l *RoomLedger) Repeat(ctx context.Context, charge cleanroom.Charge, event audit.Event) (audit.Receipt, error) {
	if err := checkCharge(&charge); err != nil {
		return audit.Receipt{}, err
	}
	return changeOne(ctx, l.log, "handing out an answer again", event, privacy.ErrNotFound,
		sqlRunRepeat, charge.Question[:], string(charge.Room), string(charge.Consumer), datasetWords(charge.Datasets))
}

const sqlBudgetLeft = `
select b.owner, b.dataset, b.cap, b.spent, b.consumer_cap, coalesce(c.spent, 0)
from unnest($1::text[], $2::text[]) with ordinality as wanted (owner, dataset, ordinal)
join cleanroom.budget b on b.owner = wanted.owner and b.dataset = wanted.dataset
left join cleanroom.consumer_budget c on c.owner = b.owner and c.dataset = b.dataset and c.consumer = $3
order by wanted.ordinal`

// Left implements [cleanroom.Ledger]. It returns an error that wraps [privacy.ErrNotFound]
// for a dataset that nobody has signed a contract of.
func (l *RoomLedger) Left(ctx context.Context, consumer cleanroom.PartyID, datasets []cleanroom.DatasetRef) ([]cleanroom.Left, error) {
	owners, names := splitRefs(datasets)
	left, err := queryAll(ctx, l.db, "reading budgets", func(row pgx.CollectableRow) (left cleanroom.Left, err error) {
		err = row.Scan(&left.Dataset.Owner, &left.Dataset.Dataset, &left.Cap, &left.Spent, &left.ConsumerCap, &left.Consumed)
		return left, err
	}, sqlBudgetLeft, owners, names, string(consumer))
	if err != nil {
		return nil, err
	}
	if len(left) != len(datasets) {
		return nil, fmt.Errorf("reading budgets: a dataset has none: %w", privacy.ErrNotFound)
	}
	return left, nil
}

// splitRefs returns owners and names of datasets, in order.
func splitRefs(datasets []cleanroom.DatasetRef) (owners, names []string) {
	owners, names = make([]string, len(datasets)), make([]string, len(datasets))
	for i, d := range datasets {
		owners[i], names[i] = string(d.Owner), string(d.Dataset)
	}
	return owners, names
}

// datasetWords returns owner.dataset of each.
func datasetWords(datasets []cleanroom.DatasetRef) []string {
	words := make([]string, len(datasets))
	for i, d := range datasets {
		words[i] = d.String()
	}
	return words
}

// parseDatasetWord is the inverse of [cleanroom.DatasetRef.String]: the last dot divides,
// because owners may have some and datasets have none.
func parseDatasetWord(word string) (cleanroom.DatasetRef, bool) {
	at := strings.LastIndexByte(word, '.')
	if at < 1 || at == len(word)-1 {
		return cleanroom.DatasetRef{}, false
	}
	return cleanroom.DatasetRef{Owner: cleanroom.PartyID(word[:at]), Dataset: cleanroom.DatasetID(word[at+1:])}, true
}
