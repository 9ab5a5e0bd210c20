package assembly

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// peopleTables are what a restore of the people brings back, in the order in which the rows
// need one another.
var peopleTables = []string{"vault.data_subject", "keyring.person_key", "vault.identifier", "vault.sealed_record"}

// loadPeople loads people with the customer numbers K-0, K-1, … and returns who they are.
func loadPeople(t *testing.T, house *House, n int) []privacy.DataSubjectID {
	t.Helper()
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"identifiers":[{"kind":"customer_number","value":"K-%d"}],"jurisdiction":"CZ","attributes":{"first_name":"Jana"}}`+"\n", i)
	}
	result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(lines.String()), intake.StreamOptions{Principal: Operator("tester")})
	if err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	ids := make([]privacy.DataSubjectID, n)
	for i := range ids {
		if ids[i], err = house.People.ResolveIdentifier(t.Context(), customer(i)); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

func customer(i int) privacy.Identifier {
	return privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(fmt.Sprintf("K-%d", i))}
}

func mustExec(t *testing.T, pool *pgxpool.Pool, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// TestErasedPeopleAreErasedAgain: whoever was erased and is in the database again is found by
// the log alone and erased again, whatever was restored and whatever the ledger knows.
func TestErasedPeopleAreErasedAgain(t *testing.T) {
	t.Parallel()
	house, database := newHouse(t)
	by, second := Operator("tester"), privacy.Principal{ID: "second", Role: privacy.RoleDPO}
	if r, err := house.EraseReturned(t.Context(), by, nil); err != nil || r != (Returned{}) {
		t.Fatalf("before anybody was erased: %+v, %v", r, err)
	}
	const people, forget = 12, 5
	ids := loadPeople(t, house, people)
	pool := database.OwnerPool(t)
	mustExec(t, pool, `create schema backup`)
	for _, table := range peopleTables {
		_, name, _ := strings.Cut(table, ".")
		mustExec(t, pool, `create table backup.`+name+` as select * from `+table)
	}
	for i := range forget {
		if _, err := house.EraseAtOnce(t.Context(), by, second, customer(i), "CZ"); err != nil {
			t.Fatal(err)
		}
	}
	look := func(house *House, want Returned) {
		t.Helper()
		_, before := last(t, house)
		got, err := house.EraseReturned(t.Context(), by, func(int64) {})
		if err != nil || got != want {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
		replayed := 0
		for _, kind := range kindsSince(t, house, before+1) {
			if kind == audit.ErasureReplayed {
				replayed++
			}
		}
		if int64(replayed) != want.Erased {
			t.Errorf("the log has %d erasures again, want %d", replayed, want.Erased)
		}
		for i, id := range ids {
			_, err := house.People.PersonKey(t.Context(), id, vault.UseShow)
			if (err == nil) != (i >= forget) {
				t.Errorf("person %d: %v", i, err)
			}
		}
	}
	look(house, Returned{People: people - forget})

	// Only the schema of the keys is restored.
	mustExec(t, pool, `insert into keyring.person_key select * from backup.person_key on conflict do nothing`)
	look(house, Returned{People: people, Erased: forget})
	look(house, Returned{People: people - forget})

	// The keys and the people are, and the ledger says who was erased.
	restore := func() {
		t.Helper()
		for _, table := range peopleTables {
			_, name, _ := strings.Cut(table, ".")
			if name == "data_subject" {
				mustExec(t, pool, `update vault.data_subject d set erasing = b.erasing, restricted = b.restricted from backup.data_subject b where b.data_subject_id = d.data_subject_id`)
			}
			mustExec(t, pool, `insert into `+table+` select * from backup.`+name+` on conflict do nothing`)
		}
		for i := range forget {
			if _, err := house.Dossier(t.Context(), by, ids[i]); err != nil {
				t.Fatalf("the restore brought nobody back: %v", err)
			}
		}
	}
	restore()
	look(house, Returned{People: people, Erased: forget})
	// Before the sweep came by they are back again, and again.
	for range 2 {
		restore()
		look(house, Returned{People: people, Erased: forget})
	}
	var unswept, erasures int
	const left = `select count(*) filter (where data_subject_id is not null), count(*) from dsar.erasure`
	if err := pool.QueryRow(t.Context(), left).Scan(&unswept, &erasures); err != nil || unswept != forget || erasures != 4*forget {
		t.Errorf("%d of %d erasures have something to sweep, %v, want %d of %d", unswept, erasures, err, forget, 4*forget)
	}

	if _, err := house.Eraser.Sweep(t.Context(), dsar.ErasureID{}, nil); err != nil {
		t.Fatal(err)
	}
	// So is what knew of the lines of the ledger, and the ledger is lost.
	restore()
	mustExec(t, pool, `delete from dsar.ledger`, `delete from dsar.suppression`)
	if err := house.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(house.Settings.Ledger); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), house.Settings, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	look(again, Returned{People: people, Erased: forget})
	look(again, Returned{People: people - forget})
	if head, err := again.Ledger.Head(t.Context()); err != nil || head.Sequence != forget {
		t.Errorf("the new ledger has %d lines, %v, want one for each", head.Sequence, err)
	}
	if err := again.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The database and the new ledger belong together.
	again, err = Open(t.Context(), house.Settings, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	report, err := again.VerifyLog(t.Context(), nil)
	if err != nil || !report.Whole() {
		t.Errorf("the log: %v, %v", report.Damages, err)
	}
	if err := again.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestNobodyIsFoundInTheLogAfterErasure takes all that is left after an erasure, the key
// directory and every value of every table, as somebody would who holds both, and tries to
// recompute a tag of the person.
func TestNobodyIsFoundInTheLogAfterErasure(t *testing.T) {
	t.Parallel()
	house, database := newHouse(t)
	by, second := Operator("tester"), privacy.Principal{ID: "second", Role: privacy.RoleDPO}
	id := loadPeople(t, house, 2)[0]
	if _, err := house.Dossier(t.Context(), by, id); err != nil {
		t.Fatal(err)
	}
	subject, err := house.People.AuditSubject(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	pool := database.OwnerPool(t)
	mustExec(t, pool, `create schema backup`, `create table backup.person_key as select * from keyring.person_key`)
	if _, err := house.EraseAtOnce(t.Context(), by, second, customer(0), "CZ"); err != nil {
		t.Fatal(err)
	}
	// What the person's key would find: a control that there is something to be found.
	theirs := map[[16]byte]audit.Tag{}
	entries, err := house.Log.Entries(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var all []audit.Entry
	for _, stored := range entries {
		entry, err := audit.ParseEntry(stored.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entry)
		if tag := subject.Blinding.Opening(entry.ID).Tag(id); tag == entry.Person || subject.Blinding.ErasedTag() == entry.Person {
			theirs[entry.ID] = entry.Person
		}
	}
	if len(theirs) < 4 {
		t.Fatalf("only %d of %d entries are about the person: the test proves nothing", len(theirs), len(all))
	}
	// recompute tries whatever could be a key of the person, and reports how many entries it opens.
	recompute := func() int {
		t.Helper()
		found := 0
		try := func(b audit.BlindingKey) {
			for i := range all {
				tag, about := theirs[all[i].ID]
				if about && (b.Opening(all[i].ID).Tag(id) == tag || b.ErasedTag() == tag) {
					found++
				}
			}
		}
		for _, value := range everything(t, pool, filepath.Dir(house.Settings.Keys)) {
			if bytes.Contains(value, subject.Blinding[:]) {
				t.Error("the blinding key lies there as it is")
			}
			if len(value) >= 64 && len(value) <= 256 {
				if key, err := house.Keys.Vault().OpenPersonKey(id, value, vault.UseRestore); err == nil {
					try(key.Subject().Blinding)
				}
			}
			if len(value) == 32 {
				try(audit.BlindingKey(value))
			}
		}
		return found
	}
	if found := recompute(); found != len(theirs) {
		t.Errorf("with a copy of the key %d of %d entries open: the search finds nothing", found, len(theirs))
	}
	mustExec(t, pool, `drop schema backup cascade`)
	if found := recompute(); found != 0 {
		t.Errorf("%d entries can still be linked to the person", found)
	}
	report, err := house.VerifyLog(t.Context(), nil)
	if err != nil || !report.Whole() {
		t.Errorf("the log after the erasure: %v, %v", report.Damages, err)
	}
	for i := range all {
		if proof, err := house.Log.Prove(t.Context(), uint64(i)); err != nil || proof.Index != uint64(i) {
			t.Errorf("proof of entry %d: %v", i, err)
		}
	}
}

// everything returns each binary value of each table of the database, and each file.
func everything(t *testing.T, pool *pgxpool.Pool, dir string) [][]byte {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		select format('select %I from %I.%I', a.attname, n.nspname, c.relname)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
		where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%'
			and a.attnum > 0 and not a.attisdropped and a.atttypid = 'bytea'::regtype`)
	if err != nil {
		t.Fatal(err)
	}
	queries, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(queries) < 20 {
		t.Fatal(len(queries), err)
	}
	var values [][]byte
	for _, query := range queries {
		rows, err := pool.Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		column, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			t.Fatal(err)
		}
		values = slices.Concat(values, column)
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		values = append(values, content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// TestReturnedAmongMany looks for the few who are back among as many people as a large
// company has, which a server does before it answers anything, and says how long it took.
func TestReturnedAmongMany(t *testing.T) {
	t.Parallel()
	people := 1_000_000
	if testing.Short() {
		people = 12_000 // more than are looked at at a time
	}
	house, database := newHouse(t)
	pool := database.OwnerPool(t)
	want := map[privacy.DataSubjectID]bool{}
	var tags [][]byte
	n := 0
	_, err := pool.CopyFrom(t.Context(), pgx.Identifier{"keyring", "person_key"}, []string{"data_subject_id", "wrapped"}, pgx.CopyFromFunc(func() ([]any, error) {
		if n == people {
			return nil, nil
		}
		id := privacy.DataSubjectID{byte(n >> 16), byte(n >> 8), byte(n), 15: 1}
		key, wrapped, err := house.Keys.Vault().NewPersonKey(id)
		if err != nil {
			return nil, err
		}
		if n%4001 == 0 {
			tag := key.Subject().Blinding.ErasedTag()
			want[id], tags = true, append(tags, tag[:])
		}
		n++
		return []any{[16]byte(id), wrapped}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `insert into audit.erase_tag (tag) select unnest($1::bytea[])`, tags); err != nil {
		t.Fatal(err)
	}
	began, told := time.Now(), int64(0)
	looked, damaged, err := postgres.NewEraseTags(house.DB, house.Keys.Vault()).Returned(t.Context(), func(done int64) { told = done }, func(id privacy.DataSubjectID) error {
		if !want[id] {
			t.Errorf("%v was not erased", id)
		}
		delete(want, id)
		return nil
	})
	t.Logf("%d people in %v", looked, time.Since(began))
	if err != nil || looked != int64(people) || damaged != 0 || told != looked || len(want) != 0 {
		t.Errorf("looked at %d, %d damaged, told of %d, missed %d, %v", looked, damaged, told, len(want), err)
	}
}
