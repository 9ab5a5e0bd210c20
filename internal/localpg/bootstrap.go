package localpg

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// waitUntilReady returns when the server answers a query. Recovery after a crash may take
// a while; ctx says how long is too long.
func (s *Server) waitUntilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		conn, err := pgx.Connect(ctx, s.AdminURL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code != "57P03" { // cannot_connect_now
			return fmt.Errorf("connecting: %w%s", err, s.logTail())
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("server ended (%v)%s", s.process.err, s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("server does not answer: %w%s", ctx.Err(), s.logTail())
		case <-time.After(pause):
		}
	}
}

// bootstrapRoles makes the roles that are not there yet. The owner makes no other
// superuser and cannot read files; it may make roles, as a migration does.
const bootstrapRoles = `
do $$
begin
    if not exists (select from pg_roles where rolname = 'mahrem_app') then
        create role mahrem_app;
    end if;
    if not exists (select from pg_roles where rolname = 'mahrem_signer') then
        create role mahrem_signer;
    end if;
    if not exists (select from pg_roles where rolname = 'mahrem_owner') then
        create role mahrem_owner login createrole;
    end if;
    alter role mahrem_app login;
    alter role mahrem_signer login;
    grant mahrem_app, mahrem_signer to mahrem_owner;
end
$$`

// bootstrap makes the roles and the database, each time as far as they are missing: the
// process may have been killed in between.
func (s *Server) bootstrap(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.AdminURL("postgres"))
	if err != nil {
		return fmt.Errorf("connecting to make roles: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, bootstrapRoles); err != nil {
		return fmt.Errorf("making roles: %w", err)
	}
	var made bool
	if err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, DatabaseName).Scan(&made); err != nil {
		return fmt.Errorf("looking for database: %w", err)
	}
	if made || s.config.throwaway {
		return nil
	}
	if _, err := conn.Exec(ctx, `create database mahrem owner mahrem_owner`); err != nil {
		return fmt.Errorf("making database: %w", err)
	}
	return nil
}
