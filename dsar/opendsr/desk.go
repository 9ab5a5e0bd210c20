package opendsr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

// Controller is somebody whose processor we are.
type Controller struct {
	// ID is the word by which it is named here, and controller_id in answers.
	ID string
	// Recipient is whose tokens speak for it.
	Recipient privacy.RecipientID
	// Callbacks are the only addresses that its requests may name, each in full.
	Callbacks []string
	// Roots are the authorities that are believed for connections to it, in PEM.
	Roots string
	// Jurisdiction and Language are those of the people whom it asks for.
	Jurisdiction privacy.Jurisdiction
	Language     string
	AddedBy      [16]byte
	AddedAt      time.Time
	RetiredAt    time.Time
}

// Check refuses what no registry may take, with a [privacy.FieldError].
func (c *Controller) Check() error {
	fault := func(pointer, reason string) error { return &privacy.FieldError{Pointer: pointer, Reason: reason} }
	if !namePattern.MatchString(c.ID) {
		return fault("/controller_id", "must be a word of a-z, 0-9, '_', '.' and '-', beginning with a letter")
	}
	if c.Recipient == "" {
		return fault("/recipient", "must be a recipient of the catalogue")
	}
	if len(c.Callbacks) > maxCallbacks {
		return fault("/callbacks", "must be at most 8")
	}
	for _, callback := range c.Callbacks {
		if CheckCallbackURL(callback) != nil || len(callback) > maxURL {
			return fault("/callbacks", "must be https addresses without user and fragment")
		}
	}
	if !slices.Contains(dsar.Languages(), c.Language) {
		return fault("/language", "must be en, tr or cs")
	}
	return nil
}

// Link joins a request of a controller to the one that was opened for it.
type Link struct {
	Controller string
	ID         SubjectRequestID
	Request    dsar.RequestID
	Version    Version
	// Callbacks are those that the request names.
	Callbacks  []string
	ReceivedAt time.Time
	ExpectedAt time.Time
	// ToldStep is the last step of the request that the controller was told of, and
	// ToldStatus the status then.
	ToldStep   int64
	ToldStatus Status
}

// Turn is the first step of a linked request that changed its status since its controller
// was told.
type Turn struct {
	Link  Link
	Step  int64
	State dsar.State
}

// ControllerStore keeps controllers and the requests that they sent. Everything is durable
// when it returns, and a change and its event are committed together or not at all.
type ControllerStore interface {
	// AddController records a controller. The error wraps [privacy.ErrConflict] if there is
	// one of its name or recipient.
	AddController(ctx context.Context, c Controller, event audit.Event) (audit.Receipt, error)
	RetireController(ctx context.Context, id string, event audit.Event) (audit.Receipt, error)
	Controllers(ctx context.Context, all bool) ([]Controller, error)
	// Controller returns one by its name, also a retired one, or [privacy.ErrNotFound].
	Controller(ctx context.Context, id string) (Controller, error)
	// ControllerOf returns the one that a recipient's tokens speak for, or [privacy.ErrNotFound].
	ControllerOf(ctx context.Context, recipient privacy.RecipientID) (Controller, error)
	// Linking returns a store of requests that joins the request it opens to link, in the
	// same transaction. Opening fails with a [Refusal] by [CheckDuplicate] if the controller
	// used that id before.
	Linking(link Link) dsar.RequestStore
	// Linked returns what became of a controller's request, or [privacy.ErrNotFound].
	Linked(ctx context.Context, controller string, id SubjectRequestID) (Link, error)
	// Turns returns at most limit turns, one of a request, of requests that name addresses.
	Turns(ctx context.Context, limit int) ([]Turn, error)
	// Told notes that a controller is told of a turn by deliveries, together with the
	// entry for event. It MUST fail with [privacy.ErrConflict], having changed nothing, if
	// somebody else told it since.
	Told(ctx context.Context, turn Turn, status Status, deliveries []outbox.Delivery, event audit.Event) error
}

// DeskConfig holds what a desk may be told otherwise.
type DeskConfig struct {
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// CertificateURL is where the certificate is fetched, as discovery says.
	CertificateURL string
	// Delay is how long an answer takes if no law says it; zero means 30 days.
	Delay time.Duration
}

// Desk takes requests of controllers as their processor. It is safe for concurrent use.
type Desk struct {
	store  ControllerStore
	signer *Signer
	// service returns the room of requests, over a store.
	service func(dsar.RequestStore) (*dsar.Service, error)
	reader  *dsar.Service
	log     audit.Appender
	config  DeskConfig
}

// NewDesk returns a desk. service opens the room of requests over the store that it gets,
// or over the usual one for nil.
func NewDesk(store ControllerStore, signer *Signer, service func(dsar.RequestStore) (*dsar.Service, error), log audit.Appender, config DeskConfig) (*Desk, error) {
	if store == nil || signer == nil || service == nil || log == nil {
		return nil, fmt.Errorf("making OpenDSR desk: %w", privacy.ErrInvalid)
	}
	reader, err := service(nil)
	if err != nil {
		return nil, err
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Delay == 0 {
		config.Delay = 30 * 24 * time.Hour
	}
	return &Desk{store: store, signer: signer, service: service, reader: reader, log: log, config: config}, nil
}

// Reply is a signed answer.
type Reply struct {
	Body              []byte
	Domain, Signature string
	// Receipt is that of what was changed; zero if nothing was.
	Receipt audit.Receipt
}

func (d *Desk) reply(body []byte) (Reply, error) {
	signature, err := d.signer.Sign(body)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Body: body, Domain: d.signer.Domain(), Signature: signature}, nil
}

// Certificate is what signs, in PEM.
func (d *Desk) Certificate() []byte { return d.signer.Chain() }

// Discovery says what is supported. Digests of addresses are not: who is looked for is
// found by a keyed hash of the address itself.
func (d *Desk) Discovery(version Version) (Reply, error) {
	return d.reply(Discovery{
		Version: version, Kinds: kinds, Certificate: d.config.CertificateURL,
		Identities: []Identity{{Type: ControllerCustomerID, Format: Raw}, {Type: EmailIdentity, Format: Raw}, {Type: PhoneIdentity, Format: Raw}},
	}.Encode())
}

// Accept takes a request: 201. The error is a [Refusal], which is in the log when it
// returns, or wraps [privacy.ErrForbidden] or [privacy.ErrUnavailable].
func (d *Desk) Accept(ctx context.Context, by privacy.Principal, version Version, body []byte) (Reply, error) {
	controller, actor, err := d.controller(ctx, by)
	if err != nil {
		return Reply{}, d.refuse(ctx, by, body, err)
	}
	opened, request, err := d.accept(ctx, &controller, actor, version, body)
	if err != nil {
		return Reply{}, d.refuse(ctx, actor, body, err)
	}
	reply, err := d.reply(Accepted{
		ControllerID: controller.ID, ID: request.ID, Encoded: body,
		ReceivedAt: opened.ReceivedAt, ExpectedAt: d.expected(&opened.Request),
	}.Encode())
	reply.Receipt = opened.Receipt
	return reply, err
}

func (d *Desk) accept(ctx context.Context, controller *Controller, actor privacy.Principal, version Version, body []byte) (dsar.Opened, Request, error) {
	request, err := ParseRequest(version, body)
	if err != nil {
		return dsar.Opened{}, Request{}, err
	}
	for _, callback := range request.Callbacks {
		if !slices.Contains(controller.Callbacks, callback) {
			return dsar.Opened{}, Request{}, &Refusal{Check: CheckCallbackAllowed, Reason: "a callback address is not one of those agreed with this controller"}
		}
	}
	identifiers := identifiersOf(request.Identities)
	if len(identifiers) == 0 {
		return dsar.Opened{}, Request{}, identityFault("none of the identities is of a type and format that discovery names")
	}
	link := Link{
		Controller: controller.ID, ID: request.ID, Version: version, Callbacks: request.Callbacks,
		ReceivedAt: d.config.Now().UTC(), ToldStatus: Pending, ToldStep: 1,
	}
	link.ExpectedAt = link.ReceivedAt.Add(d.config.Delay)
	service, err := d.service(d.store.Linking(link))
	if err != nil {
		return dsar.Opened{}, Request{}, err
	}
	opening := dsar.Opening{Kind: request.Kind, Jurisdiction: controller.Jurisdiction, Language: controller.Language, Identifiers: identifiers, Via: dsar.ViaOpenDSR}
	if request.Regulation == "ccpa" {
		opening.Jurisdiction = "US-CA"
	}
	opened, err := service.Open(ctx, actor, opening)
	if fault, ok := errors.AsType[*privacy.FieldError](err); ok {
		// An identifier without a normal form; its place among ours says nothing to them.
		_ = fault
		return dsar.Opened{}, Request{}, identityFault("an identity is not one of its type")
	}
	return opened, request, err
}

// identifiersOf returns those that this house can look for.
func identifiersOf(identities []Identity) []privacy.Identifier {
	kinds := map[IdentityType]privacy.IdentifierKind{
		ControllerCustomerID: privacy.CustomerNumber, EmailIdentity: privacy.Email, PhoneIdentity: privacy.Phone,
	}
	var out []privacy.Identifier
	for _, i := range identities {
		if kind, ok := kinds[i.Type]; ok && i.Format == Raw && len(out) < 8 {
			out = append(out, privacy.Identifier{Kind: kind, Value: i.Value})
		}
	}
	return out
}

// Status answers how a request stands: 200.
func (d *Desk) Status(ctx context.Context, by privacy.Principal, version Version, id SubjectRequestID) (Reply, error) {
	link, request, _, err := d.linked(ctx, by, id)
	if err != nil {
		return Reply{}, err
	}
	return d.reply(d.report(link, version, request.State, d.expected(&request)).Encode())
}

func (d *Desk) report(link Link, version Version, state dsar.State, expected time.Time) Report {
	r := Report{Version: version, ControllerID: link.Controller, ID: link.ID, Status: StatusOf(state), ExpectedAt: expected}
	if state == dsar.Denied {
		r.Parts = map[string]Part{d.signer.Domain(): PartSkipped}
	}
	return r
}

func (d *Desk) expected(r *dsar.Request) time.Time {
	if r.DueAt.IsZero() {
		return r.ReceivedAt.Add(d.config.Delay)
	}
	return r.DueAt
}

// Cancel withdraws a request that nobody has begun to work on: 202.
func (d *Desk) Cancel(ctx context.Context, by privacy.Principal, version Version, id SubjectRequestID) (Reply, error) {
	link, request, actor, err := d.linked(ctx, by, id)
	if err != nil {
		return Reply{}, err
	}
	late := &Refusal{Check: CheckCancellable, Reason: "the request is not pending any more"}
	if StatusOf(request.State) != Pending {
		return Reply{}, d.refuse(ctx, actor, id[:], late)
	}
	_, receipt, err := d.reader.Take(ctx, actor, request.ID, dsar.Move{Action: dsar.ActionWithdraw, Version: request.Version})
	if errors.Is(err, privacy.ErrConflict) {
		return Reply{}, d.refuse(ctx, actor, id[:], late)
	}
	if err != nil {
		return Reply{}, fmt.Errorf("cancelling request: %w", err)
	}
	reply, err := d.reply(Cancellation{Version: version, ControllerID: link.Controller, ReceivedAt: d.config.Now(), ID: id}.Encode())
	reply.Receipt = receipt
	return reply, err
}

func (d *Desk) linked(ctx context.Context, by privacy.Principal, id SubjectRequestID) (Link, dsar.Request, privacy.Principal, error) {
	controller, actor, err := d.controller(ctx, by)
	if err != nil {
		return Link{}, dsar.Request{}, actor, d.refuse(ctx, by, id[:], err)
	}
	link, err := d.store.Linked(ctx, controller.ID, id)
	if errors.Is(err, privacy.ErrNotFound) {
		return Link{}, dsar.Request{}, actor, d.refuse(ctx, actor, id[:], &Refusal{Check: CheckRequestKnown, Reason: "there is no request of this id"})
	}
	if err != nil {
		return Link{}, dsar.Request{}, actor, fmt.Errorf("finding request of a controller: %w", err)
	}
	request, err := d.reader.Find(ctx, link.Request)
	return link, request, actor, err
}

// controller finds for whom a principal speaks, and under what name it acts: the
// controller's own, whichever of its tokens it shows.
func (d *Desk) controller(ctx context.Context, by privacy.Principal) (Controller, privacy.Principal, error) {
	unknown := &Refusal{Check: CheckControllerKnown, Reason: "the token speaks for no controller whose processor we are"}
	if by.Role != privacy.RoleService || by.Recipient == "" {
		return Controller{}, by, unknown
	}
	c, err := d.store.ControllerOf(ctx, by.Recipient)
	if errors.Is(err, privacy.ErrNotFound) {
		return Controller{}, by, unknown
	}
	if err != nil {
		return Controller{}, by, fmt.Errorf("finding controller: %w", err)
	}
	return c, privacy.Principal{ID: "opendsr/" + c.ID, Role: privacy.RoleService, Recipient: by.Recipient}, nil
}

// refuse logs a refusal, by name, and returns it; any other error it returns as it is.
func (d *Desk) refuse(ctx context.Context, by privacy.Principal, body []byte, err error) error {
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok {
		return fmt.Errorf("taking request of a controller: %w", err)
	}
	event := audit.Event{Kind: audit.RequestRefused, Outcome: audit.Denied, Principal: by, Checks: []string{refusal.Check}, List: messageDigest(body)}
	if _, err := d.log.Append(ctx, event); err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	return refusal
}
