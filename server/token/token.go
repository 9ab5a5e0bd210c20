// Package token mints and verifies the bearer tokens by which programs and employees
// call Mahrem.
//
// A token is a JWT (RFC 7519) signed with ES256 by Tink, which refuses every other
// algorithm, "none" included, before it looks at a claim. It is short-lived by
// construction: no token without an end verifies, and none may live longer than
// [MaxTTL], whoever signed it (GDPR Article 32(1)(b)). It says who calls, in which
// role and for which recipient; what the caller may then do is for the policies.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/mahrem/mahrem/privacy"
	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// What every token says of itself. They are fixed: a token for another system, or of
// another system, is no token here.
const (
	Issuer   = "mahrem"
	Audience = "mahrem:api"
)

// MaxTTL is the longest life of a token.
const MaxTTL = 90 * 24 * time.Hour

const (
	// maxLength bounds the work that an unauthenticated caller can cause.
	maxLength      = 4096
	claimRole      = "role"
	claimRecipient = "recipient"
)

var (
	principalPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$`)
	recipientPattern = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)
)

// Config configures [New]. The zero value is ready for use.
type Config struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Random draws token ids; nil means crypto/rand.Reader.
	Random io.Reader
	// Revoked reports whether the token with this id was revoked before its end. It is
	// asked on every use, also of a remembered token, so it must be quick and must say
	// yes when it does not know. Nil means that no token is ever revoked.
	Revoked func(tokenID string) bool
	// Remembered is how many verified tokens are kept, so that a busy service pays for
	// one signature check and not for one a call. Zero means 4096.
	Remembered int
}

// Tokens mints and verifies tokens under one keyset. It is safe for concurrent use.
type Tokens struct {
	signer   jwt.Signer
	verifier jwt.Verifier
	cache    *cache
	config   Config
}

// New returns the tokens of a keyset of ES256 keys. It fails when the keyset holds
// keys of another kind.
func New(handle *keyset.Handle, config Config) (*Tokens, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	if config.Revoked == nil {
		config.Revoked = func(string) bool { return false }
	}
	if config.Remembered == 0 {
		config.Remembered = 4096
	}
	signer, err := jwt.NewSigner(handle)
	if err != nil {
		return nil, fmt.Errorf("opening token keyset for signing: %w", err)
	}
	public, err := handle.Public()
	if err != nil {
		return nil, fmt.Errorf("opening token keyset for verifying: %w", err)
	}
	verifier, err := jwt.NewVerifier(public)
	if err != nil {
		return nil, fmt.Errorf("opening token keyset for verifying: %w", err)
	}
	return &Tokens{signer: signer, verifier: verifier, cache: newCache(config.Remembered), config: config}, nil
}

// Minted is a new token and what its keeper needs to know of it.
type Minted struct {
	// Token is the secret. It is shown once and kept nowhere.
	Token string
	// ID names the token without being able to stand for it.
	ID        string
	ExpiresAt time.Time
}

// Mint signs a token for principal that ends after ttl. A service needs a recipient
// and no other role may have one; ttl is at least a second and at most [MaxTTL].
// Anything else is an error wrapping [privacy.ErrInvalid].
func (t *Tokens) Mint(principal privacy.Principal, ttl time.Duration) (Minted, error) {
	if err := check(principal); err != nil {
		return Minted{}, fmt.Errorf("minting token: %w", err)
	}
	if ttl < time.Second || ttl > MaxTTL {
		return Minted{}, fmt.Errorf("minting token: the life of a token is between one second and %d days: %w", MaxTTL/(24*time.Hour), privacy.ErrInvalid)
	}
	var id [16]byte
	if _, err := io.ReadFull(t.config.Random, id[:]); err != nil {
		return Minted{}, fmt.Errorf("drawing token id: %w", err)
	}
	tokenID := hex.EncodeToString(id[:])
	now := t.config.Now().Truncate(time.Second)
	expiresAt := now.Add(ttl.Truncate(time.Second))
	claims := map[string]any{claimRole: string(principal.Role)}
	if principal.Recipient != "" {
		claims[claimRecipient] = string(principal.Recipient)
	}
	raw, err := jwt.NewRawJWT(&jwt.RawJWTOptions{
		Issuer: new(Issuer), Audience: new(Audience), Subject: &principal.ID, JWTID: &tokenID,
		IssuedAt: &now, NotBefore: &now, ExpiresAt: &expiresAt, CustomClaims: claims,
	})
	if err != nil {
		return Minted{}, fmt.Errorf("building token: %w", err)
	}
	signed, err := t.signer.SignAndEncode(raw)
	if err != nil {
		return Minted{}, fmt.Errorf("signing token: %w", err)
	}
	return Minted{Token: signed, ID: tokenID, ExpiresAt: expiresAt}, nil
}

// Verify returns the principal whom a token stands for. Every refusal is an error that
// wraps [privacy.ErrUnauthenticated] and repeats nothing of the token.
func (t *Tokens) Verify(compact string) (privacy.Principal, error) {
	if len(compact) == 0 || len(compact) > maxLength {
		return privacy.Principal{}, refuse("its length is impossible")
	}
	key := sha256.Sum256([]byte(compact))
	now := t.config.Now()
	known, ok := t.cache.get(key)
	if !ok {
		var err error
		if known, err = t.verify(compact, now); err != nil {
			return privacy.Principal{}, err
		}
		t.cache.put(key, known)
	}
	// A remembered token ends like any other. It cannot be too early: it was in time
	// when it was first seen, unless the clock was set back, and then it is refused.
	if !now.Before(known.expiresAt) || now.Before(known.notBefore) {
		return privacy.Principal{}, refuse("it is not valid now")
	}
	if t.config.Revoked(known.id) {
		return privacy.Principal{}, refuse("it was revoked")
	}
	return known.principal, nil
}

// verify checks the signature and every claim.
func (t *Tokens) verify(compact string, now time.Time) (verified, error) {
	validator, err := jwt.NewValidator(&jwt.ValidatorOpts{
		ExpectedIssuer: new(Issuer), ExpectedAudience: new(Audience), ExpectIssuedInThePast: true, FixedNow: now,
	})
	if err != nil {
		return verified{}, fmt.Errorf("building token validator: %w", err)
	}
	token, err := t.verifier.VerifyAndDecode(compact, validator)
	if err != nil {
		// Tink's reason may quote claims, so it stays here.
		return verified{}, refuse("its signature, issuer, audience or times do not hold")
	}
	found, err := read(token)
	if err != nil {
		return verified{}, refuse("a claim is missing or malformed")
	}
	return found, nil
}

// read takes the claims apart. Tink has checked signature, issuer, audience and times.
func read(token *jwt.VerifiedJWT) (verified, error) {
	var (
		found verified
		bad   error
	)
	text := func(value string, err error) string {
		if err != nil {
			bad = err
		}
		return value
	}
	found.id = text(token.JWTID())
	role, err := privacy.ParseRole(text(token.StringClaim(claimRole)))
	if err != nil {
		return verified{}, err
	}
	found.principal = privacy.Principal{ID: text(token.Subject()), Role: role}
	if token.HasStringClaim(claimRecipient) {
		found.principal.Recipient = privacy.RecipientID(text(token.StringClaim(claimRecipient)))
	}
	issuedAt, err := token.IssuedAt()
	if err != nil {
		return verified{}, err
	}
	if found.expiresAt, err = token.ExpiresAt(); err != nil {
		return verified{}, err
	}
	found.notBefore = issuedAt
	if token.HasNotBefore() {
		if found.notBefore, err = token.NotBefore(); err != nil {
			return verified{}, err
		}
	}
	switch {
	case bad != nil:
		return verified{}, bad
	case found.id == "":
		return verified{}, fmt.Errorf("token without an id: %w", privacy.ErrInvalid)
	case found.expiresAt.Sub(issuedAt) > MaxTTL:
		return verified{}, fmt.Errorf("token with too long a life: %w", privacy.ErrInvalid)
	}
	return found, check(found.principal)
}

// check holds for the principal of every token, at birth and at each first use.
func check(principal privacy.Principal) error {
	if !principalPattern.MatchString(principal.ID) {
		return fmt.Errorf("a principal is named by 1 to 128 letters, digits or . _ @ + -: %w", privacy.ErrInvalid)
	}
	if _, err := privacy.ParseRole(string(principal.Role)); err != nil {
		return err
	}
	switch isService := principal.Role == privacy.RoleService; {
	case isService && !recipientPattern.MatchString(string(principal.Recipient)):
		return fmt.Errorf("a service speaks for one recipient, named in lower case: %w", privacy.ErrInvalid)
	case !isService && principal.Recipient != "":
		return fmt.Errorf("only a service speaks for a recipient: %w", privacy.ErrInvalid)
	}
	return nil
}

func refuse(why string) error {
	return fmt.Errorf("verifying token: %s: %w", why, privacy.ErrUnauthenticated)
}
