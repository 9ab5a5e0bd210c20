package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

var dpo = privacy.Principal{ID: "dpo@example", Role: privacy.RoleDPO}

func newEraser(t testing.TB, store *EraseStore, config dsar.Config) *dsar.Eraser {
	t.Helper()
	eraser, err := dsar.New(store, config)
	if err != nil {
		t.Fatal(err)
	}
	return eraser
}

func TestErase(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	log := newAuditLog(t, db, auditConfig())
	store := NewEraseStore(NewVaultStore(db, keys.Vault()), log)
	gone, stays := addPerson(t, database, keys.Vault(), "ayşe"), addPerson(t, database, keys.Vault(), "jana")
	subject := gone.key.Subject()
	var forgotten []privacy.DataSubjectID
	eraser := newEraser(t, store, dsar.Config{Forget: func(id privacy.DataSubjectID) { forgotten = append(forgotten, id) }})

	for _, principal := range []privacy.Principal{
		{ID: "s", Role: privacy.RoleService, Recipient: "shop"},
		{ID: "a", Role: privacy.RoleAuditor},
		{ID: "i", Role: privacy.RoleIngest},
		{Role: privacy.RoleDPO},
		{},
	} {
		if _, err := eraser.Erase(t.Context(), principal, gone.id); !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("role %q erases: %v, want ErrForbidden", principal.Role, err)
		}
	}

	result, err := eraser.Erase(t.Context(), dpo, gone.id)
	if err != nil {
		t.Fatal(err)
	}
	want := dsar.Counts{Keys: 1, Identifiers: 3, Records: 1, Chunks: 3, Fingerprints: 3, Consents: 1, Exposures: 1}
	if diff := cmp.Diff(want, result.Counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if len(forgotten) != 1 || forgotten[0] != gone.id {
		t.Errorf("caches were told %d times", len(forgotten))
	}

	// The entry was tagged under the key that went with it: whoever kept the key could
	// still link it, and the database no longer can.
	entry := readEntry(t, db, result.Receipt.Index())
	if entry.Kind != audit.PersonErased || entry.Person != subject.Blinding.ErasedTag() {
		t.Errorf("the entry says %s, and is about the erased person: %t", entry.Kind, entry.Person == subject.Blinding.ErasedTag())
	}

	// Unknown afterwards, by every identifier and by id.
	for _, identifier := range gone.identifiers {
		if _, err := store.ResolveIdentifier(t.Context(), identifier); !errors.Is(err, privacy.ErrNotFound) {
			t.Errorf("resolving %s of an erased person: %v, want ErrNotFound", identifier.Kind, err)
		}
	}
	if _, err := store.PersonKey(t.Context(), gone.id); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("key of an erased person: %v, want ErrNotFound", err)
	}
	if _, err := store.Person(t.Context(), gone.id); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("an erased person: %v, want ErrNotFound", err)
	}

	// A copy of the sealed data, made before, opens under no key that is left.
	survivor, err := store.PersonKey(t.Context(), stays.id)
	if err != nil {
		t.Fatal(err)
	}
	fresh, _, err := keys.Vault().NewPersonKey(gone.id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := survivor.OpenRecord("contact", 1, gone.sealed); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("another person's key opens the copy: %v", err)
	}
	if _, err := fresh.OpenRecord("contact", 1, gone.sealed); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a new key for the same id opens the copy: %v", err)
	}

	// Nobody else lost anything, and erasing again finds nobody and logs nothing.
	if err := readAll(t.Context(), store.VaultStore, stays.id); err != nil {
		t.Errorf("the other person: %v", err)
	}
	if _, err := eraser.Erase(t.Context(), dpo, gone.id); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("erasing twice: %v, want ErrNotFound", err)
	}
	if got := countEntries(t, db); got != result.Receipt.Index()+1 {
		t.Errorf("the log has %d entries, want %d", got, result.Receipt.Index()+1)
	}
}

// TestEraseReachesEveryTable: a table that has rows of people, is not named in
// vault.shred or vault.sweep and does not go with the person's own row fails here.
func TestEraseReachesEveryTable(t *testing.T) {
	t.Parallel()
	_, database := newDB(t)
	pool := database.OwnerPool(t)
	var source string
	if err := pool.QueryRow(t.Context(), `select string_agg(prosrc, ' ') from pg_proc where oid in ('vault.shred(uuid, uuid, uuid, bytea, bytea, bigint, bigint)'::regprocedure, 'vault.sweep(integer, uuid)'::regprocedure)`).Scan(&source); err != nil {
		t.Fatal(err)
	}
	for _, table := range personTables(t, database) {
		var cascades bool
		if err := pool.QueryRow(t.Context(), `select exists (select from pg_constraint
			where conrelid = $1::regclass and confrelid = 'vault.data_subject'::regclass and contype = 'f' and confdeltype = 'c')`, table).Scan(&cascades); err != nil {
			t.Fatal(err)
		}
		if !cascades && !strings.Contains(source, "delete from "+table+" ") {
			t.Errorf("neither vault.shred nor vault.sweep deletes from %s", table)
		}
	}
}

func TestEraseLeavesNoRow(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	store := NewEraseStore(NewVaultStore(db, keys.Vault()), newAuditLog(t, db, auditConfig()))
	p := addPerson(t, database, keys.Vault(), "ayşe")
	pool := database.OwnerPool(t)
	count := func(table string) (n int) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), `select count(*) from `+table+` where data_subject_id = $1`, [16]byte(p.id)).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, table := range personTables(t, database) {
		if count(table) == 0 {
			t.Errorf("addPerson puts nothing into %s, so erasing it is not tested", table)
		}
	}
	if _, err := newEraser(t, store, dsar.Config{}).Erase(t.Context(), dpo, p.id); err != nil {
		t.Fatal(err)
	}
	for _, table := range personTables(t, database) {
		if n := count(table); n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
	if strings.Contains(database.Dump(t), p.id.Reveal()) {
		t.Error("a dump still names the person")
	}
}

func TestEraseIsAllOrNothing(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	log := newAuditLog(t, db, auditConfig())
	p := addPerson(t, database, keys.Vault(), "ayşe")
	before := countEntries(t, db)
	failing := &EraseStore{VaultStore: NewVaultStore(db, keys.Vault()), log: failingLog{log}}
	if _, err := newEraser(t, failing, dsar.Config{}).Erase(t.Context(), dpo, p.id); !errors.Is(err, privacy.ErrUnavailable) {
		t.Fatalf("erasing while the log fails: %v, want ErrUnavailable", err)
	}
	if err := readAll(t.Context(), failing.VaultStore, p.id); err != nil {
		t.Errorf("the person is gone although nothing was logged: %v", err)
	}
	if after := countEntries(t, db); after != before {
		t.Errorf("the log has an entry for what did not happen")
	}
}

// failingLog fails after the change has been made, inside its transaction.
type failingLog struct{ log *AuditLog }

func (f failingLog) AppendTx(ctx context.Context, event audit.Event, change func(ctx context.Context, tx pgx.Tx) error) (audit.Receipt, error) {
	return f.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		if err := change(ctx, tx); err != nil {
			return err
		}
		return fmt.Errorf("appending entry: %w", privacy.ErrUnavailable)
	})
}

func TestEraseAtOnceHappensOnce(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	store := NewEraseStore(NewVaultStore(db, keys.Vault()), newAuditLog(t, db, auditConfig()))
	p := addPerson(t, database, keys.Vault(), "ayşe")
	before := countEntries(t, db)
	eraser := newEraser(t, store, dsar.Config{})
	var mu sync.Mutex
	var done int
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, err := eraser.Erase(t.Context(), dpo, p.id)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				done++
			case !errors.Is(err, privacy.ErrNotFound):
				t.Errorf("erasing at once: %v", err)
			}
		})
	}
	group.Wait()
	if after := countEntries(t, db); done != 1 || after != before+1 {
		t.Errorf("erased %d times, logged %d times, want once", done, after-before)
	}
}

// TestEraseBesideAWriter: a writer that was about to add to the person loses, whatever
// the order, and leaves nothing behind.
func TestEraseBesideAWriter(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	keys := newKeys(t)
	store := NewEraseStore(NewVaultStore(db, keys.Vault()), newAuditLog(t, db, auditConfig()))
	p := addPerson(t, database, keys.Vault(), "ayşe")
	writer, err := database.Pool(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const add = `insert into vault.identifier (data_subject_id, kind, blind_index) values ($1, 'email', $2)`
	index, _ := keys.Vault().BlindIndex(privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("second@example.com")})
	if _, err := writer.Exec(t.Context(), add, [16]byte(p.id), index); err != nil {
		t.Fatal(err)
	}
	erased := make(chan error, 1)
	go func() {
		_, err := newEraser(t, store, dsar.Config{}).Erase(t.Context(), dpo, p.id)
		erased <- err
	}()
	waitForLock(t, database)
	if err := writer.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-erased; err != nil {
		t.Fatal(err)
	}
	if _, err := database.Pool(t).Exec(t.Context(), add, [16]byte(p.id), index); err == nil {
		t.Error("a late writer adds to somebody who is gone")
	}
	if _, err := store.Resolve(t.Context(), privacy.Email, [][]byte{index}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("the row that was written meanwhile: %v, want ErrNotFound", err)
	}
}

// TestEraseOfBrokenKey: a key that does not open, or is lost, keeps nobody from being
// erased.
func TestEraseOfBrokenKey(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"damaged": `update keyring.person_key set wrapped = set_byte(wrapped, 40, 255 - get_byte(wrapped, 40))`,
		"lost":    `delete from keyring.person_key`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, database := newDB(t)
			keys := newKeys(t)
			store := NewEraseStore(NewVaultStore(db, keys.Vault()), newAuditLog(t, db, auditConfig()))
			p := addPerson(t, database, keys.Vault(), "ayşe")
			if _, err := database.OwnerPool(t).Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			result, err := newEraser(t, store, dsar.Config{}).Erase(t.Context(), dpo, p.id)
			if err != nil || result.Counts.Records != 1 {
				t.Errorf("erased %+v, %v", result.Counts, err)
			}
		})
	}
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
	for range 500 {
		var waiting bool
		err := pool.QueryRow(t.Context(), `select exists (select from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock' and query like '%vault.shred%')`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting {
			return
		}
		time.Sleep(10 * time.Millisecond)
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
