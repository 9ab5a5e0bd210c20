package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
)

// ArchiveStore keeps what decisions were made of.
type ArchiveStore struct{ db *DB }

var _ archive.Store = (*ArchiveStore)(nil)

// NewArchiveStore returns the store over db.
func NewArchiveStore(db *DB) *ArchiveStore { return &ArchiveStore{db} }

// HasBundle implements [archive.Store].
func (s *ArchiveStore) HasBundle(ctx context.Context, policy audit.Digest) (there bool, err error) {
	const sqlArchiveHasBundle = `
select exists (select from archive.bundle where policy = $1)`
	if err := s.db.pool.QueryRow(ctx, sqlArchiveHasBundle, policy[:]).Scan(&there); err != nil {
		return false, fmt.Errorf("looking for policy bundle: %w", translate(err))
	}
	return there, nil
}

// KeepBundle implements [archive.Store]. A row that another process is just writing is
// waited for: what is visible is durable.
func (s *ArchiveStore) KeepBundle(ctx context.Context, policy audit.Digest, content []byte) error {
	const sqlArchiveKeepBundle = `
insert into archive.bundle (policy, content) values ($1, $2)
on conflict (policy) do nothing`
	if _, err := s.db.pool.Exec(ctx, sqlArchiveKeepBundle, policy[:], content); err != nil {
		return fmt.Errorf("writing policy bundle: %w", translate(err))
	}
	return nil
}

// Bundle implements [archive.Store].
func (s *ArchiveStore) Bundle(ctx context.Context, policy audit.Digest) ([]byte, error) {
	const sqlArchiveBundle = `
select content from archive.bundle where policy = $1`
	var content []byte
	if err := s.db.pool.QueryRow(ctx, sqlArchiveBundle, policy[:]).Scan(&content); err != nil {
		return nil, fmt.Errorf("reading policy bundle: %w", translate(err))
	}
	return content, nil
}

// KeepDecided implements [archive.Store].
func (s *ArchiveStore) KeepDecided(ctx context.Context, row archive.DecidedRow) error {
	const sqlArchiveKeepDecided = `
insert into archive.decided (policy, facts, planned, sealed) values ($1, $2, $3, $4)
on conflict (policy, facts, planned) do nothing`
	_, err := s.db.pool.Exec(ctx, sqlArchiveKeepDecided, row.Policy[:], row.Facts[:], row.Planned, row.Sealed)
	if err != nil {
		return fmt.Errorf("writing facts and plan: %w", translate(err))
	}
	return nil
}

// Decided implements [archive.Store].
func (s *ArchiveStore) Decided(ctx context.Context, pairs []archive.Pair) ([]archive.DecidedRow, error) {
	const sqlArchiveDecided = `
select d.policy, d.facts, d.planned, d.sealed
from unnest($1::bytea[], $2::bytea[]) as q (policy, facts)
join archive.decided d on d.policy = q.policy and d.facts = q.facts`
	rows, err := s.db.pool.Query(ctx, sqlArchiveDecided, policiesOf(pairs), factsOf(pairs))
	if err != nil {
		return nil, fmt.Errorf("reading facts and plans: %w", translate(err))
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r archive.DecidedRow, err error) {
		var policy, facts []byte
		err = row.Scan(&policy, &facts, &r.Planned, &r.Sealed)
		copy(r.Policy[:], policy)
		copy(r.Facts[:], facts)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading facts and plans: %w", translate(err))
	}
	return found, nil
}

// KeepPeople implements [archive.Store].
func (s *ArchiveStore) KeepPeople(ctx context.Context, rows []archive.PeopleRow) error {
	const sqlArchiveKeepPeople = `
insert into archive.people (policy, facts, day, part, sealed)
select q.policy, q.facts, q.day, q.part, q.sealed
from unnest($1::bytea[], $2::bytea[], $3::date[], $4::bytea[], $5::bytea[]) as q (policy, facts, day, part, sealed)
on conflict (policy, facts, day, part) do update set sealed = excluded.sealed`
	pairs, days := make([]archive.Pair, len(rows)), make([]time.Time, len(rows))
	parts, sealed := make([][]byte, len(rows)), make([][]byte, len(rows))
	for i := range rows {
		pairs[i], days[i], parts[i], sealed[i] = rows[i].Pair, rows[i].Day, rows[i].Part[:], rows[i].Sealed
	}
	_, err := s.db.pool.Exec(ctx, sqlArchiveKeepPeople, policiesOf(pairs), factsOf(pairs), days, parts, sealed)
	if err != nil {
		return fmt.Errorf("writing sketches of people: %w", translate(err))
	}
	return nil
}

// People implements [archive.Store].
func (s *ArchiveStore) People(ctx context.Context, pairs []archive.Pair, first, last time.Time) ([]archive.PeopleRow, error) {
	const sqlArchivePeople = `
select p.policy, p.facts, p.day, p.part, p.sealed
from unnest($1::bytea[], $2::bytea[]) as q (policy, facts)
join archive.people p on p.policy = q.policy and p.facts = q.facts and p.day between $3::date and $4::date`
	rows, err := s.db.pool.Query(ctx, sqlArchivePeople, policiesOf(pairs), factsOf(pairs), first, last)
	if err != nil {
		return nil, fmt.Errorf("reading sketches of people: %w", translate(err))
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r archive.PeopleRow, err error) {
		var policy, facts, part []byte
		err = row.Scan(&policy, &facts, &r.Day, &part, &r.Sealed)
		copy(r.Policy[:], policy)
		copy(r.Facts[:], facts)
		copy(r.Part[:], part)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading sketches of people: %w", translate(err))
	}
	return found, nil
}

func policiesOf(pairs []archive.Pair) [][]byte {
	list := make([][]byte, len(pairs))
	for i := range pairs {
		list[i] = pairs[i].Policy[:]
	}
	return list
}

func factsOf(pairs []archive.Pair) [][]byte {
	list := make([][]byte, len(pairs))
	for i := range pairs {
		list[i] = pairs[i].Facts[:]
	}
	return list
}
