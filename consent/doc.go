// Package consent keeps what people said about the use of their data, and answers
// what that amounts to at any moment.
//
// The ledger is append-only: a choice is a [Record] that is added and never changed,
// because a controller must be able to demonstrate that somebody consented, to what
// and when (GDPR Article 7(1)). The state is never stored; it is a [Fold] over the
// records, so that the state at any past moment can be computed as well, and so that
// a record that arrives late falls into its place by the time at which it was made.
//
// The rules of the fold are in docs/consent.md. Their common thread is that doubt
// protects the person: no record is "never asked", a tie goes to the more protective
// choice, and withdrawing is as easy as granting (Article 7(3)).
package consent
