// Package prepare brings a party's people into the form in which they may leave its house.
//
// It runs on the party's side and needs no server. A file of rows is read, people are brought
// into the normal form of their identifier and masked in the room's mode, values become the
// numbers that the contract declares, and members and rows are put into an order that says
// nothing, drawn from a cryptographic source. What comes out is a directory: a manifest that
// the party has signed, the members' tokens and the rows, in chunks whose digests the manifest
// has. Whoever does not say yes in the consent column is not in it.
//
// What is refused is refused as a whole: people who are there twice, lists that are too
// short to hide anybody or of another size than was declared, values that the contract does
// not provide for. Errors name lines and never values.
//
// Work that breaks off is taken up where it stopped, and comes out the same: the order hangs
// on a seed in a file that only its owner can read, and that is removed at the end.
//
// In pair mode the other party masks the list of members once more and hands it to the house
// itself ([Remask]). Its owner must not get it back: it masks the other party's list, too,
// and would find out by comparing whom both have.
//
// The byte formats are in docs/spec/prepared.md.
package prepare
