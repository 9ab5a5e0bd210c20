// Package admit lets what parties have prepared into rooms.
//
// What is sent is believed in nothing: that the owner has signed it, that it is for this room,
// its next epoch and the contract in force, that it is as large as declared and large enough,
// that each chunk is what was signed, each value one that the contract provides for, and that
// the policies let such a dataset in, is checked while it streams past, and nothing of it can
// be matched before all of it is there and the log has an entry.
//
// In pair mode the owner brings manifest and rows, and the other party the list of members,
// which it has masked once more; the snapshot is admitted with the second of them. See package
// [github.com/mahrem/mahrem/cleanroom/prepare] for why the owner does not bring both.
package admit
