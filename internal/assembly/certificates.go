package assembly

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/certificate"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
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
		_, issueErr := h.Certificates.IssueDue(ctx, certifyAtOnce)
		_, closeErr := h.CloseErasures(ctx, closing, dsar.RequestID{})
		return errors.Join(issueErr, closeErr)
	}})
	return nil
}

// certifyAtOnce is how many certificates are issued in one go.
const certifyAtOnce = 1000

// closing is who closes requests for erasure of which nothing is left to do.
var closing = privacy.Principal{ID: "closing", Role: privacy.RoleDPO}

// CloseErasures closes the requests for erasure that are carried out here and at every
// processor, or at all that nobody has listed as open: with their certificate as evidence.
// With a request it looks at that one only. It returns how many it closed.
func (h *House) CloseErasures(ctx context.Context, by privacy.Principal, only dsar.RequestID) (int, error) {
	closable, err := h.Erasures.Closable(ctx, only, certifyAtOnce)
	if err != nil {
		return 0, err
	}
	var errs []error
	closed := 0
	for i := range closable {
		done, err := h.closeErasure(ctx, by, &closable[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("closing request for erasure: %w", err))
		}
		if done {
			closed++
		}
	}
	return closed, errors.Join(errs...)
}

func (h *House) closeErasure(ctx context.Context, by privacy.Principal, e *certificate.Erased) (bool, error) {
	told, err := h.toldAll(ctx, e.Request)
	if err != nil || !told {
		return false, err
	}
	signed, err := h.Certificates.Issue(ctx, e.ID)
	if err != nil {
		return false, err
	}
	_, _, err = h.Requests.Fulfil(ctx, by, e.Request, dsar.Evidence{Digest: sha256.Sum256(signed)})
	return err == nil, err
}
