package postgres

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// EraseTags finds people who were erased, as the log says, and are there again: somebody has
// restored an older copy of their keys. The log names nobody; whoever has a person's key can
// compute the tag that the entry of their erasure bears.
type EraseTags struct {
	db    *DB
	vault *vault.Vault
}

// NewEraseTags looks in db with the keys of v.
func NewEraseTags(db *DB, v *vault.Vault) *EraseTags { return &EraseTags{db, v} }

// collectAtOnce is how many entries are gone through in one statement.
const collectAtOnce = 100_000

const sqlEraseTagCollect = `select up_to, size from audit.collect_erase_tags($1)`

const sqlEraseTagExist = `select exists (select from audit.erase_tag)`

// Collect copies the tags out of the entries that came since it was last called, and reports
// whether there are any. They outlive the entries.
func (s *EraseTags) Collect(ctx context.Context) (any bool, err error) {
	for {
		var upTo, size int64
		if err := s.db.pool.QueryRow(ctx, sqlEraseTagCollect, collectAtOnce).Scan(&upTo, &size); err != nil {
			return false, fmt.Errorf("collecting tags of erased people: %w", translate(err))
		}
		if upTo >= size {
			break
		}
	}
	if err := s.db.pool.QueryRow(ctx, sqlEraseTagExist).Scan(&any); err != nil {
		return false, fmt.Errorf("looking for tags of erased people: %w", translate(err))
	}
	return any, nil
}

const sqlEraseTagKeys = `
select data_subject_id, wrapped from keyring.person_key where data_subject_id > $1 order by data_subject_id limit $2`

const sqlEraseTagKnown = `
select p.place - 1 from unnest($1::bytea[]) with ordinality as p (tag, place) join audit.erase_tag t using (tag)`

// eraseTagPage is how many keys are opened at a time.
const eraseTagPage = 10_000

// heldKey is the sealed key of a person, and then the tag that follows from it.
type heldKey struct {
	id      privacy.DataSubjectID
	wrapped []byte
	tag     []byte
	damaged bool
}

// Returned looks at every key there is and hands those people to found, in order, whose erasure stands in
// the log. It returns how many it looked at, and how many keys do not open. Progress may be nil.
func (s *EraseTags) Returned(ctx context.Context, progress func(done int64), found func(privacy.DataSubjectID) error) (looked, damaged int64, err error) {
	for after := (privacy.DataSubjectID{}); ; {
		page, err := s.page(ctx, after)
		if err != nil || len(page) == 0 {
			return looked, damaged, err
		}
		s.open(page)
		tags := make([][]byte, len(page))
		for i := range page {
			if page[i].damaged {
				damaged++
			}
			tags[i] = page[i].tag
		}
		rows, err := s.db.pool.Query(ctx, sqlEraseTagKnown, tags)
		if err != nil {
			return looked, damaged, fmt.Errorf("comparing people with tags of erased ones: %w", translate(err))
		}
		back, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return looked, damaged, fmt.Errorf("comparing people with tags of erased ones: %w", translate(err))
		}
		for _, i := range back {
			if err := found(page[i].id); err != nil {
				return looked, damaged, err
			}
		}
		after, looked = page[len(page)-1].id, looked+int64(len(page))
		if progress != nil {
			progress(looked)
		}
	}
}

func (s *EraseTags) page(ctx context.Context, after privacy.DataSubjectID) ([]heldKey, error) {
	rows, err := s.db.pool.Query(ctx, sqlEraseTagKeys, [16]byte(after), eraseTagPage)
	if err != nil {
		return nil, fmt.Errorf("reading keys of people: %w", translate(err))
	}
	page, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k heldKey, err error) {
		return k, row.Scan((*[16]byte)(&k.id), &k.wrapped)
	})
	if err != nil {
		return nil, fmt.Errorf("reading keys of people: %w", translate(err))
	}
	return page, nil
}

// open computes the tags of a page with all processors.
func (s *EraseTags) open(page []heldKey) {
	workers := max(1, runtime.GOMAXPROCS(0))
	share := (len(page) + workers - 1) / workers
	var work sync.WaitGroup
	for i := range workers {
		part := page[min(i*share, len(page)):min((i+1)*share, len(page))]
		work.Go(func() {
			for i := range part {
				key, err := s.vault.OpenPersonKey(part[i].id, part[i].wrapped, vault.UseRestore)
				if err != nil {
					part[i].damaged = true
					continue
				}
				tag := key.Subject().Blinding.ErasedTag()
				part[i].tag = tag[:]
			}
		})
	}
	work.Wait()
}
