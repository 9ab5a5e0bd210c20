// Package vault seals what is held about people and finds them again without storing a
// readable identifier.
//
// Each person has a data encryption key (DEK) of their own: random, never derived, and
// stored only wrapped by the key encryption key (KEK), which lives in the key directory
// and never in the database. Everything about a person is sealed under their DEK, so
// destroying one wrapped key makes every copy of their data unreadable, backups that
// lack the key included (GDPR Article 17; KVKK Article 7). A key derived from a master
// key could not be destroyed, which is why none is.
//
// A sealed blob is bound by its associated data to its person, kind, category, number
// and version. It opens in its own place and nowhere else: swapped, truncated or altered
// blobs fail with [privacy.ErrDamaged]. The formats are in docs/spec/record.md and
// docs/spec/keys.md; the rules for identifiers are in docs/identifiers.md. The
// primitives are Tink's: AES-256-GCM (NIST SP 800-38D), HMAC-SHA256 (RFC 2104) and
// AES-CMAC (RFC 4493).
package vault
