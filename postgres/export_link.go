package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/privacy"
)

var _ export.LinkStore = (*ExportStore)(nil)

// The request must still know the person: whoever was erased meanwhile gets no link. Nor does
// a request that was denied or taken back while the export was written.
const sqlExportAddLink = `
insert into dsar.export (export_id, request_id, token_tag, manifest, file_digest, size_bytes, made_at, expires_at)
select $1, r.request_id, $4, $5, $6, $7, now.at, now.at + $8::interval
from dsar.request r, (select clock_timestamp() as at offset 0) now
where r.request_id = $2 and r.data_subject_id = $3 and r.closed_at is null
returning expires_at`

// AddLink implements [export.LinkStore].
func (s *ExportStore) AddLink(ctx context.Context, w export.Waiting, tag [16]byte, life time.Duration, event audit.Event) (expires time.Time, receipt audit.Receipt, err error) {
	receipt, err = s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		return translate(tx.QueryRow(ctx, sqlExportAddLink, [16]byte(w.ID), [16]byte(w.Request), [16]byte(w.Person), tag,
			w.Manifest[:], w.File[:], w.Size, life).Scan(&expires))
	})
	if err != nil {
		return time.Time{}, audit.Receipt{}, fmt.Errorf("recording link: %w", err)
	}
	return expires.UTC(), receipt, nil
}

// A link is alive as long as the key of the person is there: the moment the key is
// destroyed nothing of theirs can be fetched any more.
const sqlExportFindLink = `
select e.export_id, e.request_id, r.data_subject_id, e.manifest, e.file_digest, e.size_bytes, e.expires_at
from dsar.export e
join dsar.request r on r.request_id = e.request_id
join keyring.person_key k on k.data_subject_id = r.data_subject_id
where e.token_tag = $1 and e.fetched_at is null and e.expires_at > clock_timestamp()`

// FindLink implements [export.LinkStore].
func (s *ExportStore) FindLink(ctx context.Context, tag [16]byte) (export.Waiting, error) {
	var w export.Waiting
	var id, request, person [16]byte
	var manifest, file []byte
	err := s.db.pool.QueryRow(ctx, sqlExportFindLink, tag).Scan(&id, &request, &person, &manifest, &file, &w.Size, &w.ExpiresAt)
	if err != nil {
		return export.Waiting{}, fmt.Errorf("finding link: %w", translate(err))
	}
	w.ID, w.Request, w.Person = id, request, person
	copy(w.Manifest[:], manifest)
	copy(w.File[:], file)
	w.ExpiresAt = w.ExpiresAt.UTC()
	return w, nil
}

const sqlExportUseLink = `
update dsar.export e
set fetched_at = clock_timestamp()
from dsar.request r
join keyring.person_key k on k.data_subject_id = r.data_subject_id
where e.token_tag = $1 and e.fetched_at is null and e.expires_at > clock_timestamp() and r.request_id = e.request_id`

// UseLink implements [export.LinkStore].
func (s *ExportStore) UseLink(ctx context.Context, tag [16]byte, event audit.Event) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		used, err := tx.Exec(ctx, sqlExportUseLink, tag)
		if err == nil && used.RowsAffected() != 1 {
			return privacy.ErrNotFound
		}
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("using link: %w", err)
	}
	return receipt, nil
}

const sqlExportLiving = `
select e.export_id
from dsar.export e
join dsar.request r on r.request_id = e.request_id
join keyring.person_key k on k.data_subject_id = r.data_subject_id
where e.export_id = any ($1::uuid[]) and e.fetched_at is null and e.expires_at > clock_timestamp()`

// Living implements [export.LinkStore].
func (s *ExportStore) Living(ctx context.Context, exports []export.ID) ([]export.ID, error) {
	ids := make([][16]byte, len(exports))
	for i, id := range exports {
		ids[i] = id
	}
	rows, err := s.db.pool.Query(ctx, sqlExportLiving, ids)
	if err != nil {
		return nil, fmt.Errorf("finding links: %w", translate(err))
	}
	living, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (export.ID, error) {
		var id [16]byte
		err := row.Scan(&id)
		return export.ID(id), err
	})
	if err != nil {
		return nil, fmt.Errorf("finding links: %w", translate(err))
	}
	return living, nil
}
