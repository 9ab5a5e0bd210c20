package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

const sqlRunList = `
select r.run_id, r.room_id, r.consumer, r.question, r.datasets, r.cost, r.state, r.begun_at, e.digest, sha256(e.answer),
    case when octet_length(e.answer) <= 256 then e.answer end
from cleanroom.run r
left join cleanroom.release e on e.question = r.question and r.state in ('answered', 'repeated')
where $1 = '' or r.room_id = $1
order by r.run_id`

// RoomRuns lists what was charged and handed out, of a room, or of all if room is empty.
func (s *RoomStore) RoomRuns(ctx context.Context, room cleanroom.RoomID) ([]cleanroom.Told, error) {
	return queryAll(ctx, s.db, "listing what rooms have told", func(row pgx.CollectableRow) (cleanroom.Told, error) {
		var t cleanroom.Told
		var question, digest, hash, short []byte
		var datasets []string
		var at time.Time
		if err := row.Scan(&t.Run, &t.Room, &t.Consumer, &question, &datasets, &t.Cost, &t.State, &at, &digest, &hash, &short); err != nil {
			return t, err
		}
		if len(question) != len(t.Question) {
			return t, privacy.ErrDamaged
		}
		t.Question, t.At = audit.Digest(question), at.UTC()
		if len(digest) == len(t.Answer) && len(hash) == len(t.Stored) {
			t.Answer, t.Stored = audit.Digest(digest), audit.Digest(hash)
		}
		t.ReadActivation(short)
		for _, word := range datasets {
			ref, ok := parseDatasetWord(word)
			if !ok {
				return t, privacy.ErrDamaged
			}
			t.Datasets = append(t.Datasets, ref)
		}
		return t, nil
	}, sqlRunList, string(room))
}

const sqlBudgetList = `
select b.owner, b.dataset, b.cap, b.spent, b.consumer_cap, coalesce(c.consumer, ''), coalesce(c.spent, 0)
from cleanroom.budget b
left join cleanroom.consumer_budget c on c.owner = b.owner and c.dataset = b.dataset
order by b.owner, b.dataset, c.consumer`

// Accounts lists the budgets of all datasets, with a line for each consumer who has spent
// something, or one without a consumer.
func (s *RoomStore) Accounts(ctx context.Context) ([]cleanroom.Account, error) {
	return queryAll(ctx, s.db, "listing budgets", func(row pgx.CollectableRow) (a cleanroom.Account, err error) {
		err = row.Scan(&a.Dataset.Owner, &a.Dataset.Dataset, &a.Cap, &a.Spent, &a.ConsumerCap, &a.Consumer, &a.Consumed)
		return a, err
	}, sqlBudgetList)
}
