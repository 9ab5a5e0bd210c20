// Package migrations holds the tables: numbered SQL files, embedded in the binary and
// applied in order by goose.
//
// A file that has landed is never edited, because databases exist that have run it: the
// file SHA256SUMS beside them is held by a test. What a change cannot do in one step it
// does in two, first adding (expand), then removing once nothing reads the old form
// (contract), so that the release before can still run against the new tables.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"path"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed *.sql
var files embed.FS

// lockID is the advisory lock that keeps two replicas from migrating at once: the
// letters "mahrem" as a number.
const lockID = 0x6d616872656d

// Migration is one numbered file and whether the database has it.
type Migration struct {
	// Version is the number that the file's name begins with.
	Version int64
	// File is the file's name.
	File string
	// AppliedAt is when the database ran it; the zero time means that it has not.
	AppliedAt time.Time
	// Took is how long it ran, for one that [Up] just applied.
	Took time.Duration
}

// IsPending reports whether the database has not run the migration.
func (m Migration) IsPending() bool { return m.AppliedAt.IsZero() }

// Up applies what is pending, each file in a transaction of its own, and returns what it
// applied. It needs the owner of the database, not mahrem_app. When several processes
// call it at once, one works and the others wait and find nothing left to do.
func Up(ctx context.Context, db *sql.DB) ([]Migration, error) {
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(advisoryLock{}))
	if err != nil {
		return nil, fmt.Errorf("reading migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("applying migrations: %w", err)
	}
	applied := make([]Migration, 0, len(results))
	now := time.Now().UTC()
	for _, r := range results {
		applied = append(applied, Migration{
			Version: r.Source.Version, File: path.Base(r.Source.Path), AppliedAt: now, Took: r.Duration,
		})
	}
	return applied, nil
}

// Status lists every migration that this binary knows, in order. It changes nothing and
// works as mahrem_app too.
func Status(ctx context.Context, db *sql.DB) ([]Migration, error) {
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("reading migrations: %w", err)
	}
	// Goose would create its table here, which a reader may not and should not do.
	var migrated bool
	if err := db.QueryRowContext(ctx, `select to_regclass('goose_db_version') is not null`).Scan(&migrated); err != nil {
		return nil, fmt.Errorf("looking for applied migrations: %w", err)
	}
	var list []Migration
	if !migrated {
		for _, source := range provider.ListSources() {
			list = append(list, Migration{Version: source.Version, File: path.Base(source.Path)})
		}
		return list, nil
	}
	states, err := provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading applied migrations: %w", err)
	}
	for _, s := range states {
		m := Migration{Version: s.Source.Version, File: path.Base(s.Source.Path)}
		if s.State == goose.StateApplied {
			m.AppliedAt = s.AppliedAt.UTC()
		}
		list = append(list, m)
	}
	return list, nil
}

// Pending returns the migrations that the database lacks. A server must not start while
// there are any.
func Pending(ctx context.Context, db *sql.DB) ([]Migration, error) {
	list, err := Status(ctx, db)
	if err != nil {
		return nil, err
	}
	var pending []Migration
	for _, m := range list {
		if m.IsPending() {
			pending = append(pending, m)
		}
	}
	return pending, nil
}

// advisoryLock waits in the database for its turn. Goose's own locker asks again every
// second instead.
type advisoryLock struct{}

func (advisoryLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `select pg_advisory_lock($1)`, lockID)
	return err
}

func (advisoryLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `select pg_advisory_unlock($1)`, lockID)
	return err
}
