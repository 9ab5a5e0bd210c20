// Package postgres keeps what the domain packages hand it, and is the only package of
// the product that speaks SQL: one file a domain package, each statement a constant
// beside the method that runs it.
//
// It runs as the database role mahrem_app, which owns nothing and can delete nothing, so
// that a mistake here (or an injection) finds the database saying no. It never sees an
// HTTP request, and no value in clear that singles a person out.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/consent"
)

// appRole is the database role that every connection of a pool takes unless it is told
// otherwise.
const appRole = "mahrem_app"

// SignerRole sees the log and nothing else, and adds checkpoints and cosignatures.
const SignerRole = "mahrem_signer"

// Config says how to reach the database.
type Config struct {
	// URL is a PostgreSQL connection URL. Its user must be mahrem_app or be able to
	// become it. It has no default.
	URL string
	// Role is the database role of every connection; empty means mahrem_app. A signer of its
	// own is [SignerRole].
	Role string
	// MaxConns bounds the connections; zero means four a CPU, at least sixteen and at most
	// sixty-four: a server that nobody has tuned takes a hundred from everybody together.
	MaxConns int32
	// ConnectTimeout bounds one attempt to connect; zero means [ConnectTimeout].
	ConnectTimeout time.Duration
}

// DB is a pool of connections, each with the rights of mahrem_app.
type DB struct {
	pool *pgxpool.Pool
	// toldOfConsents is set by TellConsents.
	toldOfConsents func(ctx context.Context, tx pgx.Tx, added []consent.Record) error
	// rooms is set by FindInRooms.
	rooms RoomPeople
}

// ConnectTimeout bounds one attempt to connect unless it is said otherwise.
const ConnectTimeout = 5 * time.Second

// Open connects to a migrated database. It returns an error that wraps
// [privacy.ErrUnavailable] if the database cannot be reached.
func Open(ctx context.Context, config Config) (*DB, error) {
	if config.URL == "" {
		return nil, errors.New("opening database: no URL")
	}
	settings, err := pgxpool.ParseConfig(config.URL)
	if err != nil {
		// The text of err may repeat the URL, and that may hold a password.
		return nil, errors.New("opening database: malformed URL")
	}
	settings.MaxConns = config.MaxConns
	if settings.MaxConns <= 0 {
		settings.MaxConns = defaultConns(runtime.GOMAXPROCS(0))
	}
	settings.ConnConfig.ConnectTimeout = config.ConnectTimeout
	if config.ConnectTimeout <= 0 {
		settings.ConnConfig.ConnectTimeout = ConnectTimeout
	}
	parameters := settings.ConnConfig.RuntimeParams
	parameters["role"] = cmp.Or(config.Role, appRole)
	parameters["timezone"] = "UTC"
	if parameters["application_name"] == "" {
		parameters["application_name"] = "mahrem"
	}
	// Every statement goes by keys, so that one plan serves all values; making another for
	// each call would take longer than the call, and so would compiling it.
	parameters["plan_cache_mode"] = "force_generic_plan"
	parameters["jit"] = "off"
	// Nor may the plan be one that suited a table while it was small: whoever read all of
	// it then would do so for as long as the plan lives.
	parameters["enable_seqscan"] = "off"
	// What is called durable must be, whatever the server's default: asynchronous commits
	// are asked for where a flush follows.
	parameters["synchronous_commit"] = "on"
	// A transaction that its client forgot must not hold the log's lock for long.
	parameters["idle_in_transaction_session_timeout"] = "30s"
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", translate(err))
	}
	db := &DB{pool: pool}
	if err := db.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("opening database: %w", err)
	}
	return db, nil
}

func defaultConns(processors int) int32 { return int32(min(max(16, 4*processors), 64)) }

// Ping asks the database for a sign of life.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.pool.Ping(ctx); err != nil {
		return fmt.Errorf("reaching database: %w", translate(err))
	}
	return nil
}

// Close waits until all connections are given back and closes them.
func (db *DB) Close() { db.pool.Close() }

// inTx runs change in one transaction: committed if it returns nil, rolled back
// otherwise. Errors of change pass through [translate] like those of the commit, which
// leaves errors alone that are not the database's.
func (db *DB) inTx(ctx context.Context, change func(tx pgx.Tx) error) error {
	return translate(pgx.BeginFunc(ctx, db.pool, change))
}
