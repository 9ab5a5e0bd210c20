package consent_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// notices is a register that has one version, or is not kept.
type notices struct {
	shown consent.Shown
	fail  error
}

func (n notices) Shown(_ context.Context, version string) (consent.Shown, error) {
	if version != "2026-03" {
		return consent.Shown{Kept: n.shown.Kept}, n.fail
	}
	return n.shown, n.fail
}

// TestYesNamesARegisteredNotice: a yes to a text that nobody can show, or could have seen
// then, is refused, and nothing is stored. A no names what it likes.
func TestYesNamesARegisteredNotice(t *testing.T) {
	t.Parallel()
	registered := notices{shown: consent.Shown{Kept: true, Known: true, EffectiveFrom: at(5), Languages: []string{"en", "tr"}}}
	unknown := func(c *consent.Change) { c.NoticeVersion = "2026-04" }
	in := func(language string) func(*consent.Change) {
		return func(c *consent.Change) { c.Language = language }
	}
	before := func(c *consent.Change) { c.EffectiveAt = at(4) }
	for name, test := range map[string]struct {
		notices notices
		action  consent.Action
		edit    func(*consent.Change)
		pointer string
	}{
		"registered":              {registered, consent.Granted, func(*consent.Change) {}, ""},
		"in its language":         {registered, consent.Granted, in("tr-TR"), ""},
		"unknown":                 {registered, consent.Granted, unknown, "/notice_version"},
		"unknown, again":          {registered, consent.Renewed, unknown, "/notice_version"},
		"before it was shown":     {registered, consent.Granted, before, "/notice_version"},
		"in no language of it":    {registered, consent.Granted, in("cs"), "/language"},
		"no register":             {notices{}, consent.Granted, unknown, ""},
		"a no to what is unknown": {registered, consent.Withdrawn, unknown, ""},
		"a refusal from before":   {registered, consent.Refused, before, ""},
		"an objection":            {registered, consent.Objected, unknown, ""},
	} {
		m := &memory{}
		s := consent.New(m, m, words{}, consent.Config{Now: func() time.Time { return at(10) }, Notices: test.notices})
		_, err := s.Record(t.Context(), privacy.Principal{ID: "dpo", Role: privacy.RoleDPO}, test.action, change(test.edit))
		field, refused := errors.AsType[*privacy.FieldError](err)
		switch {
		case test.pointer == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.pointer != "" && (!refused || field.Pointer != test.pointer):
			t.Errorf("%s: %v, want a complaint about %s", name, err, test.pointer)
		case (len(m.records) == 1) != (test.pointer == ""):
			t.Errorf("%s: %d records are stored", name, len(m.records))
		}
	}
	m := &memory{}
	s := consent.New(m, m, words{}, consent.Config{Notices: notices{fail: privacy.ErrUnavailable}})
	if _, err := s.Grant(t.Context(), privacy.Principal{ID: "dpo", Role: privacy.RoleDPO}, change()); !errors.Is(err, privacy.ErrUnavailable) || len(m.records) > 0 {
		t.Errorf("a register that does not answer: %v", err)
	}
}
