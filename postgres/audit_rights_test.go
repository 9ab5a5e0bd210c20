package postgres

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// auditTables lists the tables of the log, partitions included.
func auditTables(t *testing.T, owner *pgxpool.Pool) []string {
	t.Helper()
	rows, err := owner.Query(t.Context(), `
select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'audit' and c.relkind in ('r', 'p') order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 11 {
		t.Fatalf("tables %v, %v", tables, err)
	}
	return tables
}

// TestAuditTablesOnlyGrow: mahrem_app may not change what is written, and not even the
// owner does so by mistake, in any table or partition, including one added later.
func TestAuditTablesOnlyGrow(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	owner := database.OwnerPool(t)
	l := newAuditLog(t, db, auditConfig())
	for range 300 {
		if _, err := l.Append(t.Context(), denied()); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	var added bool
	if err := db.pool.QueryRow(t.Context(), sqlAuditAddPartition, 2).Scan(&added); err != nil || !added {
		t.Fatalf("adding a partition as mahrem_app: %v, %v", added, err)
	}
	if err := db.pool.QueryRow(t.Context(), sqlAuditAddPartition, 2).Scan(&added); err != nil || added {
		t.Errorf("adding a partition twice: %v, %v", added, err)
	}
	if _, err := db.pool.Exec(t.Context(), sqlAuditAddPartition, 3); err == nil {
		t.Error("mahrem_app may add any number of partitions")
	}
	for _, table := range auditTables(t, owner) {
		var rows int
		var column string
		if err := owner.QueryRow(t.Context(), `select count(*) from `+table).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if err := owner.QueryRow(t.Context(), `select attname from pg_attribute where attrelid = $1::text::regclass and attnum = 1`, table).Scan(&column); err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{
			`update ` + table + ` set ` + column + ` = ` + column,
			`delete from ` + table,
			`truncate ` + table + ` cascade`,
			`drop table ` + table,
			`alter table ` + table + ` disable trigger user`,
		} {
			if err := refusal(db.pool.Exec(t.Context(), statement)); err != "42501" {
				t.Errorf("mahrem_app: %s: %q", statement, err)
			}
		}
		for _, statement := range []string{
			`update ` + table + ` set ` + column + ` = ` + column,
			`delete from ` + table,
			`truncate ` + table + ` cascade`,
		} {
			if rows == 0 && statement[0] != 't' {
				continue // row triggers have nothing to refuse
			}
			if err := refusal(owner.Exec(t.Context(), statement)); err != "42501" {
				t.Errorf("owner: %s: %q", statement, err)
			}
		}
		// ALWAYS: session_replication_role = replica does not skip them.
		var always int
		if err := owner.QueryRow(t.Context(), `
select count(*) from pg_trigger
where tgrelid = $1::text::regclass and tgname in ('refuse_row_change', 'refuse_truncate') and tgenabled = 'A'`, table).Scan(&always); err != nil || always != 2 {
			t.Errorf("%s has %d of 2 triggers that always fire, %v", table, always, err)
		}
	}
}

// refusal is the SQLSTATE of the error, or "done".
func refusal(_ pgconn.CommandTag, err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Code
	}
	if err != nil {
		return err.Error()
	}
	return "done"
}

// TestCommitOfAChangeDoesNotWaitForTheDisk looks at the setting that lets the log's lock
// go before the disk confirms.
func TestCommitOfAChangeDoesNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	tx, err := db.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	var setting, timeout string
	if _, err := tx.Exec(t.Context(), `select audit.claim_head()`); err != nil {
		t.Fatal(err)
	}
	if err := tx.QueryRow(t.Context(), `select current_setting('synchronous_commit'), current_setting('lock_timeout')`).Scan(&setting, &timeout); err != nil {
		t.Fatal(err)
	}
	if setting != "off" || timeout != "0" {
		t.Errorf("synchronous_commit is %s and lock_timeout %s after claim_head", setting, timeout)
	}
}
