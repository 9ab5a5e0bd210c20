package opendsr

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// maxChain bounds the certificates of one sender.
const maxChain = 8

// Verifier decides whether a message was signed by the domain that it names.
type Verifier struct {
	// Roots are the authorities that are believed. Nil means those of the machine.
	Roots *x509.CertPool
	// Revocations are lists of those authorities (RFC 5280 section 5). A list that its
	// issuer did not sign counts as none.
	Revocations []*x509.RevocationList
}

// Verify checks signature over body, as it came and before anything of it is parsed,
// against the certificate that is first in chain: that it is of domain, by its one exact
// name, in force at the moment, issued by somebody who is believed, not revoked, and of a
// key that can be believed. The error is a [Refusal].
func (v Verifier) Verify(domain string, body []byte, signature string, chain []*x509.Certificate, at time.Time) error {
	if signature == "" {
		return &Refusal{Check: CheckSigned, Reason: "the message has no signature"}
	}
	if err := v.CheckChain(domain, chain, at); err != nil {
		return err
	}
	if refusal := checkSignature(chain[0], body, signature); refusal != nil {
		return refusal
	}
	return nil
}

// CheckChain checks the certificate alone.
func (v Verifier) CheckChain(domain string, chain []*x509.Certificate, at time.Time) error {
	if len(chain) == 0 {
		return &Refusal{Check: CheckCertificate, Reason: "there is no certificate of this domain"}
	}
	leaf := chain[0]
	switch {
	case !isDomain(domain) || !namesDomain(leaf, domain):
		return &Refusal{Check: CheckCertificateDomain, Reason: "the certificate does not name the domain of the message exactly"}
	case at.Before(leaf.NotBefore) || at.After(leaf.NotAfter):
		return &Refusal{Check: CheckCertificateTime, Reason: "the certificate is not in force"}
	case leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil:
		return &Refusal{Check: CheckCertificateIssued, Reason: "the certificate is signed by itself (section 4.1)"}
	}
	if refusal := checkKey(leaf); refusal != nil {
		return refusal
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{
		Roots: v.Roots, Intermediates: between, CurrentTime: at,
		// The protocol asks for a certificate of a domain and says nothing of its use.
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil || leaf.IsCA {
		return &Refusal{Check: CheckCertificateChain, Reason: "the certificate was not issued by an authority that is believed"}
	}
	if v.revoked(paths, at) {
		return &Refusal{Check: CheckCertificateRevoked, Reason: "the certificate was revoked"}
	}
	return nil
}

// revoked reports whether no path is without a revoked certificate.
func (v Verifier) revoked(paths [][]*x509.Certificate, at time.Time) bool {
	return len(v.Revocations) > 0 && !slices.ContainsFunc(paths, func(path []*x509.Certificate) bool {
		for i := range len(path) - 1 {
			if v.isRevoked(path[i], path[i+1], at) {
				return false
			}
		}
		return true
	})
}

func (v Verifier) isRevoked(certificate, issuer *x509.Certificate, at time.Time) bool {
	for _, list := range v.Revocations {
		if !bytes.Equal(list.RawIssuer, issuer.RawSubject) || list.CheckSignatureFrom(issuer) != nil {
			continue
		}
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(certificate.SerialNumber) == 0 && !entry.RevocationTime.After(at) {
				return true
			}
		}
	}
	return false
}

// namesDomain: a wildcard would let every host below a name speak for the processor, so
// only the exact name counts.
func namesDomain(certificate *x509.Certificate, domain string) bool {
	return slices.ContainsFunc(certificate.DNSNames, func(name string) bool { return strings.ToLower(name) == domain })
}

// isDomain reports whether s is a host name in lower case.
func isDomain(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

// ParseDomain reads the name of a domain, in any case.
func ParseDomain(text string) (string, error) {
	domain := strings.ToLower(text)
	if !isDomain(domain) {
		return "", &Refusal{Check: CheckDomain, Reason: "the domain is not a host name"}
	}
	return domain, nil
}

// ParseChain reads certificates in PEM, the one that signs first. The error is a [Refusal].
func ParseChain(text []byte) ([]*x509.Certificate, error) {
	refused := &Refusal{Check: CheckCertificate, Reason: "one to eight certificates in PEM are wanted"}
	if len(text) > 1<<16 {
		return nil, refused
	}
	var chain []*x509.Certificate
	for rest := trimmed(text); len(rest) > 0; rest = trimmed(rest) {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || len(chain) == maxChain {
			return nil, refused
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, refused
		}
		chain = append(chain, certificate)
	}
	if len(chain) == 0 {
		return nil, refused
	}
	return chain, nil
}

// ParseRoots reads the authorities that are believed, in PEM. Nothing means those of the
// machine.
func ParseRoots(text []byte) (*x509.CertPool, error) {
	if len(trimmed(text)) == 0 {
		return nil, nil
	}
	certificates, err := ParseChain(text)
	if err != nil {
		return nil, fmt.Errorf("reading authorities: %w", privacy.ErrInvalid)
	}
	pool := x509.NewCertPool()
	for _, c := range certificates {
		pool.AddCert(c)
	}
	return pool, nil
}

func encodeChain(chain []*x509.Certificate) []byte {
	var out []byte
	for _, c := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

func trimmed(text []byte) []byte { return bytes.TrimSpace(text) }
