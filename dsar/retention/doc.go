// Package retention says what law orders to keep though somebody asks for erasure (GDPR
// Article 17(3), KVKK Article 5(2)(ç)). Periods and exceptions are data of the policy
// catalogue; a [Withholder] picks out of an erasure what must stay.
package retention
