package pgtest

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// killedName is what processes that are killed are called in the database.
const killedName = "mahrem_test_killed"

// KilledURL is [Database.URL] for processes that a test kills.
func (d *Database) KilledURL() string { return withParameter(d.url, "application_name", killedName) }

// AwaitKilled waits until the database is done with the processes that were killed: what was
// under way goes on without them, holds its locks and may still be committed.
func (d *Database) AwaitKilled(t testing.TB) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for until := time.Now().Add(5 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		var left int
		if err := conn.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and application_name = $1`, killedName).Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d connections of processes that were killed are left", left)
		}
	}
}
