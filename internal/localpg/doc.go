// Package localpg runs a PostgreSQL server as a child of this process, so that Mahrem
// works on one machine with nothing configured: it finds the server programs, makes a
// data directory once, keeps it between starts, and stops the server when it is closed.
//
// The server is reachable by the operating system account that Mahrem runs as and by
// nobody else: it listens on a Unix socket in a private directory, never on TCP, and
// authenticates by peer credentials (no password exists that could leak). It is a real
// database and not a toy: fsync is on, pages carry checksums, and when this process is
// killed, the server stops in its orderly way instead of being left behind.
//
// PostgreSQL refuses to run as root; a Mahrem that is root runs it as an unprivileged
// account. Only Unix systems are supported.
package localpg
