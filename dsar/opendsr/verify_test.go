package opendsr_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/internal/opendsrtest"
	"github.com/mahrem/mahrem/privacy"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const processor = "opendsr.processor.example"

func mustChain(t testing.TB, text []byte) []*x509.Certificate {
	t.Helper()
	chain, err := opendsr.ParseChain(text)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func mustSign(t testing.TB, signer *opendsr.Signer, body []byte) string {
	t.Helper()
	signature, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func wantCheck(t testing.TB, err error, check string) {
	t.Helper()
	refusal, ok := errors.AsType[*opendsr.Refusal](err)
	if !ok || refusal.Check != check {
		t.Errorf("got %v, want a refusal by %s", err, check)
	}
}

func TestAnHonestMessageIsBelieved(t *testing.T) {
	t.Parallel()
	authority := opendsrtest.NewAuthority(t, at)
	verifier := opendsr.Verifier{Roots: authority.Roots()}
	body := []byte(`{"request_status":"completed"}`)

	curve := authority.Signer(t, processor)
	if err := verifier.Verify(processor, body, mustSign(t, curve, body), mustChain(t, curve.Chain()), at); err != nil {
		t.Errorf("ECDSA: %v", err)
	}
	// RSA, as a command makes it and an authority answers.
	keyPEM, requestPEM, err := opendsr.GenerateKey(processor)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := opendsr.NewSigner(processor, keyPEM, authority.Fulfil(t, requestPEM))
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify(processor, body, mustSign(t, signer, body), mustChain(t, signer.Chain()), at); err != nil {
		t.Errorf("RSA: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %s", signer, signer, signer); text != "REDACTED REDACTED REDACTED" {
		t.Errorf("a signer prints %s", text)
	}
}

// TestWhatIsRefused has one thing wrong in each line.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	authority := opendsrtest.NewAuthority(t, at)
	stranger := opendsrtest.NewAuthority(t, at)
	signer := authority.Signer(t, processor)
	body := []byte(`{"request_status":"completed"}`)
	good := mustSign(t, signer, body)
	chain := mustChain(t, signer.Chain())
	key := mustKey(t)
	issue := func(from *opendsrtest.Authority, change func(*x509.Certificate), domains ...string) []*x509.Certificate {
		return []*x509.Certificate{from.Issue(t, key.Public(), change, domains...)}
	}
	sign := func(chain []*x509.Certificate) string {
		s, err := opendsr.NewSigner(chain[0].DNSNames[0], opendsrtest.EncodeKey(t, key), opendsrtest.Encode(chain...))
		if err != nil {
			t.Fatal(err)
		}
		return mustSign(t, s, body)
	}
	expired := issue(authority, func(c *x509.Certificate) { c.NotAfter = at.Add(-time.Second) }, processor)
	early := issue(authority, func(c *x509.Certificate) { c.NotBefore = at.Add(time.Second) }, processor)
	other := issue(authority, nil, "opendsr.other.example")
	wildcard := issue(authority, nil, "*.processor.example")
	foreign := issue(stranger, nil, processor)
	ca := issue(authority, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, processor)
	selfSigned := mustSelfSign(t, key)
	for _, test := range []struct {
		name, check string
		domain      string
		body        []byte
		signature   string
		chain       []*x509.Certificate
		roots       *x509.CertPool
	}{
		{name: "nothing", check: ""},
		{name: "no signature", check: opendsr.CheckSigned, signature: "-"},
		{name: "body changed", check: opendsr.CheckSignature, body: []byte(`{"request_status":"completed" }`)},
		{name: "signature of another body", check: opendsr.CheckSignature, signature: mustSign(t, signer, []byte("{}"))},
		{name: "signature of another key", check: opendsr.CheckSignature, signature: mustSign(t, authority.Signer(t, processor), body)},
		{name: "signature in hexadecimal", check: opendsr.CheckSignature, signature: fmt.Sprintf("%x", "signature")},
		{name: "signature with loose bits", check: opendsr.CheckSignature, signature: "AB=="},
		{name: "no certificate", check: opendsr.CheckCertificate, chain: []*x509.Certificate{}},
		{name: "another domain in the header", check: opendsr.CheckCertificateDomain, domain: "opendsr.other.example"},
		{name: "no domain", check: opendsr.CheckCertificateDomain, domain: "-"},
		{name: "certificate of another domain", check: opendsr.CheckCertificateDomain, chain: other, signature: sign(other)},
		{name: "wildcard", check: opendsr.CheckCertificateDomain, chain: wildcard},
		{name: "expired", check: opendsr.CheckCertificateTime, chain: expired, signature: sign(expired)},
		{name: "not yet", check: opendsr.CheckCertificateTime, chain: early, signature: sign(early)},
		{name: "another authority", check: opendsr.CheckCertificateChain, chain: foreign, signature: sign(foreign)},
		{name: "an authority itself", check: opendsr.CheckCertificateChain, chain: ca, signature: sign(ca)},
		{name: "signed by itself", check: opendsr.CheckCertificateIssued, chain: selfSigned, signature: sign(selfSigned)},
		{name: "signed by itself, and believed", check: opendsr.CheckCertificateIssued, chain: selfSigned, signature: sign(selfSigned), roots: pool(selfSigned[0])},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			domain, text, signature, by, roots := processor, body, good, chain, authority.Roots()
			if test.domain != "" {
				domain = strings.Trim(test.domain, "-")
			}
			if test.body != nil {
				text = test.body
			}
			if test.signature != "" {
				signature = strings.Trim(test.signature, "-")
			}
			if test.chain != nil {
				by = test.chain
			}
			if test.roots != nil {
				roots = test.roots
			}
			err := opendsr.Verifier{Roots: roots}.Verify(domain, text, signature, by, at)
			if test.check == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantCheck(t, err, test.check)
			if !errors.Is(err, privacy.ErrForbidden) {
				t.Errorf("%v is not a matter of belief", err)
			}
		})
	}
}

// TestEveryByteCounts changes each byte of body and signature.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	authority := opendsrtest.NewAuthority(t, at)
	signer := authority.Signer(t, processor)
	chain := mustChain(t, signer.Chain())
	verifier := opendsr.Verifier{Roots: authority.Roots()}
	body := []byte(`{"request_status":"completed"}`)
	signature := mustSign(t, signer, body)
	for i := range body {
		changed := append([]byte{}, body...)
		changed[i] ^= 1
		if verifier.Verify(processor, changed, signature, chain, at) == nil {
			t.Errorf("byte %d of the body does not count", i)
		}
	}
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		changed := append([]byte{}, raw...)
		changed[i] ^= 1
		if verifier.Verify(processor, body, base64.StdEncoding.EncodeToString(changed), chain, at) == nil {
			t.Errorf("byte %d of the signature does not count", i)
		}
	}
}

func TestRevoked(t *testing.T) {
	t.Parallel()
	authority := opendsrtest.NewAuthority(t, at)
	signer := authority.Signer(t, processor)
	chain := mustChain(t, signer.Chain())
	body := []byte("{}")
	revoked := authority.Revoke(t, chain[0])
	wantCheck(t, opendsr.Verifier{Roots: authority.Roots(), Revocations: []*x509.RevocationList{revoked}}.
		Verify(processor, body, mustSign(t, signer, body), chain, at), opendsr.CheckCertificateRevoked)
	// A list of others, and one that somebody else signed, change nothing.
	stranger := opendsrtest.NewAuthority(t, at)
	for _, list := range []*x509.RevocationList{authority.Revoke(t), stranger.Revoke(t, chain[0])} {
		if err := (opendsr.Verifier{Roots: authority.Roots(), Revocations: []*x509.RevocationList{list}}).
			Verify(processor, body, mustSign(t, signer, body), chain, at); err != nil {
			t.Error(err)
		}
	}
}

func TestWeakKeys(t *testing.T) {
	t.Parallel()
	authority := opendsrtest.NewAuthority(t, at)
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := &rsa.PublicKey{N: mustRSA(t).N, E: 65537}
	weak.N.SetBit(weak.N, 2047, 0)
	for name, key := range map[string]crypto.PublicKey{"P-384": curve.Public(), "Ed25519": edwards.Public(), "RSA of 2047 bits": weak} {
		certificate := authority.Issue(t, key, nil, processor)
		err := opendsr.Verifier{Roots: authority.Roots()}.CheckChain(processor, []*x509.Certificate{certificate}, at)
		if refusal, ok := errors.AsType[*opendsr.Refusal](err); !ok || refusal.Check != opendsr.CheckCertificateKey {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignersThatNobodyWouldBelieve(t *testing.T) {
	t.Parallel()
	authority := opendsrtest.NewAuthority(t, at)
	key, chain := authority.Pair(t, processor)
	otherKey, _ := authority.Pair(t, processor)
	for name, try := range map[string]func() (*opendsr.Signer, error){
		"another key":    func() (*opendsr.Signer, error) { return opendsr.NewSigner(processor, otherKey, chain) },
		"another domain": func() (*opendsr.Signer, error) { return opendsr.NewSigner("x.example", key, chain) },
		"no key":         func() (*opendsr.Signer, error) { return opendsr.NewSigner(processor, nil, chain) },
		"no certificate": func() (*opendsr.Signer, error) { return opendsr.NewSigner(processor, key, nil) },
		"swapped":        func() (*opendsr.Signer, error) { return opendsr.NewSigner(processor, chain, key) },
	} {
		if _, err := try(); !errors.Is(err, privacy.ErrForbidden) && !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := opendsr.NewSigner(processor, key, chain); err != nil {
		t.Error(err)
	}
}

func mustKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustRSA(t testing.TB) *rsa.PublicKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

func mustSelfSign(t testing.TB, key *ecdsa.PrivateKey) []*x509.Certificate {
	t.Helper()
	template := opendsrtest.NewAuthority(t, at).Issue(t, key.Public(), nil, processor)
	template.Issuer, template.AuthorityKeyId = template.Subject, nil
	template.SignatureAlgorithm = x509.UnknownSignatureAlgorithm
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return mustChain(t, opendsrtest.Encode(&x509.Certificate{Raw: raw}))
}

func pool(certificate *x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(certificate)
	return p
}
