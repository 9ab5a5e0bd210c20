package assembly

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/link"
	"github.com/mahrem/mahrem/consent/notice"
	"github.com/mahrem/mahrem/consent/receipt"
	"github.com/mahrem/mahrem/consent/signal"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/certificate"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/dsar/fulfil"
	"github.com/mahrem/mahrem/dsar/identity"
	"github.com/mahrem/mahrem/dsar/retention"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault/keydir"
)

// Services are the rooms of the house.
type Services struct {
	Engine     *policies.Engine
	People     *postgres.VaultStore
	Gate       *gate.Gate
	Archive    *archive.Archive
	Refresher  *gate.Refresher
	Consent    *consent.Service
	Notices    *notice.Register
	Signals    *signal.Recorder
	Cases      *casework.Service
	Loader     *intake.Loader
	Eraser     *dsar.Eraser
	Requests   *dsar.Service
	Holds      *dsar.Holds
	Outbox     *postgres.OutboxStore
	Identity   *identity.Service
	Withholder *retention.Withholder
	OpenDSR    *OpenDSR
	Retention  *retention.Runner
	Fulfil     *fulfil.Service
	Pseudonyms *Pseudonyms
	// IYS speaks with Turkey's registry of messages; nil without a brand there.
	IYS *IYS
	// Receipts issues consent receipts.
	Receipts *receipt.Issuer
	// Certificates certifies erasures, Erasures lists them.
	Certificates *certificate.Issuer
	Erasures     *postgres.CertificateStore
	// Exporter hands people what is held about them, ExportLinks by links that work once.
	Exporter    *export.Exporter
	ExportLinks *export.Links
	// Subscribers are told when choices change, Withdrawals makes links by which people
	// take a consent back.
	Subscribers *postgres.SubscriberStore
	Withdrawals *link.Desk
	// Rooms is what is there for clean rooms.
	Rooms RoomServices
}

func (h *House) openServices(ctx context.Context) (err error) {
	if err := h.openArchive(); err != nil {
		return err
	}
	if h.Engine, err = h.openPolicies(ctx); err != nil {
		return err
	}
	if err := h.openWithholder(); err != nil {
		return err
	}
	catalogue := wordsOf(h.Engine)
	store := postgres.NewVaultStore(h.DB, h.Keys.Vault())
	h.People = store
	h.Pseudonyms = &Pseudonyms{keys: h.Keys, engine: h.Engine, log: h.Log, made: map[privacy.RecipientID]*pseudonym.Pseudonyms{}}
	profiles := postgres.NewProfileStore(h.DB)
	h.Gate = gate.New(postgres.NewGateStore(h.DB, h.Log), h.Engine, h.Keys.Vault(), h.Pseudonyms, h.Log,
		gate.Config{Witness: h.Archive, Audiences: postgres.NewAudienceStore(h.DB), Crowds: profiles, CrowdWait: h.Settings.Patience.With(gate.CrowdWait)})
	notices := postgres.NewNoticeStore(h.DB, h.Log)
	h.Notices = notice.New(notices, catalogue.KnowsPurpose)
	consents := postgres.NewConsentStore(h.DB, h.Log)
	h.Consent = consent.New(consents, subjects{store}, catalogue,
		consent.Config{Random: h.options.Random, MayGrant: catalogue.mayGrant, Notices: notices, Childhood: h.childhood, OnConsentOnly: catalogue.onConsentOnly})
	ends := expirer{consents, subjects{store}}
	h.tendEnds(ends)
	h.Refresher = gate.NewRefresher(profiles, h.Engine, h.Keys.Vault(), gate.RefresherConfig{Random: h.options.Random, GrownUp: ends.grownUp})
	h.Signals = signal.NewRecorder(h.Consent, h.Log, subjects{store}, h.boundPurposes, nil)
	h.Cases = casework.New(postgres.NewCaseStore(h.DB, h.Log), subjects{store}, casework.Config{Random: h.options.Random, MayHandle: catalogue.mayHandle})
	h.Loader = intake.New(postgres.NewIntakeStore(h.DB, h.Log), h.Keys.Vault(), catalogue, catalogue,
		intake.Config{Now: h.options.Now, Random: h.options.Random})
	for _, open := range []func() error{
		h.openOutbox,
		h.openOutreach,
		h.openRequests,
		h.openIdentity,
		h.openFulfil,
		h.openHolds,
		h.openRetention,
		h.openCertificates,
		h.openOpenDSR,
		h.openEraser,
		h.openExports,
		h.openKeyUse,
		h.openAnchoring,
		h.openIYS,
		h.openReceipts,
		h.openRooms,
	} {
		if err := open(); err != nil {
			return err
		}
	}
	return nil
}

// checkKEK refuses a key directory that is not the database's own.
func (h *House) checkKEK(ctx context.Context) error { return h.DB.CheckKEK(ctx, kekCheck{h.Keys}) }

// kekCheck makes the check value with the vault and opens it with the error that names
// the file.
type kekCheck struct{ keys *keydir.Keys }

func (k kekCheck) SealCheck() ([]byte, error)    { return k.keys.Vault().SealCheck() }
func (k kekCheck) OpenCheck(sealed []byte) error { return k.keys.OpenCheck(sealed) }

// CheckRecipient refuses a recipient that the catalogue does not have. The empty one is
// nobody and passes.
func (h *House) CheckRecipient(recipient privacy.RecipientID) error {
	if recipient == "" {
		return nil
	}
	catalogue := h.Engine.Revision().Catalogue()
	if _, known := catalogue.Recipient(recipient); !known {
		return &privacy.FieldError{Pointer: "/recipient", Reason: fmt.Sprintf("is not in the catalogue, which has %v", catalogue.Recipients())}
	}
	return nil
}

// subjects finds what the log needs to know of a person.
type subjects struct{ store *postgres.VaultStore }

func (s subjects) Subject(ctx context.Context, id privacy.DataSubjectID) (audit.Subject, error) {
	return s.store.AuditSubject(ctx, id)
}

// wordsOf answers which words the catalogue in force knows.
func wordsOf(engine *policies.Engine) words {
	return words{intake.NewWords(func() *policies.Catalogue { return engine.Revision().Catalogue() }), engine}
}

type words struct {
	intake.Words
	engine *policies.Engine
}

// mayGrant: the company's own services ask for any purpose, others for those of their
// contract.
func (w words) mayGrant(recipient privacy.RecipientID, purpose privacy.Purpose) bool {
	r, known := w.engine.Revision().Catalogue().Recipient(recipient)
	return known && (r.Relationship == policies.FirstParty || slices.Contains(r.Purposes, purpose))
}

// onConsentOnly: purposes that could stand on a contract or a law are left alone when a
// person withdraws everything that they agreed to, unless they agreed to those too.
func (w words) onConsentOnly() []privacy.Purpose {
	catalogue := w.engine.Revision().Catalogue()
	return slices.DeleteFunc(catalogue.Purposes(), func(id privacy.Purpose) bool {
		p, _ := catalogue.Purpose(id)
		_, consent := p.Bases[privacy.Consent]
		for basis := range p.Bases {
			if basis != privacy.Consent && basis != privacy.LegitimateInterests {
				return true
			}
		}
		return !consent
	})
}

// PurposeTitle implements [link.Words].
func (w words) PurposeTitle(id privacy.Purpose, language string) string {
	if p, ok := w.engine.Revision().Catalogue().Purpose(id); ok {
		return p.Title.In(language)
	}
	return string(id)
}

// ChannelTitle implements [link.Words].
func (w words) ChannelTitle(id privacy.Channel, language string) string {
	if c, ok := w.engine.Revision().Catalogue().Channel(id); ok {
		return c.Title.In(language)
	}
	return string(id)
}

// mayHandle: everybody takes complaints; other cases are for those who are contracted for a
// purpose that uses what is for a case alone.
func (w words) mayHandle(recipient privacy.RecipientID, kind casework.Kind) bool {
	catalogue := w.engine.Revision().Catalogue()
	r, known := catalogue.Recipient(recipient)
	if !known || kind == casework.Complaint {
		return known
	}
	return slices.ContainsFunc(r.Purposes, func(id privacy.Purpose) bool {
		purpose, ok := catalogue.Purpose(id)
		if !ok {
			return false
		}
		for name := range purpose.Categories {
			if category, ok := catalogue.Category(name); ok && category.Case {
				return true
			}
		}
		return false
	})
}

// Pseudonyms gives each recipient's pseudonyms and makes the keyset of one that is in
// the catalogue when it is first needed.
type Pseudonyms struct {
	keys   *keydir.Keys
	engine *policies.Engine
	log    audit.Appender
	maker  keyMaker

	mu   sync.RWMutex
	made map[privacy.RecipientID]*pseudonym.Pseudonyms
}

// Of returns a recipient's pseudonyms, or an error that wraps [privacy.ErrNotFound] for
// one that the catalogue does not have.
func (p *Pseudonyms) Of(recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error) {
	p.mu.RLock()
	names := p.made[recipient]
	p.mu.RUnlock()
	if names != nil {
		return names, nil
	}
	if _, known := p.engine.Revision().Catalogue().Recipient(recipient); !known {
		return nil, fmt.Errorf("finding pseudonyms of a recipient that is not in the catalogue: %w", privacy.ErrNotFound)
	}
	find := func() error { _, err := p.keys.Recipient(recipient); return err }
	create := func() (bool, error) { return p.keys.EnsureRecipient(recipient) }
	if err := p.maker.ensure(context.Background(), p.log, recipient, find, create); err != nil {
		return nil, err
	}
	primitive, err := p.keys.Recipient(recipient)
	if err != nil {
		return nil, err
	}
	if names, err = pseudonym.New(recipient, primitive); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.made[recipient] = names
	return names, nil
}

// readyWithin bounds one look at the parts.
const readyWithin = 2 * time.Second

// boundPurposes are the purposes of the policies in force, with the signals that bind them.
func (h *House) boundPurposes() []*policies.Purpose {
	catalogue := h.Engine.Revision().Catalogue()
	var bound []*policies.Purpose
	for _, id := range catalogue.Purposes() {
		if purpose, ok := catalogue.Purpose(id); ok {
			bound = append(bound, purpose)
		}
	}
	return bound
}
