package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// VaultStore reads what is held about people, for services and a DPO's own look. The
// gate has its own, faster way. It is safe for concurrent use.
type VaultStore struct {
	db    *DB
	vault *vault.Vault
}

// NewVaultStore reads from db with the keys of v.
func NewVaultStore(db *DB, v *vault.Vault) *VaultStore { return &VaultStore{db: db, vault: v} }

// Person is what is held in clear about a person.
type Person struct {
	Jurisdiction privacy.Jurisdiction
	// Restricted: the person has had processing restricted (GDPR Article 18).
	Restricted bool
	CreatedAt  time.Time
}

// SealedRecord is one opened record with the version of its row.
type SealedRecord struct {
	Version int64
	Record  vault.Record
}

// Chunk is one opened chunk of events with its place in the stream.
type Chunk struct {
	Number, Version int64
	Events          []vault.Event
}

const sqlVaultResolve = `
	select distinct i.data_subject_id
	from vault.identifier i
	join vault.data_subject d on d.data_subject_id = i.data_subject_id
	where i.kind = $1 and i.blind_index = any($2::bytea[])
	limit 2`

// Resolve finds the person who has one of the blind indexes, which are those of one
// identifier under each active key. The error wraps [privacy.ErrNotFound] if nobody has,
// and [privacy.ErrConflict] if two people do.
func (s *VaultStore) Resolve(ctx context.Context, kind privacy.IdentifierKind, blindIndexes [][]byte) (privacy.DataSubjectID, error) {
	rows, err := s.db.pool.Query(ctx, sqlVaultResolve, string(kind), blindIndexes)
	if err != nil {
		return privacy.DataSubjectID{}, fmt.Errorf("resolving identifier: %w", translate(err))
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	switch {
	case err != nil:
		return privacy.DataSubjectID{}, fmt.Errorf("resolving identifier: %w", translate(err))
	case len(found) == 0:
		return privacy.DataSubjectID{}, fmt.Errorf("resolving identifier: %w", privacy.ErrNotFound)
	case len(found) > 1:
		return privacy.DataSubjectID{}, fmt.Errorf("resolving identifier that two people have: %w", privacy.ErrConflict)
	}
	return privacy.DataSubjectID(found[0]), nil
}

// ResolveIdentifier normalizes an identifier and finds its person, see
// [VaultStore.Resolve]. The error wraps [privacy.ErrInvalid] if it has no normal form.
func (s *VaultStore) ResolveIdentifier(ctx context.Context, identifier privacy.Identifier) (privacy.DataSubjectID, error) {
	indexes, err := s.vault.BlindIndexes(identifier)
	if err != nil {
		return privacy.DataSubjectID{}, fmt.Errorf("resolving identifier: %w", err)
	}
	return s.Resolve(ctx, identifier.Kind, indexes)
}

const sqlVaultPerson = `
	select jurisdiction, restricted, created_at
	from vault.data_subject
	where data_subject_id = $1 and not erasing`

// Person returns what is held in clear, or an error that wraps [privacy.ErrNotFound].
func (s *VaultStore) Person(ctx context.Context, id privacy.DataSubjectID) (Person, error) {
	var p Person
	err := s.db.pool.QueryRow(ctx, sqlVaultPerson, [16]byte(id)).Scan(&p.Jurisdiction, &p.Restricted, &p.CreatedAt)
	if err != nil {
		return Person{}, fmt.Errorf("reading person: %w", translate(err))
	}
	return p, nil
}

const sqlVaultPersonKey = `
	select wrapped
	from keyring.person_key
	where data_subject_id = $1`

// PersonKey unwraps a person's key for a use. The error wraps [privacy.ErrNotFound] for somebody
// who is unknown or was erased, and [privacy.ErrDamaged] if the key does not open.
func (s *VaultStore) PersonKey(ctx context.Context, id privacy.DataSubjectID, use vault.Use) (*vault.PersonKey, error) {
	var wrapped []byte
	if err := s.db.pool.QueryRow(ctx, sqlVaultPersonKey, [16]byte(id)).Scan(&wrapped); err != nil {
		return nil, fmt.Errorf("reading person key: %w", translate(err))
	}
	return s.vault.OpenPersonKey(id, wrapped, use)
}

// AuditSubject returns what the log needs of a person, with the errors of
// [VaultStore.PersonKey].
func (s *VaultStore) AuditSubject(ctx context.Context, id privacy.DataSubjectID) (audit.Subject, error) {
	key, err := s.PersonKey(ctx, id, vault.UseEvidence)
	if err != nil {
		return audit.Subject{}, err
	}
	return key.Subject(), nil
}

const sqlVaultRecords = `
	select slot, record_version, sealed
	from vault.sealed_record
	where data_subject_id = $1 and slot = any($2::bytea[])`

// Records opens a person's records of the given categories; those that are not there
// are left out.
func (s *VaultStore) Records(ctx context.Context, key *vault.PersonKey, categories []privacy.DataCategory) (map[privacy.DataCategory]SealedRecord, error) {
	id := key.DataSubject()
	bySlot := make(map[[16]byte]privacy.DataCategory, len(categories))
	slots := make([][]byte, 0, len(categories))
	for _, category := range categories {
		slot := s.vault.Slot(id, category)
		bySlot[slot] = category
		slots = append(slots, slot[:])
	}
	rows, err := s.db.pool.Query(ctx, sqlVaultRecords, [16]byte(id), slots)
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", translate(err))
	}
	records := make(map[privacy.DataCategory]SealedRecord, len(categories))
	var slot, sealed []byte
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&slot, &version, &sealed}, func() error {
		if len(slot) != 16 {
			return fmt.Errorf("reading slot of %d bytes: %w", len(slot), privacy.ErrDamaged)
		}
		category := bySlot[[16]byte(slot)]
		record, err := key.OpenRecord(category, version, sealed)
		if err != nil {
			return fmt.Errorf("opening category %s: %w", category, err)
		}
		records[category] = SealedRecord{Version: version, Record: record}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", translate(err))
	}
	return records, nil
}

const sqlVaultChunks = `
	select chunk, record_version, sealed
	from vault.event_chunk
	where data_subject_id = $1 and slot = $2
	order by chunk desc
	limit $3`

// Chunks opens the newest chunks of one of a person's streams, newest first, at most
// limit of them.
func (s *VaultStore) Chunks(ctx context.Context, key *vault.PersonKey, stream privacy.DataCategory, limit int) ([]Chunk, error) {
	id := key.DataSubject()
	slot := s.vault.Slot(id, stream)
	rows, err := s.db.pool.Query(ctx, sqlVaultChunks, [16]byte(id), slot[:], limit)
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", translate(err))
	}
	var chunks []Chunk
	var number, version int64
	var sealed []byte
	_, err = pgx.ForEachRow(rows, []any{&number, &version, &sealed}, func() error {
		events, err := key.OpenChunk(stream, number, version, sealed)
		if err != nil {
			return fmt.Errorf("opening chunk of stream %s: %w", stream, err)
		}
		chunks = append(chunks, Chunk{Number: number, Version: version, Events: events})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", translate(err))
	}
	return chunks, nil
}

// KEKCheck makes and opens the value by which a database knows its key directory.
type KEKCheck interface {
	SealCheck() ([]byte, error)
	// OpenCheck MUST return an error that wraps [privacy.ErrDamaged], naming the KEK's
	// file, if sealed was made under another KEK.
	OpenCheck(sealed []byte) error
}

const sqlVaultKEKCheck = `
	select sealed
	from keyring.kek_check`

const sqlVaultAddKEKCheck = `
	insert into keyring.kek_check (sealed)
	select $1
	where not exists (select from keyring.person_key)
	on conflict do nothing`

// CheckKEK refuses, with the error of check, when the database belongs to another key
// directory. A database without people takes the first directory that comes; one that
// has people but has lost its check value is refused, since nothing says whose it is.
func (db *DB) CheckKEK(ctx context.Context, check KEKCheck) error {
	var sealed []byte
	err := db.pool.QueryRow(ctx, sqlVaultKEKCheck).Scan(&sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		fresh, sealErr := check.SealCheck()
		if sealErr != nil {
			return fmt.Errorf("making KEK check: %w", sealErr)
		}
		if _, err := db.pool.Exec(ctx, sqlVaultAddKEKCheck, fresh); err != nil {
			return fmt.Errorf("storing KEK check: %w", translate(err))
		}
		// Another process may have come first with other keys: what is stored counts.
		err = db.pool.QueryRow(ctx, sqlVaultKEKCheck).Scan(&sealed)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("checking KEK: the database has people and no check value: %w", privacy.ErrDamaged)
		}
	}
	if err != nil {
		return fmt.Errorf("reading KEK check: %w", translate(err))
	}
	return check.OpenCheck(sealed)
}
