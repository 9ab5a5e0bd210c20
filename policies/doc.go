// Package policies decides. It turns facts about one request into a plan: allowed or
// not, on which legal basis, which data categories, up to which level of detail, under
// which obligations, and by name every check that did not pass.
//
// Nothing is open unless a rule says so (GDPR Article 25(2), data protection by
// default). The rules are Rego, written as an affirmative gate: a request passes when
// every required check passed, so a fact that is unknown, missing or malformed closes
// the gate instead of slipping past a prohibition. The rules have no clock, no network
// and no randomness: a decision is a pure function of a policy revision and of
// [Facts], and can be computed again years later.
//
// What the rules speak about is the [Catalogue]: purposes, data categories, attributes,
// inferences, jurisdictions, channels, recipients, personas and product groups, as
// strict YAML. Rules and catalogue together are a bundle, and one activated bundle is a
// [Revision]. An [Engine] swaps revisions as a whole and keeps the last good one.
package policies
