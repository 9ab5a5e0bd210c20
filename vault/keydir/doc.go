// Package keydir keeps the key directory: every key that is not in the database, one
// Tink keyset a file, readable by the owner alone.
//
// Whoever has the database without this directory has no personal data (GDPR Article
// 32(1)(a)); whoever loses the directory has lost the data. It is therefore created
// whole or not at all, never overwritten, refused when others could read it, and no
// error ever repeats what is in a file. The files are listed in docs/spec/keys.md.
package keydir
