// Package link makes the links by which a person takes a consent back: one click, without an
// account, from any message that was sent on the strength of that consent (GDPR Article 7(3),
// RFC 8058).
//
// A link is its own authority. It says, sealed, whose consent to what it takes back and until
// when it works; nothing of that is stored, and whoever does not have the key directory can
// neither read a link nor make one. It can do nothing but say no, and it can be used more
// than once: saying no twice is saying no.
//
// docs/spec/link.md is the format.
package link
