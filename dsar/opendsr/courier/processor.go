package courier

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/privacy"
)

// Place is where a processor serves the protocol.
type Place struct {
	// Base is the address below which the versions are: https://opendsr.example.com.
	Base string
	// Domain is the domain in whose name the processor signs.
	Domain  string
	Version opendsr.Version
	Roots   *x509.CertPool
	Token   string
}

func (p *Place) address(parts ...string) string {
	return strings.TrimSuffix(p.Base, "/") + "/" + p.Version.Path() + "/" + strings.Join(parts, "/")
}

// Discover asks a processor what it supports and fetches its certificate, which must be
// at its own domain or at the host that was asked, and believed.
func (c *Courier) Discover(ctx context.Context, p Place, at time.Time) (opendsr.Discovery, []byte, error) {
	answer, err := c.Carry(ctx, Message{Method: http.MethodGet, URL: p.address("discovery"), Roots: p.Roots, Token: p.Token})
	if err != nil {
		return opendsr.Discovery{}, nil, fmt.Errorf("discovering processor: %w", err)
	}
	if answer.Status != http.StatusOK {
		return opendsr.Discovery{}, nil, fmt.Errorf("discovering processor: it answers with status %d: %w", answer.Status, privacy.ErrUnavailable)
	}
	discovery, err := opendsr.ParseDiscovery(answer.Body)
	if err != nil {
		return opendsr.Discovery{}, nil, fmt.Errorf("discovering processor: %w", err)
	}
	base, err := url.Parse(p.Base)
	if err != nil {
		return opendsr.Discovery{}, nil, fmt.Errorf("discovering processor: %w", privacy.ErrInvalid)
	}
	// Section 6.3: the domain must be that of the discovery.
	if u, err := url.Parse(discovery.Certificate); err != nil || u.Hostname() != p.Domain && u.Host != base.Host {
		return opendsr.Discovery{}, nil, fmt.Errorf("discovering processor: %w",
			&opendsr.Refusal{Check: opendsr.CheckCertificateDomain, Reason: "the certificate is at another domain than the processor"})
	}
	// The certificate is public: the token does not go along.
	if answer, err = c.Carry(ctx, Message{Method: http.MethodGet, URL: discovery.Certificate, Roots: p.Roots}); err != nil {
		return opendsr.Discovery{}, nil, fmt.Errorf("fetching processor's certificate: %w", err)
	}
	chain, err := opendsr.ParseChain(answer.Body)
	if answer.Status != http.StatusOK || err != nil {
		return opendsr.Discovery{}, nil, fmt.Errorf("fetching processor's certificate: %w",
			&opendsr.Refusal{Check: opendsr.CheckCertificate, Reason: "there is no certificate at the address that the processor names"})
	}
	if err := (opendsr.Verifier{Roots: p.Roots}).CheckChain(p.Domain, chain, at); err != nil {
		return opendsr.Discovery{}, nil, fmt.Errorf("fetching processor's certificate: %w", err)
	}
	return discovery, answer.Body, nil
}

// Post hands the body of a request to a processor.
func (c *Courier) Post(ctx context.Context, p Place, body []byte, idempotencyKey string) (Answer, error) {
	return c.Carry(ctx, Message{
		Method: http.MethodPost, URL: p.address(p.Version.RequestsPath()), Roots: p.Roots, Token: p.Token,
		Body: body, IdempotencyKey: idempotencyKey,
	})
}

// Status asks how a request stands.
func (c *Courier) Status(ctx context.Context, p Place, id opendsr.SubjectRequestID) (Answer, error) {
	return c.Carry(ctx, Message{Method: http.MethodGet, URL: p.address(p.Version.RequestsPath(), id.String()), Roots: p.Roots, Token: p.Token})
}

// Cancel asks a processor to drop a request.
func (c *Courier) Cancel(ctx context.Context, p Place, id opendsr.SubjectRequestID) (Answer, error) {
	return c.Carry(ctx, Message{Method: http.MethodDelete, URL: p.address(p.Version.RequestsPath(), id.String()), Roots: p.Roots, Token: p.Token})
}

// Callback tells a controller how a request of theirs stands.
func (c *Courier) Callback(ctx context.Context, address string, roots *x509.CertPool, version opendsr.Version, domain, signature string, body []byte, idempotencyKey string) (Answer, error) {
	return c.Carry(ctx, Message{
		Method: http.MethodPost, URL: address, Roots: roots, Version: version, Domain: domain, Signature: signature,
		Body: body, IdempotencyKey: idempotencyKey,
	})
}
