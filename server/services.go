package server

import (
	"context"
	"io"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// Services is what the routes need of the rest of the house. A route whose service is
// nil answers 503: the server starts with what it has and never guesses.
type Services struct {
	Tokens     Authenticator
	Gate       Asker
	Evaluator  Evaluator
	Audiences  AudienceFinder
	Directory  Directory
	Pseudonyms Pseudonyms
	Reidentify Reidentifier
	Consent    ConsentRecorder
	Consents   ConsentShower
	// Withdrawer takes several consents back at once, Links lets people do it by a link.
	Withdrawer ConsentWithdrawer
	Links      WithdrawalLinks
	// Receipts issues consent receipts. Nil: their paths answer 503.
	Receipts   ReceiptIssuer
	Cases      CaseRegistry
	Requests   RequestDesk
	Objections ObjectionDesk
	// Letters writes acknowledgements. Nil: answers have none.
	Letters LetterWriter
	// Identity finds out who sent a request. Nil: its paths answer 503.
	Identity IdentityDesk
	Signals  SignalRecorder
	// Processor is nil in a house that is nobody's processor.
	Processor ProcessorDesk
	Callbacks CallbackListener
	Intake    Ingester
	// Mapping finds the mapping that a delivery names, or returns an error that wraps
	// [privacy.ErrNotFound]. Nil means the mappings that ship with the program.
	Mapping   func(name string) (*intake.Mapping, error)
	Decisions Decisions
	// Notices shows the notices that people are shown.
	Notices Notices
	Exports ExportDesk
	Log     Checkpointer
	Tiles   LogTiles
	Health  Health
	// RoomAdmitter takes in what parties of clean rooms have prepared.
	RoomAdmitter RoomAdmitter
	// RoomEvaluator masks for rooms in oprf mode.
	RoomEvaluator RoomEvaluator
	// Rooms knows the clean rooms. Nil: their paths answer 503.
	Rooms RoomReader
	// RoomFiler takes what members of clean rooms have signed. Nil: their paths answer 503.
	RoomFiler RoomFiler
	// RoomActivator makes audiences of whom questions in rooms are about. Nil: its path answers
	// 503.
	RoomActivator RoomActivator
	// RoomQueries answers questions about clean rooms. Nil: their paths answer 503.
	RoomQueries RoomAsker
	// Access, if set, answers the AuthZEN endpoints in place of the Evaluator. It is for
	// showing conformance.
	Access AccessDecider
	// Obligations names what a recipient may have to observe. Nil means nothing.
	Obligations func() []string
}

// Authenticator tells who calls. An error must wrap [privacy.ErrUnauthenticated] when
// the token is at fault.
type Authenticator interface {
	Verify(token string) (privacy.Principal, error)
}

// Asker answers one query; [gate.Gate] is one. It must return an answer only after the log entry about it
// is durable, and must not tell a caller who may not know that a person is unknown.
type Asker interface {
	Ask(ctx context.Context, principal privacy.Principal, query gate.Query) (gate.Answer, error)
}

// Directory finds a person by an identifier. It returns an error that wraps
// [privacy.ErrNotFound] for somebody who is unknown, and [privacy.ErrInvalid] for what
// is no identifier of its kind.
type Directory interface {
	ResolveIdentifier(ctx context.Context, identifier privacy.Identifier) (privacy.DataSubjectID, error)
}

// Pseudonyms gives each recipient's pseudonyms, or an error that wraps
// [privacy.ErrNotFound] for a recipient that has none.
type Pseudonyms interface {
	Of(recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error)
}

// ConsentRecorder records one choice of one person; [consent.Service] is one. It must
// return after the record and its log entry are durable.
type ConsentRecorder interface {
	Record(ctx context.Context, by privacy.Principal, action consent.Action, change consent.Change) (consent.Receipt, error)
}

// Ingester takes lines of NDJSON; [intake.Loader] is one. The lines of a delivery are
// committed together with their log entry or not at all, and the same lines again
// change nothing, because a caller that got no answer sends them again.
type Ingester interface {
	LoadStream(ctx context.Context, in io.Reader, options intake.StreamOptions) (intake.StreamResult, error)
}

// Checkpointer gives the latest signed checkpoint of the log (a C2SP signed note), or
// an error that wraps [privacy.ErrNotFound] before there is one.
type Checkpointer interface {
	LatestCheckpoint(ctx context.Context) ([]byte, error)
}

// Reidentifier is the one way back from a pseudonym; [pseudonym.Reidentifier] is one. It
// must ask the policies and must log the act, allowed or not, before it returns.
type Reidentifier interface {
	Reidentify(ctx context.Context, principal privacy.Principal, purpose privacy.Purpose,
		pseudonyms *pseudonym.Pseudonyms, text pseudonym.Pseudonym) (privacy.DataSubjectID, audit.Receipt, error)
}

// Health says whether the parts that an answer needs are there. It must return within
// ctx; the server asks it at most once a second.
type Health interface {
	Checks(ctx context.Context) []Check
}

// Check is the state of one part.
type Check struct {
	// Name is a fixed word: "database", "log", "policies".
	Name string
	// Detail is shown to everybody, such as a policy revision: nothing secret.
	Detail string
	// Err is why the part is not ready. Its text goes to the operator's log only.
	Err error
}
