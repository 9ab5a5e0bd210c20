package certificate

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Check is one thing that was looked at, by a name that a script can rely on.
type Check struct {
	Name string `json:"name"`
	// Passed is false for the check that failed; those after it were not made.
	Passed bool `json:"passed"`
	// Detail says it in a sentence.
	Detail string `json:"detail"`
}

// The names of the checks, in the order in which they are made.
const (
	CheckSignature = "signature"
	CheckFormat    = "format"
	CheckInclusion = "inclusion"
	CheckEntry     = "entry"
	CheckPlan      = "plan"
	CheckTimes     = "times"
)

// clockSkew is how far the clocks of the log and the database may be apart.
const clockSkew = 5 * time.Minute

// Verify checks a certificate against the public keys of the house, in the form that
// "mahrem audit key" prints, one a line: name+hash+key (C2SP signed-note). The first is that
// of the log; where a signer of its own has that, the next is the house's, which signs
// documents. It returns the certificate only if every check passed; the error wraps
// [privacy.ErrDamaged] if one did not and [privacy.ErrInvalid] if key is not a key. The
// checks say how far it came.
func Verify(signed []byte, key string) (*Certificate, []Check, error) {
	lines := strings.Split(strings.TrimSpace(key), "\n")
	logs, own := make([]note.Verifier, len(lines)), make([]note.Verifier, len(lines))
	for i, line := range lines {
		var err error
		if logs[i], err = note.NewVerifier(strings.TrimSpace(line)); err != nil {
			return nil, nil, fmt.Errorf("reading public key of the log: %w", privacy.ErrInvalid)
		}
		if own[i], err = certificateVerifier(line); err != nil {
			return nil, nil, err
		}
	}
	var best verification
	for _, document := range own {
		for _, log := range logs {
			v := verification{}
			if c := v.run(signed, document, log); v.failed == nil {
				return c, v.checks, nil
			}
			if len(v.checks) > len(best.checks) {
				best = v
			}
		}
	}
	return nil, best.checks, fmt.Errorf("verifying certificate: %w", best.failed)
}

// certificateVerifier is the verifier of the same key under the name that certificates
// are signed with.
func certificateVerifier(key string) (note.Verifier, error) {
	// name+hash+base64(algorithm ‖ key)
	parts := strings.SplitN(strings.TrimSpace(key), "+", 3)
	invalid := fmt.Errorf("reading public key of the log: %w", privacy.ErrInvalid)
	if len(parts) != 3 {
		return nil, invalid
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return nil, invalid
	}
	return audit.NewVerifier(SignerName(parts[0]), ed25519.PublicKey(raw[1:]))
}

type verification struct {
	checks []Check
	failed error
}

// check notes what became of one check and reports whether to go on.
func (v *verification) check(name, detail string, err error) bool {
	if err != nil {
		v.failed = fmt.Errorf("%s: %w", name, err)
		detail = err.Error()
	}
	v.checks = append(v.checks, Check{Name: name, Passed: err == nil, Detail: detail})
	return err == nil
}

func (v *verification) run(signed []byte, own, log note.Verifier) *Certificate {
	text, err := open(signed, own)
	if !v.check(CheckSignature, "signed by "+own.Name(), err) {
		return nil
	}
	c, err := parseText(text)
	if !v.check(CheckFormat, "a certificate of erasure, version 1", err) {
		return nil
	}
	proof, err := c.Log.inclusion()
	var entry audit.Entry
	if err == nil {
		entry, err = proof.Verify(log)
	}
	if !v.check(CheckInclusion, fmt.Sprintf("entry %d is in the signed log of %s", c.Log.Index, log.Name()), err) {
		return nil
	}
	if !v.check(CheckEntry, "the entry says that a person was erased", checkEntry(&entry)) {
		return nil
	}
	if !v.check(CheckPlan, "the entry names the plan that was approved", c.checkPlan(&entry)) {
		return nil
	}
	if !v.check(CheckTimes, "the times are in order", c.checkTimes(&entry)) {
		return nil
	}
	return c
}

// open checks the signature and the spelling of the note.
func open(signed []byte, verifier note.Verifier) (string, error) {
	if len(signed) > MaxSize {
		return "", damaged("more than %d bytes", MaxSize)
	}
	return audit.OpenNote(signed, verifier)
}

func checkEntry(entry *audit.Entry) error {
	if entry.Kind != audit.PersonErased && entry.Kind != audit.ErasureReplayed || entry.Outcome != audit.Done || entry.Person.IsZero() {
		return damaged("the entry is about something else")
	}
	return nil
}

func (c *Certificate) checkPlan(entry *audit.Entry) error {
	plan, err := hex.DecodeString(c.Erasure.Plan)
	if err != nil || !bytes.Equal(plan, entry.List[:]) {
		return damaged("the entry names another plan")
	}
	return nil
}

func (c *Certificate) checkTimes(entry *audit.Entry) error {
	if d := entry.Time.Sub(c.Erasure.ErasedAt); d < -clockSkew || d > clockSkew {
		return damaged("the entry is of another time")
	}
	if c.IssuedAt.Before(c.Erasure.ErasedAt.Add(-clockSkew)) {
		return damaged("it was issued before the erasure")
	}
	return nil
}
