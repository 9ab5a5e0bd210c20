// Package retention lets go of what is not needed any more (GDPR Article 5(1)(e), KVKK
// Article 7 and the by-law on erasure), and says what law orders to keep though somebody
// asks for erasure (GDPR Article 17(3)).
//
// Periods and exceptions are data of the policy catalogue. A [Runner] looks at everybody
// who is due, a batch at a time: whatever has had its period is deleted, with the people's
// rows locked, their legal holds looked up in the same transaction, and an entry in the
// log. It can be broken off anywhere and goes on where it stopped. A [Withholder] picks out
// of an erasure what must stay, and a [Report] is the record of the periodic destruction,
// signed and in words.
package retention
