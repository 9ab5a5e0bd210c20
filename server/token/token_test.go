package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mahrem/mahrem/privacy"
	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

var (
	start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	shop  = privacy.Principal{ID: "shop-web", Role: privacy.RoleService, Recipient: "shop"}
)

// clock is a fake clock that a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newHandle(t testing.TB) *keyset.Handle {
	t.Helper()
	handle, err := keyset.NewHandle(jwt.ES256Template())
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

func newTokens(t testing.TB, handle *keyset.Handle, config Config) *Tokens {
	t.Helper()
	tokens, err := New(handle, config)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func mustMint(t testing.TB, tokens *Tokens, principal privacy.Principal, ttl time.Duration) string {
	t.Helper()
	minted, err := tokens.Mint(principal, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return minted.Token
}

// sign makes a token that Mint would not.
func sign(t *testing.T, handle *keyset.Handle, change func(*jwt.RawJWTOptions)) string {
	t.Helper()
	signer, err := jwt.NewSigner(handle)
	if err != nil {
		t.Fatal(err)
	}
	end := start.Add(time.Hour)
	options := &jwt.RawJWTOptions{
		Issuer: new(Issuer), Audience: new(Audience), Subject: new("shop-web"), JWTID: new("1"),
		IssuedAt: &start, ExpiresAt: &end, CustomClaims: map[string]any{"role": "service", "recipient": "shop"},
	}
	change(options)
	raw, err := jwt.NewRawJWT(options)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.SignAndEncode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestMintThenVerify(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t, newHandle(t), Config{})
	for _, principal := range []privacy.Principal{
		shop,
		{ID: "ayse@example.org", Role: privacy.RoleDPO},
		{ID: "auditor.1", Role: privacy.RoleAuditor},
		{ID: "crm-export", Role: privacy.RoleIngest},
	} {
		compact := mustMint(t, tokens, principal, time.Hour)
		for _, turn := range []string{"first", "remembered"} {
			got, err := tokens.Verify(compact)
			if err != nil {
				t.Fatalf("%s use: %v", turn, err)
			}
			if diff := cmp.Diff(principal, got); diff != "" {
				t.Errorf("%s use (-want +got):\n%s", turn, diff)
			}
		}
	}
}

func TestMintRefuses(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t, newHandle(t), Config{})
	tests := map[string]struct {
		principal privacy.Principal
		ttl       time.Duration
	}{
		"no id":                       {privacy.Principal{Role: privacy.RoleDPO}, time.Hour},
		"id with a space":             {privacy.Principal{ID: "a b", Role: privacy.RoleDPO}, time.Hour},
		"unknown role":                {privacy.Principal{ID: "a", Role: "admin"}, time.Hour},
		"no role":                     {privacy.Principal{ID: "a"}, time.Hour},
		"service without recipient":   {privacy.Principal{ID: "a", Role: privacy.RoleService}, time.Hour},
		"service with bad recipient":  {privacy.Principal{ID: "a", Role: privacy.RoleService, Recipient: "Shop/1"}, time.Hour},
		"dpo with recipient":          {privacy.Principal{ID: "a", Role: privacy.RoleDPO, Recipient: "shop"}, time.Hour},
		"no ttl":                      {shop, 0},
		"negative ttl":                {shop, -time.Hour},
		"ttl of less than one second": {shop, time.Millisecond},
		"ttl beyond the maximum":      {shop, MaxTTL + time.Second},
	}
	for name, test := range tests {
		if _, err := tokens.Mint(test.principal, test.ttl); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if _, err := tokens.Mint(shop, MaxTTL); err != nil {
		t.Errorf("the longest life is refused: %v", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	handle := newHandle(t)
	tokens := newTokens(t, handle, Config{Now: (&clock{start}).Now})
	good := sign(t, handle, func(*jwt.RawJWTOptions) {})
	if _, err := tokens.Verify(good); err != nil {
		t.Fatalf("the pattern of all others is refused: %v", err)
	}
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	var header map[string]any
	decoded, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(decoded, &header); err != nil {
		t.Fatal(err)
	}
	withHeader := func(key string, value any) string {
		changed := map[string]any{}
		for k, v := range header {
			changed[k] = v
		}
		changed[key] = value
		text, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		return encode(text)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	promoted := encode(bytes.Replace(payload, []byte("service"), []byte("auditor"), 1))
	times := func(issued, notBefore, end time.Duration) func(*jwt.RawJWTOptions) {
		return func(o *jwt.RawJWTOptions) {
			o.IssuedAt, o.NotBefore, o.ExpiresAt = new(start.Add(issued)), new(start.Add(notBefore)), new(start.Add(end))
		}
	}
	claims := func(c map[string]any) func(*jwt.RawJWTOptions) {
		return func(o *jwt.RawJWTOptions) { o.CustomClaims = c }
	}
	tests := map[string]string{
		"empty":          "",
		"no token":       "abc",
		"too long":       strings.Repeat("a", maxLength+1),
		"another key":    sign(t, newHandle(t), func(*jwt.RawJWTOptions) {}),
		"alg none":       withHeader("alg", "none") + "." + parts[1] + ".",
		"alg none kept":  withHeader("alg", "none") + "." + parts[1] + "." + parts[2],
		"alg HS256":      withHeader("alg", "HS256") + "." + parts[1] + "." + parts[2],
		"another kid":    withHeader("kid", "AAAAAA") + "." + parts[1] + "." + parts[2],
		"crit header":    withHeader("crit", []string{"exp"}) + "." + parts[1] + "." + parts[2],
		"altered claims": parts[0] + "." + promoted + "." + parts[2],
		"no signature":   parts[0] + "." + parts[1] + ".",
		"two parts":      parts[0] + "." + parts[1],
		"four parts":     good + ".x",
		"padded":         good + "=",
		"expired":        sign(t, handle, times(-2*time.Hour, -2*time.Hour, -time.Second)),
		"ends now":       sign(t, handle, times(-time.Hour, -time.Hour, 0)),
		"not yet":        sign(t, handle, times(0, time.Second, time.Hour)),
		"future iat":     sign(t, handle, times(time.Minute, 0, time.Hour)),
		"no iat":         sign(t, handle, func(o *jwt.RawJWTOptions) { o.IssuedAt = nil }),
		"no exp":         sign(t, handle, func(o *jwt.RawJWTOptions) { o.ExpiresAt, o.WithoutExpiration = nil, true }),
		"too long a ttl": sign(t, handle, times(0, 0, MaxTTL+time.Second)),
		"wrong issuer":   sign(t, handle, func(o *jwt.RawJWTOptions) { o.Issuer = new("elsewhere") }),
		"no issuer":      sign(t, handle, func(o *jwt.RawJWTOptions) { o.Issuer = nil }),
		"wrong audience": sign(t, handle, func(o *jwt.RawJWTOptions) { o.Audience = new("elsewhere") }),
		"no audience":    sign(t, handle, func(o *jwt.RawJWTOptions) { o.Audience = nil }),
		"no subject":     sign(t, handle, func(o *jwt.RawJWTOptions) { o.Subject = nil }),
		"no id":          sign(t, handle, func(o *jwt.RawJWTOptions) { o.JWTID = nil }),
		"no claims":      sign(t, handle, claims(nil)),
		"unknown role":   sign(t, handle, claims(map[string]any{"role": "root", "recipient": "shop"})),
		"role as list":   sign(t, handle, claims(map[string]any{"role": []any{"dpo"}})),
		"no recipient":   sign(t, handle, claims(map[string]any{"role": "service"})),
		"recipient null": sign(t, handle, claims(map[string]any{"role": "service", "recipient": nil})),
		"dpo recipient":  sign(t, handle, claims(map[string]any{"role": "dpo", "recipient": "shop"})),
	}
	for name, compact := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			principal, err := tokens.Verify(compact)
			if !errors.Is(err, privacy.ErrUnauthenticated) {
				t.Fatalf("got %+v, %v, want ErrUnauthenticated", principal, err)
			}
			if principal != (privacy.Principal{}) {
				t.Errorf("a refused token gave %+v", principal)
			}
			if len(compact) > 8 && strings.Contains(err.Error(), compact[:8]) {
				t.Error("the error repeats the token")
			}
		})
	}
}

func TestRememberedTokenStillEnds(t *testing.T) {
	t.Parallel()
	at := &clock{start}
	tokens := newTokens(t, newHandle(t), Config{Now: at.Now})
	compact := mustMint(t, tokens, shop, time.Minute)
	if _, err := tokens.Verify(compact); err != nil {
		t.Fatal(err)
	}
	at.now = start.Add(time.Minute - time.Nanosecond)
	if _, err := tokens.Verify(compact); err != nil {
		t.Errorf("just before the end: %v", err)
	}
	for _, moment := range []time.Time{start.Add(time.Minute), start.Add(-time.Second)} {
		at.now = moment
		if _, err := tokens.Verify(compact); !errors.Is(err, privacy.ErrUnauthenticated) {
			t.Errorf("at %v: got %v, want ErrUnauthenticated", moment, err)
		}
	}
}

func TestRevokedTokenIsRefusedAlsoWhenRemembered(t *testing.T) {
	t.Parallel()
	revoked := map[string]bool{}
	tokens := newTokens(t, newHandle(t), Config{Revoked: func(id string) bool { return revoked[id] }})
	minted, err := tokens.Mint(shop, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Verify(minted.Token); err != nil {
		t.Fatal(err)
	}
	revoked[minted.ID] = true
	if _, err := tokens.Verify(minted.Token); !errors.Is(err, privacy.ErrUnauthenticated) {
		t.Errorf("got %v, want ErrUnauthenticated", err)
	}
}

func TestMemoryIsBoundedAndOnlyForValidTokens(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t, newHandle(t), Config{Remembered: 8})
	for i := range 40 {
		_, _ = tokens.Verify(fmt.Sprintf("junk.%d.junk", i))
	}
	if got := tokens.cache.size(); got != 0 {
		t.Errorf("%d refused tokens are remembered", got)
	}
	for i := range 40 {
		compact := mustMint(t, tokens, privacy.Principal{ID: fmt.Sprintf("p%d", i), Role: privacy.RoleDPO}, time.Hour)
		if _, err := tokens.Verify(compact); err != nil {
			t.Fatal(err)
		}
	}
	if got := tokens.cache.size(); got == 0 || got > 8 {
		t.Errorf("%d tokens are remembered, want 1 to 8", got)
	}
}

func TestNewRefusesOtherKeys(t *testing.T) {
	t.Parallel()
	symmetric, err := keyset.NewHandle(jwt.HS256Template())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(symmetric, Config{}); err == nil {
		t.Error("a keyset of shared secrets was accepted")
	}
}

func FuzzVerify(f *testing.F) {
	tokens := newTokens(f, newHandle(f), Config{})
	compact := mustMint(f, tokens, shop, time.Hour)
	f.Add(compact)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		// A signature has more than one spelling; what it says has not.
		if principal, err := tokens.Verify(text); err == nil && principal != shop {
			t.Errorf("an unsigned token was accepted")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	tokens := newTokens(b, newHandle(b), Config{})
	compact := mustMint(b, tokens, shop, time.Hour)
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := tokens.Verify(compact); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := tokens.verify(compact, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
