package signal

import (
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Apply returns the records about purpose together with records that were never stored,
// such that folding them heeds the signals of a query. It takes away and never gives:
//
//  1. A no of a signal is dated by the time that it carries; without one, by the record
//     of when it was first seen, of the unbroken row of such records that stands last; without
//     that, by at. What was not understood is a no of now.
//  2. An opt-out is an objection. No consent is a refusal, and one that a routine yes does not
//     undo: only a later yes that is explicit, on the basis of consent, for this very purpose,
//     sets it aside, as it does an objection.
//  3. A TC string that says neither consent nor legitimate interest may tell of an
//     objection, and while it comes along it counts as one.
//  4. A yes of a signal changes nothing.
//
// It is a pure function, and the records that were passed are not changed.
func Apply(records []consent.Record, reading *Reading, purpose privacy.Purpose, binds policies.PurposeSignals, at time.Time) []consent.Record {
	if reading == nil {
		return records
	}
	out := records[:len(records):len(records)]
	for i, choice := range reading.Choices(binds) {
		if !choice.Answer.isNo() {
			continue
		}
		virtual := consent.Record{
			Purpose: purpose, Channel: privacy.AnyChannel, Action: consent.Refused, Basis: privacy.Consent,
			Source: choice.Signal.Source(), Actor: consent.ByDataSubject, EffectiveAt: dated(records, choice, purpose, at), RecordedAt: at,
		}
		copy(virtual.ID[:], virtual.Source)
		virtual.ID[15] = byte(i)
		if choice.Answer != No {
			virtual.Action, virtual.Basis = consent.Objected, privacy.LegitimateInterests
			out = append(out, virtual)
			continue
		}
		out = append(out, virtual)
		for j := range records {
			r := &records[j]
			if r.Purpose != purpose || !r.Action.IsYes() || !r.EffectiveAt.After(virtual.EffectiveAt) || r.Explicit && r.Basis == privacy.Consent {
				continue
			}
			again := virtual
			again.Channel, again.EffectiveAt = r.Channel, r.EffectiveAt
			out = append(out, again)
		}
	}
	return out
}

// dated is when a no was said.
func dated(records []consent.Record, choice Choice, purpose privacy.Purpose, at time.Time) time.Time {
	said := choice.At
	if choice.Fault == "" && said.IsZero() {
		said = firstSeen(records, choice.Signal, purpose, at)
	}
	if choice.Fault != "" || said.IsZero() || said.After(at) {
		return at
	}
	return said
}

// firstSeen is the beginning of the row of noes that this signal was last recorded with;
// zero if it was last recorded with a yes, or never.
func firstSeen(records []consent.Record, name Name, purpose privacy.Purpose, at time.Time) time.Time {
	var yes, first time.Time
	of := func(r *consent.Record) bool {
		return r.Purpose == purpose && r.Source == name.Source() && !r.EffectiveAt.After(at)
	}
	for i := range records {
		if r := &records[i]; of(r) && r.Action.IsYes() && r.EffectiveAt.After(yes) {
			yes = r.EffectiveAt
		}
	}
	for i := range records {
		if r := &records[i]; of(r) && !r.Action.IsYes() && r.EffectiveAt.After(yes) && (first.IsZero() || r.EffectiveAt.Before(first)) {
			first = r.EffectiveAt
		}
	}
	return first
}
