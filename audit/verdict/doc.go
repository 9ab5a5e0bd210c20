// Package verdict is what an auditor reads about a log: it opens a bundle or a log that is
// served, checks it with what the auditor brought along (keys, the policy of witnesses,
// checkpoints that were kept), and says what came of it, for people and for machines. The
// small program for auditors and the command of the server say the same because both use it.
//
// The exit codes are: 0 whole, 1 broken, 2 could not be checked.
package verdict
