// Package bench measures what a decision costs and how fast data comes in, against
// something that anybody can judge: the same rows, read by a program that does nothing
// but read them.
//
// A rate alone says more about the machine than about the program. So [Gate] runs a
// bare net/http handler that answers one prepared primary-key SELECT beside the whole
// gate, on the same PostgreSQL, with the same client, in alternating rounds, and the
// number to look at is the ratio. The client is a raw one that writes ready-made bytes:
// on a machine where client and server share the processors, a costly client would
// slow both down alike and flatter the ratio.
package bench
