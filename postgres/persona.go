package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/cleanroom/persona"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// PersonaStore keeps definitions of personas and what was told of them, and reads and labels
// people.
type PersonaStore struct {
	*DrawStore
	log *AuditLog
}

var _ persona.Store = (*PersonaStore)(nil)

// NewPersonaStore returns a store whose changes commit with their entries in log, and that
// reads people as draw does.
func NewPersonaStore(draw *DrawStore, log *AuditLog) *PersonaStore { return &PersonaStore{draw, log} }

// Definitions of one name come one after the other.
const sqlPersonaLock = `
select pg_advisory_xact_lock(hashtextextended('cleanroom.persona/' || $1, 0))`

const sqlPersonaNewest = `
select p.name, p.version, p.definition, p.digest, p.defined_at, b.description, b.digest, b.built_at
from cleanroom.persona p left join cleanroom.persona_build b on b.name = p.name and b.version = p.version
where p.name = $1
order by p.version desc
limit 1`

const sqlPersonaAll = `
select distinct on (p.name) p.name, p.version, p.definition, p.digest, p.defined_at, b.description, b.digest, b.built_at
from cleanroom.persona p left join cleanroom.persona_build b on b.name = p.name and b.version = p.version
order by p.name, p.version desc`

const sqlPersonaAdd = `
insert into cleanroom.persona (name, version, definition, digest, defined_at)
values ($1, $2, $3, $4, clock_timestamp())`

func readPersona(row pgx.CollectableRow) (persona.Stored, error) {
	var s persona.Stored
	var digest, described []byte
	var built *time.Time
	if err := row.Scan(&s.Name, &s.Version, &s.Text, &digest, &s.DefinedAt, &s.Description, &described, &built); err != nil {
		return persona.Stored{}, err
	}
	s.Digest, s.DefinedAt = sha256.Sum256(s.Text), s.DefinedAt.UTC()
	if string(digest) != string(s.Digest[:]) {
		return persona.Stored{}, fmt.Errorf("a definition does not have its digest: %w", privacy.ErrDamaged)
	}
	if built != nil {
		s.BuiltAt = built.UTC()
		if sum := sha256.Sum256(s.Description); string(described) != string(sum[:]) {
			return persona.Stored{}, fmt.Errorf("a description does not have its digest: %w", privacy.ErrDamaged)
		}
	}
	return s, nil
}

// Define implements [persona.Store].
func (s *PersonaStore) Define(ctx context.Context, name string, text []byte, event audit.Event) (version int, receipt audit.Receipt, err error) {
	receipt, err = s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlPersonaLock, name); err != nil {
			return translate(err)
		}
		rows, err := tx.Query(ctx, sqlPersonaNewest, name)
		if err != nil {
			return translate(err)
		}
		found, err := pgx.CollectRows(rows, readPersona)
		if err != nil {
			return translate(err)
		}
		digest := sha256.Sum256(text)
		version = 1
		if len(found) > 0 {
			if version = found[0].Version + 1; found[0].Digest == digest {
				return fmt.Errorf("it is version %d already: %w", found[0].Version, privacy.ErrConflict)
			}
		}
		_, err = tx.Exec(ctx, sqlPersonaAdd, name, version, text, digest[:])
		return translate(err)
	})
	if err != nil {
		return 0, audit.Receipt{}, fmt.Errorf("defining personas: %w", err)
	}
	return version, receipt, nil
}

// Definition implements [persona.Store].
func (s *PersonaStore) Definition(ctx context.Context, name string) (*persona.Stored, error) {
	found, err := queryFirst(ctx, s.db, "finding personas", readPersona, sqlPersonaNewest, name)
	if err != nil {
		return nil, err
	}
	return &found, nil
}

// Definitions implements [persona.Store].
func (s *PersonaStore) Definitions(ctx context.Context) ([]persona.Stored, error) {
	return queryAll(ctx, s.db, "listing personas", readPersona, sqlPersonaAll)
}

const sqlPersonaLeft = `
select cap, spent
from cleanroom.persona_budget`

// Left implements [persona.Store].
func (s *PersonaStore) Left(ctx context.Context) (limit, spent persona.Rho, err error) {
	if err := s.db.pool.QueryRow(ctx, sqlPersonaLeft).Scan(&limit, &spent); err != nil {
		return 0, 0, fmt.Errorf("reading budget of personas: %w", translate(err))
	}
	return limit, spent, nil
}

const sqlPersonaCharges = `
select b.name, b.version, p.digest, b.cost, b.charged_at, b.digest, sha256(b.description)
from cleanroom.persona_build b join cleanroom.persona p on p.name = b.name and p.version = b.version
order by b.charged_at, b.name, b.version`

// Account returns what personas were charged for, and what was told.
func (s *PersonaStore) Account(ctx context.Context) (*cleanroom.PersonaAccount, error) {
	account := &cleanroom.PersonaAccount{}
	var err error
	if account.Cap, account.Spent, err = s.Left(ctx); err != nil {
		return nil, err
	}
	account.Described, err = queryAll(ctx, s.db, "listing what personas have told", func(row pgx.CollectableRow) (d cleanroom.Described, err error) {
		var definition, answer, stored []byte
		if err := row.Scan(&d.Name, &d.Version, &definition, &d.Cost, &d.At, &answer, &stored); err != nil {
			return d, err
		}
		d.At = d.At.UTC()
		copy(d.Definition[:], definition)
		copy(d.Answer[:], answer)
		copy(d.Stored[:], stored)
		return d, nil
	}, sqlPersonaCharges)
	return account, err
}

const sqlPersonaCharged = `
insert into cleanroom.persona_build (name, version, cost, charged_at)
values ($1, $2, $3, clock_timestamp())
on conflict (name, version) do nothing`

const sqlPersonaSpend = `
update cleanroom.persona_budget
set spent = spent + $1
where spent + $1 <= cap`

// Charge implements [persona.Store]. What does not fit has an entry that says so.
func (s *PersonaStore) Charge(ctx context.Context, name string, version int, cost persona.Rho, event audit.Event) error {
	var refused error
	_, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		charged := false
		refused = nil
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			added, err := tx.Exec(ctx, sqlPersonaCharged, name, version, int64(cost))
			if err != nil || added.RowsAffected() == 0 {
				return err // it was charged, and never told
			}
			charged = true
			spent, err := tx.Exec(ctx, sqlPersonaSpend, int64(cost))
			if err == nil && spent.RowsAffected() == 0 {
				err = cleanroom.ErrExhausted
			}
			return err
		})
		switch {
		case errors.Is(err, cleanroom.ErrExhausted):
			refused = err
			denied := event
			denied.Kind, denied.Outcome, denied.Checks = audit.RoomDenied, audit.Denied, []string{"budget_exhausted"}
			return []audit.Event{denied}, nil
		case err != nil:
			return nil, translate(err)
		case !charged:
			return nil, nil
		}
		return []audit.Event{event}, nil
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return fmt.Errorf("charging personas: %w", err)
	}
	return nil
}

const sqlPersonaFinish = `
update cleanroom.persona_build
set description = $3, digest = $4, built_at = clock_timestamp()
where name = $1 and version = $2 and description is null`

// Finish implements [persona.Store].
func (s *PersonaStore) Finish(ctx context.Context, name string, version int, description []byte, event audit.Event) (audit.Receipt, error) {
	digest := sha256.Sum256(description)
	return changeOne(ctx, s.log, "keeping description of personas", event, privacy.ErrConflict, sqlPersonaFinish, name, version, description, digest[:])
}

// Look implements [persona.Store].
func (s *PersonaStore) Look(ctx context.Context, wanted draw.Wanted, people []privacy.DataSubjectID, event audit.Event, f func(at time.Time, held []draw.Held) ([]persona.Sealed, error)) error {
	look := func(ctx context.Context, tx pgx.Tx) ([]persona.Sealed, error) {
		held, at, err := s.hold(ctx, tx, wanted, people)
		if err != nil {
			return nil, translate(err)
		}
		return f(at, held)
	}
	if event.Kind == "" {
		return s.db.inTx(ctx, func(tx pgx.Tx) error {
			_, err := look(ctx, tx)
			return err
		})
	}
	_, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		sealed, err := look(ctx, tx)
		if err != nil || len(sealed) == 0 {
			return nil, err
		}
		changes := make([]intake.RecordChange, len(sealed))
		for i, r := range sealed {
			changes[i] = intake.RecordChange{ID: r.DataSubject, Slot: r.Slot, Version: r.Version, Sealed: r.Sealed}
		}
		batch := &pgx.Batch{}
		queueRecords(batch, changes)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return nil, translate(err)
		}
		event.Count = uint64(len(sealed))
		return []audit.Event{event}, nil
	})
	if err != nil {
		return fmt.Errorf("labelling people: %w", err)
	}
	return nil
}
