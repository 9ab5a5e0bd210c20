package receipt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// Finder finds a line of the ledger by its id alone. It MUST return an error that wraps
// [privacy.ErrNotFound] if there is none (any more), and [privacy.ErrConflict] if callers
// gave one id to the choices of several people.
type Finder interface {
	Find(ctx context.Context, id [16]byte) (consent.Record, error)
}

// Statements say what a person's ledger amounts to now; [consent.Service] does.
type Statements interface {
	Show(ctx context.Context, id privacy.DataSubjectID) (consent.Statement, error)
}

// Keyring has the keyset that signs, as it is now: another process may have rotated it.
type Keyring interface {
	// ReceiptKeyset returns an error that wraps [privacy.ErrNotFound] before there is one.
	ReceiptKeyset() (*keyset.Handle, error)
	// MakeReceiptKeyset makes one unless it is there. The log says so before there is one.
	MakeReceiptKeyset(ctx context.Context) error
}

// Names gives each recipient's pseudonyms, or an error that wraps [privacy.ErrNotFound] for
// a recipient that the catalogue does not have.
type Names interface {
	Of(recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error)
}

// Config is what an [Issuer] needs. Ledger to Catalogue, Log and URL are required.
type Config struct {
	Ledger     Finder
	Statements Statements
	Subjects   consent.Subjects
	Keys       Keyring
	Names      Names
	Catalogue  func() *policies.Catalogue
	Log        audit.Appender
	// URL is the issuer, as it stands in every receipt.
	URL string
	// Controller is who answers. While it is not set nothing is issued.
	Controller Controller
	// MayKnow says whether a recipient may know what a person chose about a purpose. Nil: none.
	MayKnow func(recipient privacy.RecipientID, purpose privacy.Purpose) bool
	// Now and Random are as in [SignerConfig].
	Now    func() time.Time
	Random io.Reader
}

// Issuer makes receipts of what the ledger says.
type Issuer struct{ config Config }

// NewIssuer returns an issuer.
func NewIssuer(config Config) *Issuer { return &Issuer{config} }

// URL is the issuer's name.
func (i *Issuer) URL() string { return i.config.URL }

// Ready returns an error that wraps [privacy.ErrUnavailable] while no controller is set.
func (i *Issuer) Ready() error {
	if !i.config.Controller.Set() {
		return fmt.Errorf("issuing consent receipt: nobody has said who the controller is; set controller_name and what belongs to it: %w", privacy.ErrUnavailable)
	}
	return nil
}

// Request is what somebody asks for.
type Request struct {
	// Consent is the id of the line of the ledger.
	Consent [16]byte
	// Format is the structure.
	Format Format
	// Recipient is whose pseudonym stands for the person. A service gets its own, and must
	// leave it empty or name itself; a data protection officer must name one.
	Recipient privacy.RecipientID
	// Recorded is whether the caller has just recorded the choice, so that it knows it
	// whatever its purposes are.
	Recorded bool
}

// Issued is a receipt with the evidence that it was issued.
type Issued struct {
	Signed
	Receipt audit.Receipt
}

// Issue makes a receipt, and returns it after its entry in the log is durable.
//
// [privacy.ErrForbidden]: neither a service nor a data protection officer.
// [privacy.ErrNotFound]: there is no such choice, or it is none of the service's business;
// which of the two, it is not told.
// A [privacy.FieldError] names what is wrong with the request.
func (i *Issuer) Issue(ctx context.Context, by privacy.Principal, request Request) (Issued, error) {
	recipient, err := recipientOf(by, request.Recipient)
	if err != nil {
		return Issued{}, err
	}
	if err := i.Ready(); err != nil {
		return Issued{}, err
	}
	names, err := i.config.Names.Of(recipient)
	if errors.Is(err, privacy.ErrNotFound) {
		err = &privacy.FieldError{Pointer: "/recipient", Reason: "is not in the catalogue"}
	}
	if err != nil {
		return Issued{}, fmt.Errorf("issuing consent receipt: %w", err)
	}
	record, err := i.config.Ledger.Find(ctx, request.Consent)
	if err != nil {
		return Issued{}, fmt.Errorf("finding the choice of a receipt: %w", err)
	}
	mayKnow := by.Role == privacy.RoleDPO || i.config.MayKnow != nil && i.config.MayKnow(recipient, record.Purpose)
	if !mayKnow && !request.Recorded {
		return Issued{}, fmt.Errorf("issuing a receipt of a purpose that is not the recipient's: %w", privacy.ErrNotFound)
	}
	return i.issue(ctx, by, names, record, request.Format, mayKnow)
}

// recipientOf is whose pseudonym stands in the receipt.
func recipientOf(by privacy.Principal, wanted privacy.RecipientID) (privacy.RecipientID, error) {
	switch {
	case by.Role == privacy.RoleService && wanted != "" && wanted != by.Recipient:
		return "", &privacy.FieldError{Pointer: "/recipient", Reason: "is another than the caller"}
	case by.Role == privacy.RoleService:
		return by.Recipient, nil
	case by.Role != privacy.RoleDPO:
		return "", fmt.Errorf("issuing consent receipt: %w", privacy.ErrForbidden)
	case wanted == "":
		return "", &privacy.FieldError{Pointer: "/recipient", Reason: "must say whose pseudonym stands for the person"}
	}
	return wanted, nil
}

func (i *Issuer) issue(ctx context.Context, by privacy.Principal, names *pseudonym.Pseudonyms, record consent.Record, format Format, mayKnow bool) (Issued, error) {
	signer, err := i.signer(ctx)
	if err != nil {
		return Issued{}, err
	}
	facts := &Facts{Record: record, Recipient: names.Recipient(), Controller: i.config.Controller, Purpose: i.describe(record.Purpose)}
	if facts.Principal, err = names.Of(record.DataSubject); err != nil {
		return Issued{}, fmt.Errorf("naming the person of a receipt: %w", err)
	}
	statement, err := i.config.Statements.Show(ctx, record.DataSubject)
	if err != nil {
		return Issued{}, err
	}
	if !mayKnow { // a no, which everybody may bring: what else the ledger has is not theirs to know
		statement = consent.NewStatement([]consent.Record{record}, statement.At)
	}
	if facts.Standing, err = standingOf(statement, &record, facts.Purpose.Marketing); err != nil {
		return Issued{}, err
	}
	subject, err := i.config.Subjects.Subject(ctx, record.DataSubject)
	if err != nil {
		return Issued{}, fmt.Errorf("finding the person of a receipt: %w", err)
	}
	signed, err := signer.Sign(facts, format)
	if err != nil {
		return Issued{}, err
	}
	event := audit.Event{
		Kind: audit.ReceiptIssued, Principal: by, Outcome: audit.Done, Subject: subject, Purpose: record.Purpose, Channel: record.Channel, List: signed.Digest(),
	}
	if by.Role != privacy.RoleService {
		event.Recipient = names.Recipient()
	}
	receipt, err := i.config.Log.Append(ctx, event)
	if err != nil {
		return Issued{}, fmt.Errorf("logging a consent receipt: %w", err)
	}
	return Issued{signed, receipt}, nil
}

// signer opens the keyset, and has it made for the first receipt.
func (i *Issuer) signer(ctx context.Context) (*Signer, error) {
	handle, err := i.config.Keys.ReceiptKeyset()
	if errors.Is(err, privacy.ErrNotFound) {
		if err := i.config.Keys.MakeReceiptKeyset(ctx); err != nil {
			return nil, err
		}
		handle, err = i.config.Keys.ReceiptKeyset()
	}
	if err != nil {
		return nil, err
	}
	return NewSigner(i.config.URL, handle, SignerConfig{Now: i.config.Now, Random: i.config.Random})
}

// describe says what the catalogue has about a purpose. One that has left the catalogue
// since still has its choices, and its receipts.
func (i *Issuer) describe(id privacy.Purpose) Purpose {
	purpose, err := Describe(i.config.Catalogue(), id)
	if err != nil {
		return Purpose{ID: id, Title: policies.Text{EN: string(id)}}
	}
	return purpose
}

// standingOf is what holds for the purpose and channel of a record.
func standingOf(statement consent.Statement, record *consent.Record, marketing bool) (consent.Current, error) {
	var found consent.Current
	for _, line := range statement.Standings {
		if line.Purpose == record.Purpose && line.Channel == record.Channel {
			found = line.Current
		}
	}
	if found.State == "" {
		return found, fmt.Errorf("finding what holds for a receipt: %w", privacy.ErrNotFound)
	}
	if marketing && record.Purpose != policies.GeneralMarketing {
		if all := consent.Fold(consent.ForPurpose(statement.Records, policies.GeneralMarketing), record.Channel, statement.At); all.Objects() {
			return all, nil
		}
	}
	return found, nil
}

// PublicKeys are the keys by which receipts are checked, as a JWK set. Before the first
// receipt it is empty.
func (i *Issuer) PublicKeys() ([]byte, error) {
	handle, err := i.config.Keys.ReceiptKeyset()
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		return nil, err
	}
	return PublishKeys(i.config.URL, handle)
}
