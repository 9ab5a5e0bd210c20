package server

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// Services is what the routes need of the rest of the house. A route whose service is
// nil answers 503: the server starts with what it has and never guesses.
type Services struct {
	Tokens     Authenticator
	Gate       Asker
	People     Resolver
	Consent    ConsentRecorder
	Intake     Ingester
	Log        Checkpointer
	Pseudonyms Reidentifier
	Health     Health
}

// Authenticator tells who calls. An error must wrap [privacy.ErrUnauthenticated] when
// the token is at fault.
type Authenticator interface {
	Verify(token string) (privacy.Principal, error)
}

// Asker answers one query. It must return an answer only after the log entry about it
// is durable, and must not tell a caller who may not know that a person is unknown.
type Asker interface {
	Ask(ctx context.Context, principal privacy.Principal, query Query) (Answer, error)
}

// Query is a question about one person.
type Query struct {
	DataSubject  Ref
	Purpose      privacy.Purpose
	Channel      privacy.Channel
	Attributes   []privacy.AttributeName
	Trigger      *Trigger
	ConsentToken string
}

// Ref names a person from outside: by the recipient's pseudonym or by an identifier.
type Ref struct {
	Pseudonym  string
	Identifier privacy.Identifier
}

// Trigger is what made the caller ask.
type Trigger struct{ OccurredAt time.Time }

// Answer is what the gate released.
type Answer struct {
	DecisionID     string
	Decision       string
	Pseudonym      string
	Attributes     map[privacy.AttributeName]Released
	Obligations    []Obligation
	Reasons        []Reason
	PolicyRevision string
	ConsentToken   string
	Receipt        audit.Receipt
}

// Released is one value as far as it may be known.
type Released struct {
	Value any
	Level string
}

// Obligation is what the recipient must do with an answer.
type Obligation struct {
	ID, Type   string
	Properties map[string]any
}

// Reason is a check that did not pass and the law behind it.
type Reason struct {
	Code string
	Laws []string
}

// Resolver finds the person whom a caller names: by the pseudonym made for the caller's
// recipient, or by an identifier. It returns an error that wraps [privacy.ErrNotFound]
// for somebody who is unknown, and [privacy.ErrInvalid] for what is no pseudonym of
// this recipient.
type Resolver interface {
	Resolve(ctx context.Context, principal privacy.Principal, ref Ref) (privacy.DataSubjectID, error)
}

// ConsentRecorder records one choice of one person; [consent.Service] is one. Each
// method must return after the record and its log entry are durable.
type ConsentRecorder interface {
	Grant(ctx context.Context, by privacy.Principal, change consent.Change) (consent.Receipt, error)
	Refuse(ctx context.Context, by privacy.Principal, change consent.Change) (consent.Receipt, error)
	Withdraw(ctx context.Context, by privacy.Principal, change consent.Change) (consent.Receipt, error)
	Object(ctx context.Context, by privacy.Principal, change consent.Change) (consent.Receipt, error)
}

// Ingester takes lines of NDJSON. The same lines twice must change nothing the second
// time, because a caller that got no answer sends them again.
type Ingester interface {
	Ingest(ctx context.Context, principal privacy.Principal, delivery Delivery) (IngestSummary, error)
}

// Delivery is one body of lines.
type Delivery struct {
	// Map names the mapping that says what the fields mean.
	Map string
	// Lines is the body. It is only valid during the call.
	Lines []byte
}

// IngestSummary is what became of a delivery.
type IngestSummary struct {
	Lines, Accepted, Unchanged, Rejected int
	Rejects                              []Reject
	Receipt                              audit.Receipt
}

// Reject is one line that was not taken. Reason repeats no value of the line.
type Reject struct {
	Line   int
	Reason string
}

// Checkpointer gives the latest signed checkpoint of the log (a C2SP signed note), or
// an error that wraps [privacy.ErrNotFound] before there is one.
type Checkpointer interface {
	LatestCheckpoint(ctx context.Context) ([]byte, error)
}

// Reidentifier is the one way back from a pseudonym. It must ask the policies and must
// log the act, allowed or not, before it returns.
type Reidentifier interface {
	Reidentify(ctx context.Context, principal privacy.Principal, request Reidentification) (Reidentified, error)
}

// Reidentification asks who stands behind a recipient's pseudonym.
type Reidentification struct {
	Recipient privacy.RecipientID
	Pseudonym string
	Purpose   privacy.Purpose
}

// Reidentified is the answer, for a DPO's eyes.
type Reidentified struct {
	DataSubject privacy.DataSubjectID
	Receipt     audit.Receipt
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
