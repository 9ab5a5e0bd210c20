package verdict

import (
	"fmt"

	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/privacy"
)

// Proof is what a proof file shows, and who vouches for the checkpoint in it.
type Proof struct {
	bundle.Proved
	// Cosigned is only known with a policy of witnesses.
	Cosigned witness.Cosigned
}

// OfProof checks a proof file by whichever of the keys signed the checkpoint in it, and with
// a policy also that enough witnesses have. The error wraps [privacy.ErrDamaged] if the proof
// does not hold, or lacks the quorum that is demanded, and says what is wrong; any other says
// that it could not be checked.
func OfProof(file []byte, options Options) (p Proof, err error) {
	verifiers, err := logKeys(options.Keys)
	if err != nil {
		return p, err
	}
	if len(verifiers) == 0 {
		return p, fmt.Errorf("no key of the log was given: whose signature would count: %w", privacy.ErrInvalid)
	}
	var first error
	for _, verifier := range verifiers {
		if p.Proved, err = bundle.CheckProof(file, verifier); err == nil {
			p.Cosigned, err = cosigned(p.Note, options)
			return p, err
		}
		if first == nil {
			first = err
		}
	}
	return Proof{}, first
}

// cosigned counts the witnesses under a checkpoint that a key of the log has signed. Without
// a policy there is nothing to count.
func cosigned(signed []byte, options Options) (c witness.Cosigned, err error) {
	if len(options.Policy) == 0 {
		return c, nil
	}
	policy, err := witness.ParsePolicy(options.Policy)
	if err != nil {
		return c, err
	}
	verifiers, err := logKeys(options.Keys)
	if err != nil {
		return c, err
	}
	if c, err = policy.Check(signed, verifiers...); err != nil {
		return c, err
	}
	if !c.Quorum {
		return c, fmt.Errorf("no quorum: %d of %d witnesses have signed the checkpoint: %w", len(c.Cosignatures), len(policy.Witnesses()), privacy.ErrDamaged)
	}
	return c, nil
}

// Witnesses are the names of those whose cosignatures count.
func (p *Proof) Witnesses() []string { return namesOf(&p.Cosigned) }

func namesOf(c *witness.Cosigned) []string {
	names := []string{}
	for i := range c.Cosignatures {
		names = append(names, c.Cosignatures[i].Witness)
	}
	return names
}
