// Package activate makes an audience of people whom a question in a clean room is about: the
// one act by which a room leads back to people, and so one of its own, with consent of its own.
//
// It hands out pseudonyms that were made for the recipient, of the house's own people who
// agreed to just that, from a thousand of them on. That there are enough is decided, and how
// long the list is is drawn, with noise that the budgets pay for: the list is filled with
// pseudonyms of nobody, so its length is no count of anything. No other number comes with it.
package activate
