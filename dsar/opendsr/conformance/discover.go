package conformance

import (
	"context"
	"net/http"
	"net/url"

	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/dsar/opendsr/courier"
)

// discover reports whether it makes sense to go on.
func (r *run) discover(ctx context.Context) bool {
	base := r.place.Base + "/" + r.place.Version.Path() + "/discovery"
	answer, err := r.courier.Carry(ctx, courier.Message{Method: http.MethodGet, URL: base, Roots: r.place.Roots, Token: r.place.Token})
	if !r.check("discovery.answers", err == nil && answer.Status == http.StatusOK, orStatus(err, answer.Status)) {
		return false
	}
	discovery, err := opendsr.ParseDiscovery(answer.Body)
	if !r.check("discovery.shape", err == nil, said(err)) {
		return false
	}
	r.check("discovery.version", discovery.Version == r.place.Version, "api_version differs from the version in the path")
	at, err := url.Parse(discovery.Certificate)
	own, _ := url.Parse(r.place.Base)
	r.check("discovery.certificate_domain", err == nil && (at.Hostname() == r.place.Domain || at.Host == own.Host), "the certificate is at another domain")
	fetched, err := r.courier.Carry(ctx, courier.Message{Method: http.MethodGet, URL: discovery.Certificate, Roots: r.place.Roots})
	if err == nil && fetched.Status == http.StatusOK {
		r.chain, err = opendsr.ParseChain(fetched.Body)
	}
	if r.check("certificate.fetched", err == nil && len(r.chain) > 0, orStatus(err, fetched.Status)) {
		err = opendsr.Verifier{Roots: r.place.Roots}.CheckChain(r.place.Domain, r.chain, r.config.Now())
		r.check("certificate.believed", err == nil, said(err))
	}
	return r.chooseRequest(discovery)
}

// orStatus says why there is no good answer.
func orStatus(err error, status int) string {
	if err != nil {
		return said(err)
	}
	return "the status is " + http.StatusText(status)
}

// signed checks the signature of an answer.
func (r *run) signed(name string, answer courier.Answer) {
	if len(r.chain) == 0 {
		r.skip("there is no certificate to check it with", name)
		return
	}
	if answer.Domain != r.place.Domain {
		r.check(name, false, "the header does not name the domain of the processor")
		return
	}
	err := opendsr.Verifier{Roots: r.place.Roots}.Verify(r.place.Domain, answer.Body, answer.Signature, r.chain, r.config.Now())
	r.check(name, err == nil, said(err))
}
