package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/certificate"
	"github.com/mahrem/mahrem/vault"
)

// CertificateStore has the facts of erasures and keeps their certificates.
type CertificateStore struct {
	db    *DB
	vault *vault.Vault
	log   transactor
}

var _ certificate.Store = (*CertificateStore)(nil)

// NewCertificateStore reads and writes db, with entries in log.
func NewCertificateStore(db *DB, v *vault.Vault, log *AuditLog) *CertificateStore {
	return &CertificateStore{db, v, log}
}

const sqlCertificateErasure = `
	select e.request_id, r.regime, r.received_at, r.due_at,
	       e.plan_hash, e.key_digests, e.identifiers, e.consents, e.exposures, e.cases, e.records, e.chunks, e.fingerprints,
	       e.suppressed, e.sealed, e.ledger_sequence, e.erased_at, e.swept_at, e.log_index,
	       (select count(a.actor) from dsar.approval a where a.request_id = e.request_id and a.plan_hash = e.plan_hash),
	       (select count(*) from dsar.withheld w where w.erasure_id = e.erasure_id)
	from dsar.erasure e
	join dsar.request r on r.request_id = e.request_id
	where e.erasure_id = $1 and e.log_index is not null`

// Facts is [certificate.Store]'s.
func (s *CertificateStore) Facts(ctx context.Context, id certificate.ID) (certificate.Facts, error) {
	facts := certificate.Facts{}
	erasure := certificate.Erasure{ID: dsar.ErasureID(id).String(), Method: certificate.Shredded, Destroyed: map[string]int64{}}
	var request [16]byte
	var received, erased time.Time
	var due, swept *time.Time
	var plan, sealed []byte
	var keys [][]byte
	var identifiers, consents, exposures, cases, records, chunks, fingerprints, sequence, index, left int64
	err := s.db.pool.QueryRow(ctx, sqlCertificateErasure, [16]byte(id)).Scan(
		&request, &facts.Request.Regime, &received, &due,
		&plan, &keys, &identifiers, &consents, &exposures, &cases, &records, &chunks, &fingerprints,
		&erasure.Suppressed, &sealed, &sequence, &erased, &swept, &index, &erasure.Approvals, &left)
	if err != nil {
		return certificate.Facts{}, fmt.Errorf("reading erasure: %w", translate(err))
	}
	facts.Request.ID, facts.Request.ReceivedAt, facts.Request.DueAt = dsar.RequestID(request).String(), *certificate.At(received), atOf(due)
	erasure.Plan, erasure.Keys = hex.EncodeToString(plan), []string{}
	for _, key := range keys {
		erasure.Keys = append(erasure.Keys, hex.EncodeToString(key))
	}
	for kind, n := range map[string]int64{
		"keys": int64(len(keys)), "identifiers": identifiers, "consents": consents, "exposures": exposures, "cases": cases,
		"records": records, "chunks": chunks, "fingerprints": fingerprints,
	} {
		erasure.Destroyed[kind] = n
	}
	erasure.LedgerSequence, erasure.ErasedAt, erasure.RowsGoneAt = uint64(sequence), *certificate.At(erased), atOf(swept)
	facts.Erasure, facts.LogIndex = erasure, uint64(index)
	if facts.Withheld, err = s.withheld(sealed, left); err != nil {
		return certificate.Facts{}, err
	}
	if facts.Processors, err = s.processors(ctx, request); err != nil {
		return certificate.Facts{}, err
	}
	return facts, nil
}

// withheld opens the list that was made when the person was erased. When nothing of it is
// left, its ground has ended and it was destroyed too.
func (s *CertificateStore) withheld(sealed []byte, left int64) ([]certificate.Withheld, error) {
	list, err := dsar.ParseWithheldList(s.vault, sealed)
	if err != nil {
		return nil, err
	}
	var out []certificate.Withheld
	for _, w := range list {
		kept := certificate.Withheld{
			Category: w.Category, Attribute: w.Attribute, Ground: w.Ground, Article: w.Article, Until: certificate.At(w.Until), Items: w.Items,
		}
		if left == 0 {
			kept.ErasedAt = certificate.At(time.Now())
		}
		out = append(out, kept)
	}
	return out, nil
}

const sqlCertificateProcessors = `
	select t.processor_id, t.state, t.settled_at, t.listed_open_at
	from dsar.processor_task t
	where t.request_id = $1
	order by t.processor_id`

func (s *CertificateStore) processors(ctx context.Context, request [16]byte) ([]certificate.Processor, error) {
	rows, err := s.db.pool.Query(ctx, sqlCertificateProcessors, request)
	if err != nil {
		return nil, fmt.Errorf("reading what processors answered: %w", translate(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (certificate.Processor, error) {
		var p certificate.Processor
		var state string
		var settled, listed *time.Time
		if err := row.Scan(&p.Name, &state, &settled, &listed); err != nil {
			return p, err
		}
		// Only a processor that says it has erased everything is told to have done so.
		switch {
		case state == "completed":
			p.Status, p.At = certificate.Completed, atOf(settled)
		case state == "cancelled":
			p.Status, p.At = certificate.Refused, atOf(settled)
		default:
			p.Status, p.At = certificate.Open, atOf(listed)
		}
		return p, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading what processors answered: %w", translate(err))
	}
	return list, nil
}

const sqlCertificateLatest = `
	select sealed
	from dsar.certificate
	where erasure_id = $1
	order by revision desc
	limit 1`

// Latest is [certificate.Store]'s.
func (s *CertificateStore) Latest(ctx context.Context, id certificate.ID) ([]byte, error) {
	var sealed []byte
	err := s.db.pool.QueryRow(ctx, sqlCertificateLatest, [16]byte(id)).Scan(&sealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading certificate: %w", translate(err))
	}
	return s.vault.OpenHouse(certificateLabel(id), sealed)
}

const sqlCertificateAdd = `
	insert into dsar.certificate (erasure_id, revision, sealed, issued_at)
	values ($1, $2, $3, $4)`

// certificateLabel is what a certificate is sealed as: it opens for its own erasure alone.
func certificateLabel(id certificate.ID) string { return "certificate/" + dsar.ErasureID(id).String() }

// Add is [certificate.Store]'s.
func (s *CertificateStore) Add(ctx context.Context, id certificate.ID, c *certificate.Certificate, signed []byte, event audit.Event) error {
	sealed, err := s.vault.SealHouse(certificateLabel(id), signed)
	if err != nil {
		return fmt.Errorf("sealing certificate: %w", err)
	}
	_, err = s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlCertificateAdd, [16]byte(id), c.Revision, sealed, c.IssuedAt)
		return translate(err)
	})
	if err != nil {
		return fmt.Errorf("keeping certificate: %w", err)
	}
	return nil
}

// A certificate is due when the rows are swept and there is none, or when a processor has
// answered or was listed as open since the newest one. Clocks differ, and what was not yet
// committed was not seen: so for some minutes a look too many is taken, which issues nothing.
// Whoever has none comes first, so that nobody waits for the looks at others.
const sqlCertificateDue = `
	select e.erasure_id
	from dsar.erasure e
	join dsar.request r on r.request_id = e.request_id
	left join lateral (
		select c.issued_at from dsar.certificate c where c.erasure_id = e.erasure_id order by c.revision desc limit 1) last on true
	where e.swept_at is not null and e.log_index is not null
	  and (last.issued_at is null
	    or exists (
	        select from dsar.processor_task t
	        cross join lateral (select greatest(t.queued_at, t.settled_at, t.listed_open_at) as at) news
	        where t.request_id = e.request_id
	          and (news.at > last.issued_at
	            or news.at > last.issued_at - interval '10 minutes' and news.at > clock_timestamp() - interval '20 minutes')))
	order by last.issued_at nulls first, e.erased_at
	limit $1`

// Due is [certificate.Store]'s.
func (s *CertificateStore) Due(ctx context.Context, limit int) ([]certificate.ID, error) {
	rows, err := s.db.pool.Query(ctx, sqlCertificateDue, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for due certificates: %w", translate(err))
	}
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (certificate.ID, error) {
		var id [16]byte
		err := row.Scan(&id)
		return id, err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for due certificates: %w", translate(err))
	}
	return due, nil
}

// A request is over when nothing of the person is left here and every processor has erased
// too, or somebody has decided to list it as open.
const sqlCertificateClosable = `
	select e.erasure_id, e.request_id
	from dsar.erasure e
	join dsar.request r on r.request_id = e.request_id
	where e.swept_at is not null and e.log_index is not null and r.erased_at is not null and r.closed_at is null
	  and ($1::uuid is null or e.request_id = $1)
	  and not exists (select from dsar.processor_task t
		where t.request_id = e.request_id and t.state <> 'completed' and t.listed_open_at is null)
	order by e.erased_at
	limit $2`

// Closable lists erasures whose request is to be closed, the oldest first; with a request
// only its own.
func (s *CertificateStore) Closable(ctx context.Context, only dsar.RequestID, limit int) ([]certificate.Erased, error) {
	rows, err := s.db.pool.Query(ctx, sqlCertificateClosable, optionalID(only), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for erasures to close: %w", translate(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e certificate.Erased, err error) {
		return e, row.Scan((*[16]byte)(&e.ID), &e.Request)
	})
	if err != nil {
		return nil, fmt.Errorf("looking for erasures to close: %w", translate(err))
	}
	return list, nil
}

const sqlCertificateErasures = `
	select e.erasure_id, e.request_id, e.erased_at, e.swept_at,
	       coalesce((select max(c.revision) from dsar.certificate c where c.erasure_id = e.erasure_id), 0)
	from dsar.erasure e
	where ($1::uuid is null or e.request_id = $1 or e.erasure_id = $1)
	order by e.erased_at desc, e.erasure_id
	limit $2`

// Erasures lists erasures, the newest first; with an id only those of that request or of
// that erasure.
func (s *CertificateStore) Erasures(ctx context.Context, id [16]byte, limit int) ([]certificate.Erased, error) {
	var only *[16]byte
	if id != ([16]byte{}) {
		only = &id
	}
	rows, err := s.db.pool.Query(ctx, sqlCertificateErasures, only, limit)
	if err != nil {
		return nil, fmt.Errorf("listing erasures: %w", translate(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (certificate.Erased, error) {
		var e certificate.Erased
		var erasure [16]byte
		var request *[16]byte
		var swept *time.Time
		if err := row.Scan(&erasure, &request, &e.ErasedAt, &swept, &e.Revision); err != nil {
			return e, err
		}
		e.ID = erasure
		if request != nil {
			e.Request = *request
		}
		if swept != nil {
			e.SweptAt = *swept
		}
		return e, nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing erasures: %w", translate(err))
	}
	return list, nil
}

func atOf(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return certificate.At(*t)
}
