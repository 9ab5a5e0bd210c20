package fulfil

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// maxPurposes bounds the purposes of one objection.
const maxPurposes = 32

// Filing is an objection as it comes in.
type Filing struct {
	// Opening is the request that it becomes; its kind need not be set.
	Opening dsar.Opening
	// Purposes are what the person objects to. None: to all marketing.
	Purposes []privacy.Purpose
	// Channel is on which they do; empty: on all.
	Channel privacy.Channel
}

// Effect is what an objection does at once.
type Effect string

// The effects.
const (
	// Bound: the consent ledger says so, and the very next query is denied. An objection to
	// marketing needs no judgement (GDPR Article 21(2)-(3)).
	Bound Effect = "bound"
	// RestrictedUntilJudged: the person's data are not used until somebody has judged whether
	// there are grounds that override it (GDPR Articles 21(1) and 18(1)(d)).
	RestrictedUntilJudged Effect = "restricted_until_judged"
)

// FiledPurpose is one purpose of an objection with what it does.
type FiledPurpose struct {
	Purpose privacy.Purpose
	Effect  Effect
}

// Filed is an objection as it was recorded.
type Filed struct {
	Request dsar.Request
	Channel privacy.Channel
	// Purposes depend on the catalogue alone, and not on whether the person is known: that
	// is in the request, for those who may know it.
	Purposes []FiledPurpose
	// Receipt is of the last entry, so that it covers all of them.
	Receipt audit.Receipt
	// Token binds later queries to the objection.
	Token consent.Token
}

// FileObjection takes an objection: it opens a request, which the law wants answered, and in
// the same transaction does what the law wants done at once. An objection to marketing binds
// the very next query; one to anything else restricts the person's data until an officer has
// judged it, with [Service.Object] or [dsar.Service.Deny], and then [Service.Unrestrict].
//
// Errors are those of [dsar.Service.Open].
func (s *Service) FileObjection(ctx context.Context, by privacy.Principal, filing Filing) (Filed, error) {
	if filing.Channel == "" {
		filing.Channel = privacy.AnyChannel
	}
	if len(filing.Purposes) == 0 {
		filing.Purposes = []privacy.Purpose{policies.GeneralMarketing}
	}
	filed := Filed{Channel: filing.Channel}
	if err := s.checkFiling(&filing, &filed); err != nil {
		return Filed{}, err
	}
	filing.Opening.Kind, filing.Opening.Note = dsar.Objection, filed.note()
	opening, err := s.requests.PrepareOpening(ctx, by, filing.Opening)
	if err != nil {
		return Filed{}, fmt.Errorf("filing an objection: %w", err)
	}
	var records []consent.Record
	restrict := false
	for _, p := range filed.Purposes {
		if p.Effect == RestrictedUntilJudged {
			restrict = true
			continue
		}
		// The person may be unknown; then nothing is recorded, but what is said is checked.
		person := opening.Request.DataSubject
		if person.IsZero() {
			person = privacy.DataSubjectID(opening.Request.ID)
		}
		record, err := consent.Change{DataSubject: person, Purpose: p.Purpose, Channel: filing.Channel, Source: "objection"}.
			Record(consent.Objected, s.words, s.config.Now())
		if err != nil {
			return Filed{}, err
		}
		if _, err := io.ReadFull(s.config.Random, record.ID[:]); err != nil {
			return Filed{}, fmt.Errorf("drawing consent id: %w", err)
		}
		records = append(records, record)
	}
	r, receipts, err := s.store.FileObjection(ctx, opening, records, restrict)
	if err != nil {
		return Filed{}, fmt.Errorf("filing an objection: %w", err)
	}
	if len(receipts) == 0 || slices.ContainsFunc(receipts, audit.Receipt.IsZero) {
		return Filed{}, fmt.Errorf("filing an objection without a log entry: %w", privacy.ErrUnavailable)
	}
	filed.Request, filed.Receipt = r, receipts[len(receipts)-1]
	filed.Token = consent.NewToken(filed.Receipt)
	return filed, nil
}

// checkFiling finds out what the objection does, by the catalogue.
func (s *Service) checkFiling(filing *Filing, filed *Filed) error {
	if len(filing.Purposes) > maxPurposes {
		return &privacy.FieldError{Pointer: "/purposes", Reason: "must be at most " + strconv.Itoa(maxPurposes)}
	}
	if filing.Channel != privacy.AnyChannel && !s.words.KnowsChannel(filing.Channel) {
		return &privacy.FieldError{Pointer: "/channel", Reason: `is not in the catalogue; "*" stands for every channel`}
	}
	for i, name := range filing.Purposes {
		pointer := "/purposes/" + strconv.Itoa(i)
		purpose, known := s.catalogue().Purpose(name)
		switch {
		case !known || !s.words.KnowsPurpose(name):
			return &privacy.FieldError{Pointer: pointer, Reason: "is not in the catalogue"}
		case slices.Contains(filing.Purposes[:i], name):
			return &privacy.FieldError{Pointer: pointer, Reason: "is named twice"}
		}
		effect := RestrictedUntilJudged
		if purpose.Marketing {
			effect = Bound
		}
		filed.Purposes = append(filed.Purposes, FiledPurpose{name, effect})
	}
	return nil
}

// note is what the officer reads who judges it.
func (f *Filed) note() privacy.Plain {
	var b strings.Builder
	for i, p := range f.Purposes {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s on %s: %s", p.Purpose, f.Channel, p.Effect)
	}
	return privacy.NewPlain(b.String())
}
