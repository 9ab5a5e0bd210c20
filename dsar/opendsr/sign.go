package opendsr

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"

	"github.com/mahrem/mahrem/privacy"
)

// Signer signs what this house says as a processor.
type Signer struct {
	domain string
	key    crypto.Signer
	chain  []byte
}

// NewSigner returns a signer for the domain of a certificate. keyPEM is a private key in
// PKCS #8, chainPEM the certificate and those between it and its root. The error wraps
// [privacy.ErrInvalid] if they do not belong together, or could not be believed by
// anybody: see [Verifier].
func NewSigner(domain string, keyPEM, chainPEM []byte) (*Signer, error) {
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, err
	}
	chain, err := ParseChain(chainPEM)
	if err != nil {
		return nil, err
	}
	if !isDomain(domain) || !namesDomain(chain[0], domain) {
		return nil, fmt.Errorf("making OpenDSR signer: the certificate does not name %s exactly: %w", domain, privacy.ErrInvalid)
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(chain[0].PublicKey) {
		return nil, fmt.Errorf("making OpenDSR signer: the certificate is of another key: %w", privacy.ErrInvalid)
	}
	if refusal := checkKey(chain[0]); refusal != nil {
		return nil, fmt.Errorf("making OpenDSR signer: %s: %w", refusal.Reason, privacy.ErrInvalid)
	}
	return &Signer{domain: domain, key: key, chain: encodeChain(chain)}, nil
}

func parseKey(text []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" || len(block.Headers) > 0 || len(trimmed(rest)) > 0 {
		return nil, fmt.Errorf("reading OpenDSR key: one PKCS #8 private key in PEM is wanted: %w", privacy.ErrInvalid)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading OpenDSR key: %w", privacy.ErrInvalid)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("reading OpenDSR key: it cannot sign: %w", privacy.ErrInvalid)
	}
	return key, nil
}

// Domain is the domain in whose name the signer signs.
func (s *Signer) Domain() string { return s.domain }

// Chain is the certificate, and those between it and its root, in PEM.
func (s *Signer) Chain() []byte { return s.chain }

// Sign returns the signature over the SHA-256 of exactly these bytes, as the header has
// it: RSASSA-PKCS1-v1_5, or ECDSA on P-256 (FIPS 186-4).
func (s *Signer) Sign(body []byte) (string, error) {
	sum := sha256.Sum256(body)
	signature, err := s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("signing OpenDSR message: %w", err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}

// String says REDACTED.
func (*Signer) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (*Signer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(privacy.Redacted)) }

// checkSignature verifies a signature over body by the key of a certificate.
func checkSignature(certificate *x509.Certificate, body []byte, signature string) *Refusal {
	raw, err := base64.StdEncoding.Strict().DecodeString(signature)
	if err != nil || len(raw) == 0 {
		return &Refusal{Check: CheckSignature, Reason: "the signature is not base64"}
	}
	sum := sha256.Sum256(body)
	valid := false
	switch key := certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		valid = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], raw) == nil
	case *ecdsa.PublicKey:
		valid = ecdsa.VerifyASN1(key, sum[:], raw)
	}
	if !valid {
		return &Refusal{Check: CheckSignature, Reason: "the signature is not over this body by this certificate"}
	}
	return nil
}

// minRSA is the shortest RSA key that is believed, and maxRSA the longest that is computed
// with: a key of a sender's choice must not keep us busy.
const (
	minRSA = 2048
	maxRSA = 8192
)

func checkKey(certificate *x509.Certificate) *Refusal {
	switch key := certificate.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits >= minRSA && bits <= maxRSA {
			return nil
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return nil
		}
	}
	return &Refusal{Check: CheckCertificateKey, Reason: "the certificate's key is neither RSA of 2048 to 8192 bits nor ECDSA on P-256"}
}
