package assembly

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

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
	return openDatabase(ctx, c, join, joinTries*max(1, int(c.Patience)))
}

// openLasting is [OpenDatabase] for a process that goes on until it is told to stop. It joins
// nobody, because the PostgreSQL would end under it with the command that runs it: it waits
// until that has ended, and gives up after a minute.
func openLasting(ctx context.Context, c config.Config) (*Database, error) {
	return openDatabase(ctx, c, alone, lastingTries)
}

func alone(context.Context, string) (*Database, error) { return nil, errLasting }

var errLasting = errors.New("a service has a PostgreSQL of its own; start it again when that command has ended")

func openDatabase(ctx context.Context, c config.Config, join func(context.Context, string) (*Database, error), most int) (*Database, error) {
	if c.DatabaseURL != "" {
		return &Database{url: c.DatabaseURL}, nil
	}
	for tries := 1; ; tries++ {
		server, err := localpg.Start(ctx, localpg.Config{Dir: c.PostgresDir(), MaxConnections: 200})
		if err == nil {
			return &Database{url: server.URL(), server: server, embedded: true}, nil
		}
		if !errors.Is(err, localpg.ErrInUse) {
			return nil, err
		}
		joined, joinErr := join(ctx, c.PostgresDir())
		if joinErr == nil {
			return joined, nil
		}
		// The other process is starting or stopping its PostgreSQL just now.
		if tries >= most {
			return nil, fmt.Errorf("%w; joining it: %w", err, joinErr)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(joinPause):
		}
	}
}

// A PostgreSQL that starts or stops takes a few seconds at most.
const (
	joinTries    = 50
	lastingTries = 300
	joinPause    = 200 * time.Millisecond
)

// join reaches the PostgreSQL that another process runs in dir.
func join(ctx context.Context, dir string) (*Database, error) {
	joined, err := localpg.JoinURL(dir)
	if err != nil {
		return nil, err
	}
	if _, err := postgres.MigrationStatus(ctx, joined); err != nil {
		return nil, err
	}
	return &Database{url: joined, embedded: true}, nil
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
