// Package match finds the people that parties have in common, without any side seeing whom
// the others have.
//
// On its own side a party brings identifiers into their normal form ([Normalize]), masks
// them with the [Matcher] of the room's mode, and shuffles them ([Shuffle]). What it hands
// over are tokens: equal for the same person, and saying nothing else to whoever lacks the
// key of the mode. The house turns tokens into tags under a key of its own ([Keys.Tags]), so
// that what its database holds cannot be compared with what parties hold, and gives
// everybody a match id at random ([Assign]): equal tags, equal ids.
//
// The modes differ in whom one has to trust:
//
//   - operator: tokens are plain digests. The house could guess identifiers, and is trusted
//     not to; one company with several brands.
//   - blind: tokens are keyed with a secret that the parties share and the house lacks.
//   - pair: two parties mask each other's lists with a secret scalar each. Byte-compatible with
//     IAB PAIR 1.1.
//   - oprf: the house masks without seeing (RFC 9497, POPRF), any number of parties, as many
//     people as each has declared.
//
// All are sound against parties that follow the protocol and are curious; who may put
// invented people on its list can learn who of them is there only as far as noisy answers
// tell. Byte formats are in docs/spec/match.md.
package match
