// Package audit is Mahrem's append-only transparency log: what happened, for whom it
// was decided and by which rules, in a form that somebody who trusts nobody here can
// check.
//
// Entries are leaves of a Merkle tree (RFC 6962 section 2), checkpoints are C2SP
// signed notes, and no entry holds personal data: the person is a tag under a blinding
// key of their own that is shredded with their DEK (GDPR Articles 5(2) and 17 at the
// same time). An operation whose evidence cannot be written does not happen.
package audit
