// Package bundle is what an auditor takes home: the log as a directory of plain files in
// the shape of C2SP tlog-tiles (checkpoint, tiles, bundles of entries), with the other
// checkpoints, the public keys, the policies that decided and what they decided on, and a
// signed manifest. Everything can be checked without a network, a database or us: see
// [Verify].
//
// The tree proves itself: every tile and every bundle of entries has to fit the root of the
// signed checkpoint, and its path follows from its place in the tree. So the manifest names
// the range that is there and, with their digests, the files that lie outside the tree.
// docs/spec/audit-bundle.md has the format.
package bundle
