package assembly

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/link"
	"github.com/mahrem/mahrem/consent/subscriber"
	"github.com/mahrem/mahrem/dsar/opendsr/courier"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/dsar/outbox/webhook"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// openOutreach opens the ways by which a no reaches everybody whom it concerns: recipients
// who are told of it, and links by which people say it.
func (h *House) openOutreach() error {
	h.Subscribers = postgres.NewSubscriberStore(h.DB, h.Log)
	h.DB.Announce(func(records []consent.Record, to []subscriber.Subscriber) ([]outbox.Delivery, error) {
		return subscriber.Deliveries(h.Keys.Vault(), h.random(), records, to)
	})
	check := func(address string) error {
		if err := courier.CheckAddress(address); err != nil {
			return fmt.Errorf("%w: %w", privacy.ErrForbidden, err)
		}
		return nil
	}
	if h.Settings.DangerSubscriberPrivateAddresses {
		check = nil
	}
	poster := webhook.NewPoster(webhook.NewClient(check), h.options.Now)
	h.addSender(outbox.Consent, subscriber.NewTeller(h.Subscribers, standings{h}, h.Pseudonyms, h.Keys.Vault(), poster))
	h.Withdrawals = link.New(linkKeys{h, &keyMaker{}}, wordsOf(h.Engine), h.Consent, link.Config{BaseURL: h.Settings.PublicURL, Now: h.options.Now})
	return nil
}

// standings show how the choices of a person stand.
type standings struct{ *House }

// Stand implements [subscriber.Ledger]. The log is looked at after the records: whoever has
// the token is answered from a state that includes them.
func (s standings) Stand(ctx context.Context, id privacy.DataSubjectID) (consent.Statement, consent.Token, error) {
	statement, err := s.Consent.Show(ctx, id)
	if err != nil {
		return consent.Statement{}, consent.Token{}, err
	}
	size, err := s.Log.Size(ctx)
	if err == nil && size == 0 {
		err = privacy.ErrUnavailable
	}
	if err != nil {
		return consent.Statement{}, consent.Token{}, fmt.Errorf("looking where the log ends: %w", err)
	}
	return statement, consent.NewToken(audit.Committed([16]byte{}, [32]byte{}, size-1)), nil
}

// linkKeys make the key of links when the first one is made.
type linkKeys struct {
	*House
	maker *keyMaker
}

// Ensure implements [link.Keys].
func (k linkKeys) Ensure(ctx context.Context) (link.AEAD, error) {
	find := func() error { _, err := k.Find(); return err }
	if err := k.maker.ensure(ctx, k.Log, "", find, k.Keys.EnsureLinks); err != nil {
		return nil, err
	}
	return k.Find()
}

// Find implements [link.Keys].
func (k linkKeys) Find() (link.AEAD, error) { return k.Keys.Links() }

// SubscriberOrder says who is to be told of changes of consent.
type SubscriberOrder struct {
	ID        string
	Recipient privacy.RecipientID
	URL       string
	// Purposes are what it is told about; none means all of the recipient's own.
	Purposes []privacy.Purpose
	// Secret signs the calls, as [webhook.ParseSecret] reads it; zero: one is drawn.
	Secret privacy.Plain
}

// AddSubscriber registers who is told of changes of consent from now on, and returns it with
// the secret that both sides need. Nobody is told about purposes that are not theirs.
func (h *House) AddSubscriber(ctx context.Context, by privacy.Principal, order SubscriberOrder) (subscriber.Subscriber, privacy.Plain, audit.Receipt, error) {
	fail := func(err error) (subscriber.Subscriber, privacy.Plain, audit.Receipt, error) {
		return subscriber.Subscriber{}, privacy.Plain{}, audit.Receipt{}, err
	}
	if by.Role != privacy.RoleDPO {
		return fail(fmt.Errorf("adding subscriber: %w", privacy.ErrForbidden))
	}
	purposes, err := h.subscribable(order.Recipient, order.Purposes)
	if err != nil {
		return fail(err)
	}
	if err := webhook.CheckAddress(order.URL); err != nil {
		return fail(&privacy.FieldError{Pointer: "/url", Reason: "must be https, or http to this machine, without a password in it"})
	}
	// The keyset of its pseudonyms is made now, and not while a change waits for it.
	if _, err := h.Pseudonyms.Of(order.Recipient); err != nil {
		return fail(err)
	}
	secret := order.Secret
	if strings.TrimSpace(secret.RevealPersonalData()) == "" {
		if secret, err = webhook.NewSecret(h.random()); err != nil {
			return fail(err)
		}
	} else if _, err := webhook.ParseSecret(secret.RevealPersonalData()); err != nil {
		return fail(err)
	}
	who := subscriber.Subscriber{ID: order.ID, Recipient: order.Recipient, URL: order.URL, Purposes: purposes, AddedBy: h.Keys.ActorTag(by)}
	text := strings.TrimSpace(secret.RevealPersonalData())
	if who.SealedSecret, err = h.Keys.Vault().SealHouse(subscriber.SecretLabel(who.ID), []byte(text)); err != nil {
		return fail(err)
	}
	receipt, err := h.Subscribers.Add(ctx, who, subscriberEvent(audit.SubscriberAdded, by, who.ID, who.Recipient))
	if errors.Is(err, privacy.ErrConflict) {
		err = fmt.Errorf("there is, or was, a subscriber of this name: %w", privacy.ErrConflict)
	}
	return who, privacy.NewPlain(text), receipt, err
}

// RemoveSubscriber has it told nothing from here on.
func (h *House) RemoveSubscriber(ctx context.Context, by privacy.Principal, id string) (audit.Receipt, error) {
	if by.Role != privacy.RoleDPO {
		return audit.Receipt{}, fmt.Errorf("removing subscriber: %w", privacy.ErrForbidden)
	}
	who, err := h.Subscribers.Find(ctx, id)
	if err != nil {
		return audit.Receipt{}, err
	}
	return h.Subscribers.Remove(ctx, id, subscriberEvent(audit.SubscriberRemoved, by, id, who.Recipient))
}

func subscriberEvent(kind audit.Kind, by privacy.Principal, id string, recipient privacy.RecipientID) audit.Event {
	return audit.Event{Kind: kind, Outcome: audit.Done, Principal: by, Recipient: recipient, List: sha256.Sum256([]byte(id))}
}

// subscribable returns what a recipient may be told about: what it is contracted for, or
// what the company's own services ask for. Whoever is told about marketing is told of an
// objection to all of it too.
func (h *House) subscribable(recipient privacy.RecipientID, wanted []privacy.Purpose) ([]privacy.Purpose, error) {
	catalogue := h.Engine.Revision().Catalogue()
	r, known := catalogue.Recipient(recipient)
	if !known {
		return nil, &privacy.FieldError{Pointer: "/recipient", Reason: fmt.Sprintf("is not in the catalogue, which has %v", catalogue.Recipients())}
	}
	purposes := slices.Clone(wanted)
	if len(purposes) == 0 {
		purposes = slices.Clone(r.Purposes)
	}
	marketing := false
	for i, id := range purposes {
		p, known := catalogue.Purpose(id)
		if !known {
			return nil, &privacy.FieldError{Pointer: fmt.Sprintf("/purposes/%d", i), Reason: "is not in the catalogue"}
		}
		if r.Relationship != policies.FirstParty && id != policies.GeneralMarketing && !slices.Contains(r.Purposes, id) {
			return nil, &privacy.FieldError{Pointer: fmt.Sprintf("/purposes/%d", i), Reason: "is not one of the recipient's"}
		}
		marketing = marketing || p.Marketing
	}
	if _, known := catalogue.Purpose(policies.GeneralMarketing); known && marketing {
		purposes = append(purposes, policies.GeneralMarketing)
	}
	slices.Sort(purposes)
	return slices.Compact(purposes), nil
}
