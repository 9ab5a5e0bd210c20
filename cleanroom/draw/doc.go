// Package draw brings the house's own people into a clean room: those whose consent covers
// what the room is for, at the moment at which they are drawn, and no others.
//
// Consent is folded while the person is locked, and that they are in the room commits with
// it: whoever withdraws, objects, has processing restricted or is erased at any later moment
// is found there and leaves with the same transaction (GDPR Articles 7(3), 17, 18 and 21;
// KVKK Article 7). Nothing that is stored leads from a person to their facts but a keyed seat.
package draw
