// Package certificate writes and checks certificates of erasure: what was destroyed, how,
// what had to be kept and on which ground, and which processors have confirmed.
//
// Whoever was erased can no longer ask what became of their data, and the controller must
// be able to show that it complied (GDPR Article 5(2)); Turkish law wants the record of
// every erasure kept for at least three years and its method documented (By-law on
// Erasure, Destruction and Anonymization of Personal Data, Article 7(3) and (4)). So a
// certificate says nothing about the person, stands on its own, and is checked offline
// with the public key of the log alone: it carries the log entry of the erasure with a
// proof that the entry is in the signed log. The format is in docs/spec/certificate.md.
//
// What it cannot show is that a processor told the truth.
package certificate
