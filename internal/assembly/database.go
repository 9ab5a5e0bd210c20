package assembly

import (
	"context"
	"errors"
	"fmt"

	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/localpg"
	"github.com/mahrem/mahrem/migrations"
	"github.com/mahrem/mahrem/postgres"
)

// Database is where PostgreSQL is: on a server that the settings name, or embedded.
type Database struct {
	url    string
	server *localpg.Server
}

// OpenDatabase finds the database of a Mahrem. Without a connection string it starts
// the embedded PostgreSQL, or joins the one that another mahrem process of the same
// home is running.
func OpenDatabase(ctx context.Context, c config.Config) (*Database, error) {
	if c.DatabaseURL != "" {
		return &Database{url: c.DatabaseURL}, nil
	}
	server, err := localpg.Start(ctx, localpg.Config{Dir: c.PostgresDir(), MaxConnections: 200})
	if errors.Is(err, localpg.ErrInUse) {
		url, err := localpg.JoinURL(c.PostgresDir())
		if err != nil {
			return nil, fmt.Errorf("joining the running PostgreSQL: %w", err)
		}
		return &Database{url: url}, nil
	}
	if err != nil {
		return nil, err
	}
	return &Database{url: server.URL(), server: server}, nil
}

// URL is the owner's connection string. It may hold a password.
func (d *Database) URL() string { return d.url }

// Close stops the embedded PostgreSQL if this process started it.
func (d *Database) Close() error {
	if d.server == nil {
		return nil
	}
	return d.server.Close()
}

// MigrateUp applies what is pending.
func (d *Database) MigrateUp(ctx context.Context) ([]migrations.Migration, error) {
	return postgres.Migrate(ctx, d.url)
}

// MigrationStatus lists every migration that this binary knows.
func (d *Database) MigrationStatus(ctx context.Context) ([]migrations.Migration, error) {
	return postgres.MigrationStatus(ctx, d.url)
}
