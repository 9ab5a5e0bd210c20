// Package ledger keeps the list of erasures in a file outside the database, so that an
// erasure outlives the restore of an older dump.
//
// Destroying a person's key in a database does not destroy it in the dumps of that
// database. Whoever restores one has the person back, and nothing in what was restored says
// that they had been erased. The ledger does: each erasure writes one line before it
// commits, and a database that lacks a line is older than the ledger. Replaying the lines
// that it lacks erases the same people again.
//
// A line names nobody. It has a keyed tag of the person's id, from which the id cannot be
// computed, and the keyed tags of the identifiers that must not come back; both tell
// something only to whoever has the key directory and the person at hand.
//
// The file is text, one line a record, and only ever grows. Each line ends with a hash that
// covers it and all before it, and with a seal, a keyed hash of that hash: lines cannot be
// changed, moved or taken out unseen, and none can be added without the key directory. What
// the file alone cannot show is that its end was cut off; the database knows the last line
// that it saw. docs/spec/ledger.md has the format.
//
// The package knows no database. [Ledger.Append] returns when the line is on disk;
// concurrent calls share one flush, of several processes too.
package ledger
