// Package proof compares the consent ledger with the transparency log, both ways: every
// entry of the log that commits to rows has its rows, or what an erasure has left of them, and
// every row has its entry. docs/spec/consent.md says what is committed to.
package proof
