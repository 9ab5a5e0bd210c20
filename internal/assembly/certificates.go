package assembly

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/certificate"
	"github.com/mahrem/mahrem/postgres"
)

// openCertificates opens the room in which erasures are certified, with the key of the log.
func (h *House) openCertificates() error {
	signer, err := audit.NewSigner(certificate.SignerName(h.Settings.Origin), h.Keys.LogPublicKey(), h.Keys.SignLog)
	if err != nil {
		return err
	}
	h.Erasures = postgres.NewCertificateStore(h.DB, h.Keys.Vault(), h.Log)
	h.Certificates, err = certificate.NewIssuer(h.Erasures, h.Log, signer, certificate.IssuerConfig{Now: h.options.Now})
	if err != nil {
		return err
	}
	h.tend(chore{time.Minute, "certificates of erasure not issued, they will be", func(ctx context.Context) error {
		_, err := h.Certificates.IssueDue(ctx, certifyAtOnce)
		return err
	}})
	return nil
}

// certifyAtOnce is how many certificates are issued in one go.
const certifyAtOnce = 1000
