// Package outbox delivers what leaves the house because of a request: a code for its
// person, a letter, a message to a processor (GDPR Article 19).
//
// A [Delivery] is added in the transaction of the change that it follows from, so neither
// can be without the other, whatever crashes. A [Worker] sends it afterwards: at least
// once, again after a failure with growing pauses, until it has arrived or its time is
// over. Its id is the same in every attempt, and a receiver that remembers it acts once.
//
// The payload is sealed under a key of the delivery's own, which is destroyed when it has
// arrived.
package outbox
