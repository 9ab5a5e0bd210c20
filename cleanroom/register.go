package cleanroom

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// FiledContract is a contract as the house keeps it.
type FiledContract struct {
	SignedContract
	// Verifier is the key that signed it.
	Verifier string
	// RaisedBecause says why one of its caps is higher than in the version before.
	RaisedBecause string
	AddedAt       time.Time
}

// Registry keeps parties, rooms, contracts and templates. Whatever changes is durable together
// with its entry when a method returns.
type Registry interface {
	// AddParty fails with [privacy.ErrConflict] for a party that takes part already, and for
	// a key that it had before.
	AddParty(ctx context.Context, party Party, event audit.Event) (audit.Receipt, error)
	RemoveParty(ctx context.Context, party PartyID, event audit.Event) (audit.Receipt, error)
	// PartyOf returns a party that takes part, or an error that wraps [privacy.ErrNotFound].
	PartyOf(ctx context.Context, party PartyID) (*Party, error)
	// Parties lists them by name, with those who were removed if all is set.
	Parties(ctx context.Context, all bool) ([]Party, error)
	// OpenRoom fails with [privacy.ErrConflict] for a name that a room has or had.
	OpenRoom(ctx context.Context, room *Room, event audit.Event) (audit.Receipt, error)
	CloseRoom(ctx context.Context, room RoomID, event audit.Event) (audit.Receipt, error)
	RoomOf(ctx context.Context, room RoomID) (*Room, error)
	// Rooms lists them by name, with closed ones if all is set.
	Rooms(ctx context.Context, all bool) ([]*Room, error)
	// AddContract files a contract, which must be the version after the newest one, or fails
	// with [privacy.ErrConflict]; its caps are in force from then on, and what is spent stays
	// spent.
	AddContract(ctx context.Context, contract *FiledContract, event audit.Event) (audit.Receipt, error)
	// Contracts returns all versions of a dataset's contract, newest first.
	Contracts(ctx context.Context, dataset DatasetRef) ([]*FiledContract, error)
	// ContractsInForce returns the newest version of each dataset, sorted by owner and dataset.
	ContractsInForce(ctx context.Context) ([]*FiledContract, error)
	// AddTemplate files a template and the signatures of the parties that are named in its
	// Signers; another text of the same name and version is [privacy.ErrConflict]. Signatures
	// that are there already stay. One of each signer's key in keys must be under it.
	AddTemplate(ctx context.Context, room RoomID, template *SignedTemplate, keys map[PartyID]string, event audit.Event) (audit.Receipt, error)
	// Templates lists those of a room by name and version.
	Templates(ctx context.Context, room RoomID) ([]*SignedTemplate, error)
}

// RegisterConfig is what a register goes by.
type RegisterConfig struct {
	// Revision returns the policies in force. It has no zero value.
	Revision func() *policies.Revision
	// Log takes what the policies refuse. It has no zero value either.
	Log audit.Appender
}

// Register is where parties, rooms, contracts and templates are entered, and the one place
// where it is checked whether they may be.
type Register struct {
	registry Registry
	config   RegisterConfig
}

// NewRegister returns a register over what is kept in registry.
func NewRegister(registry Registry, config RegisterConfig) *Register {
	return &Register{registry, config}
}

// AddParty lets a recipient of the catalogue take part in rooms, with the public half of its
// key.
func (r *Register) AddParty(ctx context.Context, by privacy.Principal, party PartyID, key string) (audit.Receipt, error) {
	if _, known := r.config.Revision().Catalogue().Recipient(party); !known {
		return audit.Receipt{}, fault("/party", "this recipient is not in the catalogue")
	}
	key = strings.TrimSpace(key)
	if _, err := ParseVerifier(key, party); err != nil {
		return audit.Receipt{}, err
	}
	event := audit.Event{Kind: audit.PartyAdmitted, Principal: by, Outcome: audit.Done, Recipient: party, List: sha256.Sum256([]byte(key))}
	return r.registry.AddParty(ctx, Party{ID: party, Key: key}, event)
}

// RemoveParty ends a party's part in all rooms: it can neither ask nor sign any more, and
// what it has signed keeps no room open. Its key is not accepted again.
func (r *Register) RemoveParty(ctx context.Context, by privacy.Principal, party PartyID) (audit.Receipt, error) {
	return r.registry.RemoveParty(ctx, party, audit.Event{Kind: audit.PartyRemoved, Principal: by, Outcome: audit.Done, Recipient: party})
}

// Limits of a room.
const (
	// DefaultMinimumEpoch and DefaultMinimumMembers are what a room has that says nothing.
	DefaultMinimumEpoch   = 7 * 24 * time.Hour
	DefaultMinimumMembers = 1000

	maximumEpoch        = 366 * 24 * time.Hour
	maximumRoomMembers  = 16
	maximumRoomDatasets = 16
)

// OpenRoom opens a room. Its members must take part, its purpose be in the catalogue, and its
// datasets belong to members that own data.
func (r *Register) OpenRoom(ctx context.Context, by privacy.Principal, room *Room) (audit.Receipt, error) {
	room.Members, room.Datasets = slices.Clone(room.Members), slices.Clone(room.Datasets)
	slices.SortFunc(room.Members, func(a, b Member) int { return strings.Compare(string(a.Party), string(b.Party)) })
	for i := range room.Members {
		room.Members[i].Roles = sortRoles(room.Members[i].Roles)
	}
	slices.SortFunc(room.Datasets, func(a, b DatasetRef) int { return strings.Compare(a.String(), b.String()) })
	if err := r.checkRoom(ctx, room); err != nil {
		return audit.Receipt{}, err
	}
	event := audit.Event{Kind: audit.RoomOpened, Principal: by, Outcome: audit.Done, Purpose: room.Purpose, Recipient: by.Recipient, List: room.Digest()}
	return r.registry.OpenRoom(ctx, room, event)
}

func sortRoles(roles []Role) []Role {
	var sorted []Role
	for _, role := range Roles() {
		if slices.Contains(roles, role) {
			sorted = append(sorted, role)
		}
	}
	for _, role := range roles {
		if !slices.Contains(Roles(), role) {
			sorted = append(sorted, role) // for checkRoom to find
		}
	}
	return sorted
}

func (r *Register) checkRoom(ctx context.Context, room *Room) error {
	catalogue := r.config.Revision().Catalogue()
	switch {
	case !isName(string(room.ID)):
		return fault("/room", nameRule)
	case room.Mode != Private && room.Mode != ThresholdOnly:
		return fault("/mode", `this is "dp" or "k_only"`)
	case !slices.Contains(Matchings(), room.Matching):
		return fault("/matching", fmt.Sprintf("this is one of %v", Matchings()))
	case room.MinimumEpoch < 0 || room.MinimumEpoch > maximumEpoch || room.MinimumEpoch%time.Second != 0:
		return fault("/minimum_epoch", "this is between 0 and 366 days, in whole seconds")
	case room.MinimumMembers < 2:
		return fault("/minimum_members", "a group of one is a person: this is 2 at least")
	case len(room.Members) == 0 || len(room.Members) > maximumRoomMembers:
		return fault("/members", fmt.Sprintf("a room has between 1 and %d", maximumRoomMembers))
	case len(room.Datasets) == 0 || len(room.Datasets) > maximumRoomDatasets:
		return fault("/datasets", fmt.Sprintf("a room has between 1 and %d", maximumRoomDatasets))
	}
	if _, known := catalogue.Purpose(room.Purpose); !known {
		return fault("/purpose", "this purpose is not in the catalogue")
	}
	for i, m := range room.Members {
		if err := r.checkMember(ctx, catalogue, room, i, m); err != nil {
			return err
		}
	}
	owners := map[PartyID]bool{}
	for i, d := range room.Datasets {
		member, ok := room.Member(d.Owner)
		switch {
		case !isName(string(d.Dataset)):
			return withinList("datasets", i, fault("", nameRule))
		case !ok || !member.Has(OwnsData):
			return withinList("datasets", i, fault("", "its owner is no member of the room with the role owns_data"))
		case i > 0 && d == room.Datasets[i-1]:
			return withinList("datasets", i, fault("", "it is there already"))
		}
		owners[d.Owner] = true
	}
	if room.Matching == MatchPair && len(owners) > 2 {
		return fault("/matching", "pair matches two owners of data; for more of them there is oprf")
	}
	return nil
}

func (r *Register) checkMember(ctx context.Context, catalogue *policies.Catalogue, room *Room, i int, m Member) error {
	recipient, known := catalogue.Recipient(m.Party)
	switch {
	case !known:
		return withinList("members", i, fault("/party", "this recipient is not in the catalogue"))
	case i > 0 && m.Party == room.Members[i-1].Party:
		return withinList("members", i, fault("/party", "it is a member already"))
	case len(m.Roles) == 0:
		return withinList("members", i, fault("/roles", "a member has one role at least"))
	case room.Mode == ThresholdOnly && recipient.Relationship != policies.FirstParty:
		return fault("/mode", "k_only is for rooms within the house: it does not protect against differencing")
	}
	for _, role := range m.Roles {
		if !slices.Contains(Roles(), role) {
			return withinList("members", i, fault("/roles", fmt.Sprintf("these are %v", Roles())))
		}
	}
	if _, err := r.registry.PartyOf(ctx, m.Party); errors.Is(err, privacy.ErrNotFound) {
		return withinList("members", i, fault("/party", fmt.Sprintf("%s does not take part yet: mahrem room party add %[1]s --key FILE", m.Party)))
	} else if err != nil {
		return err
	}
	return nil
}

// CloseRoom ends a room: nothing is asked of it any more, and its snapshots are dropped soon.
func (r *Register) CloseRoom(ctx context.Context, by privacy.Principal, id RoomID) (audit.Receipt, error) {
	room, err := r.registry.RoomOf(ctx, id)
	if err != nil {
		return audit.Receipt{}, err
	}
	event := audit.Event{Kind: audit.RoomClosed, Principal: by, Outcome: audit.Done, Purpose: room.Purpose, List: room.Digest()}
	return r.registry.CloseRoom(ctx, id, event)
}

// ContractOwner returns whom a signed contract names as the owner of the data. Nothing of it
// has been checked.
func ContractOwner(signed []byte) (PartyID, error) {
	_, err := note.Open(bytes.Clone(signed), note.VerifierList())
	unverified, ok := errors.AsType[*note.UnverifiedNoteError](err)
	if !ok {
		return "", fmt.Errorf("reading contract: this is no signed note; its owner makes one with mahrem room contract sign: %w", privacy.ErrInvalid)
	}
	document, ok := strings.CutPrefix(unverified.Note.Text, contractHeader)
	if !ok {
		return "", fmt.Errorf("reading contract: something else was signed: %w", privacy.ErrInvalid)
	}
	c, err := ParseContract([]byte(strings.TrimSuffix(document, "\n")))
	if err != nil {
		return "", err
	}
	return c.Owner, nil
}

// ErrSignature is wrapped by the error of a filing that is not signed as it must be.
var ErrSignature = errors.New("it is not signed as it must be")

// AddContract files a contract that its owner has signed. A version that raises a cap needs a
// reason; one that lowers it does not. What is refused has its entry in the log.
func (r *Register) AddContract(ctx context.Context, by privacy.Principal, signed []byte, owner PartyID, reason string) (*FiledContract, audit.Receipt, error) {
	filed, receipt, err := r.addContract(ctx, by, signed, owner, reason)
	return filed, receipt, r.leave(ctx, audit.Event{Principal: by, Recipient: owner}, contractDigest, signed, err)
}

func (r *Register) addContract(ctx context.Context, by privacy.Principal, signed []byte, owner PartyID, reason string) (*FiledContract, audit.Receipt, error) {
	filed, err := r.openContract(ctx, signed, owner)
	if err != nil {
		return nil, audit.Receipt{}, err
	}
	opened := &filed.SignedContract
	if err := r.judgeContract(ctx, by, opened); err != nil {
		return nil, audit.Receipt{}, err
	}
	if filed.RaisedBecause, err = r.raises(ctx, opened.Contract, strings.TrimSpace(reason)); err != nil {
		return nil, audit.Receipt{}, err
	}
	event := audit.Event{Kind: audit.ContractSigned, Principal: by, Outcome: audit.Done, Recipient: owner, List: opened.Digest}
	receipt, err := r.registry.AddContract(ctx, filed, event)
	return filed, receipt, err
}

// openContract checks a contract's signature, by the key with which its owner takes part.
func (r *Register) openContract(ctx context.Context, signed []byte, owner PartyID) (*FiledContract, error) {
	party, err := r.registry.PartyOf(ctx, owner)
	if err != nil {
		return nil, fmt.Errorf("finding who has signed: %w", err)
	}
	verifier, err := ParseVerifier(party.Key, owner)
	if err != nil {
		return nil, err
	}
	opened, err := OpenContract(signed, verifier)
	if errors.Is(err, privacy.ErrDamaged) {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if err != nil {
		return nil, err
	}
	return &FiledContract{SignedContract: *opened, Verifier: party.Key}, nil
}

// raises returns the reason for which a contract raises a cap, if it does.
func (r *Register) raises(ctx context.Context, c *Contract, reason string) (string, error) {
	versions, err := r.registry.Contracts(ctx, c.Ref())
	if err != nil {
		return "", err
	}
	if len(versions) == 0 {
		return "", nil
	}
	last := versions[0].Contract
	pointer := ""
	switch {
	case c.Version != last.Version+1:
		return "", fault("/version", fmt.Sprintf("the next version is %d", last.Version+1))
	case c.Source != last.Source:
		return "", fault("/source", "other people are another dataset")
	case c.Unit != last.Unit:
		return "", fault("/unit", "whose privacy is protected cannot change: that is another dataset")
	case c.Cap > last.Cap:
		pointer = "/cap_nanorho"
	case c.ConsumerCap > last.ConsumerCap:
		pointer = "/consumer_cap_nanorho"
	case c.QueryCap > last.QueryCap:
		pointer = "/query_cap_nanorho"
	default:
		return "", nil
	}
	if reason == "" || len(reason) > 500 {
		return "", fault(pointer, "it is higher than in the version before: say why, in at most 500 bytes")
	}
	return reason, nil
}

// judgeContract asks the policies whether a dataset under this contract may be let into a room
// at all, for each of its purposes.
func (r *Register) judgeContract(ctx context.Context, by privacy.Principal, signed *SignedContract) error {
	c, revision := signed.Contract, r.config.Revision()
	if _, known := revision.Catalogue().Recipient(c.Owner); !known {
		return fault("/owner", "this recipient is not in the catalogue")
	}
	if revision.Catalogue().NamesTainted(string(c.Dataset)) {
		return fault("/dataset", "its name says something protected of everybody who is in it")
	}
	for i, purpose := range c.Purposes {
		facts := AdmissionFacts(c, purpose)
		decision, err := revision.DecideRoom(ctx, facts)
		if err == nil && decision.Allow {
			continue
		}
		checks := decision.Failed
		if len(checks) == 0 {
			checks = []string{policies.CheckRoomWellFormed}
		}
		event := audit.Event{
			Kind: audit.RoomDenied, Outcome: audit.Denied, Principal: by, Recipient: c.Owner, Purpose: purpose,
			Checks: checks, Policy: decision.Policy, List: signed.Digest,
		}
		if _, err := r.config.Log.Append(ctx, event); err != nil {
			return fmt.Errorf("logging a refusal: %w", err)
		}
		if err != nil {
			return fmt.Errorf("asking the policies: %w", err)
		}
		reason := "the policies refuse such a dataset: " + strings.Join(checks, ", ")
		place, err := refusedPlace(ctx, revision, facts, checks)
		if err != nil {
			return fmt.Errorf("asking the policies: %w", err)
		}
		if place != "" {
			reason += ", because of " + place
		}
		return logged{withinList("purposes", i, fault("", reason+" (docs/cleanroom.md, \"What the rules decide\")"))}
	}
	return nil
}

// AddTemplate files a template of a room with the signatures of members that are under it.
// What is refused has its entry in the log.
func (r *Register) AddTemplate(ctx context.Context, by privacy.Principal, id RoomID, signed []byte) (*SignedTemplate, audit.Receipt, error) {
	room, err := r.registry.RoomOf(ctx, id)
	if err != nil {
		return nil, audit.Receipt{}, err
	}
	if !room.ClosedAt.IsZero() {
		return nil, audit.Receipt{}, fmt.Errorf("the room is closed: %w", privacy.ErrConflict)
	}
	opened, receipt, err := r.addTemplate(ctx, by, room, signed)
	return opened, receipt, r.leave(ctx, audit.Event{Principal: by, Purpose: room.Purpose}, templateDigest, signed, err)
}

func (r *Register) addTemplate(ctx context.Context, by privacy.Principal, room *Room, signed []byte) (*SignedTemplate, audit.Receipt, error) {
	opened, keys, err := r.openTemplate(ctx, room, signed)
	if err != nil {
		return nil, audit.Receipt{}, err
	}
	switch {
	case opened.Template.Query.Purpose != room.Purpose && !r.activates(&opened.Template.Query):
		return nil, audit.Receipt{}, fault("/query/purpose", "the room has another purpose, and this is no activation for one that audiences may be formed for")
	case by.Role == privacy.RoleService && !slices.Contains(opened.Signers, by.Recipient):
		return nil, audit.Receipt{}, fmt.Errorf("filing a template that one has not signed: %w", privacy.ErrForbidden)
	}
	event := audit.Event{Kind: audit.TemplateSigned, Principal: by, Outcome: audit.Done, Purpose: room.Purpose, List: opened.Digest}
	receipt, err := r.registry.AddTemplate(ctx, room.ID, opened, keys, event)
	return opened, receipt, err
}

// activates reports whether a question can be one for an activation, which has a purpose of its
// own. Whether the contracts name it is decided when it is activated.
func (r *Register) activates(query *Query) bool {
	purpose, known := r.config.Revision().Catalogue().Purpose(query.Purpose)
	return known && slices.Contains(purpose.Actions, policies.Audience) && len(query.Metrics) == 0 && len(query.GroupBy) == 0
}

// openTemplate checks whether a template is one of the room, and the signatures under it: those of
// the room's members, by the keys with which they take part, which it returns.
func (r *Register) openTemplate(ctx context.Context, room *Room, signed []byte) (*SignedTemplate, map[PartyID]string, error) {
	keys := map[PartyID]string{}
	var verifiers []note.Verifier
	for _, m := range room.Members {
		party, err := r.registry.PartyOf(ctx, m.Party)
		if errors.Is(err, privacy.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		verifier, err := ParseVerifier(party.Key, m.Party)
		if err != nil {
			return nil, nil, err
		}
		keys[m.Party], verifiers = party.Key, append(verifiers, verifier)
	}
	opened, err := OpenTemplate(signed, verifiers)
	if errors.Is(err, privacy.ErrDamaged) {
		return nil, nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if err != nil {
		return nil, nil, err
	}
	if opened.Template.Query.Room != room.ID {
		return nil, nil, fault("/query/room", "the template is for another room")
	}
	canonical, err := opened.Template.Canonical()
	if err == nil {
		err = mayBeSigned(canonical)
	}
	return opened, keys, err
}
