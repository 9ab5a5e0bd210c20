// Package receipt gives people and those who act for them a copy of what the consent ledger
// says: a consent receipt in the structure of ISO/IEC TS 27560:2023, as JSON-LD in the words
// of the W3C Data Privacy Vocabulary, or in that of Kantara's Consent Receipt 1.1 (GDPR
// Article 7(1): the controller shall be able to demonstrate that the person has consented).
//
// A receipt is signed (a JWT by ES256) and can be checked without us: with the key set that
// is published at /.well-known/jwks.json and nothing else. It names the person by a
// recipient's pseudonym, so that who finds one knows nobody. It says what was chosen, and
// beside it what held when it was issued: a receipt of a grant that was withdrawn meanwhile
// says so. docs/spec/receipt.md has the bytes.
package receipt
