package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// HoldStore keeps legal holds.
type HoldStore struct {
	*VaultStore
	log transactor
}

var _ dsar.HoldStore = (*HoldStore)(nil)

// NewHoldStore keeps holds in the store's database, with entries in log.
func NewHoldStore(store *VaultStore, log *AuditLog) *HoldStore {
	return &HoldStore{VaultStore: store, log: log}
}

// Whoever has no key is unknown: they were erased.
const sqlHoldPeople = `
select k.data_subject_id
from keyring.person_key k
join (
    select unnest($1::uuid[]) as data_subject_id
    union
    select i.data_subject_id
    from unnest($2::text[], $3::bytea[]) as q (kind, blind_index)
    join vault.identifier i on i.kind = q.kind and i.blind_index = q.blind_index
) named on named.data_subject_id = k.data_subject_id
order by k.data_subject_id`

// HeldPeople is [dsar.HoldStore]'s.
func (s *HoldStore) HeldPeople(ctx context.Context, people []privacy.DataSubjectID, identifiers []dsar.BlindIdentifier) ([]privacy.DataSubjectID, error) {
	return heldPeople(ctx, s.db.pool, people, identifiers)
}

func heldPeople(ctx context.Context, q querier, people []privacy.DataSubjectID, identifiers []dsar.BlindIdentifier) ([]privacy.DataSubjectID, error) {
	kinds, indexes := blindColumns(identifiers)
	rows, err := q.Query(ctx, sqlHoldPeople, uuids(people), kinds, indexes)
	if err != nil {
		return nil, fmt.Errorf("finding people to hold: %w", translate(err))
	}
	return collectPeople(rows, "finding people to hold")
}

func collectPeople(rows pgx.Rows, doing string) ([]privacy.DataSubjectID, error) {
	found, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, translate(err))
	}
	ids := make([]privacy.DataSubjectID, len(found))
	for i, id := range found {
		ids[i] = id
	}
	return ids, nil
}

func blindColumns(identifiers []dsar.BlindIdentifier) (kinds []string, indexes [][]byte) {
	for _, identifier := range identifiers {
		for _, index := range identifier.Indexes {
			kinds, indexes = append(kinds, string(identifier.Kind)), append(indexes, index)
		}
	}
	return kinds, indexes
}

// Whoever destroys something of these people locks the same rows first: of the two one
// waits for the other and then sees what it did.
const sqlHoldLockPeople = `
select data_subject_id
from vault.data_subject
where data_subject_id = any ($1::uuid[])
order by data_subject_id
for update`

const sqlHoldSet = `
insert into dsar.hold (hold_id, scope, reason, authority, set_by, set_at, people, identifiers)
values ($1, $2, $3, $4, $5, clock_timestamp(), $6, $7)
returning set_at`

const sqlHoldAddPeople = `
insert into dsar.hold_person (hold_id, data_subject_id)
select $1, unnest($2::uuid[])`

const sqlHoldAddIdentifiers = `
insert into dsar.hold_identifier (hold_id, kind, blind_index)
select $1, q.kind, q.blind_index
from unnest($2::text[], $3::bytea[]) as q (kind, blind_index)
on conflict do nothing`

// SetHold is [dsar.HoldStore]'s.
func (s *HoldStore) SetHold(ctx context.Context, row dsar.HoldRow, people []privacy.DataSubjectID, identifiers []dsar.BlindIdentifier,
	ready func(context.Context, dsar.LedgerView) error, event audit.Event,
) (time.Time, audit.Receipt, error) {
	var at time.Time
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlHoldLockPeople, uuids(people)); err != nil {
			return translate(err)
		}
		// A statement of its own, begun with the rows locked, sees what was done to them.
		now, err := heldPeople(ctx, tx, people, identifiers)
		if err != nil {
			return err
		}
		if !slices.Equal(now, people) {
			return fmt.Errorf("the people to hold have changed: %w", privacy.ErrConflict)
		}
		if err := ready(ctx, ledgerView{tx}); err != nil {
			return err
		}
		scope := pgtype.UUID{Bytes: row.Scope, Valid: row.Scope != [16]byte{}}
		err = tx.QueryRow(ctx, sqlHoldSet, [16]byte(row.ID), scope, string(row.Reason), row.Authority, row.By[:], row.People, row.Identifiers).Scan(&at)
		if err != nil {
			return translate(err)
		}
		if _, err := tx.Exec(ctx, sqlHoldAddPeople, [16]byte(row.ID), uuids(people)); err != nil {
			return translate(err)
		}
		kinds, indexes := blindColumns(identifiers)
		_, err = tx.Exec(ctx, sqlHoldAddIdentifiers, [16]byte(row.ID), kinds, indexes)
		return translate(err)
	})
	if err != nil {
		return time.Time{}, audit.Receipt{}, fmt.Errorf("recording hold: %w", err)
	}
	return at.UTC(), receipt, nil
}

// ledgerView reads the table of ledger lines that the database has carried out.
type ledgerView struct{ tx pgx.Tx }

// Lines are carried out a little out of order, while erasures run side by side. What is
// missing from long ago was missing when the database was opened, which refuses then.
const sqlHoldLedgerLines = `
select count(*) >= least($1::bigint, 10000)
from dsar.ledger
where sequence > $1::bigint - 10000 and sequence <= $1::bigint`

// HasLedgerLine is [dsar.LedgerView]'s.
func (v ledgerView) HasLedgerLine(ctx context.Context, upTo uint64) (bool, error) {
	var all bool
	if err := v.tx.QueryRow(ctx, sqlHoldLedgerLines, int64(upTo)).Scan(&all); err != nil {
		return false, fmt.Errorf("reading position of the erasure ledger: %w", translate(err))
	}
	return all, nil
}

const sqlHoldFind = `
select h.hold_id, h.scope, h.reason, h.authority, h.set_by, h.people, h.identifiers, h.set_at, h.released_at, h.release_reason
from dsar.hold h
where h.hold_id = $1`

// FindHold is [dsar.HoldStore]'s.
func (s *HoldStore) FindHold(ctx context.Context, id dsar.HoldID) (dsar.HoldRow, error) {
	rows, err := s.db.pool.Query(ctx, sqlHoldFind, [16]byte(id))
	if err != nil {
		return dsar.HoldRow{}, fmt.Errorf("finding hold: %w", translate(err))
	}
	row, err := pgx.CollectExactlyOneRow(rows, readHold)
	if err != nil {
		return dsar.HoldRow{}, fmt.Errorf("finding hold: %w", translate(err))
	}
	return row, nil
}

func readHold(row pgx.CollectableRow) (dsar.HoldRow, error) {
	var h dsar.HoldRow
	var scope pgtype.UUID
	var by []byte
	var released *time.Time
	var reason *dsar.ReleaseReason
	err := row.Scan((*[16]byte)(&h.ID), &scope, &h.Reason, &h.Authority, &by, &h.People, &h.Identifiers, &h.SetAt, &released, &reason)
	if err != nil {
		return h, err
	}
	h.Scope, h.SetAt = scope.Bytes, h.SetAt.UTC()
	copy(h.By[:], by)
	if released != nil {
		h.ReleasedAt = released.UTC()
	}
	if reason != nil {
		h.ReleaseReason = *reason
	}
	return h, nil
}

const sqlHoldRelease = `
update dsar.hold
set released_at = greatest(clock_timestamp(), set_at), released_by = $2, release_reason = $3, people = $4
where hold_id = $1 and released_at is null`

// Everybody whom a hold binds just now.
const sqlHoldBound = `
select p.data_subject_id
from dsar.hold_person p
where p.hold_id = $1
union
select i.data_subject_id
from dsar.hold_identifier b
join vault.identifier i on i.kind = b.kind and i.blind_index = b.blind_index
where b.hold_id = $1
order by 1`

const sqlHoldForget = `
select dsar.forget_held($1)`

// ReleaseHold is [dsar.HoldStore]'s.
func (s *HoldStore) ReleaseHold(ctx context.Context, id dsar.HoldID, reason dsar.ReleaseReason, by [16]byte, event audit.Event,
) ([]privacy.DataSubjectID, audit.Receipt, error) {
	var people []privacy.DataSubjectID
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sqlHoldBound, [16]byte(id))
		if err != nil {
			return translate(err)
		}
		if people, err = collectPeople(rows, "finding whom the hold bound"); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, sqlHoldRelease, [16]byte(id), by[:], string(reason), int64(len(people)))
		if err == nil && tag.RowsAffected() == 0 {
			return fmt.Errorf("it was released before: %w", privacy.ErrConflict)
		}
		if err != nil {
			return translate(err)
		}
		_, err = tx.Exec(ctx, sqlHoldForget, [16]byte(id))
		return translate(err)
	})
	if err != nil {
		return nil, audit.Receipt{}, fmt.Errorf("recording release: %w", err)
	}
	return people, receipt, nil
}

const sqlHoldList = `
select h.hold_id, h.scope, h.reason, h.authority, h.set_by,
    case when h.released_at is null then (
        select count(*) from (
            select p.data_subject_id from dsar.hold_person p where p.hold_id = h.hold_id
            union
            select i.data_subject_id
            from dsar.hold_identifier b
            join vault.identifier i on i.kind = b.kind and i.blind_index = b.blind_index
            where b.hold_id = h.hold_id) bound)
        else h.people end,
    h.identifiers, h.set_at, h.released_at, h.release_reason
from dsar.hold h
where ($1::boolean or h.released_at is null)
    and ($2::uuid is null or h.hold_id in (select o.hold_id from dsar.holds_on($2::uuid) o))
order by h.set_at desc, h.hold_id
limit $3`

// ListHolds is [dsar.HoldStore]'s. Of a released hold nobody knows any more whom it bound,
// so of one person there are only those in force.
func (s *HoldStore) ListHolds(ctx context.Context, all bool, person privacy.DataSubjectID, limit int) ([]dsar.HoldRow, error) {
	rows, err := s.db.pool.Query(ctx, sqlHoldList, all, pgtype.UUID{Bytes: person, Valid: !person.IsZero()}, limit)
	if err != nil {
		return nil, fmt.Errorf("listing holds: %w", translate(err))
	}
	holds, err := pgx.CollectRows(rows, readHold)
	if err != nil {
		return nil, fmt.Errorf("listing holds: %w", translate(err))
	}
	return holds, nil
}
