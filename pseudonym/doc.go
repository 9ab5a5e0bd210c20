// Package pseudonym gives each recipient their own name for a person, and guards the one
// way back (GDPR Article 4(5): the additional information is kept apart and secured).
//
// A pseudonym is the AES-SIV encryption (RFC 5297) of the data subject id under a keyset
// that only this recipient's pseudonyms use. The same person has the same pseudonym for
// the same recipient each time, and two recipients who put their lists side by side
// learn nothing from them. The byte format is in docs/spec/keys.md.
//
// [Pseudonyms.DataSubject] finds the person a recipient asks about, inside one query.
// Telling somebody who is behind a pseudonym is another thing: [Reidentifier.Reidentify],
// for a data protection officer alone, allowed by policy, and in the log before the
// answer exists.
package pseudonym
