package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/ledger"
	"github.com/mahrem/mahrem/privacy"
)

// LedgerStore says which lines of the erasure ledger a database has carried out.
type LedgerStore struct{ db *DB }

// NewLedgerStore returns the lines of db.
func NewLedgerStore(db *DB) *LedgerStore { return &LedgerStore{db} }

var _ ledger.Known = (*LedgerStore)(nil)

const sqlLedgerExtent = `
	select count(*), coalesce(max(sequence), 0),
		coalesce((select line_hash from dsar.ledger order by sequence desc limit 1), ''::bytea)
	from dsar.ledger`

// Extent is [ledger.Known]'s.
func (s *LedgerStore) Extent(ctx context.Context) (uint64, ledger.Head, error) {
	var count, last int64
	var hash []byte
	if err := s.db.pool.QueryRow(ctx, sqlLedgerExtent).Scan(&count, &last, &hash); err != nil {
		return 0, ledger.Head{}, fmt.Errorf("reading extent of erasure ledger: %w", translate(err))
	}
	if count == 0 {
		return 0, ledger.Head{}, nil
	}
	head, err := ledgerHead(last, hash)
	return uint64(count), head, err
}

func ledgerHead(sequence int64, hash []byte) (ledger.Head, error) {
	head := ledger.Head{Sequence: uint64(sequence)}
	if copy(head.Hash[:], hash) != len(head.Hash) || len(hash) != len(head.Hash) {
		return ledger.Head{}, fmt.Errorf("reading line %d of erasure ledger: %w", sequence, privacy.ErrDamaged)
	}
	return head, nil
}

// ledgerPage is how many lines are read at once.
const ledgerPage = 10_000

const sqlLedgerLines = `
	select sequence, line_hash from dsar.ledger where sequence > $1 order by sequence limit $2`

// Lines is [ledger.Known]'s.
func (s *LedgerStore) Lines(ctx context.Context, after uint64) ([]ledger.Head, error) {
	rows, err := s.db.pool.Query(ctx, sqlLedgerLines, int64(after), ledgerPage)
	if err != nil {
		return nil, fmt.Errorf("reading lines of erasure ledger: %w", translate(err))
	}
	heads, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ledger.Head, error) {
		var sequence int64
		var hash []byte
		if err := row.Scan(&sequence, &hash); err != nil {
			return ledger.Head{}, err
		}
		return ledgerHead(sequence, hash)
	})
	if err != nil {
		return nil, fmt.Errorf("reading lines of erasure ledger: %w", translate(err))
	}
	return heads, nil
}

const sqlLedgerPlanned = `
	select exists (select from dsar.plan where request_id = $1 and plan_hash = $2)`

// Planned reports whether the database knows the plan of an erasure: if it does, an
// erasure whose line it lacks was broken off, and not undone by a restore.
func (s *LedgerStore) Planned(ctx context.Context, request dsar.RequestID, plan audit.Digest) (planned bool, err error) {
	if err := s.db.pool.QueryRow(ctx, sqlLedgerPlanned, [16]byte(request), plan[:]).Scan(&planned); err != nil {
		return false, fmt.Errorf("looking for plan of erasure: %w", translate(err))
	}
	return planned, nil
}

const sqlLedgerPeople = `
	select data_subject_id from (
		(select data_subject_id from vault.data_subject where data_subject_id > $1 and not erasing order by data_subject_id limit $2)
		union
		(select data_subject_id from keyring.person_key where data_subject_id > $1 order by data_subject_id limit $2)) people
	order by data_subject_id limit $2`

const sqlLedgerCountPeople = `select count(*) from vault.data_subject`

// People returns the first people after an id, in order, who are not erased as far as the
// database knows, or of whom there is a key; none at the end.
func (s *LedgerStore) People(ctx context.Context, after privacy.DataSubjectID) ([]privacy.DataSubjectID, error) {
	rows, err := s.db.pool.Query(ctx, sqlLedgerPeople, [16]byte(after), ledgerPage)
	if err != nil {
		return nil, fmt.Errorf("reading people: %w", translate(err))
	}
	people, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id privacy.DataSubjectID, err error) {
		return id, row.Scan((*[16]byte)(&id))
	})
	if err != nil {
		return nil, fmt.Errorf("reading people: %w", translate(err))
	}
	return people, nil
}

// CountPeople is about how many [LedgerStore.People] will return.
func (s *LedgerStore) CountPeople(ctx context.Context) (n int64, err error) {
	if err := s.db.pool.QueryRow(ctx, sqlLedgerCountPeople).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting people: %w", translate(err))
	}
	return n, nil
}
