package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// ProcessorTeller has processors told of a request in the transaction of what makes it
// due: an erasure that is committed is told, and one that is not is not.
type ProcessorTeller struct {
	store  *ProcessorStore
	vault  *vault.Vault
	teller *opendsr.Teller
}

// NewProcessorTeller returns a teller of the processors in store.
func NewProcessorTeller(store *ProcessorStore, v *vault.Vault, teller *opendsr.Teller) *ProcessorTeller {
	return &ProcessorTeller{store: store, vault: v, teller: teller}
}

const sqlProcessorsToTell = `
select ` + processorColumns + `
from dsar.processor p
where p.retired_at is null
	and not exists (select from dsar.processor_task t where t.request_id = $1 and t.processor_id = p.processor_id)
order by p.processor_id`

// The contents are gone when the key of the request is.
const sqlRequestToTell = `
select ` + requestColumns + `, r.sealed, k.wrapped
from dsar.request r
left join keyring.request_key k on k.request_id = r.request_id
where r.request_id = $1`

// An address counts only if it is the person's own here.
const sqlIdentifierIsOf = `
select exists (select from vault.identifier where data_subject_id = $1 and kind = $2 and blind_index = any ($3::bytea[]))`

const sqlTaskAdd = `
insert into dsar.processor_task (request_id, processor_id, subject_request_id, kind, state, delivery_id, queued_at)
values ($1, $2, $3, $4, 'queued', $5, clock_timestamp())`

// TellTx puts a message to each processor that was not told of the request into the
// outbox, in the caller's transaction, and returns how many. It must run while the
// person's identifiers are still there: they decide which addresses may be told. A request
// that is not recorded, or of a kind that the protocol does not have, tells nobody.
func (t *ProcessorTeller) TellTx(ctx context.Context, tx pgx.Tx, request dsar.RequestID, person privacy.DataSubjectID) (int, error) {
	rows, err := tx.Query(ctx, sqlProcessorsToTell, [16]byte(request))
	if err != nil {
		return 0, fmt.Errorf("finding processors to tell: %w", translate(err))
	}
	processors, err := pgx.CollectRows(rows, readProcessor)
	if err != nil {
		return 0, fmt.Errorf("finding processors to tell: %w", translate(err))
	}
	if len(processors) == 0 || person.IsZero() {
		return 0, nil
	}
	var sealed, wrapped []byte
	if rows, err = tx.Query(ctx, sqlRequestToTell, [16]byte(request)); err != nil {
		return 0, fmt.Errorf("finding request to tell: %w", translate(err))
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (dsar.Request, error) { return readRequest(row, &sealed, &wrapped) })
	if err != nil {
		return 0, fmt.Errorf("finding request to tell: %w", translate(err))
	}
	if len(found) == 0 || !opendsr.HasKind(found[0].Kind) {
		return 0, nil
	}
	emails, err := t.emails(ctx, tx, request, person, sealed, wrapped)
	if err != nil {
		return 0, err
	}
	notices, err := t.teller.Notices(processors, &found[0], person, emails)
	if err != nil {
		return 0, err
	}
	for i := range notices {
		n := &notices[i]
		if err := EnqueueTx(ctx, tx, n.Delivery); err != nil {
			return 0, err
		}
		if _, err := tx.Exec(ctx, sqlTaskAdd, [16]byte(request), n.Task.Processor, [16]byte(n.Task.ID), string(n.Task.Kind), [16]byte(n.Delivery.ID)); err != nil {
			return 0, fmt.Errorf("recording who is told: %w", translate(err))
		}
	}
	return len(notices), nil
}

// emails are the addresses by which the requester named themselves and that are the
// person's own.
func (t *ProcessorTeller) emails(ctx context.Context, tx pgx.Tx, request dsar.RequestID, person privacy.DataSubjectID, sealed, wrapped []byte) ([]privacy.Plain, error) {
	if sealed == nil || wrapped == nil {
		return nil, nil
	}
	key, err := dsar.OpenRequestKey(t.vault, request, wrapped)
	if err != nil {
		return nil, err
	}
	contents, err := dsar.OpenContents(key, sealed)
	if err != nil {
		return nil, err
	}
	var emails []privacy.Plain
	for _, identifier := range contents.Identifiers {
		if identifier.Kind != privacy.Email {
			continue
		}
		indexes, err := t.vault.BlindIndexes(identifier)
		if err != nil {
			continue // no address: nobody has it
		}
		var own bool
		if err := tx.QueryRow(ctx, sqlIdentifierIsOf, [16]byte(person), string(privacy.Email), indexes).Scan(&own); err != nil {
			return nil, fmt.Errorf("looking whose address it is: %w", translate(err))
		}
		if own {
			emails = append(emails, identifier.Value)
		}
	}
	return emails, nil
}

// Tell has processors told of a request that destroys nothing, together with the entry for
// event. It returns how many were told; if that is none, nothing is logged and the error
// wraps [privacy.ErrConflict].
func (t *ProcessorTeller) Tell(ctx context.Context, request dsar.RequestID, person privacy.DataSubjectID, event audit.Event) (int, audit.Receipt, error) {
	told := 0
	receipt, err := t.store.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) (err error) {
		if told, err = t.TellTx(ctx, tx, request, person); err == nil && told == 0 {
			err = privacy.ErrConflict
		}
		return err
	})
	if err != nil {
		return 0, audit.Receipt{}, fmt.Errorf("telling processors: %w", err)
	}
	return told, receipt, nil
}

const sqlTaskUndeliverable = `
update dsar.processor_task
set state = 'undeliverable', settled_at = clock_timestamp(), version = version + 1
where delivery_id = $1 and state = 'queued'`

// Ended is a [DeliveryHook]: a message that was given up shows at its task.
func (t *ProcessorTeller) Ended(ctx context.Context, tx pgx.Tx, d outbox.Delivery, state outbox.State, _ []byte) error {
	if state != outbox.Dead || d.Topic != opendsr.TopicRequest {
		return nil
	}
	_, err := tx.Exec(ctx, sqlTaskUndeliverable, [16]byte(d.ID))
	return translate(err)
}
