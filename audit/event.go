package audit

import (
	"context"

	"github.com/mahrem/mahrem/privacy"
)

// Kind says what happened, as noun.verb_past. The set is closed: an entry with any
// other kind does not parse.
type Kind string

// The kinds of event.
const (
	LogStarted         Kind = "log.started"
	ServerStarted      Kind = "server.started"
	ServerStopped      Kind = "server.stopped"
	QueryAnswered      Kind = "query.answered"
	QueryDenied        Kind = "query.denied"
	AudienceAnswered   Kind = "audience.answered"
	AudienceDenied     Kind = "audience.denied"
	DecisionShown      Kind = "decision.shown"
	CaseOpened         Kind = "case.opened"
	CaseClosed         Kind = "case.closed"
	ConsentGranted     Kind = "consent.granted"
	ConsentRefused     Kind = "consent.refused"
	ConsentWithdrawn   Kind = "consent.withdrawn"
	ConsentObjected    Kind = "consent.objected"
	BatchIngested      Kind = "batch.ingested"
	PersonShown        Kind = "person.shown"
	PersonErased       Kind = "person.erased"
	ErasureDenied      Kind = "erasure.denied"
	PersonReidentified Kind = "person.reidentified"
	ReidentifyDenied   Kind = "reidentification.denied"
	KeyCreated         Kind = "key.created"
	TokenMinted        Kind = "token.minted"
	PolicyActivated    Kind = "policy.activated"
	PolicyRefused      Kind = "policy.refused"

	// Requests of data subjects (GDPR Chapter III). Each step of one is an entry.
	RequestOpened     Kind = "request.opened"
	RequestVerified   Kind = "request.verified"
	RequestUnverified Kind = "request.unverified" // an attempt to verify that failed
	RequestStarted    Kind = "request.started"
	RequestPaused     Kind = "request.paused"
	RequestResumed    Kind = "request.resumed"
	RequestExtended   Kind = "request.extended"
	RequestNoted      Kind = "request.noted"
	RequestNotified   Kind = "request.notified" // a letter or code was handed over for delivery
	RequestFulfilled  Kind = "request.fulfilled"
	RequestDenied     Kind = "request.denied"
	RequestWithdrawn  Kind = "request.withdrawn"
	RequestRefused    Kind = "request.refused" // a message or step that was refused, by the check that is named

	PersonExported     Kind = "person.exported"
	ExportFetched      Kind = "export.fetched"
	PersonRectified    Kind = "person.rectified"
	PersonRestricted   Kind = "person.restricted"
	PersonUnrestricted Kind = "person.unrestricted"

	ErasurePlanned    Kind = "erasure.planned"
	ErasureApproved   Kind = "erasure.approved"
	ErasureDeferred   Kind = "erasure.deferred" // a legal hold stands in the way
	ErasureReplayed   Kind = "erasure.replayed" // after a restore, by the ledger
	LogRestored       Kind = "log.restored"     // the log goes on after a restore that lost entries
	CertificateIssued Kind = "certificate.issued"
	SuppressionLifted Kind = "suppression.lifted"

	HoldSet      Kind = "hold.set"
	HoldReleased Kind = "hold.released"

	RetentionApplied Kind = "retention.applied"
	WithheldErased   Kind = "withheld.erased" // what an erasure had to keep, once the ground ended

	// What is done with the log itself.
	LogRead         Kind = "log.read"          // entries were handed to somebody who may see them
	LogExported     Kind = "log.exported"      // a bundle for an auditor; its digest is the list
	LogAnchored     Kind = "log.anchored"      // a checkpoint was put where the operator cannot change it
	LogKeyChanged   Kind = "log.key_changed"   // another key signs from here on; its digest is the list
	LogRetentionSet Kind = "log.retention_set" // the written policy on old entries; its digest is the list
	LogArchived     Kind = "log.archived"      // old entries were copied out and verified
	LogPruned       Kind = "log.pruned"        // archived entries were dropped
	KeysCounted     Kind = "keys.counted"      // how often keys of people were opened since the last count
	ClockSetBack    Kind = "clock.set_back"    // entries from here on may bear an earlier time than those before

	// The consent ledger and what is around it.
	ConsentRenewed           Kind = "consent.renewed"
	ConsentExpired           Kind = "consent.expired" // a grant ended by itself, or a birthday opened the question again
	ConsentGuardianGranted   Kind = "consent.guardian_granted"
	ConsentGuardianWithdrawn Kind = "consent.guardian_withdrawn"
	ConsentImported          Kind = "consent.imported"   // many at once; its list is the digest of their commitments
	ConsentErased            Kind = "consent.erased"     // rows of somebody who was erased; its list is the digest of their commitments
	NoticePublished          Kind = "notice.published"   // its list is the digest of the text
	ReceiptIssued            Kind = "receipt.issued"     // its list is the digest of the receipt
	SignalRejected           Kind = "signal.rejected"    // a consent signal that cannot be read: no consent
	RegistryExchanged        Kind = "registry.exchanged" // with a national registry of consents
	SubscriberAdded          Kind = "subscriber.added"   // somebody is told of changes of consent from here on
	SubscriberRemoved        Kind = "subscriber.removed"
	SubscriberTold           Kind = "subscriber.told"  // took a change of consent, or was given up (denied)
	DeliveryRetried          Kind = "delivery.retried" // by hand

	// The clean room, and what is told of groups.
	PartyAdmitted    Kind = "party.admitted" // a company may take part in rooms from here on
	PartyRemoved     Kind = "party.removed"
	RoomOpened       Kind = "room.opened"
	RoomClosed       Kind = "room.closed"
	ContractSigned   Kind = "contract.signed"   // its list is the digest of what was signed
	TemplateSigned   Kind = "template.signed"   // its list is the digest of what was signed
	SnapshotDrawn    Kind = "snapshot.drawn"    // the house's people were masked for another party; its list is the digest of the manifest
	SnapshotAdmitted Kind = "snapshot.admitted" // people came into a room; its list is the digest of the manifest
	SnapshotDropped  Kind = "snapshot.dropped"  // its rows are gone; of a draw that came to nothing, too
	RoomMatched      Kind = "room.matched"      // an epoch began
	RoomEvaluated    Kind = "room.evaluated"    // blinded identifiers were masked for a party
	RoomPriced       Kind = "room.priced"
	RoomCharged      Kind = "room.charged"    // before data was read; its list is the digest of the question
	RoomReleased     Kind = "room.released"   // its list is the digest of the answer
	RoomDenied       Kind = "room.denied"     // what was asked of a room was refused
	RoomFailed       Kind = "room.failed"     // a charged query has no answer
	RoomActivated    Kind = "room.activated"  // an audience was handed to a party
	RoomLeft         Kind = "room.left"       // somebody's consent covers a room no longer, and nobody said so; its list is the digest of the manifest
	PersonaDefined   Kind = "persona.defined" // its list is the digest of the definition
	PersonaBuilt     Kind = "persona.built"   // its list is the digest of the description

	ProcessorAdded    Kind = "processor.added"
	ProcessorNotified Kind = "processor.notified"
	ProcessorAnswered Kind = "processor.answered"
)

// Outcome is what became of the request behind an event.
type Outcome string

// The outcomes.
const (
	Allowed Outcome = "allow"
	Denied  Outcome = "deny"
	Done    Outcome = "done"
)

// Digest is a SHA-256. The zero value means "none" and is left out of an entry.
type Digest [32]byte

// BlindingKey is one person's secret for tags in the log. It is born and shredded
// together with the person's DEK; once it is gone no tag can be recomputed, so no
// entry can be linked to the person any more, while every proof stays valid.
type BlindingKey [32]byte

// Subject is what the log needs to know of a person in order to tag an entry without
// naming them. The zero value stands for "about nobody".
type Subject struct {
	// ID is the data subject. It goes into the keyed tag and nowhere else.
	ID privacy.DataSubjectID
	// Blinding is the person's blinding key.
	Blinding BlindingKey
	// Unknown marks an event about somebody who does not exist (any more). Its tag is
	// random, so that an entry does not tell who is known.
	Unknown bool
}

// Event is what a caller says happened. It becomes an [Entry] when it is encoded: with
// a random id, a time, and a tag in the place of the person.
//
// Every field is an enum, a catalogue key, a digest or a count. There is no free text
// and nothing that came from a person.
type Event struct {
	Kind      Kind
	Principal privacy.Principal
	Outcome   Outcome
	Subject   Subject

	Purpose privacy.Purpose
	Channel privacy.Channel
	// Recipient is whom the event concerns when that is not the principal's own
	// recipient: whose pseudonym was re-identified, for whom a token was minted.
	Recipient privacy.RecipientID
	// Minted is the role of the token that was minted: on a [TokenMinted], and nowhere else.
	Minted privacy.Role
	// Checks are the names of the policy checks that did not pass, sorted.
	Checks []string
	// Attributes are the catalogue names of the attributes that were released, sorted.
	Attributes []privacy.AttributeName
	// Policy is the digest of the policy revision that decided, or of the bundle that was
	// activated or refused.
	Policy Digest
	// Facts is the digest of the canonical facts the policy saw.
	Facts Digest
	// List is the digest of the list that a bulk event stands for, or of the document that
	// a step is about: a request, the plan of an erasure, a hold, a certificate.
	List Digest
	// Count is how many things the event covers. An entry holds only its bucket.
	Count uint64
}

// Appender is what the rest of the house needs of the log.
//
// Append must return only after the entry is durable (survives a crash of every
// process and of the machine), and must fail with [privacy.ErrUnavailable] when it
// cannot be made durable within the log's own deadline, whatever ctx says. A caller
// that gets an error must not carry on with what the event is evidence of.
type Appender interface {
	Append(ctx context.Context, event Event) (Receipt, error)
}
