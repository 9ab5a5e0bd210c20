package audit

import "github.com/mahrem/mahrem/privacy"

// Valid reports whether k is one of the kinds of this package.
func (k Kind) Valid() bool {
	switch k {
	case LogStarted, ServerStarted, ServerStopped,
		QueryAnswered, QueryDenied, AudienceAnswered, AudienceDenied, DecisionShown, CaseOpened, CaseClosed,
		ConsentGranted, ConsentRefused, ConsentWithdrawn, ConsentObjected,
		BatchIngested, PersonShown, PersonErased, ErasureDenied, PersonReidentified, ReidentifyDenied,
		KeyCreated, TokenMinted, PolicyActivated, PolicyRefused,
		RequestOpened, RequestVerified, RequestUnverified, RequestStarted, RequestPaused, RequestResumed,
		RequestExtended, RequestNoted, RequestNotified, RequestFulfilled, RequestDenied, RequestWithdrawn,
		RequestRefused, PersonExported, ExportFetched, PersonRectified, PersonRestricted, PersonUnrestricted,
		ErasurePlanned, ErasureApproved, ErasureDeferred, ErasureReplayed, LogRestored, CertificateIssued,
		SuppressionLifted, HoldSet, HoldReleased, RetentionApplied, WithheldErased, ProcessorAdded,
		ProcessorNotified, ProcessorAnswered,
		LogRead, LogExported, LogAnchored, LogKeyChanged, LogRetentionSet, LogArchived, LogPruned, KeysCounted, ClockSetBack,
		ConsentRenewed, ConsentExpired, ConsentGuardianGranted, ConsentGuardianWithdrawn, ConsentImported, ConsentErased,
		NoticePublished, ReceiptIssued, SignalRejected, RegistryExchanged, SubscriberAdded, SubscriberRemoved, SubscriberTold, DeliveryRetried,
		PartyAdmitted, PartyRemoved, RoomOpened, RoomClosed, ContractSigned, TemplateSigned, SnapshotDrawn, SnapshotAdmitted, SnapshotDropped, RoomMatched,
		RoomEvaluated, RoomPriced, RoomCharged, RoomReleased, RoomDenied, RoomFailed, RoomActivated, RoomLeft, PersonaDefined, PersonaBuilt:
		return true
	}
	return false
}

// Valid reports whether o is one of the outcomes of this package.
func (o Outcome) Valid() bool { return o == Allowed || o == Denied || o == Done }

// invalidField names the first part of the event that does not fit the format, or
// returns "". It never repeats a value.
func invalidField(event *Event) string {
	p, s := &event.Principal, &event.Subject
	switch {
	case !event.Kind.Valid():
		return "kind"
	case !event.Outcome.Valid():
		return "outcome"
	case !validActor(p.ID != "", p.Role, p.Recipient):
		return "principal"
	case !isWordOrEmpty(event.Recipient):
		return "recipient"
	case !validMinted(event.Kind, event.Minted):
		return "minted role"
	case !isWordOrEmpty(event.Purpose):
		return "purpose"
	case !isWordOrEmpty(event.Channel):
		return "channel"
	case s.Unknown && !s.ID.IsZero(), !s.Unknown && s.ID.IsZero() != (s.Blinding == BlindingKey{}):
		return "subject"
	case len(event.Checks) > maxChecks || !areSortedWords(event.Checks):
		return "checks"
	case len(event.Attributes) > maxAttributes || !areSortedWords(event.Attributes):
		return "attributes"
	}
	return ""
}

// validActor reports whether a principal may stand in an entry: a named caller with a
// known role, of whom only a service speaks for a recipient, or nobody at all, which
// stands for the system itself.
func validActor(named bool, role privacy.Role, recipient privacy.RecipientID) bool {
	if !named && role == "" {
		return recipient == ""
	}
	if _, err := privacy.ParseRole(string(role)); err != nil || !named {
		return false
	}
	return isWordOrEmpty(recipient)
}

// validMinted reports whether an entry of that kind may hold the role of a token.
func validMinted(kind Kind, role privacy.Role) bool {
	if role == "" {
		return true
	}
	_, err := privacy.ParseRole(string(role))
	return err == nil && kind == TokenMinted
}

// areSortedWords reports whether the words are keys in strictly ascending order.
func areSortedWords[T ~string](words []T) bool {
	for i, word := range words {
		if !isWord(word) || i > 0 && words[i-1] >= word {
			return false
		}
	}
	return true
}

func isWordOrEmpty[T ~string](s T) bool { return s == "" || isWord(s) }

// isWord reports whether s is a key of a catalogue: ASCII letters, digits and a few
// signs. There is no @ and no space, so that neither an e-mail address nor a name with
// its surname fits, and nothing that JSON would have to escape.
func isWord[T ~string](s T) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		if !isWordSign[s[i]] {
			return false
		}
	}
	return true
}

// isWordSign says which bytes a key may have.
var isWordSign = func() (is [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/*") {
		is[c] = true
	}
	return is
}()
