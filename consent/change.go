package consent

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Change is one choice as a caller reports it. Fields that only a grant has must be
// empty in every other change.
type Change struct {
	// ID is the caller's own for this change, by which a repetition is known; zero: one is
	// drawn.
	ID [16]byte
	// DataSubject is the person; required.
	DataSubject privacy.DataSubjectID
	// Purpose must be in the catalogue.
	Purpose privacy.Purpose
	// Channel must be in the catalogue, or [privacy.AnyChannel].
	Channel privacy.Channel
	// Basis defaults to consent, and for an objection to legitimate interests.
	Basis privacy.LegalBasis
	// Explicit is whether the grant was express.
	Explicit bool
	// Categories are the special categories that an explicit grant names.
	Categories []privacy.DataCategory
	// NoticeVersion names the text that was shown; a grant must have one.
	NoticeVersion string
	// Source is a short word for where it happened: "web_form".
	Source string
	// Incentive is whether a grant was given for something in return.
	Incentive bool
	// Actor defaults to the data subject.
	Actor Actor
	// GuardianVerified, Language, EvidenceRef and Jurisdiction are those of the [Record].
	GuardianVerified bool
	Language         string
	EvidenceRef      string
	Jurisdiction     privacy.Jurisdiction
	// EffectiveAt is when the person chose; zero means now. It must not lie ahead.
	EffectiveAt time.Time
	// ValidUntil is when a grant ends by itself; zero means that it does not.
	ValidUntil time.Time
}

// All are stored in clear beside the person, so they are keys and not prose.
var (
	noticePattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$`)
	sourcePattern   = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)
	languagePattern = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
	evidencePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$`)
	placePattern    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,31}$`)
)

// maxLanguage bounds a language tag: the longest that BCP 47 asks everybody to take.
const maxLanguage = 35

// Record validates the change and returns the record to add, with the ID of the change.
// Every error is a [privacy.FieldError] with a pointer into the JSON form of the change.
func (c Change) Record(action Action, catalogue Catalogue, now time.Time) (Record, error) {
	basis := c.Basis
	if basis == "" {
		basis = privacy.Consent
		if action == Objected {
			basis = privacy.LegitimateInterests
		}
	}
	if _, known := ParseAction(string(action)); !known {
		return wrong("/action", "is not an action")
	}
	if c.DataSubject.IsZero() {
		return wrong("/data_subject", "must name a person")
	}
	if !catalogue.KnowsPurpose(c.Purpose) {
		return wrong("/purpose", "is not in the catalogue")
	}
	if c.Channel != privacy.AnyChannel && !catalogue.KnowsChannel(c.Channel) {
		return wrong("/channel", `is not in the catalogue; "*" stands for every channel`)
	}
	if _, err := privacy.ParseLegalBasis(string(basis)); err != nil {
		return wrong("/legal_basis", "must be one of the six of GDPR Article 6(1)")
	}
	categories, err := c.checkedCategories(catalogue)
	if err != nil {
		return Record{}, err
	}
	actor, err := c.checkedActor(action)
	if err != nil {
		return Record{}, err
	}
	if err := c.checkEvidence(action); err != nil {
		return Record{}, err
	}
	if err := c.checkTimes(now); err != nil {
		return Record{}, err
	}
	if !action.IsYes() {
		switch {
		case c.Explicit:
			return wrong("/explicit", "belongs to a grant")
		case c.Incentive:
			return wrong("/incentive", "belongs to a grant")
		case !c.ValidUntil.IsZero():
			return wrong("/valid_until", "belongs to a grant: a no does not end by itself")
		}
	}
	return Record{
		ID: c.ID, DataSubject: c.DataSubject, Purpose: c.Purpose, Channel: c.Channel, Action: action,
		Basis: basis, Explicit: c.Explicit, Categories: categories,
		NoticeVersion: c.NoticeVersion, Source: c.Source, Incentive: c.Incentive,
		Actor: actor, GuardianVerified: c.GuardianVerified, Language: c.Language, EvidenceRef: c.EvidenceRef,
		Jurisdiction: c.Jurisdiction, EffectiveAt: c.EffectiveAt, ValidUntil: c.ValidUntil,
	}, nil
}

// checkedActor returns who acted. Guardians act as such, and nobody can be taken for one:
// what they said is [GuardianGranted] and [GuardianWithdrawn], or a no, or a renewal.
func (c Change) checkedActor(action Action) (Actor, error) {
	refuse := func(pointer, reason string) (Actor, error) {
		return "", &privacy.FieldError{Pointer: pointer, Reason: reason}
	}
	actor := c.Actor
	if actor == "" {
		switch action {
		case GuardianGranted, GuardianWithdrawn:
			actor = ByGuardian
		case Expired:
			actor = BySystem
		default:
			actor = ByDataSubject
		}
	}
	byGuardian := actor == ByGuardian
	switch {
	case !actor.known():
		return refuse("/actor", "must be data_subject, guardian, agent, registry or system")
	case (action == GuardianGranted || action == GuardianWithdrawn) && !byGuardian:
		return refuse("/actor", "must be guardian for what a guardian did")
	case action == Granted && byGuardian:
		return refuse("/actor", "a guardian's yes is the action guardian_granted")
	case (action == Expired) != (actor == BySystem):
		return refuse("/actor", "system is for what has expired, and for nothing else")
	case c.GuardianVerified && !byGuardian:
		return refuse("/guardian_verified", "belongs to what a guardian did")
	case c.GuardianVerified && action.IsYes() && c.EvidenceRef == "":
		return refuse("/evidence_ref", "must name the evidence by which the guardian was verified")
	}
	return actor, nil
}

// checkEvidence checks what shows that, how and where the person was asked.
func (c Change) checkEvidence(action Action) error {
	refuse := func(pointer, reason string) error { return &privacy.FieldError{Pointer: pointer, Reason: reason} }
	switch {
	case c.NoticeVersion == "" && action.IsYes():
		return refuse("/notice_version", "must name the text that the person was shown")
	case c.NoticeVersion != "" && !noticePattern.MatchString(c.NoticeVersion):
		return refuse("/notice_version", "must be a name of at most 64 letters, digits and . _ : / -")
	case !sourcePattern.MatchString(c.Source):
		return refuse("/source", "must be a lower-case word of at most 64 letters, digits and . _ -")
	case c.Language != "" && (len(c.Language) > maxLanguage || !languagePattern.MatchString(c.Language)):
		return refuse("/language", "must be a language tag such as tr or cs-CZ (BCP 47)")
	case c.EvidenceRef != "" && !evidencePattern.MatchString(c.EvidenceRef):
		return refuse("/evidence_ref", "must be a reference of at most 128 letters, digits and . _ : / -, and no prose")
	case c.Jurisdiction != "" && !placePattern.MatchString(string(c.Jurisdiction)):
		return refuse("/jurisdiction", "must be the key of a jurisdiction or a country code")
	}
	return nil
}

func (c Change) checkTimes(now time.Time) error {
	if c.EffectiveAt.After(now) {
		return &privacy.FieldError{Pointer: "/effective_at", Reason: "must not be in the future"}
	}
	start := c.EffectiveAt
	if start.IsZero() {
		start = now
	}
	if !c.ValidUntil.IsZero() && !c.ValidUntil.After(start) {
		return &privacy.FieldError{Pointer: "/valid_until", Reason: "must be after the start"}
	}
	return nil
}

// checkedCategories returns the categories sorted, each known and named once.
func (c Change) checkedCategories(catalogue Catalogue) ([]privacy.DataCategory, error) {
	if len(c.Categories) > 0 && !c.Explicit {
		return nil, &privacy.FieldError{Pointer: "/categories", Reason: "need an explicit grant"}
	}
	for i, category := range c.Categories {
		pointer := fmt.Sprintf("/categories/%d", i)
		if !catalogue.KnowsCategory(category) {
			return nil, &privacy.FieldError{Pointer: pointer, Reason: "is not in the catalogue"}
		}
		if slices.Contains(c.Categories[:i], category) {
			return nil, &privacy.FieldError{Pointer: pointer, Reason: "is named twice"}
		}
	}
	return slices.Sorted(slices.Values(c.Categories)), nil
}

func wrong(pointer, reason string) (Record, error) {
	return Record{}, &privacy.FieldError{Pointer: pointer, Reason: reason}
}
