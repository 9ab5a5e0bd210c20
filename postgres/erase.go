package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// EraseStore erases people. mahrem_app may delete nothing: it calls functions of the
// database's owner that do this and nothing else.
type EraseStore struct {
	*VaultStore
	log    transactor
	config EraseStoreConfig
}

// EraseStoreConfig has defaults for everything.
type EraseStoreConfig struct {
	// Tell adds to the transaction of an erasure what tells others of it, such as the
	// deliveries to processors. It is called before the key is destroyed and before the
	// ledger is written, and not when a restore has undone the erasure and it is done again.
	// Nil: nobody is told.
	Tell func(ctx context.Context, tx pgx.Tx, request dsar.RequestID, person privacy.DataSubjectID) (int, error)
}

// transactor commits a change together with its log entries. [AuditLog] does.
type transactor interface {
	AppendTx(ctx context.Context, event audit.Event, change func(ctx context.Context, tx pgx.Tx) error) (audit.Receipt, error)
	AppendAllTx(ctx context.Context, change func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error)) ([]audit.Receipt, error)
}

var _ dsar.EraseStore = (*EraseStore)(nil)

// NewEraseStore erases from the store's database, with entries in log.
func NewEraseStore(store *VaultStore, log *AuditLog, config EraseStoreConfig) *EraseStore {
	return &EraseStore{VaultStore: store, log: log, config: config}
}

// Setting a legal hold takes this lock too, so that of the two one comes first. Whoever
// writes about the person holds a weaker one and is waited for.
const sqlEraseLock = `
select 1 from vault.data_subject where data_subject_id = $1 and not erasing for update`

const sqlEraseApprovals = `
select count(*) from dsar.approval where request_id = $1 and plan_hash = $2`

const sqlEraseWithheld = `
insert into dsar.withheld (withheld_id, erasure_id, until, hold_id, sealed)
values ($1, $2, $3, $4, $5)`

const sqlEraseWithheldKey = `
insert into keyring.withheld_key (withheld_id, wrapped) values ($1, $2)`

const sqlEraseWithheldParts = `
insert into dsar.withheld_part (withheld_id, part, sealed)
select $1, p.place - 1, p.sealed
from unnest($2::bytea[]) with ordinality p (sealed, place)`

const sqlEraseSuppress = `
insert into dsar.suppression (tag, erasure_id, created_at)
select t.tag, $2, clock_timestamp()
from unnest($1::bytea[]) t (tag)
on conflict (tag, erasure_id) do nothing`

// The one call that destroys keys of people.
const sqlEraseShred = `
select people, key_digests, identifiers, consents, exposures, cases, erased_at, consent_digest
from vault.shred($1, $2, $3, $4, $5, $6, $7)`

const sqlEraseLedger = `
insert into dsar.ledger (sequence, line_hash) values ($1, $2)
on conflict (sequence) do nothing`

// Shred is [dsar.EraseStore]'s.
func (s *EraseStore) Shred(ctx context.Context, order dsar.ShredOrder) (dsar.Shredded, audit.Receipt, error) {
	var done dsar.Shredded
	receipts, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		tags, err := s.begin(ctx, tx, &order)
		if err != nil {
			return nil, err
		}
		// Before the ledger is written: a match that is under way is waited for.
		if err := s.db.leaveAllTx(ctx, tx, order.Person); err != nil {
			return nil, err
		}
		if err := s.tell(ctx, tx, &order); err != nil {
			return nil, err
		}
		if done.Ledger, err = order.Record(ctx, tags); err != nil {
			return nil, fmt.Errorf("writing erasure ledger: %w", err)
		}
		done.Suppressed = int64(len(tags))
		consents, err := destroy(ctx, tx, &order, tags, &done)
		if err != nil || consents == nil {
			return []audit.Event{order.Event}, err
		}
		// What the log holds of the rows of the consent ledger stays, and about nobody: so
		// this entry names nobody either.
		return []audit.Event{order.Event, {
			Kind: audit.ConsentErased, Outcome: audit.Done, Principal: order.Event.Principal,
			List: *consents, Count: uint64(done.Counts.Consents),
		}}, nil
	})
	if err != nil {
		return dsar.Shredded{}, audit.Receipt{}, fmt.Errorf("shredding: %w", err)
	}
	return done, receipts[0], nil
}

// ShredOrphan is [dsar.EraseStore]'s.
func (s *EraseStore) ShredOrphan(ctx context.Context, id privacy.DataSubjectID, event audit.Event) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		batch := &pgx.Batch{}
		var people int64
		var digests [][]byte
		var at *time.Time
		var consents []byte
		queueShred(batch, &dsar.ShredOrder{Person: id, List: []byte{}}, &dsar.Shredded{}, &people, &digests, &at, &consents)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return translate(err)
		}
		switch {
		case people != 0:
			return fmt.Errorf("there is more than a key: %w", privacy.ErrConflict) // undoes it
		case len(digests) == 0:
			return privacy.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("shredding key that came back: %w", err)
	}
	return receipt, nil
}

// tell tells others. Of an erasure that was broken off nobody was told yet: that was rolled
// back with the rest. But it stands in the ledger, so it happens whether they can be told or
// not; whoever was not told has no task, and the request is not fulfilled by itself.
func (s *EraseStore) tell(ctx context.Context, tx pgx.Tx, order *dsar.ShredOrder) error {
	if s.config.Tell == nil || order.Event.Kind != audit.PersonErased || order.Request == (dsar.RequestID{}) {
		return nil
	}
	if !order.Forced {
		_, err := s.config.Tell(ctx, tx, order.Request, order.Person)
		return err
	}
	part, err := tx.Begin(ctx)
	if err != nil {
		return translate(err)
	}
	if _, err := s.config.Tell(ctx, part, order.Request, order.Person); err != nil {
		return translate(part.Rollback(ctx))
	}
	return translate(part.Commit(ctx))
}

// begin locks the person, makes sure that nothing has changed, takes the step and keeps
// what outlives the person: all that comes before the ledger, in one round trip. What was
// written goes back with the transaction if something turns out not to be as it was.
func (s *EraseStore) begin(ctx context.Context, tx pgx.Tx, order *dsar.ShredOrder) ([][16]byte, error) {
	batch := &pgx.Batch{}
	locked := false
	batch.Queue(sqlEraseLock, [16]byte(order.Person)).Query(func(rows pgx.Rows) error {
		locked = rows.Next()
		rows.Close()
		return rows.Err()
	})
	// The statements behind the lock each see what was committed until it was given.
	var now dsar.Holdings
	queueHoldings(batch, order.Person, &now, false)
	var approvals int
	batch.Queue(sqlEraseApprovals, [16]byte(order.Request), order.Plan[:]).QueryRow(func(row pgx.Row) error { return row.Scan(&approvals) })
	taken := int64(1)
	if order.Step != nil {
		queueTake(batch, order.Step, &taken)
	}
	queueWithheld(batch, order)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, translate(err)
	}
	if !locked {
		return nil, privacy.ErrNotFound
	}
	if !order.Forced {
		if approvals < order.Approvals {
			return nil, fmt.Errorf("erasing without approval: %w", privacy.ErrForbidden)
		}
		if err := order.Compare(&now); err != nil {
			return nil, err
		}
	}
	tags := make([][16]byte, len(now.Identifiers))
	for i := range now.Identifiers {
		tags[i] = order.Suppress(now.Identifiers[i])
	}
	return tags, checkTaken(taken)
}

// queueWithheld stores what the law keeps of the person.
func queueWithheld(batch *pgx.Batch, order *dsar.ShredOrder) {
	for i := range order.Withheld {
		w := &order.Withheld[i]
		batch.Queue(sqlEraseWithheld, w.ID, [16]byte(order.Erasure), optionalTime(w.Until), optionalID(w.Hold), w.Head)
		batch.Queue(sqlEraseWithheldKey, w.ID, w.Wrapped)
		batch.Queue(sqlEraseWithheldParts, w.ID, w.Parts)
	}
}

// destroy is what cannot be undone. Nothing but a lost connection can make it fail. It
// returns the digest of what is left of the person's consents; nil: there were none.
func destroy(ctx context.Context, tx pgx.Tx, order *dsar.ShredOrder, tags [][16]byte, done *dsar.Shredded) (*audit.Digest, error) {
	batch := &pgx.Batch{}
	if len(tags) > 0 {
		batch.Queue(sqlEraseSuppress, tagBytes(tags), [16]byte(order.Erasure))
	}
	var people int64
	var digests [][]byte
	var at *time.Time
	var consents []byte
	queueShred(batch, order, done, &people, &digests, &at, &consents)
	batch.Queue(sqlEraseLedger, int64(done.Ledger.Sequence), done.Ledger.LineHash[:])
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, translate(err)
	}
	if people != 1 || at == nil {
		return nil, privacy.ErrNotFound
	}
	done.At, done.Counts.Keys, done.KeyDigests = at.UTC(), int64(len(digests)), nil
	for _, digest := range digests {
		done.KeyDigests = append(done.KeyDigests, audit.Digest(digest))
	}
	if len(consents) != len(audit.Digest{}) {
		return nil, nil
	}
	return new(audit.Digest(consents)), nil
}

// queueShred is the one call that destroys a person's key.
func queueShred(batch *pgx.Batch, order *dsar.ShredOrder, done *dsar.Shredded, people *int64, digests *[][]byte, at **time.Time, consents *[]byte) {
	batch.Queue(sqlEraseShred, [16]byte(order.Person), [16]byte(order.Erasure), optionalID(order.Request), order.Plan[:],
		order.List, done.Suppressed, int64(done.Ledger.Sequence)).QueryRow(func(row pgx.Row) error {
		return row.Scan(people, digests, &done.Counts.Identifiers, &done.Counts.Consents, &done.Counts.Exposures, &done.Counts.Cases, at, consents)
	})
}
