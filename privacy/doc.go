// Package privacy is Mahrem's vocabulary: the words that law and the field already
// use, as types, so that two of them cannot be mixed up and none can be printed by
// accident.
//
// Everything else in the module speaks in these types and this package imports only
// the standard library, so that a reader can learn the language of the house in one
// sitting. The words are those of the GDPR (Article 4), of Turkish Law 6698 (KVKK,
// Article 3) and, for callers, of the OpenID AuthZEN Authorization API 1.0, with one
// deliberate difference: AuthZEN's "subject" is our [Principal], and the person whom
// data is about is always the data subject.
package privacy
