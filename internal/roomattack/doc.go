// Package roomattack attacks clean rooms: it asks them whatever their rules let somebody ask
// who knows all the data but for one thing, whether one person is in it, and who spends
// everything there is to spend on finding out.
//
// Attackers see what a room's service tells, and nothing else; they know the true numbers
// with and without the person, and weigh every number and every silence of every answer by
// how likely it is in either case. Nobody can do better with the same answers (Neyman and
// Pearson 1933), so how often they are right is comparable with the bound of
// [noise.Accuracy], and not only with other attacks.
//
// The attacks run against the real service with its real accounting, on data in memory. They
// also run against rooms that only hold back small groups, and against services that were
// broken on purpose, where they must win: attacks that win nowhere show nothing.
package roomattack
