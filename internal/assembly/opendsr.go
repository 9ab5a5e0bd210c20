package assembly

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/dsar/opendsr/courier"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// OpenDSR is the room in which requests are passed on to processors, and taken from
// controllers whose processor we are.
type OpenDSR struct {
	Processors  *postgres.ProcessorStore
	Controllers *postgres.ControllerStore
	// Teller has processors told in the transaction of what they are told of.
	Teller   *postgres.ProcessorTeller
	Listener *opendsr.Listener
	Courier  *courier.Courier
	Sender   *courier.Sender
	// Desk is nil without a certificate: then we are nobody's processor.
	Desk *opendsr.Desk
}

// callbackPath is where processors call back, below the public address.
const callbackPath = "/opendsr/callbacks"

func (h *House) openOpenDSR() (err error) {
	o := &OpenDSR{
		Processors: postgres.NewProcessorStore(h.DB, h.Log), Controllers: postgres.NewControllerStore(h.DB, h.Log),
		Courier: courier.New(courier.Config{DangerPrivateAddresses: h.Settings.DangerOpenDSRPrivateAddresses}),
	}
	callback := ""
	if h.Settings.PublicURL != "" {
		callback = h.Settings.PublicURL + callbackPath
	}
	teller, err := opendsr.NewTeller(h.Keys.Vault(), h.Pseudonyms, opendsr.TellerConfig{CallbackURL: callback, Random: h.options.Random})
	if err != nil {
		return err
	}
	o.Teller = postgres.NewProcessorTeller(o.Processors, h.Keys.Vault(), teller)
	fetcher := courier.NewFetcher(o.Courier, h.Keys.Vault())
	o.Listener, err = opendsr.NewListener(o.Processors, h.Log, opendsr.ListenerConfig{CallbackURL: callback, Now: h.options.Now, Refresher: fetcher})
	if err != nil {
		return err
	}
	signer, err := h.openDSRSigner()
	if err != nil {
		return err
	}
	if o.Sender, err = courier.NewSender(fetcher, o.Processors, o.Controllers, o.Listener, signer); err != nil {
		return err
	}
	if signer != nil {
		o.Desk, err = opendsr.NewDesk(o.Controllers, signer, h.requestsOver, h.Log, opendsr.DeskConfig{
			Now: h.options.Now, CertificateURL: h.certificateURL(signer),
		})
	}
	h.OpenDSR = o
	h.Outbox.OnEnd(outbox.OpenDSR, o.Teller.Ended)
	h.addSender(outbox.OpenDSR, o.Sender)
	h.tend(chore{every: pollEvery, warning: "processors not asked how requests stand, they are asked again", do: func(ctx context.Context) error {
		_, err := o.Sender.Poll(ctx, pollSilence, pollAtOnce)
		return err
	}})
	if o.Desk != nil {
		h.tend(chore{every: tellEvery, warning: "controllers not told how requests stand, they will be", do: func(ctx context.Context) error {
			_, err := o.Desk.Tell(ctx, h.Keys.Vault(), h.random())
			return err
		}})
	}
	return err
}

// openDSRSigner returns nil if there is no certificate.
func (h *House) openDSRSigner() (*opendsr.Signer, error) {
	key, chain, err := h.Keys.OpenDSR()
	if errors.Is(err, privacy.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	certificates, err := opendsr.ParseChain(chain)
	if err != nil || len(certificates[0].DNSNames) == 0 {
		return nil, fmt.Errorf("opening OpenDSR certificate: it names no domain: %w", privacy.ErrDamaged)
	}
	return opendsr.NewSigner(certificates[0].DNSNames[0], key, chain)
}

// certificateURL is at the public address, or at the domain that signs.
func (h *House) certificateURL(signer *opendsr.Signer) string {
	base := h.Settings.PublicURL
	if base == "" {
		base = "https://" + signer.Domain()
	}
	return base + "/opendsr/certificate.pem"
}

// requestsOver opens the room of requests over a store; nil is the usual one.
func (h *House) requestsOver(store dsar.RequestStore) (*dsar.Service, error) {
	if store == nil {
		return h.Requests, nil
	}
	return h.newRequests(store)
}

// random is where ids are drawn from.
func (h *House) random() io.Reader {
	if h.options.Random != nil {
		return h.options.Random
	}
	return rand.Reader
}

// The rhythm of what OpenDSR does by itself.
const (
	tellEvery   = 5 * time.Second
	pollEvery   = 15 * time.Minute
	pollSilence = time.Hour
	pollAtOnce  = 100
)
