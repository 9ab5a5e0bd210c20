// Package cleanroom lets companies learn about the groups of people that they have in
// common, and never about a person.
//
// Parties bring datasets into a room, each under a contract that its owner has signed:
// which columns there are, what may be asked of them, for which purposes, from how many
// people on, and how much may be learned in all. People are matched without either side
// seeing whom the other one has. What is asked is a [Query], a small typed tree in which
// nothing can be said that the contracts do not provide for; it is judged by the policies
// before any data is read. Every answer is noisy, and what it could give away about any one
// person is charged, before it is computed, to budgets that nobody can refill.
//
// The reason is that minimum group sizes and rounding fall to a handful of questions:
// docs/cleanroom.md shows the attacks, and they run as tests. What is not personal data any
// more (GDPR recital 26) is only what no question, and no coalition of askers, can lead back.
//
// The accounting is zero-concentrated differential privacy (Bun and Steinke 2016) with a
// filter that stays valid when questions depend on earlier answers (Whitehouse et al. 2023).
// Byte formats are in docs/spec/room.md.
package cleanroom
