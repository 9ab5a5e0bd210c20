package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

// ControllerStore keeps those whose processor we are, and the requests that they sent.
type ControllerStore struct {
	db  *DB
	log transactor
}

var _ opendsr.ControllerStore = (*ControllerStore)(nil)

// NewControllerStore returns a registry in db whose changes commit with their entries in log.
func NewControllerStore(db *DB, log *AuditLog) *ControllerStore {
	return &ControllerStore{db: db, log: log}
}

const sqlControllerAdd = `
insert into dsar.controller (controller_id, recipient, callbacks, roots, jurisdiction, language, added_by, added_at)
values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp())`

// AddController implements [opendsr.ControllerStore].
func (s *ControllerStore) AddController(ctx context.Context, c opendsr.Controller, event audit.Event) (audit.Receipt, error) {
	if err := c.Check(); err != nil {
		return audit.Receipt{}, err
	}
	if c.Callbacks == nil {
		c.Callbacks = []string{}
	}
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlControllerAdd, c.ID, string(c.Recipient), c.Callbacks, optionalText(c.Roots), string(c.Jurisdiction), c.Language, c.AddedBy[:])
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("adding controller: %w", err)
	}
	return receipt, nil
}

const sqlControllerRetire = `
update dsar.controller set retired_at = greatest(clock_timestamp(), added_at)
where controller_id = $1 and retired_at is null`

// RetireController implements [opendsr.ControllerStore].
func (s *ControllerStore) RetireController(ctx context.Context, id string, event audit.Event) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlControllerRetire, id)
		if err == nil && tag.RowsAffected() == 0 {
			return privacy.ErrNotFound
		}
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("retiring controller: %w", err)
	}
	return receipt, nil
}

const controllerColumns = `controller_id, recipient, callbacks, roots, jurisdiction, language, added_by, added_at, retired_at`

func readController(row pgx.CollectableRow) (opendsr.Controller, error) {
	var c opendsr.Controller
	var roots pgtype.Text
	var addedBy []byte
	var retired *time.Time
	err := row.Scan(&c.ID, &c.Recipient, &c.Callbacks, &roots, &c.Jurisdiction, &c.Language, &addedBy, &c.AddedAt, &retired)
	if err == nil && len(addedBy) != len(c.AddedBy) {
		err = privacy.ErrDamaged
	}
	if err != nil {
		return opendsr.Controller{}, err
	}
	c.Roots, c.AddedBy, c.AddedAt = roots.String, [16]byte(addedBy), c.AddedAt.UTC()
	if retired != nil {
		c.RetiredAt = retired.UTC()
	}
	return c, nil
}

const sqlControllerList = `
select ` + controllerColumns + `
from dsar.controller
where retired_at is null or $1
order by retired_at is not null, controller_id`

// Controllers implements [opendsr.ControllerStore].
func (s *ControllerStore) Controllers(ctx context.Context, all bool) ([]opendsr.Controller, error) {
	return queryAll(ctx, s.db, "listing controllers", readController, sqlControllerList, all)
}

const sqlControllerFind = `
select ` + controllerColumns + `
from dsar.controller
where controller_id = $1`

// Controller implements [opendsr.ControllerStore].
func (s *ControllerStore) Controller(ctx context.Context, id string) (opendsr.Controller, error) {
	return queryFirst(ctx, s.db, "finding controller", readController, sqlControllerFind, id)
}

const sqlControllerOf = `
select ` + controllerColumns + `
from dsar.controller
where recipient = $1 and retired_at is null`

// ControllerOf implements [opendsr.ControllerStore].
func (s *ControllerStore) ControllerOf(ctx context.Context, recipient privacy.RecipientID) (opendsr.Controller, error) {
	return queryFirst(ctx, s.db, "finding controller", readController, sqlControllerOf, string(recipient))
}

// linkingStore opens requests together with the link to what a controller sent.
type linkingStore struct {
	*RequestStore
	link opendsr.Link
}

// Linking implements [opendsr.ControllerStore].
func (s *ControllerStore) Linking(link opendsr.Link) dsar.RequestStore {
	if link.Callbacks == nil {
		link.Callbacks = []string{}
	}
	return linkingStore{&RequestStore{db: s.db, log: s.log}, link}
}

const sqlControllerRequestAdd = `
insert into dsar.controller_request (controller_id, subject_request_id, request_id, api_version, callbacks, received_at, expected_at)
values ($1, $2, $3, $4, $5, $6, $7)`

// Open implements [dsar.RequestStore].
func (s linkingStore) Open(ctx context.Context, r dsar.Request, step dsar.Step, wrapped []byte, event audit.Event) (dsar.Request, audit.Receipt, error) {
	if !r.DueAt.IsZero() {
		s.link.ExpectedAt = r.DueAt
	}
	joined := &RequestStore{db: s.db, log: alsoIn{s.log, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlControllerRequestAdd, s.link.Controller, [16]byte(s.link.ID), [16]byte(r.ID), string(s.link.Version),
			s.link.Callbacks, s.link.ReceivedAt, s.link.ExpectedAt)
		if err = translate(err); errors.Is(err, privacy.ErrConflict) && strings.Contains(err.Error(), "controller_request_pkey") {
			return &opendsr.Refusal{Check: opendsr.CheckDuplicate, Reason: "subject_request_id was used before"}
		}
		return err
	}}}
	return joined.Open(ctx, r, step, wrapped, event)
}

// alsoIn does something more in each transaction.
type alsoIn struct {
	transactor
	more func(ctx context.Context, tx pgx.Tx) error
}

// AppendTx implements transactor.
func (a alsoIn) AppendTx(ctx context.Context, event audit.Event, change func(ctx context.Context, tx pgx.Tx) error) (audit.Receipt, error) {
	return a.transactor.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		if err := change(ctx, tx); err != nil {
			return err
		}
		return a.more(ctx, tx)
	})
}

// AppendAllTx implements transactor.
func (a alsoIn) AppendAllTx(ctx context.Context, change func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error)) ([]audit.Receipt, error) {
	return a.transactor.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		events, err := change(ctx, tx)
		if err != nil {
			return nil, err
		}
		return events, a.more(ctx, tx)
	})
}

const linkColumns = `l.controller_id, l.subject_request_id, l.request_id, l.api_version, l.callbacks, l.received_at, l.expected_at,
	l.told_step, l.told_status`

func readLink(row pgx.CollectableRow, more ...any) (opendsr.Link, error) {
	var l opendsr.Link
	err := row.Scan(append([]any{
		&l.Controller, (*[16]byte)(&l.ID), (*[16]byte)(&l.Request), &l.Version, &l.Callbacks, &l.ReceivedAt, &l.ExpectedAt,
		&l.ToldStep, &l.ToldStatus,
	}, more...)...)
	l.ReceivedAt, l.ExpectedAt = l.ReceivedAt.UTC(), l.ExpectedAt.UTC()
	return l, err
}

const sqlControllerRequestFind = `
select ` + linkColumns + `
from dsar.controller_request l
where l.controller_id = $1 and l.subject_request_id = $2`

// Linked implements [opendsr.ControllerStore].
func (s *ControllerStore) Linked(ctx context.Context, controller string, id opendsr.SubjectRequestID) (opendsr.Link, error) {
	return queryFirst(ctx, s.db, "finding request of a controller",
		func(row pgx.CollectableRow) (opendsr.Link, error) { return readLink(row) }, sqlControllerRequestFind, controller, [16]byte(id))
}

// The protocol's word for a state is that of opendsr.StatusOf; a test holds the two equal.
const sqlControllerTurns = `
select ` + linkColumns + `, turn.step, turn.to_state
from dsar.controller_request l
cross join lateral (
	select s.step, s.to_state
	from dsar.request_step s
	where s.request_id = l.request_id and s.step > l.told_step
		and case when s.to_state in ('received', 'identity_pending') then 'pending'
			when s.to_state in ('in_progress', 'extended') then 'in_progress'
			when s.to_state = 'fulfilled' then 'completed'
			else 'cancelled' end <> l.told_status
	order by s.step
	limit 1
) turn
where l.told_status in ('pending', 'in_progress') and cardinality(l.callbacks) > 0
order by l.request_id
limit $1`

// Turns implements [opendsr.ControllerStore].
func (s *ControllerStore) Turns(ctx context.Context, limit int) ([]opendsr.Turn, error) {
	return queryAll(ctx, s.db, "finding what controllers were not told", func(row pgx.CollectableRow) (turn opendsr.Turn, err error) {
		turn.Link, err = readLink(row, &turn.Step, &turn.State)
		return turn, err
	}, sqlControllerTurns, limit)
}

const sqlControllerTold = `
update dsar.controller_request
set told_step = $3, told_status = $4
where request_id = $1 and told_step = $2`

// Told implements [opendsr.ControllerStore].
func (s *ControllerStore) Told(ctx context.Context, turn opendsr.Turn, status opendsr.Status, deliveries []outbox.Delivery, event audit.Event) error {
	_, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlControllerTold, [16]byte(turn.Link.Request), turn.Link.ToldStep, turn.Step, string(status))
		if err != nil {
			return translate(err)
		}
		if tag.RowsAffected() == 0 {
			return privacy.ErrConflict
		}
		for _, d := range deliveries {
			if err := EnqueueTx(ctx, tx, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("noting that a controller is told: %w", err)
	}
	return nil
}
