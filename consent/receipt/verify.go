package receipt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tink-crypto/tink-go/v2/jwt"
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
	CheckForm      = "form"
	CheckType      = "type"
	CheckAlgorithm = "algorithm"
	CheckKey       = "key"
	CheckSignature = "signature"
	CheckIssuer    = "issuer"
	CheckTimes     = "times"
	CheckSchema    = "schema"
	CheckContent   = "content"
)

// clockSkew is how far the clock of the issuer may be ahead of the reader's.
const clockSkew = 5 * time.Minute

// Verify checks a receipt with the keys of its issuer and nothing else, as of a time. It
// returns the receipt only if every check passed; the error wraps [privacy.ErrDamaged] if
// one did not. The checks say how far it came.
//
// What a receipt says of itself (type, algorithm, key) is compared with what must stand
// there before any cryptography: it never chooses how it is checked (RFC 8725 section 3).
func Verify(token string, keys *Keys, at time.Time) (*Receipt, []Check, error) {
	v := &verification{}
	r := v.run(token, keys, at)
	if v.failed != nil {
		return nil, v.checks, fmt.Errorf("verifying receipt: %w", v.failed)
	}
	return r, v.checks, nil
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

// header is what a receipt says about its signature: these three, and nothing else.
type header struct {
	Type      *string `json:"typ"`
	Algorithm *string `json:"alg"`
	Key       *string `json:"kid"`
}

func (v *verification) run(token string, keys *Keys, at time.Time) *Receipt {
	h, err := splitHeader(token)
	if !v.check(CheckForm, "a JWS in compact form", err) {
		return nil
	}
	if err = nil; *h.Type != Type {
		err = damaged("it is something else than a consent receipt")
	}
	if !v.check(CheckType, "a "+Type, err) {
		return nil
	}
	if *h.Algorithm != Algorithm {
		err = damaged("it is signed in another way than %s, or not at all", Algorithm)
	}
	if !v.check(CheckAlgorithm, "signed with "+Algorithm, err) {
		return nil
	}
	verifier := keys.keys[*h.Key]
	if verifier == nil {
		err = damaged("the key it names is not in the key set; if the set is old, fetch it again")
	}
	if !v.check(CheckKey, "by a key of the key set", err) {
		return nil
	}
	// The claims are looked at below, each by its name.
	validator, err := jwt.NewValidator(&jwt.ValidatorOpts{
		ExpectedTypeHeader: new(Type), IgnoreIssuer: true, IgnoreAudiences: true, AllowMissingExpiration: true, FixedNow: time.Unix(0, 0).Add(1),
	})
	var payload []byte
	if err == nil {
		payload, err = verified(verifier, token, validator)
	}
	if !v.check(CheckSignature, "the signature holds", err) {
		return nil
	}
	var c claims
	if json.Unmarshal(payload, &c) != nil || c.Issuer != keys.issuer {
		err = damaged("it is by somebody else than %s", keys.issuer)
	}
	if !v.check(CheckIssuer, "issued by "+keys.issuer, err) {
		return nil
	}
	if !v.check(CheckTimes, "good on "+at.UTC().Format(time.DateOnly), c.checkTimes(at)) {
		return nil
	}
	r, err := shaped(payload)
	if !v.check(CheckSchema, "fits the schema of a "+string(c.Format)+" receipt", err) {
		return nil
	}
	if !v.check(CheckContent, "says the same in every place", r.agree()) {
		return nil
	}
	return r
}

// splitHeader takes the header out of a compact JWS, strictly.
func splitHeader(token string) (*header, error) {
	if len(token) > MaxSize {
		return nil, damaged("it is longer than %d bytes", MaxSize)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, damaged("it is not of three parts")
	}
	for _, part := range parts {
		// The standard decoder passes over line ends.
		if strings.ContainsAny(part, "\r\n") {
			return nil, damaged("a part is not base64url")
		}
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return nil, damaged("a part is not base64url")
		}
	}
	text, _ := base64.RawURLEncoding.Strict().DecodeString(parts[0])
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var h header
	if err := decoder.Decode(&h); err != nil || decoder.More() || h.Type == nil || h.Algorithm == nil || h.Key == nil {
		return nil, damaged("its header is not typ, alg and kid")
	}
	return &h, nil
}

// verified returns what was signed.
func verified(verifier jwt.Verifier, token string, validator *jwt.Validator) ([]byte, error) {
	opened, err := verifier.VerifyAndDecode(token, validator)
	if err != nil {
		// Tink's reason may quote what it read.
		return nil, damaged("the signature does not hold")
	}
	payload, err := opened.JSONPayload()
	if err != nil {
		return nil, damaged("what is signed cannot be read")
	}
	return payload, nil
}

func (c *claims) checkTimes(at time.Time) error {
	issued, expires := time.Unix(c.IssuedAt, 0), time.Unix(c.ExpiresAt, 0)
	switch {
	case !issued.Before(expires) || expires.Sub(issued) > Lifetime:
		return damaged("it is good for longer than a receipt can be")
	case issued.After(at.Add(clockSkew)):
		return damaged("it was issued later than the time of the check")
	case !at.Before(expires):
		return damaged("it expired; a new one can be had from the issuer")
	}
	return nil
}
