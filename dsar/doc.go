// Package dsar answers data subjects who exercise their rights (GDPR Chapter III, KVKK
// Article 11).
//
// A request is a row, a state, and steps: one table-driven machine ([Machine]) says which
// step leads where, the law of the request (package clock) by when it must be answered, and
// [Service] commits each step together with its entry in the log. What the person wrote is
// sealed under a key of the request's own. docs/dsar.md prints the machine.
//
// Erasing a person destroys their wrapped key and deletes every row about them, in one
// transaction with the log entry that says so. What was copied elsewhere before, such as
// a dump of the sealed data, cannot be opened again by anybody, because the key was
// random and existed in one place. Copies of the key table must therefore be kept apart
// and not long; docs/spec/keys.md says what erasure does not reach.
package dsar
