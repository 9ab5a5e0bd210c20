package opendsr

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"

	"github.com/mahrem/mahrem/privacy"
)

// GenerateKey makes an RSA key for signing as a processor, and a request for a
// certificate that an authority turns into one for domain. Both are in PEM. The key never
// leaves the key directory; the request goes to the authority.
func GenerateKey(domain string) (keyPEM, requestPEM []byte, err error) {
	if !isDomain(domain) {
		return nil, nil, fmt.Errorf("making OpenDSR key: the domain is not a host name in lower case: %w", privacy.ErrInvalid)
	}
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		return nil, nil, fmt.Errorf("making OpenDSR key: %w", err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding OpenDSR key: %w", err)
	}
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	if requestPEM, err = requestFor(domain, key); err != nil {
		return nil, nil, err
	}
	return keyPEM, requestPEM, nil
}

func requestFor(domain string, key crypto.Signer) ([]byte, error) {
	raw, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain},
	}, key)
	if err != nil {
		return nil, fmt.Errorf("making request for OpenDSR certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: raw}), nil
}
