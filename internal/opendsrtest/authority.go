// Package opendsrtest issues certificates for tests of OpenDSR: good ones, and ones with
// one thing wrong each.
package opendsrtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar/opendsr"
)

// Authority issues certificates that are in force for a day around At.
type Authority struct {
	Certificate *x509.Certificate
	At          time.Time
	key         crypto.Signer
	serial      int64
}

// NewAuthority makes an authority whose certificates are in force at a moment.
func NewAuthority(t testing.TB, at time.Time) *Authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: at.Add(-48 * time.Hour), NotAfter: at.Add(480 * time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: []byte("authority"),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &Authority{Certificate: certificate, At: at, key: key, serial: 1}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw})
}

// Roots is a pool with this authority alone.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

// Issue signs a certificate of a key for domains. change, if not nil, gets the template
// first.
func (a *Authority) Issue(t testing.TB, public crypto.PublicKey, change func(*x509.Certificate), domains ...string) *x509.Certificate {
	t.Helper()
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: "test"}, DNSNames: domains,
		NotBefore: a.At.Add(-24 * time.Hour), NotAfter: a.At.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// Pair makes a key and a certificate of a domain, in PEM.
func (a *Authority) Pair(t testing.TB, domain string) (keyPEM, chainPEM []byte) {
	t.Helper()
	key := newKey(t)
	return EncodeKey(t, key), Encode(a.Issue(t, key.Public(), nil, domain))
}

// Signer makes a signer of a domain.
func (a *Authority) Signer(t testing.TB, domain string) *opendsr.Signer {
	t.Helper()
	key, chain := a.Pair(t, domain)
	signer, err := opendsr.NewSigner(domain, key, chain)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// Fulfil answers a request for a certificate, in PEM.
func (a *Authority) Fulfil(t testing.TB, requestPEM []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(requestPEM)
	if block == nil {
		t.Fatal("no request")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return Encode(a.Issue(t, request.PublicKey, nil, request.DNSNames...))
}

// Revoke signs a list that revokes certificates.
func (a *Authority) Revoke(t testing.TB, revoked ...*x509.Certificate) *x509.RevocationList {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: a.At.Add(-time.Hour), NextUpdate: a.At.Add(time.Hour)}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: a.At.Add(-time.Hour)})
	}
	raw, err := x509.CreateRevocationList(rand.Reader, list, a.Certificate, a.key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseRevocationList(raw)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// Encode writes certificates in PEM.
func Encode(chain ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// EncodeKey writes a key in PEM.
func EncodeKey(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// NewKey makes a key.
func NewKey(t testing.TB) *ecdsa.PrivateKey { return newKey(t) }

// TLS is for a server at an address of this machine.
func TLS(t testing.TB, a *Authority, ip net.IP) *tls.Config {
	t.Helper()
	key := newKey(t)
	certificate := a.Issue(t, key.Public(), func(c *x509.Certificate) { c.IPAddresses = []net.IP{ip} })
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}}}
}

// TLSFiles are the certificate and key of a server at an address of this machine, in PEM.
func TLSFiles(t testing.TB, a *Authority, ip net.IP) (certificate, key []byte) {
	t.Helper()
	k := newKey(t)
	return Encode(a.Issue(t, k.Public(), func(c *x509.Certificate) { c.IPAddresses = []net.IP{ip} })), EncodeKey(t, k)
}
