package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/notice"
	"github.com/mahrem/mahrem/privacy"
)

// NoticeStore keeps the notices that people are shown.
type NoticeStore struct {
	db  *DB
	log transactor

	// known are versions that were found registered: they never change, so that a yes, of
	// which there are thousands a second, asks the database once for each.
	mu    sync.RWMutex
	known map[string]consent.Shown
}

var (
	_ notice.Store    = (*NoticeStore)(nil)
	_ consent.Notices = (*NoticeStore)(nil)
)

// NewNoticeStore keeps notices in db, with entries in log.
func NewNoticeStore(db *DB, log *AuditLog) *NoticeStore {
	return &NoticeStore{db: db, log: log, known: map[string]consent.Shown{}}
}

// Publications follow one another: what is out of date is derived from all of them. Then each
// sees what was committed while it waited.
const sqlNoticeTurn = `select pg_advisory_xact_lock(7023616974105174126)`

const sqlNoticeAdd = `
insert into consent.notice (notice_version, family, material, effective_from, digest)
values ($1, $2, $3, $4, $5)
on conflict (notice_version) do nothing
returning published_at`

// The rest of a notice is written only if its version is new.
const (
	sqlNoticeAddTexts = `
insert into consent.notice_text (digest, body)
select t.digest, t.body
from unnest($1::bytea[], $2::text[]) as t (digest, body)
on conflict (digest) do nothing`
	sqlNoticeAddLanguages = `
insert into consent.notice_language (notice_version, language, digest)
select $1, t.language, t.digest
from unnest($2::text[], $3::bytea[]) as t (language, digest)`
	sqlNoticeAddPurposes = `
insert into consent.notice_purpose (notice_version, purpose)
select $1, t.purpose
from unnest($2::text[]) as t (purpose)`
	sqlNoticeDerive = `select consent.derive_stale_notices()`
)

// errStands ends a publication of a version that is there.
var errStands = fmt.Errorf("the version is published: %w", privacy.ErrConflict)

// Publish implements [notice.Store].
func (s *NoticeStore) Publish(ctx context.Context, n notice.Notice, event audit.Event) (audit.Receipt, notice.Notice, error) {
	stands := false
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		stands = false
		if _, err := tx.Exec(ctx, sqlNoticeTurn); err != nil {
			return translate(err)
		}
		digest := n.Digest()
		err := tx.QueryRow(ctx, sqlNoticeAdd, n.Version, n.Family, n.Material, n.EffectiveFrom, digest[:]).Scan(&n.PublishedAt)
		if err == pgx.ErrNoRows { //nolint:errorlint // the driver returns it as it is
			stands = true
			return errStands
		}
		if err != nil {
			return translate(err)
		}
		languages, bodies, digests := make([]string, len(n.Texts)), make([]string, len(n.Texts)), make([][]byte, len(n.Texts))
		for i := range n.Texts {
			languages[i], bodies[i], digests[i] = n.Texts[i].Language, n.Texts[i].Body, n.Texts[i].Digest[:]
		}
		batch := &pgx.Batch{}
		batch.Queue(sqlNoticeAddTexts, digests, bodies)
		batch.Queue(sqlNoticeAddLanguages, n.Version, languages, digests)
		batch.Queue(sqlNoticeAddPurposes, n.Version, texts(n.Purposes))
		batch.Queue(sqlNoticeDerive)
		return translate(tx.SendBatch(ctx, batch).Close())
	})
	if stands {
		standing, err := s.Notice(ctx, n.Version)
		return audit.Receipt{}, standing, err
	}
	if err != nil {
		return audit.Receipt{}, notice.Notice{}, fmt.Errorf("keeping a notice: %w", err)
	}
	n.PublishedAt = n.PublishedAt.UTC()
	return receipt, n, nil
}

const sqlNoticeRead = `
select n.notice_version, n.family, n.material, n.effective_from, n.published_at, n.digest,
    array(select p.purpose from consent.notice_purpose p where p.notice_version = n.notice_version order by p.purpose collate "C"),
    array(select l.language from consent.notice_language l where l.notice_version = n.notice_version order by l.language collate "C"),
    array(select l.digest from consent.notice_language l where l.notice_version = n.notice_version order by l.language collate "C"),
    array(
        select t.body
        from consent.notice_language l
        join consent.notice_text t on t.digest = l.digest
        where l.notice_version = n.notice_version
        order by l.language collate "C"
    )
from consent.notice n
where n.notice_version = $1`

// Notice implements [notice.Store].
func (s *NoticeStore) Notice(ctx context.Context, version string) (notice.Notice, error) {
	rows, err := s.db.pool.Query(ctx, sqlNoticeRead, version)
	if err != nil {
		return notice.Notice{}, fmt.Errorf("reading a notice: %w", translate(err))
	}
	n, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (notice.Notice, error) { return scanNotice(row, true) })
	if err != nil {
		return notice.Notice{}, fmt.Errorf("reading a notice: %w", translate(err))
	}
	return n, nil
}

const sqlNoticeList = `
select n.notice_version, n.family, n.material, n.effective_from, n.published_at, n.digest,
    array(select p.purpose from consent.notice_purpose p where p.notice_version = n.notice_version order by p.purpose collate "C"),
    array(select l.language from consent.notice_language l where l.notice_version = n.notice_version order by l.language collate "C"),
    array(select l.digest from consent.notice_language l where l.notice_version = n.notice_version order by l.language collate "C")
from consent.notice n
order by n.effective_from, n.notice_version collate "C"`

// Notices implements [notice.Store].
func (s *NoticeStore) Notices(ctx context.Context) ([]notice.Notice, error) {
	rows, err := s.db.pool.Query(ctx, sqlNoticeList)
	if err != nil {
		return nil, fmt.Errorf("listing notices: %w", translate(err))
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (notice.Notice, error) { return scanNotice(row, false) })
	if err != nil {
		return nil, fmt.Errorf("listing notices: %w", translate(err))
	}
	return all, nil
}

// scanNotice reads a notice and refuses one that is not what was published.
func scanNotice(row pgx.CollectableRow, whole bool) (notice.Notice, error) {
	var n notice.Notice
	var digest []byte
	var purposes, languages, bodies []string
	var digests [][]byte
	into := []any{&n.Version, &n.Family, &n.Material, &n.EffectiveFrom, &n.PublishedAt, &digest, &purposes, &languages, &digests}
	if whole {
		into = append(into, &bodies)
	}
	if err := row.Scan(into...); err != nil {
		return n, err
	}
	if len(digests) != len(languages) || whole && len(bodies) != len(languages) {
		return n, fmt.Errorf("a text is missing: %w", privacy.ErrDamaged)
	}
	n.EffectiveFrom, n.PublishedAt = n.EffectiveFrom.UTC(), n.PublishedAt.UTC()
	for _, purpose := range purposes {
		n.Purposes = append(n.Purposes, privacy.Purpose(purpose))
	}
	for i, language := range languages {
		text := notice.Text{Language: language}
		if len(digests[i]) != sha256.Size {
			return n, fmt.Errorf("a digest is cut: %w", privacy.ErrDamaged)
		}
		text.Digest = [sha256.Size]byte(digests[i])
		if whole {
			if text.Body = bodies[i]; sha256.Sum256([]byte(text.Body)) != text.Digest {
				return n, fmt.Errorf("a text is another one: %w", privacy.ErrDamaged)
			}
		}
		n.Texts = append(n.Texts, text)
	}
	if computed := n.Digest(); [sha256.Size]byte(digest) != computed {
		return n, fmt.Errorf("it is not what was published: %w", privacy.ErrDamaged)
	}
	return n, nil
}

const sqlNoticeShown = `
select exists (select from consent.notice), n.effective_from,
    array(select l.language from consent.notice_language l where l.notice_version = n.notice_version)
from (select) one
left join consent.notice n on n.notice_version = $1`

// Shown implements [consent.Notices].
func (s *NoticeStore) Shown(ctx context.Context, version string) (consent.Shown, error) {
	s.mu.RLock()
	shown, ok := s.known[version]
	s.mu.RUnlock()
	if ok {
		return shown, nil
	}
	var from *time.Time
	if err := s.db.pool.QueryRow(ctx, sqlNoticeShown, version).Scan(&shown.Kept, &from, &shown.Languages); err != nil {
		return consent.Shown{}, fmt.Errorf("looking for a notice: %w", translate(err))
	}
	if from == nil {
		return shown, nil
	}
	shown.Known, shown.EffectiveFrom = true, from.UTC()
	s.mu.Lock()
	s.known[version] = shown
	s.mu.Unlock()
	return shown, nil
}
