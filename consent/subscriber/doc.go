// Package subscriber tells recipients how the choices of people stand, whenever one of them
// changes (GDPR Articles 7(3) and 19).
//
// A [Subscriber] is a recipient of the catalogue with an address. A change of consent adds a
// delivery for each in its own transaction ([Deliveries]); the outbox sends it afterwards, at
// least once, and what is sent is made at that moment ([Teller]): the whole standing of the
// purpose, with a sequence that only grows. So a call that comes late, twice or after a later
// one does no harm, and a person who was erased meanwhile is reported as that.
//
// People are named by the recipient's own pseudonyms and never by an identifier. The format
// is in docs/spec/webhook.md.
package subscriber
