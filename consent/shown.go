package consent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Shown is what a register of notices knows of one version.
type Shown struct {
	// Kept is whether any notice is registered at all. While none is, names of notices are
	// taken as they are.
	Kept bool
	// Known is whether this version is registered.
	Known bool
	// EffectiveFrom is from when it is shown.
	EffectiveFrom time.Time
	// Languages are those it has a text in.
	Languages []string
}

// Notices is the register of the texts that people are shown.
type Notices interface {
	// Shown returns what is registered under a name.
	Shown(ctx context.Context, version string) (Shown, error)
}

// checkShown refuses a yes to a text that nobody can show any more. A no may name anything:
// it is never turned away.
func (s *Service) checkShown(ctx context.Context, record *Record) error {
	if s.config.Notices == nil || !record.Action.IsYes() {
		return nil
	}
	shown, err := s.config.Notices.Shown(ctx, record.NoticeVersion)
	if err != nil {
		return fmt.Errorf("looking for the notice of a consent: %w", err)
	}
	at := record.EffectiveAt
	if at.IsZero() {
		at = s.config.Now()
	}
	switch {
	case !shown.Kept:
		return nil
	case !shown.Known:
		return &privacy.FieldError{Pointer: "/notice_version", Reason: "is not registered; see mahrem notice list and mahrem notice add"}
	case shown.EffectiveFrom.After(at):
		return &privacy.FieldError{Pointer: "/notice_version", Reason: "was not in effect yet when the person chose"}
	case record.Language != "" && !speaks(shown.Languages, record.Language):
		return &privacy.FieldError{Pointer: "/language", Reason: "is none in which this notice has a text"}
	}
	return nil
}

// speaks reports whether a text in the language is there, in the tag itself or in its
// language without region.
func speaks(languages []string, language string) bool {
	base, _, _ := strings.Cut(language, "-")
	return slices.ContainsFunc(languages, func(l string) bool { return strings.EqualFold(l, language) || strings.EqualFold(l, base) })
}
