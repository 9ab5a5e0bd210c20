package policies

import "fmt"

// Why a candidate is refused: words for the log, the status and metrics.
const (
	// BundleUnavailable: it cannot be read now. Nothing is wrong with it yet.
	BundleUnavailable = "bundle.unavailable"
	// BundleMalformed: it is not a bundle, or larger than one may be.
	BundleMalformed = "bundle.malformed"
	// BundleUnsigned: it has no statement, or a statement without a signature.
	BundleUnsigned = "bundle.unsigned"
	// BundleUntrusted: nobody whose key is known signed it.
	BundleUntrusted = "bundle.untrusted"
	// BundleTampered: its files or its statement are not what was signed.
	BundleTampered = "bundle.tampered"
	// BundleExpired: its statement does not hold any more.
	BundleExpired = "bundle.expired"
	// BundleSequence: a later one was active here, or another with the same number.
	BundleSequence = "bundle.sequence"
	// CatalogueInvalid: the catalogue contradicts itself or its form.
	CatalogueInvalid = "catalogue.invalid"
	// PolicyInvalid: the rules do not compile, or do what rules must not.
	PolicyInvalid = "policy.invalid"
	// PolicyCases: a scenario of the bundle does not come out as it says.
	PolicyCases = "policy.cases"
	// PolicyMutation: facts that must be denied are not.
	PolicyMutation = "policy.mutation"
	// PolicyUnrecorded: that it becomes active could not be recorded.
	PolicyUnrecorded = "policy.unrecorded"
)

// Refusal is why a candidate did not become the active revision.
type Refusal struct {
	// Check is one of the words above.
	Check string
	// Digest is the candidate's, zero if it could not be read.
	Digest [32]byte
	// Err says more, to the operator.
	Err error
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Check, r.Err) }

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(check string, err error) *Refusal { return &Refusal{Check: check, Err: err} }
