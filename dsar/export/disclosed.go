package export

import "github.com/mahrem/mahrem/audit"

// Disclosed reports whether entries of a kind are told to the person whom they are about.
//
// All are, but for those that would tell of a legal hold. Whoever learns that their data are
// being kept for an investigation may do what the hold is there to prevent; the right of
// access gives way to that (GDPR Articles 15(4), 17(3)(e) and 23(1)(d) and (j), KVKK Article
// 28(2)(a)). A deferred erasure is left out with them, because nothing else defers one. The
// controller must look at it again when the hold is released: from then on nothing is hidden
// but the entries themselves, and the data were in the export all along.
func Disclosed(kind audit.Kind) bool {
	switch kind {
	case audit.HoldSet, audit.HoldReleased, audit.ErasureDeferred:
		return false
	}
	return true
}
