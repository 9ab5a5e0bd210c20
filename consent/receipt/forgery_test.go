package receipt

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/mahrem/mahrem/privacy"
)

// TestEveryAlteredByteIsRefused flips each bit of each byte of a receipt.
func TestEveryAlteredByteIsRefused(t *testing.T) {
	t.Parallel()
	handle := newKeyset(t)
	keys := mustKeys(t, handle)
	for _, format := range []Format{ISO27560, Kantara} {
		token := []byte(mustSign(t, handle, facts(), format).Token)
		step := 1
		if testing.Short() {
			step = 7 // prime to 4, so that each place of a base64 group has its turn
		}
		tried := 0
		for i := 0; i < len(token); i += step {
			for bit := range 8 {
				token[i] ^= 1 << bit
				if _, checks, err := Verify(string(token), keys, noon); err == nil || failed(checks) == "" || !errors.Is(err, privacy.ErrDamaged) {
					t.Fatalf("%s with bit %d of byte %d flipped: %v", format, bit, i, err)
				}
				token[i] ^= 1 << bit
				tried++
			}
		}
		for i := 0; i < len(token); i += step {
			if _, _, err := Verify(string(token[:i])+string(token[i+1:]), keys, noon); err == nil {
				t.Fatalf("%s without byte %d is believed", format, i)
			}
		}
		if _, _, err := Verify(string(token), keys, noon); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d alterations of %d bytes refused", format, tried, len(token))
	}
}

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// resign signs a payload of one's own with the right key, as Tink would.
func resign(t *testing.T, handle *keyset.Handle, kind *string, payload string) string {
	t.Helper()
	signer, err := jwt.NewSigner(handle)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.NewRawJWTFromJSON(kind, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.SignAndEncode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestForgeriesAreNamed: each trick is refused by the check that is there for it.
func TestForgeriesAreNamed(t *testing.T) {
	t.Parallel()
	handle, other := newKeyset(t), newKeyset(t)
	keys := mustKeys(t, handle)
	good := mustSign(t, handle, facts(), ISO27560).Token
	parts := strings.Split(good, ".")
	var h map[string]string
	text, _ := base64.RawURLEncoding.DecodeString(parts[0])
	if err := json.Unmarshal(text, &h); err != nil {
		t.Fatal(err)
	}
	head := func(format string, args ...any) string {
		return b64(fmt.Sprintf(format, args...)) + "." + parts[1] + "." + parts[2]
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claimed map[string]any
	if err := json.Unmarshal(payload, &claimed); err != nil {
		t.Fatal(err)
	}
	with := func(change func(map[string]any)) string {
		var copied map[string]any
		_ = json.Unmarshal(payload, &copied)
		change(copied)
		text, _ := json.Marshal(copied)
		return resign(t, handle, new(Type), string(text))
	}
	record := func(c map[string]any) map[string]any {
		return c["receipt"].(map[string]any)["dpv:hasRecordOfActivity"].(map[string]any)
	}
	foreign := mustSign(t, other, facts(), ISO27560).Token
	public, err := PublishKeys(issuer, handle)
	if err != nil {
		t.Fatal(err)
	}
	none := b64(`{"alg":"none","kid":"`+h["kid"]+`","typ":"`+Type+`"}`) + "." + parts[1] + "."
	mac := hmac.New(sha256.New, public)
	hs256 := b64(`{"alg":"HS256","kid":"`+h["kid"]+`","typ":"`+Type+`"}`) + "." + parts[1]
	mac.Write([]byte(hs256))
	hs256 += "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	otherIssuer, err := NewSigner("https://elsewhere.example", handle, SignerConfig{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := otherIssuer.Sign(facts(), ISO27560)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		token string
		at    time.Time
		want  string
	}{
		"empty":                    {"", noon, CheckForm},
		"a bearer token's shape":   {parts[0] + "." + parts[1], noon, CheckForm},
		"JWS with padding":         {good + "=", noon, CheckForm},
		"a line end inside":        {parts[0] + "." + parts[1][:8] + "\n" + parts[1][8:] + "." + parts[2], noon, CheckForm},
		"too long":                 {strings.Repeat("a", MaxSize+1), noon, CheckForm},
		"five parts (encrypted)":   {good + ".a.a", noon, CheckForm},
		"header with a key in it":  {head(`{"alg":"ES256","kid":%q,"typ":%q,"jwk":{}}`, h["kid"], Type), noon, CheckForm},
		"header with a key's URL":  {head(`{"alg":"ES256","kid":%q,"typ":%q,"jku":"https://evil.example"}`, h["kid"], Type), noon, CheckForm},
		"header with crit":         {head(`{"alg":"ES256","kid":%q,"typ":%q,"crit":["b64"]}`, h["kid"], Type), noon, CheckForm},
		"header without typ":       {head(`{"alg":"ES256","kid":%q}`, h["kid"]), noon, CheckForm},
		"header without kid":       {head(`{"alg":"ES256","typ":%q}`, Type), noon, CheckForm},
		"header twice":             {head(`{"alg":"ES256","kid":%q,"typ":%q}{}`, h["kid"], Type), noon, CheckForm},
		"a bearer token":           {head(`{"alg":"ES256","kid":%q,"typ":"JWT"}`, h["kid"]), noon, CheckType},
		"signed as a bearer token": {resign(t, handle, new("JWT"), string(payload)), noon, CheckType},
		"alg none":                 {none, noon, CheckAlgorithm},
		"alg HS256, public key":    {hs256, noon, CheckAlgorithm},
		"alg ES384":                {head(`{"alg":"ES384","kid":%q,"typ":%q}`, h["kid"], Type), noon, CheckAlgorithm},
		"another house's key":      {foreign, noon, CheckKey},
		"another key, our name":    {b64(`{"alg":"ES256","kid":"`+h["kid"]+`","typ":"`+Type+`"}`) + foreign[strings.Index(foreign, "."):], noon, CheckSignature},
		"signature of another":     {parts[0] + "." + parts[1] + "." + strings.Split(foreign, ".")[2], noon, CheckSignature},
		"header members twice":     {head(`{"alg":"ES256","alg":"ES256","kid":%q,"typ":%q}`, h["kid"], Type), noon, CheckSignature},
		"another issuer":           {elsewhere.Token, noon, CheckIssuer},
		"expired":                  {good, noon.Add(Lifetime), CheckTimes},
		"not issued yet":           {good, noon.Add(-clockSkew - time.Second), CheckTimes},
		"good for ever":            {with(func(c map[string]any) { c["exp"] = 253402300799 }), noon, CheckTimes},
		"without an end":           {with(func(c map[string]any) { delete(c, "exp") }), noon, CheckTimes},
		"a claim too many":         {with(func(c map[string]any) { c["email"] = "ayse@example.org" }), noon, CheckSchema},
		"a member too many":        {with(func(c map[string]any) { record(c)["email"] = "ayse@example.org" }), noon, CheckSchema},
		"an address as principal":  {with(func(c map[string]any) { c["sub"] = "ayse@example.org" }), noon, CheckSchema},
		"another context":          {with(func(c map[string]any) { c["receipt"].(map[string]any)["@context"] = "https://evil.example" }), noon, CheckSchema},
		"a format there is not":    {with(func(c map[string]any) { c["format"] = "claims" }), noon, CheckSchema},
		"the other format":         {with(func(c map[string]any) { c["format"] = "kantara" }), noon, CheckSchema},
		"another receipt's id":     {with(func(c map[string]any) { c["jti"] = "00000000-0000-4000-8000-000000000000" }), noon, CheckContent},
		"another person":           {with(func(c map[string]any) { c["sub"] = strings.Repeat("A", 50) }), noon, CheckContent},
		"another state":            {with(func(c map[string]any) { c["state"] = "withdrawn" }), noon, CheckContent},
		"a refusal called a consent": {with(func(c map[string]any) {
			record(c)["dpv:hasConsentStatus"].(map[string]any)["mahrem:action"] = "refused"
		}), noon, CheckContent},
		"issued at another time": {with(func(c map[string]any) { c["iat"] = noon.Unix() - 1; c["exp"] = noon.Unix() }), noon.Add(-time.Second), CheckContent},
	}
	for name, tt := range cases {
		r, checks, err := Verify(tt.token, keys, tt.at)
		if got := failed(checks); got != tt.want || r != nil || !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: failed %q (%v), want %q", name, got, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "ayse") {
			t.Errorf("%s: the error repeats what it read: %v", name, err)
		}
	}
	if _, checks, err := Verify(good, keys, noon.Add(Lifetime-time.Second)); err != nil {
		t.Errorf("on its last second: %v, %v", checks, err)
	}
}
