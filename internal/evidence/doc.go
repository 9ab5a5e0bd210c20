// Package evidence says what each way into the house must leave in the log: each operation
// of the HTTP API, each command, and what a server does by itself. It is a table, and tests
// hold it from four sides: that it has every route and every command (in packages server
// and cli), that running them leaves what it says and nothing else (in internal/assembly
// and cmd/mahrem), that every kind of event is left by something, and that
// docs/audit-events.md prints it.
//
// A way in that is not in the table fails the tests: whoever adds one says what it leaves,
// or why it leaves nothing.
package evidence
