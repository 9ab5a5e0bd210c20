// Package archive keeps what decisions were made of, so that each can be shown, and made
// again, years later: the policy bundles in full, and the canonical facts and plans
// sealed under the house's own key. The log has the digests of all three in every entry
// and stays the evidence; the archive is what they are digests of.
//
// Facts are a small closed document and repeat, so there is one row for each that
// occurred and not for each decision, and nothing in it leads to a person. How many
// people a change of policy would concern is estimated from sketches of tags that are
// keyed with each person's own blinding key: an erasure takes the person out of reach.
package archive
