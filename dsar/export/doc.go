// Package export hands a person what is held about them (GDPR Articles 15 and 20, KVKK
// Article 11): the data and where it came from, the purposes, the recipients, for how long,
// every consent, every conclusion that was drawn, and every query that was answered or
// refused, each with who asked, why, and the rule that decided.
//
// An export is one ZIP file, written as a stream in bounded memory: data.json for machines,
// index.html and its pages for people (English, Turkish or Czech; no scripts, nothing from
// the network), manifest.json with the digest of each file, and manifest.note, which signs
// the manifest with the key of the audit log. It is encrypted with age while it is written;
// the plain ZIP is never on a disk. The formats are in docs/spec/export.md.
//
// What the log says about the person is found by going through all of it with the person's
// blinding key, since nothing in it leads to anybody. The scan recomputes the log's root
// hash and compares it with a signed checkpoint: that nothing was passed over can be shown.
//
// That somebody was exported is in the log before their file is complete. What is not
// disclosed: the data of other people that stand in shared texts, the accounts of
// employees, and legal holds (see [Disclosed]).
package export
