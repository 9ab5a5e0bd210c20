package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// ExportStore reads what is held about people for their exports, and keeps the links by
// which they are fetched.
type ExportStore struct {
	*VaultStore
	log transactor
}

var _ export.Store = (*ExportStore)(nil)

// NewExportStore reads from the store's database, with entries in log.
func NewExportStore(store *VaultStore, log *AuditLog) *ExportStore { return &ExportStore{store, log} }

const sqlExportPerson = `
select d.jurisdiction, d.restricted, d.created_at, k.wrapped
from vault.data_subject d
join keyring.person_key k on k.data_subject_id = d.data_subject_id
where d.data_subject_id = $1`

// Read implements [export.Store]. All of it is read in one snapshot, which costs writers
// nothing: they make new versions of their rows beside those that are seen here.
func (s *ExportStore) Read(ctx context.Context, id privacy.DataSubjectID, use func(export.Reader) error) error {
	tx, err := s.db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("reading person: %w", translate(err))
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	r := &exportReader{tx: tx, vault: s.vault, id: id}
	var wrapped []byte
	err = tx.QueryRow(ctx, sqlExportPerson, [16]byte(id)).Scan(&r.person.Jurisdiction, &r.person.Restricted, &r.person.CreatedAt, &wrapped)
	if err != nil {
		return fmt.Errorf("reading person: %w", translate(err))
	}
	if r.key, err = s.vault.OpenPersonKey(id, wrapped, vault.UseExport); err != nil {
		return fmt.Errorf("reading person: %w", err)
	}
	return use(r)
}

// The lock holds off an erasure until the entry is committed, and waits for one that is
// under way; then there is no key.
const sqlExportLockPerson = `
select 1
from vault.data_subject d
join keyring.person_key k on k.data_subject_id = d.data_subject_id
where d.data_subject_id = $1
for key share of d`

// Record implements [export.Store].
func (s *ExportStore) Record(ctx context.Context, id privacy.DataSubjectID, event audit.Event) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		var one int
		return translate(tx.QueryRow(ctx, sqlExportLockPerson, [16]byte(id)).Scan(&one))
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("recording export: %w", err)
	}
	return receipt, nil
}

// exportReader reads within one transaction.
type exportReader struct {
	tx     pgx.Tx
	vault  *vault.Vault
	id     privacy.DataSubjectID
	person export.Person
	key    *vault.PersonKey
}

// Person implements [export.Reader].
func (r *exportReader) Person() export.Person { return r.person }

// Key implements [export.Reader].
func (r *exportReader) Key() *vault.PersonKey { return r.key }

// slots are where the categories of the person are.
func (r *exportReader) slots(categories []privacy.DataCategory) ([][]byte, map[[16]byte]privacy.DataCategory) {
	slots, of := make([][]byte, len(categories)), make(map[[16]byte]privacy.DataCategory, len(categories))
	for i, category := range categories {
		slot := r.vault.Slot(r.id, category)
		slots[i], of[slot] = slot[:], category
	}
	return slots, of
}

// Records implements [export.Reader].
func (r *exportReader) Records(ctx context.Context, categories []privacy.DataCategory) (map[privacy.DataCategory]vault.Record, error) {
	slots, of := r.slots(categories)
	rows, err := r.tx.Query(ctx, sqlVaultRecords, [16]byte(r.id), slots)
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", translate(err))
	}
	records := map[privacy.DataCategory]vault.Record{}
	var slot, sealed []byte
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&slot, &version, &sealed}, func() error {
		if len(slot) != 16 {
			return fmt.Errorf("reading slot of %d bytes: %w", len(slot), privacy.ErrDamaged)
		}
		category := of[[16]byte(slot)]
		record, err := r.key.OpenRecord(category, version, sealed)
		if err != nil {
			return fmt.Errorf("opening category %s: %w", category, err)
		}
		records[category] = record
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", translate(err))
	}
	return records, nil
}

const sqlExportStreams = `
select slot, sum(event_count)::bigint
from vault.event_chunk
where data_subject_id = $1 and slot = any ($2::bytea[])
group by slot`

// Streams implements [export.Reader].
func (r *exportReader) Streams(ctx context.Context, categories []privacy.DataCategory) (map[privacy.DataCategory]int64, error) {
	slots, of := r.slots(categories)
	rows, err := r.tx.Query(ctx, sqlExportStreams, [16]byte(r.id), slots)
	if err != nil {
		return nil, fmt.Errorf("counting events: %w", translate(err))
	}
	counts := map[privacy.DataCategory]int64{}
	var slot []byte
	var count int64
	_, err = pgx.ForEachRow(rows, []any{&slot, &count}, func() error {
		if len(slot) != 16 {
			return fmt.Errorf("reading slot of %d bytes: %w", len(slot), privacy.ErrDamaged)
		}
		counts[of[[16]byte(slot)]] = count
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("counting events: %w", translate(err))
	}
	return counts, nil
}

const sqlExportChunks = `
select chunk, record_version, sealed
from vault.event_chunk
where data_subject_id = $1 and slot = $2 and chunk >= $3
order by chunk
limit $4`

// Chunks implements [export.Reader].
func (r *exportReader) Chunks(ctx context.Context, stream privacy.DataCategory, from int64, limit int) ([]export.Chunk, error) {
	slot := r.vault.Slot(r.id, stream)
	rows, err := r.tx.Query(ctx, sqlExportChunks, [16]byte(r.id), slot[:], from, limit)
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", translate(err))
	}
	chunks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c export.Chunk, err error) {
		err = row.Scan(&c.Number, &c.Version, &c.Sealed)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", translate(err))
	}
	return chunks, nil
}

// Consents implements [export.Reader].
func (r *exportReader) Consents(ctx context.Context) ([]consent.Record, error) {
	return listConsents(ctx, r.tx, r.id)
}

const sqlExportExposures = `
select distinct on (recipient) recipient, exposure_number, sealed, released_at
from gate.exposure
where data_subject_id = $1
order by recipient, exposure_number desc`

// Exposures implements [export.Reader].
func (r *exportReader) Exposures(ctx context.Context) ([]gate.ExposureRow, error) {
	rows, err := r.tx.Query(ctx, sqlExportExposures, [16]byte(r.id))
	if err != nil {
		return nil, fmt.Errorf("reading exposures: %w", translate(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (gate.ExposureRow, error) {
		x := gate.ExposureRow{DataSubject: r.id}
		err := row.Scan(&x.Recipient, &x.Number, &x.Sealed, &x.ReleasedAt)
		return x, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading exposures: %w", translate(err))
	}
	return list, nil
}

// Stays implements [export.Reader].
func (r *exportReader) Stays(ctx context.Context) ([]export.Stay, error) {
	return staysOf(ctx, r.tx, r.id)
}
