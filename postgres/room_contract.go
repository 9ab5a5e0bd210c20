package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// Whoever files a version of a contract, and whoever charges, holds the row of the budget.
const sqlBudgetOfDataset = `
select b.spent
from cleanroom.budget b
where b.owner = $1 and b.dataset = $2
for update of b`

const sqlBudgetAdd = `
insert into cleanroom.budget (owner, dataset, cap, consumer_cap)
values ($1, $2, $3, $4)`

const sqlBudgetCap = `
update cleanroom.budget
set cap = $3, consumer_cap = $4, floor = spent
where owner = $1 and dataset = $2`

const sqlConsumerCap = `
update cleanroom.consumer_budget
set cap = $3, floor = spent
where owner = $1 and dataset = $2`

const sqlContractAdd = `
insert into cleanroom.contract (owner, dataset, version, note, verifier, digest, raised_because, added_at)
select $1, $2, $3, $4, p.verifier, $6, $7, clock_timestamp()
from cleanroom.party p
where p.party_id = $1 and p.verifier = $5 and p.removed_at is null
    and coalesce((select max(c.version) from cleanroom.contract c where c.owner = $1 and c.dataset = $2), 0) = $3 - 1
for share of p
returning added_at`

// AddContract implements [cleanroom.Registry].
func (s *RoomStore) AddContract(ctx context.Context, filed *cleanroom.FiledContract, event audit.Event) (audit.Receipt, error) {
	c := filed.Contract
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		owner, dataset := string(c.Owner), string(c.Dataset)
		var spent cleanroom.Rho
		switch err := tx.QueryRow(ctx, sqlBudgetOfDataset, owner, dataset).Scan(&spent); {
		case errors.Is(err, pgx.ErrNoRows):
			if _, err := tx.Exec(ctx, sqlBudgetAdd, owner, dataset, c.Cap, c.ConsumerCap); err != nil {
				return translate(err)
			}
		case err != nil:
			return translate(err)
		default:
			if _, err := tx.Exec(ctx, sqlBudgetCap, owner, dataset, c.Cap, c.ConsumerCap); err != nil {
				return translate(err)
			}
			if _, err := tx.Exec(ctx, sqlConsumerCap, owner, dataset, c.ConsumerCap); err != nil {
				return translate(err)
			}
		}
		err := tx.QueryRow(ctx, sqlContractAdd, owner, dataset, c.Version, filed.Note, filed.Verifier, filed.Digest[:],
			optionalText(filed.RaisedBecause)).Scan(&filed.AddedAt)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("its version is not the next one, or its owner takes no part any more: %w", privacy.ErrConflict)
		}
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("filing contract: %w", err)
	}
	filed.AddedAt = filed.AddedAt.UTC()
	return receipt, nil
}

func readContract(row pgx.CollectableRow) (*cleanroom.FiledContract, error) {
	var r contractRow
	if err := row.Scan(&r.owner, &r.dataset, &r.version, &r.note, &r.verifier, &r.digest, &r.raised, &r.added); err != nil {
		return nil, err
	}
	return r.open()
}

// contractRow is a contract as the table has it.
type contractRow struct {
	owner, dataset, verifier string
	version                  int
	note, digest             []byte
	raised                   *string
	added                    time.Time
}

// open checks the signature again: a table is no place to trust.
func (r *contractRow) open() (*cleanroom.FiledContract, error) {
	key, err := cleanroom.ParseVerifier(r.verifier, cleanroom.PartyID(r.owner))
	if err != nil {
		return nil, fmt.Errorf("reading contract: %w: %w", privacy.ErrDamaged, err)
	}
	opened, err := cleanroom.OpenContract(r.note, key)
	if err != nil {
		return nil, fmt.Errorf("reading contract: %w: %w", privacy.ErrDamaged, err)
	}
	c := opened.Contract
	if string(c.Owner) != r.owner || string(c.Dataset) != r.dataset || c.Version != r.version || !bytes.Equal(opened.Digest[:], r.digest) {
		return nil, fmt.Errorf("reading contract: it is another one than its row says: %w", privacy.ErrDamaged)
	}
	filed := &cleanroom.FiledContract{SignedContract: *opened, Verifier: r.verifier, AddedAt: r.added.UTC()}
	if r.raised != nil {
		filed.RaisedBecause = *r.raised
	}
	return filed, nil
}

// contractColumns are what readContract reads of a contract c.
const contractColumns = `c.owner, c.dataset, c.version, c.note, c.verifier, c.digest, c.raised_because, c.added_at`

// contractInForce is where a contract c is its dataset's newest, and signed by a key that its
// party still has.
const contractInForce = `c.version = (select max(newest.version) from cleanroom.contract newest where newest.owner = c.owner and newest.dataset = c.dataset)
    and exists (select from cleanroom.party p where p.party_id = c.owner and p.verifier = c.verifier and p.removed_at is null)`

const sqlContractVersions = `
select ` + contractColumns + `
from cleanroom.contract c
where c.owner = $1 and c.dataset = $2
order by c.version desc`

// Contracts implements [cleanroom.Registry].
func (s *RoomStore) Contracts(ctx context.Context, dataset cleanroom.DatasetRef) ([]*cleanroom.FiledContract, error) {
	return queryAll(ctx, s.db, "reading contracts", readContract, sqlContractVersions, string(dataset.Owner), string(dataset.Dataset))
}

const sqlContractInForce = `
select ` + contractColumns + `
from cleanroom.contract c
where ` + contractInForce + `
order by c.owner, c.dataset`

// ContractsInForce implements [cleanroom.Registry].
func (s *RoomStore) ContractsInForce(ctx context.Context) ([]*cleanroom.FiledContract, error) {
	return queryAll(ctx, s.db, "reading contracts", readContract, sqlContractInForce)
}

const sqlContractOfRoom = `
select ` + contractColumns + `
from cleanroom.room_dataset d
join cleanroom.contract c on c.owner = d.owner and c.dataset = d.dataset
where d.room_id = $1
    and ` + contractInForce + `
order by c.owner, c.dataset`

// ContractsOf implements [cleanroom.Rooms]. What a party had signed that was removed is in
// force no more, also when it is back: a key is taken back because nobody should trust it.
func (s *RoomStore) ContractsOf(ctx context.Context, room cleanroom.RoomID) ([]*cleanroom.SignedContract, error) {
	filed, err := queryAll(ctx, s.db, "reading contracts of a room", readContract, sqlContractOfRoom, string(room))
	if err != nil {
		return nil, err
	}
	signed := make([]*cleanroom.SignedContract, len(filed))
	for i, f := range filed {
		signed[i] = &f.SignedContract
	}
	return signed, nil
}
