package admit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// delivery is one on its way in.
type delivery struct {
	desk     *Desk
	by       privacy.Principal
	chunks   *prepare.Stream
	progress func(done, total int64)

	room     *cleanroom.Room
	owner    cleanroom.Member
	contract *cleanroom.Contract
	signed   []byte // the manifest
	manifest *prepare.Manifest
	remasked *prepare.Remasked // nil for the owner's own
	// remaskedNote is what the other party has signed.
	remaskedNote []byte
	unsigned     bool               // a signature under the head does not fit
	from         int                // the chunk that the sender begins with
	at           cleanroom.Snapshot // how much was there before
	policy       audit.Digest
	done         int64
}

// find looks up whom and what a delivery is about, and whether it fits there.
func (s *delivery) find(ctx context.Context, id cleanroom.RoomID, head prepare.Head) error {
	room, err := s.desk.config.Rooms.RoomOf(ctx, id)
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		return fmt.Errorf("reading room: %w", err)
	}
	sender := s.by.Recipient
	if err != nil || !room.ClosedAt.IsZero() {
		return s.deny(ctx, cleanroom.CheckMember)
	}
	if _, member := room.Member(sender); s.by.Role == privacy.RoleService && !member {
		return s.deny(ctx, cleanroom.CheckMember)
	}
	s.room = room
	if err := s.open(ctx, head); err != nil {
		return err
	}
	brings := s.manifest.Owner
	if s.remasked != nil {
		brings = s.remasked.By
	}
	member, ok := room.Member(s.manifest.Owner)
	switch {
	case s.by.Role == privacy.RoleService && sender != brings:
		return s.deny(ctx, cleanroom.CheckMember)
	case !ok:
		return s.deny(ctx, cleanroom.CheckMember)
	case !member.Has(cleanroom.OwnsData):
		return s.deny(ctx, cleanroom.CheckRole)
	}
	s.owner = member
	return s.fits(ctx)
}

// open checks signatures.
func (s *delivery) open(ctx context.Context, head prepare.Head) error {
	owner, err := prepare.PeekOwner(head.Manifest)
	if err != nil {
		return faultOf("/manifest", err)
	}
	verifier, err := s.verifier(ctx, owner, "/manifest")
	if err != nil {
		return err
	}
	if s.manifest, err = prepare.OpenManifest(head.Manifest, verifier); err != nil {
		s.unsigned = errors.Is(err, privacy.ErrDamaged)
		return faultOf("/manifest", err)
	}
	s.signed, s.from = head.Manifest, head.From
	if head.Remasked == nil {
		return nil
	}
	by, err := prepare.PeekRemasker(head.Remasked)
	if err != nil {
		return faultOf("/remasked", err)
	}
	if _, member := s.room.Member(by); !member {
		return fault("/remasked", "whoever signed it is no member of the room")
	}
	if verifier, err = s.verifier(ctx, by, "/remasked"); err != nil {
		return err
	}
	if s.remasked, err = prepare.OpenRemasked(head.Remasked, verifier, head.Manifest, s.manifest); err != nil {
		s.unsigned = errors.Is(err, privacy.ErrDamaged)
		return faultOf("/remasked", err)
	}
	s.remaskedNote = head.Remasked
	return nil
}

func (s *delivery) verifier(ctx context.Context, id cleanroom.PartyID, pointer string) (note.Verifier, error) {
	party, err := s.desk.config.Rooms.PartyOf(ctx, id)
	if errors.Is(err, privacy.ErrNotFound) {
		return nil, fault(pointer, "whoever signed it takes part in no rooms")
	}
	if err != nil {
		return nil, fmt.Errorf("reading party: %w", err)
	}
	return cleanroom.ParseVerifier(party.Key, id)
}

// fits compares a manifest with the room and the contract in force.
func (s *delivery) fits(ctx context.Context) error {
	contracts, err := s.desk.config.Rooms.ContractsOf(ctx, s.room.ID)
	if err != nil {
		return fmt.Errorf("reading contracts: %w", err)
	}
	m, ref := s.manifest, cleanroom.DatasetRef{Owner: s.manifest.Owner, Dataset: s.manifest.Dataset}
	var inForce *cleanroom.SignedContract
	for _, c := range contracts {
		if c.Ref() == ref {
			inForce = c
		}
	}
	switch {
	case m.Room != s.room.ID:
		return fault("/manifest/room", "it was prepared for another room")
	case m.Epoch != s.room.Epoch+1:
		return fault("/manifest/epoch", fmt.Sprintf("the next match begins epoch %d", s.room.Epoch+1))
	case m.Matching != s.room.Matching:
		return fault("/manifest/matching", fmt.Sprintf("the room matches in another way, which is %s", s.room.Matching))
	case inForce == nil:
		return fault("/manifest/dataset", "the room does not let this dataset in, or it has no contract")
	case m.ContractVersion != inForce.Contract.Version || m.ContractDigest != inForce.Digest:
		return fault("/manifest/contract_digest", fmt.Sprintf("version %d of the contract is in force, and this is not it", inForce.Contract.Version))
	case inForce.Contract.Source != cleanroom.FromParty && s.remasked == nil:
		return fault("/manifest/dataset", "this is a dataset of the house's own people, who are drawn and not sent")
	case m.StayAtHome() != (inForce.Contract.Source == cleanroom.FromHouse):
		return fault("/manifest/rows", "rows stay at the house if they are of its own people, and come with the list otherwise")
	case m.Members < s.room.MinimumMembers:
		return fault("/manifest/members", fmt.Sprintf("the room asks for %d people at least", s.room.MinimumMembers))
	}
	s.contract = inForce.Contract
	return s.evaluated(ctx, ref)
}

// evaluated compares a list with what was declared and counted for it in oprf mode: nobody's
// token comes from anywhere else.
func (s *delivery) evaluated(ctx context.Context, ref cleanroom.DatasetRef) error {
	m := s.manifest
	if m.Matching != cleanroom.MatchOPRF {
		return nil
	}
	declared, err := s.desk.config.Quotas.Declared(ctx, m.Room, ref, m.Epoch)
	switch {
	case errors.Is(err, privacy.ErrNotFound):
		return fault("/manifest/members", "nothing was evaluated for this list")
	case err != nil:
		return err
	case int64(m.Members) > declared.Members:
		return fault("/manifest/members", "there are more than were declared when they were evaluated")
	case int64(m.Declared) != declared.Members:
		return fault("/manifest/declared", "another size was declared when the list was evaluated")
	case int64(m.Members) > declared.Elements:
		return fault("/manifest/members", "there are more than were evaluated")
	}
	return nil
}

// decide asks the policies.
func (s *delivery) decide(ctx context.Context) error {
	facts := cleanroom.AdmissionFacts(s.contract, s.room.Purpose)
	facts.Mode, facts.Members, facts.Roles = string(s.room.Mode), nil, nil
	for _, member := range s.room.Members {
		facts.Members = append(facts.Members, member.Party)
	}
	for _, role := range s.owner.Roles {
		facts.Roles = append(facts.Roles, string(role))
	}
	decision, err := s.desk.config.Policy().DecideRoom(ctx, facts)
	s.policy = decision.Policy
	if err == nil && decision.Allow {
		return nil
	}
	checks := decision.Failed
	if len(checks) == 0 {
		checks = []string{policies.CheckRoomWellFormed}
	}
	return s.deny(ctx, checks...)
}
