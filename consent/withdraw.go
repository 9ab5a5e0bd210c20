package consent

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// AnyPurpose stands, in a withdrawal, for everything that the person ever agreed to.
const AnyPurpose privacy.Purpose = "*"

// Withdrawal takes back several consents of one person at once: whoever agreed to
// everything with one click takes everything back with one (GDPR Article 7(3)).
type Withdrawal struct {
	DataSubject privacy.DataSubjectID
	// Purposes are those that are taken back. [AnyPurpose] alone: what stands on consent
	// only, and whatever else the person has said yes to.
	Purposes []privacy.Purpose
	// Channels are those that are closed; [privacy.AnyChannel] alone: all.
	Channels []privacy.Channel
	// The others are those of a [Change].
	NoticeVersion string
	Source        string
	Actor         Actor
	Language      string
	EvidenceRef   string
	Jurisdiction  privacy.Jurisdiction
	EffectiveAt   time.Time
}

// maxWithdrawal bounds the records of one withdrawal.
const maxWithdrawal = 1024

// WithdrawAll takes back everything that the withdrawal names, together or not at all. The
// token of the receipt binds a query to all of it.
func (s *Service) WithdrawAll(ctx context.Context, by privacy.Principal, w Withdrawal) (Receipt, error) {
	if by.Role != privacy.RoleService && by.Role != privacy.RoleDPO {
		return Receipt{}, fmt.Errorf("recording withdrawal: %w", privacy.ErrForbidden)
	}
	return s.withdraw(ctx, by, w)
}

// WithdrawByPerson is [Service.WithdrawAll] for the person themselves, whom somebody else
// has recognized, such as by a link that only they have.
func (s *Service) WithdrawByPerson(ctx context.Context, w Withdrawal) (Receipt, error) {
	return s.withdraw(ctx, privacy.Principal{}, w)
}

func (s *Service) withdraw(ctx context.Context, by privacy.Principal, w Withdrawal) (Receipt, error) {
	records, err := s.withdrawn(ctx, &w)
	if err != nil {
		return Receipt{}, err
	}
	subject, err := s.subjects.Subject(ctx, w.DataSubject)
	if err != nil {
		return Receipt{}, fmt.Errorf("finding the person of a withdrawal: %w", err)
	}
	events := make([]audit.Event, len(records))
	for i := range records {
		if _, err := io.ReadFull(s.config.Random, records[i].ID[:]); err != nil {
			return Receipt{}, fmt.Errorf("drawing consent id: %w", err)
		}
		events[i] = audit.Event{
			Kind: records[i].Action.Kind(), Principal: by, Outcome: audit.Done, Subject: subject,
			Purpose: records[i].Purpose, Channel: records[i].Channel,
		}
	}
	receipts, err := s.store.AddAll(ctx, records, events)
	if err != nil {
		return Receipt{}, fmt.Errorf("recording withdrawal: %w", err)
	}
	if len(receipts) != len(records) {
		return Receipt{}, fmt.Errorf("recording withdrawal without evidence: %w", privacy.ErrUnavailable)
	}
	// The last entry stands behind all others.
	last := receipts[len(receipts)-1]
	return Receipt{Added: Added{Receipt: last, Record: records[len(records)-1]}, Token: NewToken(last)}, nil
}

// withdrawn returns the records to add. Errors are [privacy.FieldError] with a pointer into
// the JSON form of the withdrawal.
func (s *Service) withdrawn(ctx context.Context, w *Withdrawal) ([]Record, error) {
	field := func(pointer, reason string) ([]Record, error) {
		return nil, &privacy.FieldError{Pointer: pointer, Reason: reason}
	}
	action := Withdrawn
	if w.Actor == ByGuardian {
		action = GuardianWithdrawn
	}
	if len(w.Purposes) == 0 || len(w.Channels) == 0 {
		if len(w.Purposes) == 0 {
			return field("/purposes", `must name at least one purpose, or "*" alone`)
		}
		return field("/channels", `must name at least one channel, or "*" alone`)
	}
	for i, purpose := range w.Purposes {
		if slices.Contains(w.Purposes[:i], purpose) || purpose == AnyPurpose && len(w.Purposes) > 1 {
			return field(fmt.Sprintf("/purposes/%d", i), `is named twice, or "*" with others`)
		}
		if purpose != AnyPurpose && !s.catalogue.KnowsPurpose(purpose) {
			return field(fmt.Sprintf("/purposes/%d", i), "is not in the catalogue")
		}
	}
	for i, channel := range w.Channels {
		if slices.Contains(w.Channels[:i], channel) || channel == privacy.AnyChannel && len(w.Channels) > 1 {
			return field(fmt.Sprintf("/channels/%d", i), `is named twice, or "*" with others`)
		}
		if channel != privacy.AnyChannel && !s.catalogue.KnowsChannel(channel) {
			return field(fmt.Sprintf("/channels/%d", i), "is not in the catalogue")
		}
	}
	if w.DataSubject.IsZero() {
		return field("/data_subject", "must name a person")
	}
	purposes := w.Purposes
	if purposes[0] == AnyPurpose {
		var err error
		if purposes, err = s.everyPurpose(ctx, w.DataSubject); err != nil {
			return nil, err
		}
	}
	if len(purposes) == 0 || len(purposes)*len(w.Channels) > maxWithdrawal {
		return field("/purposes", fmt.Sprintf("must come to 1 to %d lines with the channels", maxWithdrawal))
	}
	now := s.config.Now()
	var records []Record
	for _, purpose := range purposes {
		for _, channel := range w.Channels {
			record, err := Change{
				DataSubject: w.DataSubject, Purpose: purpose, Channel: channel, NoticeVersion: w.NoticeVersion, Source: w.Source,
				Actor: w.Actor, Language: w.Language, EvidenceRef: w.EvidenceRef, Jurisdiction: w.Jurisdiction, EffectiveAt: w.EffectiveAt,
			}.Record(action, s.catalogue, now)
			if err != nil {
				return nil, err
			}
			records = append(records, record)
		}
	}
	return records, nil
}

// everyPurpose is what [AnyPurpose] stands for: the purposes that stand on consent only, and
// those of which the person has any yes. What stands on a contract is left alone, unless
// they agreed to it.
func (s *Service) everyPurpose(ctx context.Context, id privacy.DataSubjectID) ([]privacy.Purpose, error) {
	var purposes []privacy.Purpose
	if s.config.OnConsentOnly != nil {
		purposes = slices.Clone(s.config.OnConsentOnly())
	}
	records, err := s.store.List(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("listing consent: %w", err)
	}
	for _, r := range records {
		if r.Action.IsYes() && s.catalogue.KnowsPurpose(r.Purpose) && !slices.Contains(purposes, r.Purpose) {
			purposes = append(purposes, r.Purpose)
		}
	}
	slices.Sort(purposes)
	return purposes, nil
}
