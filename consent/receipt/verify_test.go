package receipt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

func TestWhatIsSignedVerifies(t *testing.T) {
	t.Parallel()
	handle := newKeyset(t)
	keys := mustKeys(t, handle)
	for _, format := range []Format{ISO27560, Kantara} {
		signed := mustSign(t, handle, facts(), format)
		r, checks, err := Verify(signed.Token, keys, noon.Add(time.Hour))
		if err != nil || len(checks) != 9 || failed(checks) != "" {
			t.Fatalf("%s: %v, %v", format, checks, err)
		}
		if r.ID != signed.ID || r.Format != format || r.Issuer != issuer || r.Purpose != "recommendations" || r.Channel != "email" ||
			r.Action != "granted" || !r.Explicit || r.Recipient != "web_shop" || r.State != "granted" || r.Principal != string(facts().Principal) ||
			!r.IssuedAt.Equal(noon) || !r.ExpiresAt.Equal(noon.Add(Lifetime)) || cmp.Diff(r.Special, []string{"health"}) != "" {
			t.Errorf("%s says %+v", format, r)
		}
	}
}

// TestEveryActionHasAReceipt: as ISO 27560 whatever was chosen, as Kantara a yes only.
func TestEveryActionHasAReceipt(t *testing.T) {
	t.Parallel()
	handle := newKeyset(t)
	keys := mustKeys(t, handle)
	statuses := map[consent.Action]string{
		consent.Granted: "dpv:ConsentGiven", consent.Renewed: "dpv:RenewedConsentGiven", consent.Refused: "dpv:ConsentRefused",
		consent.Withdrawn: "dpv:ConsentWithdrawn", consent.Expired: "dpv:ConsentExpired", consent.Objected: "dpv:ConsentStatusInvalidForProcessing",
		consent.GuardianGranted: "dpv:ConsentGiven", consent.GuardianWithdrawn: "dpv:ConsentWithdrawn",
	}
	for action, status := range statuses {
		for _, basis := range []privacy.LegalBasis{
			privacy.Consent, privacy.Contract, privacy.LegalObligation, privacy.VitalInterests, privacy.PublicTask, privacy.LegitimateInterests,
		} {
			f := facts()
			f.Record = consent.Record{
				ID: f.Record.ID, Purpose: f.Record.Purpose, Channel: privacy.AnyChannel, Action: action, Basis: basis, Source: "call_centre",
				EffectiveAt: f.Record.EffectiveAt, RecordedAt: f.Record.RecordedAt,
			}
			f.Standing.State = consent.StateWithdrawn
			signed := mustSign(t, handle, f, ISO27560)
			r, checks, err := Verify(signed.Token, keys, noon)
			if err != nil {
				t.Fatalf("%s on %s: %v, %v", action, basis, checks, err)
			}
			if r.Action != string(action) || r.State != "withdrawn" || r.Explicit || !bytes.Contains(r.Document, []byte(status)) || r.Language != "und" {
				t.Errorf("%s on %s says %+v", action, basis, r)
			}
			given, err := newSigner(t, handle).Sign(f, Kantara)
			if err == nil {
				// What the ledger does not call explicit no receipt does.
				if r, _, err := Verify(given.Token, keys, noon); err != nil || r.Explicit {
					t.Errorf("%s on %s as Kantara: explicit %t, %v", action, basis, r != nil && r.Explicit, err)
				}
			}
			var field *privacy.FieldError
			if action.IsYes() != (err == nil) || !action.IsYes() && !errors.As(err, &field) {
				t.Errorf("%s as Kantara: %v", action, err)
			}
		}
	}
}

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

func TestRotationKeepsOldReceiptsGood(t *testing.T) {
	t.Parallel()
	handle := newKeyset(t)
	before := mustSign(t, handle, facts(), ISO27560)
	old := mustKeys(t, handle)
	manager := keyset.NewManagerFromHandle(handle)
	id, err := manager.Add(jwt.ES256Template())
	if err == nil {
		err = manager.SetPrimary(id)
	}
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := manager.Handle()
	if err != nil {
		t.Fatal(err)
	}
	after := mustSign(t, rotated, facts(), ISO27560)
	for name, token := range map[string]string{"before": before.Token, "after": after.Token} {
		if _, _, err := Verify(token, mustKeys(t, rotated), noon); err != nil {
			t.Errorf("the receipt of %s with the keys of after: %v", name, err)
		}
	}
	if _, checks, _ := Verify(after.Token, old, noon); failed(checks) != CheckKey {
		t.Errorf("the receipt of after with the keys of before: %v, want the key check to fail", checks)
	}
}

func TestParseKeysRefuses(t *testing.T) {
	t.Parallel()
	set, err := PublishKeys(issuer, newKeyset(t))
	if err != nil {
		t.Fatal(err)
	}
	var published struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(set, &published); err != nil {
		t.Fatal(err)
	}
	key := published.Keys[0]
	bend := func(name string, value any) string {
		copied := map[string]any{}
		for k, v := range key {
			copied[k] = v
		}
		copied[name] = value
		text, _ := json.Marshal(map[string]any{"issuer": issuer, "keys": []any{copied}})
		return string(text)
	}
	twice, _ := json.Marshal(map[string]any{"issuer": issuer, "keys": []any{key, key}})
	bare, _ := json.Marshal(map[string]any{"keys": []any{key}})
	empty, err := PublishKeys(issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing": "", "a list": "[]", "no keys": string(empty), "another curve": bend("crv", "P-384"), "another kind": bend("kty", "RSA"),
		"for encryption": bend("use", "enc"), "another algorithm": bend("alg", "ES384"), "no point": bend("x", "AAAA"), "a private key": bend("d", "AAAA"),
		"a name there cannot be": bend("kid", "a b"), "one name twice": string(twice), "no issuer": string(bare), "too long": strings.Repeat(" ", MaxKeysSize) + "{}",
	} {
		if _, err := ParseKeys([]byte(text), ""); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if keys, err := ParseKeys(bare, issuer); err != nil || keys.Issuer() != issuer {
		t.Errorf("with the issuer named: %v", err)
	}
	// Keys of others in the same set are passed over.
	mixed, _ := json.Marshal(map[string]any{"issuer": issuer, "keys": []any{map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": "x"}, key}})
	if _, err := ParseKeys(mixed, ""); err != nil {
		t.Errorf("with another key beside it: %v", err)
	}
}

// TestVectors holds the bytes: what is on the disk verifies, and the documents come out as
// they are there.
func TestVectors(t *testing.T) {
	t.Parallel()
	if *update {
		handle := newKeyset(t)
		set, err := PublishKeys(issuer, handle)
		if err != nil {
			t.Fatal(err)
		}
		write(t, "jwks.json", set)
		for _, format := range []Format{ISO27560, Kantara} {
			signed := mustSign(t, handle, facts(), format)
			write(t, string(format)+".jwt", []byte(signed.Token+"\n"))
			document, err := facts().document(format, signed.ID, noon)
			if err != nil {
				t.Fatal(err)
			}
			var indented bytes.Buffer
			if err := json.Indent(&indented, document, "", "  "); err != nil {
				t.Fatal(err)
			}
			write(t, string(format)+".json", append(indented.Bytes(), '\n'))
		}
	}
	keys, err := ParseKeys(testdata(t, "jwks.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []Format{ISO27560, Kantara} {
		token := strings.TrimSpace(string(testdata(t, string(format)+".jwt")))
		r, checks, err := Verify(token, keys, noon)
		if err != nil {
			t.Fatalf("%s: %v, %v", format, checks, err)
		}
		document, err := facts().document(format, r.ID, noon)
		if err != nil {
			t.Fatal(err)
		}
		var made, kept, signed any
		for text, into := range map[string]*any{string(document): &made, string(testdata(t, string(format)+".json")): &kept, string(r.Document): &signed} {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(kept, made); diff != "" {
			t.Errorf("%s: the document has changed (-kept +made):\n%s", format, diff)
		}
		if diff := cmp.Diff(kept, signed); diff != "" {
			t.Errorf("%s: the signed document is another (-kept +signed):\n%s", format, diff)
		}
		verifyBySelf(t, token, testdata(t, "jwks.json"))
	}
}

// verifyBySelf checks a receipt with the standard library alone, as another implementation
// would.
func verifyBySelf(t *testing.T, token string, set []byte) {
	t.Helper()
	var read struct {
		Keys []struct{ X, Y, Kid string }
	}
	if err := json.Unmarshal(set, &read); err != nil {
		t.Fatal(err)
	}
	decode := base64.RawURLEncoding.DecodeString
	x, _ := decode(read.Keys[0].X)
	y, _ := decode(read.Keys[0].Y)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		t.Fatal(err)
	}
	end := strings.LastIndex(token, ".")
	signature, err := decode(token[end+1:])
	if err != nil || len(signature) != 64 {
		t.Fatalf("a signature of %d bytes, %v", len(signature), err)
	}
	digest := sha256.Sum256([]byte(token[:end]))
	encoded := asn1(signature[:32], signature[32:])
	if !ecdsa.VerifyASN1(public, digest[:], encoded) {
		t.Error("the standard library does not believe it")
	}
}

// asn1 is the other encoding of an ECDSA signature.
func asn1(r, s []byte) []byte {
	integer := func(b []byte) []byte {
		b = bytes.TrimLeft(b, "\x00")
		if len(b) == 0 || b[0] >= 0x80 {
			b = append([]byte{0}, b...)
		}
		return append([]byte{2, byte(len(b))}, b...)
	}
	body := append(integer(r), integer(s)...)
	return append([]byte{0x30, byte(len(body))}, body...)
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile("testdata/"+name, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestSignRefusesWhatItWouldNotRead(t *testing.T) {
	t.Parallel()
	handle := newKeyset(t)
	for name, change := range map[string]func(*Facts){
		"no controller":        func(f *Facts) { f.Controller = Controller{} },
		"no withdrawal":        func(f *Facts) { f.Controller.Withdrawal = "" },
		"an e-mail as subject": func(f *Facts) { f.Principal = "ayse@example.org" },
		"no state":             func(f *Facts) { f.Standing.State = "" },
		"no source":            func(f *Facts) { f.Record.Source = "" },
		"no storage":           func(f *Facts) { f.Controller.Storage = nil },
	} {
		f := facts()
		change(f)
		if _, err := newSigner(t, handle).Sign(f, ISO27560); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := NewSigner("", handle, SignerConfig{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("without issuer: %v", err)
	}
	nameless, err := keyset.NewHandle(jwt.RawES256Template())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newSigner(t, nameless).Sign(facts(), ISO27560); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("with a key that has no name: %v", err)
	}
}
