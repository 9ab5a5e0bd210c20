package draw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// find looks up the room and the contract in force of the dataset.
func (r *run) find(ctx context.Context) error {
	room, err := r.Rooms.RoomOf(ctx, r.order.Room)
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		return err
	}
	if err != nil {
		return r.deny(ctx, cleanroom.CheckMember)
	}
	if r.room = room; !room.ClosedAt.IsZero() {
		return r.deny(ctx, cleanroom.CheckMember)
	}
	contracts, err := r.Rooms.ContractsOf(ctx, r.order.Room)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(contracts, func(s *cleanroom.SignedContract) bool { return s.Ref() == r.order.Dataset })
	if at < 0 {
		return fmt.Errorf("the room lets no such dataset in: %w", privacy.ErrNotFound)
	}
	r.signed, r.contract = contracts[at], contracts[at].Contract
	return nil
}

// permit has the policies decide whether the dataset may come into the room.
func (r *run) permit(ctx context.Context, policy Policy) error {
	member, is := r.room.Member(r.contract.Owner)
	switch {
	case !is:
		return r.deny(ctx, cleanroom.CheckMember)
	case !member.Has(cleanroom.OwnsData):
		return r.deny(ctx, cleanroom.CheckRole)
	}
	facts := cleanroom.AdmissionFacts(r.contract, r.room.Purpose)
	facts.Mode, facts.Members, facts.Roles = string(r.room.Mode), nil, nil
	for _, m := range r.room.Members {
		facts.Members = append(facts.Members, m.Party)
	}
	for _, role := range member.Roles {
		facts.Roles = append(facts.Roles, string(role))
	}
	decision, err := policy.DecideRoom(ctx, facts)
	r.policy = decision.Policy
	known := false
	if r.purpose, known = policy.Catalogue().Purpose(r.room.Purpose); err == nil && decision.Allow && known &&
		slices.Contains(r.contract.Purposes, r.room.Purpose) {
		return nil
	}
	checks := decision.Failed
	if len(checks) == 0 {
		checks = []string{policies.CheckRoomWellFormed}
	}
	return r.deny(ctx, checks...)
}

// deny writes a refusal down and returns it. The entry names the contract, if there is one.
func (r *run) deny(ctx context.Context, checks ...string) error {
	event := audit.Event{Kind: audit.RoomDenied, Outcome: audit.Denied, Principal: r.by, Checks: checks, Policy: r.policy}
	if r.room != nil {
		event.Purpose = r.room.Purpose
	}
	if r.signed != nil {
		event.List = r.signed.Digest
	}
	if _, err := r.Log.Append(ctx, event); err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	return fmt.Errorf("it is refused by %s: %w", strings.Join(checks, ", "), &cleanroom.Denied{Checks: checks})
}
