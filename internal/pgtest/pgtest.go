// Package pgtest gives each test a real, migrated PostgreSQL database of its own.
//
// A test binary starts one throw-away cluster when the first test asks for a database,
// migrates one template in it, and clones that for each test, which takes about 20 ms.
// The cluster and its directory go when the binary ends, killed or not. With
// MAHREM_TEST_DATABASE_URL set, databases are made on that server instead (its user must
// be allowed to), under names that nobody else uses, and are dropped again.
package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/mahrem/mahrem/internal/localpg"
	"github.com/mahrem/mahrem/migrations"
)

// Database is one test's own database. It is dropped when the test ends.
type Database struct {
	url, admin string
	programs   localpg.Programs
	cluster    *cluster
	name       string
}

// New clones the migrated template. The test fails if there is no PostgreSQL, with the
// command that installs it.
func New(t testing.TB) *Database {
	t.Helper()
	return server(t).clone(t, true)
}

// NewEmpty makes a database that no migration has run in, for tests of the migrations.
func NewEmpty(t testing.TB) *Database {
	t.Helper()
	return server(t).clone(t, false)
}

// Clone makes another database with the same content. Nobody may be connected to d.
func (d *Database) Clone(t testing.TB) *Database {
	t.Helper()
	if _, err := d.cluster.enter(context.Background()); err != nil {
		t.Fatalf("making template database: %v", err)
	}
	return d.cluster.database(t, d.name)
}

// Recreate drops the database with all that is in it, whoever is connected, and makes it
// again, empty: what a restore begins with.
func (d *Database) Recreate(t testing.TB) {
	t.Helper()
	if err := d.cluster.exec(t.Context(), "drop database "+d.name+" with (force)"); err != nil {
		t.Fatalf("dropping test database: %v", err)
	}
	if err := d.cluster.create(t.Context(), d.name, "template0"); err != nil {
		t.Fatalf("making test database: %v", err)
	}
}

// Programs are the PostgreSQL programs that fit the server, as far as they were found.
func (d *Database) Programs() localpg.Programs { return d.programs }

// URL connects as the owner of the database. Give it to what sets its own role, such as
// postgres.Open, and to what migrates.
func (d *Database) URL() string { return d.url }

// AppURL connects with the rights of mahrem_app and no others.
func (d *Database) AppURL() string { return withParameter(d.url, "role", localpg.AppRole) }

// Pool returns connections as mahrem_app. They are closed when the test ends.
func (d *Database) Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return newPool(t, d.AppURL())
}

// OwnerPool returns connections as the owner, for looking and tampering where mahrem_app
// may not. They are closed when the test ends.
func (d *Database) OwnerPool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return newPool(t, d.url)
}

// AdminURL connects as the superuser of the server, where the tests' own server is used,
// and otherwise as the user of MAHREM_TEST_DATABASE_URL.
func (d *Database) AdminURL() string { return d.admin }

// AdminPool returns connections as [Database.AdminURL], for what only a superuser may do.
// They are closed when the test ends.
func (d *Database) AdminPool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return newPool(t, d.admin)
}

// SQL returns the owner's connections as a database/sql handle, as migrations want it.
func (d *Database) SQL(t testing.TB) *sql.DB {
	t.Helper()
	db, err := openSQL(d.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Dump returns all of the database as pg_dump writes it.
func (d *Database) Dump(t testing.TB) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), d.programs.Path("pg_dump"), "--inserts", "--dbname="+d.url)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("dumping database: %v\n%s", err, stderr.String())
	}
	return string(out)
}

func newPool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatalf("opening pool: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func openSQL(url string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("reading database URL: %w", err)
	}
	return stdlib.OpenDB(*config), nil
}

// withParameter adds a setting to a connection URL; what is no parameter of the
// connection is sent as a run-time setting.
func withParameter(raw, name, value string) string {
	u, err := url.Parse(raw)
	if err != nil {
		panic("pgtest: " + err.Error()) // it was parsed before
	}
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

// cluster is the server on which this test binary makes its databases.
type cluster struct {
	admin    string // URL of a database from which others are made
	owner    string // user in the URLs of the tests; empty: the admin's own
	programs localpg.Programs

	mu       sync.Mutex
	users    int // tests that have a database
	template string
}

var start = sync.OnceValues(func() (*cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if external := os.Getenv("MAHREM_TEST_DATABASE_URL"); external != "" {
		if u, err := url.Parse(external); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return nil, fmt.Errorf("MAHREM_TEST_DATABASE_URL is not a postgres:// URL")
		}
		programs, _ := localpg.FindPrograms() // only Dump needs them
		return &cluster{admin: external, programs: programs}, nil
	}
	// Nobody closes it: its watchdog does, when this process has ended.
	s, err := localpg.StartThrowaway(ctx)
	if err != nil {
		return nil, err
	}
	return &cluster{admin: s.AdminURL("postgres"), owner: localpg.OwnerRole, programs: s.Programs()}, nil
})

func server(t testing.TB) *cluster {
	t.Helper()
	c, err := start()
	if err != nil {
		t.Fatalf("no database to test with: %v", err)
	}
	return c
}

// url names another database of the cluster, as the owner of it.
func (c *cluster) url(database string) string {
	u, _ := url.Parse(c.admin)
	u.Path = "/" + database
	if c.owner != "" {
		u.User = url.User(c.owner)
	}
	return u.String()
}

// adminURL names another database of the cluster, as whoever makes them.
func (c *cluster) adminURL(database string) string {
	u, _ := url.Parse(c.admin)
	u.Path = "/" + database
	return u.String()
}

func (c *cluster) clone(t testing.TB, migrated bool) *Database {
	t.Helper()
	template, err := c.enter(context.Background())
	if err != nil {
		t.Fatalf("making template database: %v", err)
	}
	if !migrated {
		template = ""
	}
	return c.database(t, template)
}

// database makes a test's own database for whoever was counted in, and counts them out
// when the test ends.
func (c *cluster) database(t testing.TB, template string) *Database {
	t.Helper()
	name := "mahrem_test_" + strings.ToLower(rand.Text()[:16])
	if err := c.create(context.Background(), name, template); err != nil {
		c.leave(t)
		t.Fatalf("making test database: %v", err)
	}
	t.Cleanup(func() {
		if err := c.exec(context.Background(), "drop database "+name+" with (force)"); err != nil {
			t.Errorf("dropping test database: %v", err)
		}
		c.leave(t)
	})
	return &Database{url: c.url(name), admin: c.adminURL(name), programs: c.programs, cluster: c, name: name}
}

// enter counts one more test in and returns the template, which the first one makes.
func (c *cluster) enter(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.template == "" {
		name := "mahrem_template_" + strings.ToLower(rand.Text()[:16])
		if err := c.create(ctx, name, ""); err != nil {
			return "", err
		}
		if err := c.migrate(ctx, name); err != nil {
			_ = c.exec(ctx, "drop database "+name+" with (force)")
			return "", err
		}
		c.template = name
	}
	c.users++
	return c.template, nil
}

// leave counts a test out. On a server that is not ours the last one takes the template
// with it; should another test follow, it makes a new one.
func (c *cluster) leave(t testing.TB) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users > 0 || c.owner != "" {
		return
	}
	if err := c.exec(context.Background(), "drop database "+c.template+" with (force)"); err != nil {
		t.Errorf("dropping template database: %v", err)
	}
	c.template = ""
}

func (c *cluster) create(ctx context.Context, name, template string) error {
	statement := "create database " + name
	if template != "" {
		statement += " template " + template
	}
	if c.owner != "" {
		statement += " owner " + c.owner
	}
	// Who has left the template may still be ending there, or be cleaning up in it; the server
	// waits five seconds for them and no longer.
	for deadline := time.Now().Add(5 * time.Minute); ; {
		err := c.exec(ctx, statement)
		if refusal, ok := errors.AsType[*pgconn.PgError](err); !ok || refusal.Code != "55006" || time.Now().After(deadline) {
			return err
		}
	}
}

// migrate holds a lock of the whole server meanwhile: migrations make roles, which all
// databases of a server share, and other test binaries may be doing the same.
func (c *cluster) migrate(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, c.admin)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "select pg_advisory_lock(hashtext('mahrem pgtest'))"); err != nil {
		return fmt.Errorf("waiting for other test binaries: %w", err)
	}
	db, err := openSQL(c.url(name))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = migrations.Up(ctx, db)
	return err
}

func (c *cluster) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, c.admin)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
