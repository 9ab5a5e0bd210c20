package pgtest_test

import (
	"strings"
	"testing"

	"github.com/mahrem/mahrem/internal/pgtest"
)

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			var role string
			var count int
			pool := db.Pool(t)
			if err := pool.QueryRow(t.Context(), `select current_user, (select count(*) from vault.data_subject)`).Scan(&role, &count); err != nil {
				t.Fatal(err)
			}
			if role != "mahrem_app" || count != 0 {
				t.Errorf("got role %q and %d rows, want mahrem_app and none", role, count)
			}
			if _, err := pool.Exec(t.Context(), `insert into vault.data_subject (data_subject_id, jurisdiction) values (gen_random_uuid(), 'CZ')`); err != nil {
				t.Errorf("inserting as mahrem_app: %v", err)
			}
			if _, err := pool.Exec(t.Context(), `delete from vault.data_subject`); err == nil {
				t.Error("mahrem_app may delete")
			}
			if err := db.OwnerPool(t).QueryRow(t.Context(), `select current_user`).Scan(&role); err != nil || role == "mahrem_app" {
				t.Errorf("owner's connection is %q, %v", role, err)
			}
		})
	}
}

func TestDump(t *testing.T) {
	t.Parallel()
	if dump := pgtest.New(t).Dump(t); !strings.Contains(dump, "CREATE TABLE vault.sealed_record") {
		t.Errorf("dump of %d bytes lacks a table", len(dump))
	}
}
