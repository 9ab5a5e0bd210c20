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

// Both are stored in clear beside the person, so they are keys and not prose.
var (
	noticePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$`)
	sourcePattern = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)
)

// Record validates the change and returns the record to add, without an ID. Every
// error is a [privacy.FieldError] with a pointer into the JSON form of the change.
func (c Change) Record(action Action, catalogue Catalogue, now time.Time) (Record, error) {
	basis := c.Basis
	if basis == "" {
		basis = privacy.Consent
		if action == Objected {
			basis = privacy.LegitimateInterests
		}
	}
	if _, known := ParseAction(string(action)); !known {
		return wrong("/action", "must be granted, refused, withdrawn or objected")
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
	if c.NoticeVersion == "" && action == Granted {
		return wrong("/notice_version", "must name the text that the person was shown")
	}
	if c.NoticeVersion != "" && !noticePattern.MatchString(c.NoticeVersion) {
		return wrong("/notice_version", "must be a name of at most 64 letters, digits and . _ : / -")
	}
	if !sourcePattern.MatchString(c.Source) {
		return wrong("/source", "must be a lower-case word of at most 64 letters, digits and . _ -")
	}
	if c.EffectiveAt.After(now) {
		return wrong("/effective_at", "must not be in the future")
	}
	if !c.ValidUntil.IsZero() {
		start := c.EffectiveAt
		if start.IsZero() {
			start = now
		}
		if !c.ValidUntil.After(start) {
			return wrong("/valid_until", "must be after the start")
		}
	}
	if action != Granted {
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
		DataSubject: c.DataSubject, Purpose: c.Purpose, Channel: c.Channel, Action: action,
		Basis: basis, Explicit: c.Explicit, Categories: categories,
		NoticeVersion: c.NoticeVersion, Source: c.Source, Incentive: c.Incentive,
		EffectiveAt: c.EffectiveAt, ValidUntil: c.ValidUntil,
	}, nil
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
