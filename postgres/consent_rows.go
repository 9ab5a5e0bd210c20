package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// consentRow is a record on its way into the ledger: the one place through which every row
// comes in, so that each has its date, its salt and its commitment.
type consentRow struct {
	record     consent.Record // what was asked; when it was added, or was there, as it stands
	commitment consent.Commitment
	outcome    rowOutcome
}

type rowOutcome uint8

const (
	rowAdded rowOutcome = iota
	rowDuplicate
	rowConflict
	rowNobody
	rowBusy // somebody else has the person's lock; only where it was not waited for
)

// The lock orders the choices of one person and holds off an erasure. It is a statement
// of its own, so that those after it see what was committed while it waited.
const sqlConsentLockPeople = `
select data_subject_id
from vault.data_subject
where data_subject_id = any ($1::uuid[]) and not erasing
order by data_subject_id
for no key update`

// Of those who are locked by somebody else nothing is said, as of those who are not there.
const sqlConsentLockFree = `
select data_subject_id
from vault.data_subject
where data_subject_id = any ($1::uuid[]) and not erasing
order by data_subject_id
for no key update skip locked`

const sqlConsentLast = `
select q.data_subject_id, q.purpose, max(r.effective_at)
from unnest($1::uuid[], $2::text[]) as q (data_subject_id, purpose)
join consent.record r on r.data_subject_id = q.data_subject_id and r.purpose = q.purpose
group by q.data_subject_id, q.purpose`

const sqlConsentByID = `
select data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, categories,
    notice_version, source, incentive, actor, guardian_verified, language, evidence_ref, jurisdiction,
    effective_at, recorded_at, valid_until, salt, commitment
from consent.record
where consent_id = any ($1::uuid[])`

const sqlConsentClock = `select clock_timestamp()`

const sqlConsentAddBatch = `
insert into consent.batch (batch_id, digest, row_count) values ($1, $2, $3)`

// Audiences do not see these people until their birth dates have been looked at again, and
// what they said as children was noted to have ended. A profile that is being made from what
// was there before is not stored: the change counts even if the profile was marked already.
const sqlConsentLate = `
with late as (
    select p.data_subject_id
    from gate.profile p
    where p.data_subject_id = any ($1::uuid[])
    order by p.data_subject_id
    for no key update
)
update gate.profile p
set changed = p.changed + 1, fresh_until = '-infinity'
from late l
where p.data_subject_id = l.data_subject_id`

// Lists of categories do not fit into unnest; they travel as text with a separator that
// no category can hold.
const sqlConsentAdd = `
insert into consent.record (
    data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, categories,
    notice_version, source, incentive, actor, guardian_verified, language, evidence_ref, jurisdiction,
    effective_at, recorded_at, valid_until, salt, commitment, batch_id, batch_position
)
select q.data_subject_id, q.consent_id, q.purpose, q.channel, q.action, q.legal_basis, q.explicit,
    string_to_array(q.categories, ','), q.notice_version, q.source, q.incentive, q.actor, q.guardian_verified,
    q.language, q.evidence_ref, q.jurisdiction, q.effective_at, q.recorded_at, q.valid_until, q.salt, q.commitment,
    $22::uuid, case when $22::uuid is not null then q.position - 1 end
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::text[],
    $9::text[], $10::text[], $11::boolean[], $12::text[], $13::boolean[], $14::text[], $15::text[], $16::text[],
    $17::timestamptz[], $18::timestamptz[], $19::timestamptz[], $20::bytea[], $21::bytea[]) with ordinality
    as q (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, categories,
    notice_version, source, incentive, actor, guardian_verified, language, evidence_ref, jurisdiction,
    effective_at, recorded_at, valid_until, salt, commitment, position)`

// addConsentRows adds rows in two round trips of the transaction: who is there and what is
// known, then the rows. Each row gets its outcome; what is not rowAdded was not added, and
// does not hinder the others. With a batch they get their places in it, and it is what the
// caller must say in the log; without one, each added row must have an entry whose List is
// its commitment. wait is whether people whom somebody else has locked are waited for.
//
// People are locked in the order of their ids, as everywhere.
func addConsentRows(ctx context.Context, tx pgx.Tx, db *DB, rows []*consentRow, batch *consentBatch, wait bool) error {
	known := ledgerKnown{people: map[privacy.DataSubjectID]bool{}, last: map[personPurpose]time.Time{}, rows: map[[16]byte]*consent.Record{}}
	if err := known.read(ctx, tx, rows, wait); err != nil {
		return err
	}
	var added []*consentRow
	for _, row := range rows {
		if row.outcome = known.place(&row.record, wait); row.outcome != rowAdded {
			continue
		}
		if _, err := rand.Read(row.record.Salt[:]); err != nil {
			return fmt.Errorf("drawing salt: %w", err)
		}
		row.commitment = row.record.Commitment()
		added = append(added, row)
	}
	if len(added) == 0 {
		return nil
	}
	present, err := insertConsentRows(ctx, tx, added, batch)
	if err != nil {
		return err
	}
	if err := db.leaveTx(ctx, tx, db.leaving(present, added)); err != nil {
		return err
	}
	if db.toldOfConsents == nil {
		return nil
	}
	records := make([]consent.Record, len(added))
	for i, row := range added {
		records[i] = row.record
	}
	return db.toldOfConsents(ctx, tx, records)
}

// TellConsents has tell called in every transaction that adds rows to the consent ledger,
// after them, with the records as they stand there: what it writes commits with them, and
// its error undoes them. It must be set before the first change.
func (db *DB) TellConsents(tell func(ctx context.Context, tx pgx.Tx, added []consent.Record) error) {
	db.toldOfConsents = tell
}

// consentBatch are rows that have one entry for all of them.
type consentBatch struct {
	id     [16]byte
	digest audit.Digest
}

// insertConsentRows writes rows, all of them new. It returns in which clean rooms those are
// who say no to anything.
func insertConsentRows(ctx context.Context, tx pgx.Tx, rows []*consentRow, in *consentBatch) (present []inRoom, err error) {
	n := len(rows)
	people, ids := make([][16]byte, n), make([][16]byte, n)
	purposes, channels, actions, bases, categories := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	notices, sources, actors, languages := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	evidence, jurisdictions := make([]string, n), make([]string, n)
	explicit, incentive, verified := make([]bool, n), make([]bool, n), make([]bool, n)
	effective, recorded, until := make([]time.Time, n), make([]time.Time, n), make([]*time.Time, n)
	salts, commitments := make([][]byte, n), make([][]byte, n)
	digest := consent.NewBatchDigest()
	for i, row := range rows {
		r := &row.record
		people[i], ids[i] = r.DataSubject, r.ID
		purposes[i], channels[i], actions[i], bases[i] = string(r.Purpose), string(r.Channel), string(r.Action), string(r.Basis)
		categories[i], notices[i], sources[i] = joined(r.Categories), r.NoticeVersion, r.Source
		actors[i], languages[i], evidence[i], jurisdictions[i] = string(r.Actor), r.Language, r.EvidenceRef, string(r.Jurisdiction)
		explicit[i], incentive[i], verified[i] = r.Explicit, r.Incentive, r.GuardianVerified
		effective[i], recorded[i], until[i] = r.EffectiveAt, r.RecordedAt, timeOrNull(r.ValidUntil)
		salts[i], commitments[i] = r.Salt[:], row.commitment[:]
		digest.Add(row.commitment)
	}
	batch := &pgx.Batch{}
	var id *[16]byte
	if in != nil {
		id, in.digest = &in.id, digest.Sum()
		batch.Queue(sqlConsentAddBatch, in.id, in.digest[:], n)
	}
	if late := lateYeses(rows); len(late) > 0 {
		batch.Queue(sqlConsentLate, late)
	}
	batch.Queue(sqlConsentAdd, people, ids, purposes, channels, actions, bases, explicit, categories,
		notices, sources, incentive, actors, verified, languages, evidence, jurisdictions,
		effective, recorded, until, salts, commitments, id)
	if people := nosOf(rows); len(people) > 0 {
		queueInRooms(batch, people, &present)
	}
	return present, translate(tx.SendBatch(ctx, batch).Close())
}

// lateYeses returns whom rows call for a profile anew: somebody of them said yes at a moment
// between which and now a childhood may have ended. Whether one has, only the birth date
// tells, which nobody opens here.
func lateYeses(rows []*consentRow) [][16]byte {
	var late [][16]byte
	seen := map[privacy.DataSubjectID]bool{}
	for _, row := range rows {
		r := &row.record
		if r.Action.IsYes() && !gate.AgesHold(r.EffectiveAt, r.RecordedAt) && !seen[r.DataSubject] {
			seen[r.DataSubject] = true
			late = append(late, r.DataSubject)
		}
	}
	return late
}

// personPurpose is what dates are counted for.
type personPurpose struct {
	person  privacy.DataSubjectID
	purpose privacy.Purpose
}

// ledgerKnown is what the ledger holds that decides what becomes of new rows. It is read
// while the people are locked, and follows what is added.
type ledgerKnown struct {
	people map[privacy.DataSubjectID]bool
	last   map[personPurpose]time.Time
	rows   map[[16]byte]*consent.Record
	now    time.Time
}

func (k *ledgerKnown) read(ctx context.Context, tx pgx.Tx, rows []*consentRow, wait bool) error {
	var people, ids, undated [][16]byte
	var purposes []string
	for _, row := range rows {
		r := &row.record
		if _, seen := k.people[r.DataSubject]; !seen {
			k.people[r.DataSubject] = false
			people = append(people, r.DataSubject)
		}
		ids = append(ids, r.ID)
		key := personPurpose{r.DataSubject, r.Purpose}
		if _, seen := k.last[key]; !seen && r.EffectiveAt.IsZero() {
			k.last[key] = time.Time{}
			undated, purposes = append(undated, r.DataSubject), append(purposes, string(r.Purpose))
		}
	}
	lock := sqlConsentLockFree
	if wait {
		lock = sqlConsentLockPeople
	}
	var person [16]byte
	batch := &pgx.Batch{}
	batch.Queue(lock, people).Query(each([]any{&person}, func() { k.people[person] = true }))
	if len(undated) > 0 {
		var purpose string
		var last time.Time
		batch.Queue(sqlConsentLast, undated, purposes).Query(each([]any{&person, &purpose, &last}, func() {
			k.last[personPurpose{person, privacy.Purpose(purpose)}] = last
		}))
	}
	batch.Queue(sqlConsentByID, ids).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			record, _, err := scanConsentRow(rows)
			if err != nil {
				return err
			}
			k.rows[record.ID] = &record
		}
		return rows.Err()
	})
	batch.Queue(sqlConsentClock).QueryRow(func(row pgx.Row) error { return row.Scan(&k.now) })
	return translate(tx.SendBatch(ctx, batch).Close())
}

// place decides what becomes of a record, and dates it if it is to be added: without a date
// after all of the same person and purpose, with one never after now. It is the database's
// clock that counts, which is one for all who write.
func (k *ledgerKnown) place(r *consent.Record, waited bool) rowOutcome {
	if there := k.rows[r.ID]; there != nil {
		if !there.SameContent(r) {
			return rowConflict
		}
		*r = *there
		return rowDuplicate
	}
	if !k.people[r.DataSubject] {
		if waited {
			return rowNobody
		}
		return rowBusy
	}
	if r.Actor == "" {
		r.Actor = consent.ByDataSubject
	}
	key := personPurpose{r.DataSubject, r.Purpose}
	last, counted := k.last[key]
	if r.EffectiveAt.IsZero() {
		r.EffectiveAt = k.now
		if !last.Before(k.now) {
			r.EffectiveAt = last.Add(time.Microsecond)
		}
	} else if r.EffectiveAt.After(k.now) {
		r.EffectiveAt = k.now
	}
	r.EffectiveAt = r.EffectiveAt.UTC().Truncate(time.Microsecond)
	r.RecordedAt = k.now.UTC()
	if r.RecordedAt.Before(r.EffectiveAt) {
		r.RecordedAt = r.EffectiveAt
	}
	if !r.ValidUntil.IsZero() {
		r.ValidUntil = r.ValidUntil.UTC().Truncate(time.Microsecond)
	}
	if counted && last.Before(r.EffectiveAt) {
		k.last[key] = r.EffectiveAt
	}
	stored := *r
	k.rows[r.ID] = &stored
	return rowAdded
}

// scanConsentRow reads a row of sqlConsentByID. commitment is nil in rows from before there
// was one. more are the columns behind.
func scanConsentRow(row pgx.CollectableRow, more ...any) (r consent.Record, commitment []byte, err error) {
	var categories []string
	var until *time.Time
	var salt []byte
	if err := row.Scan(append([]any{
		(*[16]byte)(&r.DataSubject), &r.ID, &r.Purpose, &r.Channel, &r.Action, &r.Basis, &r.Explicit, &categories,
		&r.NoticeVersion, &r.Source, &r.Incentive, &r.Actor, &r.GuardianVerified, &r.Language, &r.EvidenceRef, &r.Jurisdiction,
		&r.EffectiveAt, &r.RecordedAt, &until, &salt, &commitment,
	}, more...)...); err != nil {
		return r, nil, err
	}
	for _, c := range categories {
		r.Categories = append(r.Categories, privacy.DataCategory(c))
	}
	r.EffectiveAt, r.RecordedAt = r.EffectiveAt.UTC(), r.RecordedAt.UTC()
	if until != nil {
		r.ValidUntil = until.UTC()
	}
	copy(r.Salt[:], salt)
	return r, commitment, nil
}

func joined(categories []privacy.DataCategory) string {
	return strings.Join(texts(categories), ",")
}
