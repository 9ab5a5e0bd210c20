package audit

import "slices"

// Kinds are all kinds of event, in the order of their declaration. The slice is the
// caller's own.
func Kinds() []Kind { return slices.Clone(kinds[:]) }

var kinds = [...]Kind{
	LogStarted, ServerStarted, ServerStopped, QueryAnswered, QueryDenied, AudienceAnswered, AudienceDenied,
	DecisionShown, CaseOpened, CaseClosed, ConsentGranted, ConsentRefused, ConsentWithdrawn, ConsentObjected,
	BatchIngested, PersonShown, PersonErased, ErasureDenied, PersonReidentified, ReidentifyDenied, KeyCreated,
	TokenMinted, PolicyActivated, PolicyRefused, RequestOpened, RequestVerified, RequestUnverified, RequestStarted,
	RequestPaused, RequestResumed, RequestExtended, RequestNoted, RequestNotified, RequestFulfilled, RequestDenied,
	RequestWithdrawn, RequestRefused, PersonExported, ExportFetched, PersonRectified, PersonRestricted,
	PersonUnrestricted, ErasurePlanned, ErasureApproved, ErasureDeferred, ErasureReplayed, LogRestored,
	CertificateIssued, SuppressionLifted, HoldSet, HoldReleased, RetentionApplied, WithheldErased, LogRead, LogExported,
	LogAnchored, LogKeyChanged, LogRetentionSet, LogArchived, LogPruned, KeysCounted, ClockSetBack,
	ConsentRenewed, ConsentExpired, ConsentGuardianGranted, ConsentGuardianWithdrawn, ConsentImported, ConsentErased,
	NoticePublished, ReceiptIssued, SignalRejected, RegistryExchanged, SubscriberAdded, SubscriberRemoved, SubscriberTold, DeliveryRetried,
	PartyAdmitted, PartyRemoved, RoomOpened, RoomClosed, ContractSigned, TemplateSigned, SnapshotDrawn, SnapshotAdmitted, SnapshotDropped, RoomMatched,
	RoomEvaluated, RoomPriced, RoomCharged, RoomReleased, RoomDenied, RoomFailed, RoomActivated, RoomLeft, PersonaDefined, PersonaBuilt,
	ProcessorAdded,
	ProcessorNotified, ProcessorAnswered,
}
