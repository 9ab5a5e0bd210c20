package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
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
