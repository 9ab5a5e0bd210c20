package postgres

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

func openTest(t *testing.T) *DB {
	t.Helper()
	db, err := Open(t.Context(), Config{URL: pgtest.New(t).URL(), ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func TestOpenTakesTheRoleOfTheApplication(t *testing.T) {
	t.Parallel()
	db := openTest(t)
	var role, zone string
	err := db.pool.QueryRow(t.Context(), `select current_user, current_setting('timezone')`).Scan(&role, &zone)
	if err != nil || role != appRole || zone != "UTC" {
		t.Errorf("got role %q, time zone %q, %v", role, zone, err)
	}
	if pending, err := db.PendingMigrations(t.Context()); err != nil || len(pending) != 0 {
		t.Errorf("got pending migrations %v, %v, want none", pending, err)
	}
}

// TestOpenCommitsDurably: a server whose default is not to wait for the disk must not make
// answers leave before their entries are safe.
func TestOpenCommitsDurably(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	if _, err := database.OwnerPool(t).Exec(t.Context(), `do $$ begin
		execute format('alter database %I set synchronous_commit = off', current_database()); end $$`); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), Config{URL: database.URL(), ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var got string
	if err := db.pool.QueryRow(t.Context(), `show synchronous_commit`).Scan(&got); err != nil || got != "on" {
		t.Errorf("synchronous_commit is %q, %v, want on", got, err)
	}
}

// TestDefaultConns: a server that nobody has tuned lets a hundred in, and others than the
// pool of one process must get in as well.
func TestDefaultConns(t *testing.T) {
	t.Parallel()
	for processors, want := range map[int]int32{1: 16, 4: 16, 8: 32, 16: 64, 32: 64, 256: 64} {
		if got := defaultConns(processors); got != want {
			t.Errorf("%d processors: %d connections, want %d", processors, got, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for name, test := range map[string]struct {
		url         string
		unavailable bool
	}{
		"no URL":        {"", false},
		"malformed URL": {"postgres://u:" + secret + "@[::1/x", false},
		"nobody there":  {"postgres://u:" + secret + "@/mahrem?host=/nonexistent", true},
		"not migrated":  {pgtest.NewEmpty(t).URL() + "&application_name=x", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := Open(t.Context(), Config{URL: test.url, ConnectTimeout: 5 * time.Minute})
			if name == "not migrated" {
				// The role exists in the cluster, so that opening works and the server's check decides.
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				if pending, err := db.PendingMigrations(t.Context()); err != nil || len(pending) < 4 {
					t.Errorf("got pending migrations %v, %v, want all", pending, err)
				}
				return
			}
			if err == nil {
				db.Close()
				t.Fatal("opened")
			}
			if errors.Is(err, privacy.ErrUnavailable) != test.unavailable {
				t.Errorf("got %v, want unavailable: %t", err, test.unavailable)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error repeats the password: %v", err)
			}
		})
	}
}

func TestTranslate(t *testing.T) {
	t.Parallel()
	db := openTest(t)
	const subject = `11111111-1111-4111-8111-111111111111`
	ctx := t.Context()
	exec := func(statement string) error {
		return db.inTx(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, statement)
			return err
		})
	}
	insert := `insert into vault.data_subject (data_subject_id, jurisdiction) values ('` + subject + `', 'TR')`
	if err := exec(insert); err != nil {
		t.Fatal(err)
	}
	ours := privacy.ErrDamaged
	for name, test := range map[string]struct {
		err  error
		want error
	}{
		"unique":       {exec(insert), privacy.ErrConflict},
		"no rows":      {translate(db.pool.QueryRow(ctx, `select 1 where false`).Scan(new(int))), privacy.ErrNotFound},
		"ours":         {db.inTx(ctx, func(pgx.Tx) error { return ours }), ours},
		"terminated":   {exec(`do $$ begin raise exception 'x' using errcode = '57P01'; end $$`), privacy.ErrUnavailable},
		"lock timeout": {exec(`do $$ begin raise exception 'x' using errcode = '55P03'; end $$`), privacy.ErrUnavailable},
		"serialize":    {exec(`do $$ begin raise exception 'x' using errcode = '40001'; end $$`), privacy.ErrConflict},
		"no privilege": {exec(`delete from vault.data_subject`), nil},
		"check":        {exec(`insert into vault.data_subject (data_subject_id, jurisdiction) values (gen_random_uuid(), '` + subject + `')`), nil},
		"value":        {exec(`select '` + subject + `'::int`), nil},
	} {
		if test.err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if test.want != nil && !errors.Is(test.err, test.want) {
			t.Errorf("%s: got %v, want %v", name, test.err, test.want)
		}
		if test.want == nil && isKnown(test.err) {
			t.Errorf("%s: got %v, want none of the known errors", name, test.err)
		}
		if strings.Contains(test.err.Error(), subject) {
			t.Errorf("%s: error repeats a value: %v", name, test.err)
		}
	}
	db.pool.Close()
	if err := db.Ping(ctx); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("closed pool: got %v, want unavailable", err)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	url := pgtest.NewEmpty(t).URL()
	before, err := MigrationStatus(t.Context(), url)
	if err != nil || len(before) < 4 || !before[0].IsPending() {
		t.Fatalf("before: got %v, %v", before, err)
	}
	applied, err := Migrate(t.Context(), url)
	if err != nil || len(applied) != len(before) {
		t.Fatalf("got %d applied, %v, want %d", len(applied), err, len(before))
	}
	if again, err := Migrate(t.Context(), url); err != nil || len(again) != 0 {
		t.Errorf("again: got %v, %v, want nothing to do", again, err)
	}
}
