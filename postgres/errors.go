package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mahrem/mahrem/privacy"
)

// translate turns an error of the driver into one of [privacy]'s, at the one place where
// both are known. Callers wrap the result with what they were doing.
//
// The database's own text is kept only where it cannot hold a value of a row: it quotes
// values in errors about data (class 22) and keys (class 23).
func translate(err error) error {
	if err == nil {
		return nil
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return translateState(pgErr)
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return privacy.ErrNotFound
	case isKnown(err):
		return err
	case isUnreachable(err):
		return fmt.Errorf("%w: %w", privacy.ErrUnavailable, err)
	}
	return err
}

// translateState goes by the SQLSTATE (PostgreSQL manual, appendix A).
func translateState(e *pgconn.PgError) error {
	text := "SQLSTATE " + e.Code
	if e.ConstraintName != "" {
		text += ", constraint " + e.ConstraintName
	}
	class := e.Code[:min(2, len(e.Code))]
	switch class {
	case "08", "28", "3D", "3F", "40", "42", "53", "55", "57", "58":
		text += ": " + e.Message
	}
	switch {
	case e.Code == "23505", e.Code == "23P01", class == "40":
		return fmt.Errorf("%w (%s)", privacy.ErrConflict, text)
	// Connections, authentication, missing database, resources, locks, shutdown, system.
	case class == "08", class == "28", class == "3D", class == "53", class == "57", class == "58",
		e.Code == "55P03", e.Code == "25006", e.Code == "25P03":
		return fmt.Errorf("%w (%s)", privacy.ErrUnavailable, text)
	}
	return fmt.Errorf("database refused the statement (%s)", text)
}

// isKnown reports whether err already is one of ours: it came from a function that ran
// inside a transaction, and says more than the driver would.
func isKnown(err error) bool {
	for _, known := range []error{
		privacy.ErrInvalid, privacy.ErrNotFound, privacy.ErrUnauthenticated, privacy.ErrForbidden,
		privacy.ErrConflict, privacy.ErrUnavailable, privacy.ErrDamaged,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// isUnreachable reports whether err is about the way to the database and not about a
// statement. A caller's own deadline counts: nothing was answered.
func isUnreachable(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
		strings.Contains(err.Error(), "closed pool") || strings.Contains(err.Error(), "conn closed")
}
