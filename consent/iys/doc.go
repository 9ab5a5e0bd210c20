// Package iys speaks the language of İYS (İleti Yönetim Sistemi), Turkey's national
// registry of consents to commercial electronic messages (Law 6563; By-law on Commercial
// Communication and Commercial Electronic Messages, Articles 5 to 11).
//
// Whoever sends such messages must have each consent in the registry, within three
// business days, and must follow a refusal that somebody gave there. So two things go
// between us and the registry: movements come in and bind the gate ([Movement],
// [Importer]), own consents go out as batches that the registry will take ([Check],
// [Exporter]).
//
// The words are those of the developer documentation of the registry (dev.iys.org.tr):
// ONAY and RET, BIREYSEL and TACIR, ARAMA, MESAJ and EPOSTA. What it leaves open we read
// so that the stricter reading holds; docs/iys.md says where.
package iys
