// Package webhook takes letters to the program of a company that reaches its people: its
// mail service, its messages by phone.
//
// A call is signed as the Standard Webhooks specification has it, so that receivers can
// use the libraries that exist. Its body has ids only; what a person's message needs,
// address, code and text, is sealed under a key that follows from the same secret, so that
// a log of the calls on the way holds nothing about anybody. docs/spec/webhook.md is the
// format, and [Open] the receiver's side of it.
package webhook
