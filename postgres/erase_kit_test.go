package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// memoryLedger is an erasure ledger that a test can look into and break.
type memoryLedger struct {
	mu    sync.Mutex
	lines []dsar.LedgerRecord
	// broken, if set, is what Record fails with; wrote whether the line stands all the same.
	broken error
	wrote  bool
}

func (l *memoryLedger) Record(_ context.Context, record dsar.LedgerRecord) (dsar.LedgerPosition, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil || l.wrote {
		l.lines = append(l.lines, record)
	}
	return l.position(len(l.lines)), l.broken
}

func (l *memoryLedger) position(n int) dsar.LedgerPosition {
	return dsar.LedgerPosition{Sequence: uint64(n), LineHash: sha256.Sum256(binary.AppendUvarint(nil, uint64(n)))}
}

func (l *memoryLedger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// erasing is a room in which people are erased.
type erasing struct {
	*dsar.Eraser
	db       *DB
	database *pgtest.Database
	vault    *vault.Vault
	log      *AuditLog
	store    *EraseStore
	requests *dsar.Service
	ledger   *memoryLedger
	config   dsar.EraseConfig
}

func newErasing(t testing.TB, config dsar.EraseConfig) *erasing {
	t.Helper()
	db, database := newDB(t)
	v := newKeys(t).Vault()
	audits := auditConfig()
	audits.Actor = v.ActorTag
	log := newAuditLog(t, db, audits)
	people := NewVaultStore(db, v)
	e := &erasing{db: db, database: database, vault: v, log: log, ledger: &memoryLedger{}, config: config}
	e.store = NewEraseStore(people, log, EraseStoreConfig{})
	var err error
	if e.requests, err = dsar.NewService(NewRequestStore(db, log), people, v, log, dsar.ServiceConfig{}); err != nil {
		t.Fatal(err)
	}
	e.rebuild(t)
	return e
}

// rebuild makes the eraser of what the room has now.
func (e *erasing) rebuild(t testing.TB) {
	t.Helper()
	var err error
	e.Eraser, err = dsar.NewEraser(dsar.EraseRooms{
		Store: e.store, Requests: e.requests, Ledger: e.ledger, Vault: e.vault, Log: e.log,
		Categories: func() []privacy.DataCategory { return []privacy.DataCategory{"contact", "purchases", "health"} },
	}, e.config)
	if err != nil {
		t.Fatal(err)
	}
}

func (e *erasing) person(t testing.TB, name string) heldPerson {
	t.Helper()
	return addPersonWith(t, e.db.pool, e.vault, name)
}

// request opens a request for erasure and proves the identity.
func (e *erasing) request(t testing.TB, p heldPerson) dsar.RequestID {
	t.Helper()
	opened, err := e.requests.Open(t.Context(), dpo, dsar.Opening{
		Kind: dsar.Erasure, Jurisdiction: "TR", Language: "tr", Identifiers: p.identifiers[:1], Via: dsar.ViaCLI,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.requests.Verify(t.Context(), dpo, opened.Request.ID, dsar.ProofJudgement, privacy.NewPlain("")); err != nil {
		t.Fatal(err)
	}
	return opened.Request.ID
}

// approved opens a request and has its plan approved by two.
func (e *erasing) approved(t testing.TB, p heldPerson) dsar.RequestID {
	t.Helper()
	id := e.request(t, p)
	e.approve(t, id)
	return id
}

func (e *erasing) approve(t testing.TB, id dsar.RequestID) {
	t.Helper()
	planned, err := e.Plan(t.Context(), dpo, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []privacy.Principal{dpo, second}[:e.Approvers()] {
		if _, err := e.Approve(t.Context(), by, id, planned.Hash); err != nil {
			t.Fatal(err)
		}
	}
}

// erase erases somebody, from the request to the last row.
func (e *erasing) erase(t testing.TB, p heldPerson) dsar.ErasureRecord {
	t.Helper()
	record, err := e.Erase(t.Context(), dpo, e.approved(t, p))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Sweep(t.Context(), record.ID, nil); err != nil {
		t.Fatal(err)
	}
	return record
}

// eraseAtOnce erases somebody for a test that is about something else, without a request.
func eraseAtOnce(t testing.TB, people *VaultStore, log *AuditLog, id privacy.DataSubjectID) {
	t.Helper()
	list, err := people.vault.SealHouse(dsar.WithheldLabel, []byte("[]"))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = NewEraseStore(people, log, EraseStoreConfig{}).Shred(t.Context(), dsar.ShredOrder{
		Erasure: dsar.ErasureID(id), Person: id, Forced: true, List: list,
		Event:    audit.Event{Kind: audit.PersonErased, Outcome: audit.Done, Principal: dpo, Subject: audit.Subject{Unknown: true}},
		Suppress: func(i dsar.HeldIdentifier) [16]byte { return people.vault.SuppressionTag(i.Kind, i.BlindIndex) },
		Record: func(context.Context, [][16]byte) (dsar.LedgerPosition, error) {
			return dsar.LedgerPosition{Sequence: uint64(id[0])<<8 | uint64(id[1])}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func mustBeRefused(t testing.TB, err error, check dsar.Check) {
	t.Helper()
	refusal, ok := errors.AsType[*dsar.Refusal](err)
	if !ok || refusal.Check != string(check) {
		t.Fatalf("got %v, want a refusal by %s", err, check)
	}
}

func (e *erasing) lastEntry(t testing.TB) audit.Entry {
	t.Helper()
	return readEntry(t, e.db, countEntries(t, e.db)-1)
}

// setHold puts a hold on a person, on everything or on one scope, as somebody who comes
// from outside would: with the row locked.
func (e *erasing) setHold(t testing.TB, p heldPerson, scope *[16]byte) [16]byte {
	t.Helper()
	var id [16]byte
	_, _ = rand.Read(id[:])
	err := pgx.BeginFunc(t.Context(), e.db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select 1 from vault.data_subject where data_subject_id = $1 for update`, [16]byte(p.id)); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), `insert into dsar.hold (hold_id, scope, reason, authority, set_by, set_at) values ($1, $2, 'litigation', 'test/1', $3, now())`,
			id, scope, make([]byte, 16)); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), `insert into dsar.hold_person (hold_id, data_subject_id) values ($1, $2)`, id, [16]byte(p.id))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (e *erasing) releaseHold(t testing.TB, id [16]byte) {
	t.Helper()
	if _, err := e.db.pool.Exec(t.Context(), `update dsar.hold set released_at = now(), released_by = set_by, release_reason = 'concluded' where hold_id = $1`, id); err != nil {
		t.Fatal(err)
	}
}

// withheld reads what is withheld.
func (e *erasing) withheld(t testing.TB) []dsar.SealedWithheld {
	t.Helper()
	rows, err := e.db.pool.Query(t.Context(), `select w.withheld_id, w.hold_id, w.sealed, k.wrapped,
		array(select p.sealed from dsar.withheld_part p where p.withheld_id = w.withheld_id order by p.part)
		from dsar.withheld w join keyring.withheld_key k on k.withheld_id = w.withheld_id`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (dsar.SealedWithheld, error) {
		var w dsar.SealedWithheld
		var hold *[16]byte
		err := row.Scan(&w.ID, &hold, &w.Head, &w.Wrapped, &w.Parts)
		if hold != nil {
			w.Hold = *hold
		}
		return w, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// personTables lists the tables that have rows of people.
func personTables(t testing.TB, database *pgtest.Database) []string {
	t.Helper()
	rows, err := database.OwnerPool(t).Query(t.Context(), `
		select n.nspname || '.' || c.relname
		from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
		where a.attname = 'data_subject_id' and c.relkind in ('r', 'p') and not c.relispartition
		  and n.nspname <> 'dsar' -- requests and holds outlive a person
		order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 8 {
		t.Fatalf("found tables %v, %v", tables, err)
	}
	return tables
}

// waitForLock returns when some statement of the database waits for a lock.
func waitForLock(t testing.TB, database *pgtest.Database) {
	t.Helper()
	pool := database.OwnerPool(t)
	for until := time.Now().Add(5 * time.Minute); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		var waiting bool
		err := pool.QueryRow(t.Context(), `select exists (select from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock' and query like '%for update%')`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting {
			return
		}
	}
	t.Fatal("nothing waits for the lock")
}

func readEntry(t testing.TB, db *DB, index uint64) audit.Entry {
	t.Helper()
	stored, err := readEntries(t.Context(), db.pool, index, 1)
	if err != nil || len(stored) != 1 {
		t.Fatalf("reading entry %d: %d found, %v", index, len(stored), err)
	}
	entry, err := audit.ParseEntry(stored[0].Leaf)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

func countEntries(t testing.TB, db *DB) uint64 {
	t.Helper()
	size, _, err := readHead(t.Context(), db.pool)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

var (
	dpo    = privacy.Principal{ID: "dpo@example", Role: privacy.RoleDPO}
	second = privacy.Principal{ID: "second@example", Role: privacy.RoleDPO}
)
