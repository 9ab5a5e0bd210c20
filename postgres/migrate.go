package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/mahrem/mahrem/migrations"
)

// Migrate applies what is pending and returns what it applied. The user in url must own
// the database; mahrem_app cannot.
func Migrate(ctx context.Context, url string) ([]migrations.Migration, error) {
	return withSQL(url, func(db *sql.DB) ([]migrations.Migration, error) { return migrations.Up(ctx, db) })
}

// MigrationStatus lists all migrations, applied and pending. It changes nothing.
func MigrationStatus(ctx context.Context, url string) ([]migrations.Migration, error) {
	return withSQL(url, func(db *sql.DB) ([]migrations.Migration, error) { return migrations.Status(ctx, db) })
}

// PendingMigrations lists the migrations that the database lacks. A server that finds
// any must not start.
func (db *DB) PendingMigrations(ctx context.Context) ([]migrations.Migration, error) {
	handle := stdlib.OpenDBFromPool(db.pool)
	defer handle.Close()
	pending, err := migrations.Pending(ctx, handle)
	return pending, translate(err)
}

func withSQL(url string, do func(*sql.DB) ([]migrations.Migration, error)) ([]migrations.Migration, error) {
	if url == "" {
		return nil, errors.New("opening database: no URL")
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The text of err may repeat the URL, and that may hold a password.
		return nil, errors.New("opening database: malformed URL")
	}
	db := stdlib.OpenDB(*config)
	defer db.Close()
	list, err := do(db)
	if err != nil {
		return nil, fmt.Errorf("migrating database: %w", translate(err))
	}
	return list, nil
}
