package assembly

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/localpg"
	"github.com/mahrem/mahrem/migrations"
	"github.com/mahrem/mahrem/postgres"
)

// Database is where PostgreSQL is: on a server that the settings name, or embedded.
type Database struct {
	url    string
	server *localpg.Server
	// embedded is whether the server is one of ours, this process's or another's.
	embedded bool
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
		joined, err := localpg.JoinURL(c.PostgresDir())
		if err != nil {
			return nil, fmt.Errorf("joining the running PostgreSQL: %w", err)
		}
		return &Database{url: joined, embedded: true}, nil
	}
	if err != nil {
		return nil, err
	}
	return &Database{url: server.URL(), server: server, embedded: true}, nil
}

// URL is the owner's connection string. It may hold a password.
func (d *Database) URL() string { return d.url }

// AppURL is the connection string of what serves. In an embedded PostgreSQL it logs in as
// mahrem_app, who cannot become the owner again; elsewhere the settings decide.
func (d *Database) AppURL() (string, error) {
	if !d.embedded {
		return d.url, nil
	}
	u, err := url.Parse(d.url)
	if err != nil {
		return "", errors.New("reading connection string of the embedded PostgreSQL")
	}
	u.User = url.User(localpg.AppRole)
	return u.String(), nil
}

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
