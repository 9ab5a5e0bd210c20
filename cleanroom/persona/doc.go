// Package persona tells a house's people apart into a handful of behavioural types, so that
// marketing can speak to a type and need nobody's data.
//
// A definition names features, which are shares of what people buy by product groups that
// give nothing away, and how types come of them: by rules, or by k-means. Only people whose
// consent covers the purpose are looked at. What is told of a type is noisy, paid from a
// privacy budget that is never refilled, and told once; a type of too few people is not told,
// and nobody gets its label. Whoever has one has it in their own sealed record, where the
// gate finds it in place of their data.
//
// The noise hides any one person among those of a type. Where k-means draws the line between
// types depends on everybody, so that is found with noise, too, and paid for ([Lines]); rules
// are the same whoever is there.
package persona
