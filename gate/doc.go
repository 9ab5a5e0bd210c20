// Package gate answers one question at a time: what may this recipient be told about
// this person, for this purpose, over this channel, now?
//
// The promise: nothing leaves without a policy decision that allows it and without
// evidence of that decision that is already durable; and what leaves never adds up to
// something that the person did not explicitly agree to have known. Unknown, missing,
// damaged, late or unreachable anything is a no.
//
// One query takes one round trip to the store, becomes a small canonical document
// (the facts), is decided by the policies, opens only the sealed categories that were
// granted, and goes down the release ladder: exact, generalized, persona, withheld.
// Inference control then looks at what the answer exposes together with what the same
// recipient was told before, because a basket of harmless things can amount to health
// data (GDPR Article 9(1); CJEU C-184/20 and C-21/23), and takes the strongest
// contributors away. It does so without a trace: the answer is the one that a person
// would get who never had what was taken away. docs/gate.md has the rules in full.
package gate
