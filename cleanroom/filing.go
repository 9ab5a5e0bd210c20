package cleanroom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// FilingDesk is where members of a room file what they have signed, in their own name and
// without anybody of the house. It goes by the rules of a [Register].
type FilingDesk struct {
	register *Register
	log      audit.Appender
}

// NewFilingDesk returns the desk of a register. What it does not allow, it writes into log.
func NewFilingDesk(register *Register, log audit.Appender) *FilingDesk {
	return &FilingDesk{register, log}
}

// ContractFiling is a contract that was filed. If the very same bytes were there already,
// it is Repeated, and nothing has changed.
type ContractFiling struct {
	Contract *FiledContract
	Repeated bool
	Receipt  audit.Receipt // zero if Repeated
}

// TemplateFiling is a template that was filed, with all the signatures that it has now. If all
// that came with it were there already, it is Repeated, and nothing has changed.
type TemplateFiling struct {
	Template *SignedTemplate
	Repeated bool
	Receipt  audit.Receipt // zero if Repeated
}

// The checks of a filing, beyond that of the member.
const (
	// CheckOwner: a contract is filed by the owner of its data.
	CheckOwner = "room_owner"
	// CheckSigner: a template is filed by somebody who has signed it.
	CheckSigner = "room_signer"
)

// FileContract files a contract of a dataset that the room lets in, for the party that owns
// the data. What is not allowed is a [Denied], a signature that does not fit is [ErrSignature],
// and anything else that is wrong a [privacy.FieldError]. Whatever it is, it has its entry in
// the log.
func (d *FilingDesk) FileContract(ctx context.Context, by privacy.Principal, id RoomID, signed []byte, reason string) (*ContractFiling, error) {
	room, member, err := d.enter(ctx, by, id)
	if err != nil {
		return nil, err
	}
	if !member.Has(OwnsData) {
		return nil, d.deny(ctx, by, room, audit.Digest{}, CheckRole)
	}
	filing, err := d.fileContract(ctx, by, room, signed, reason)
	event := audit.Event{Principal: by, Purpose: room.Purpose, Recipient: by.Recipient}
	return filing, d.register.leave(ctx, event, contractDigest, signed, err)
}

func (d *FilingDesk) fileContract(ctx context.Context, by privacy.Principal, room *Room, signed []byte, reason string) (*ContractFiling, error) {
	owner, err := ContractOwner(signed)
	if err != nil {
		return nil, err
	}
	if owner != by.Recipient {
		return nil, d.deny(ctx, by, room, audit.Digest{}, CheckOwner)
	}
	opened, err := d.register.openContract(ctx, signed, owner)
	if err != nil {
		return nil, err
	}
	ref := opened.Ref()
	if !slices.Contains(room.Datasets, ref) {
		return nil, fault("/dataset", "the room does not let this dataset in")
	}
	versions, err := d.register.registry.Contracts(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("looking for the contract: %w", err)
	}
	if before := findContract(versions, signed); before != nil {
		return before, nil
	}
	if err := mayFile(versions, signed, time.Now()); err != nil {
		return nil, err
	}
	filed, receipt, err := d.register.addContract(ctx, by, signed, owner, reason)
	if err != nil {
		// Perhaps somebody has filed the same at the same time.
		if versions, findErr := d.register.registry.Contracts(ctx, ref); findErr == nil {
			if before := findContract(versions, signed); before != nil {
				return before, nil
			}
		}
		return nil, err
	}
	return &ContractFiling{Contract: filed, Receipt: receipt}, nil
}

// What a party files is kept for ever and shown to all: this bounds it. Whoever runs the house
// may enter more.
const (
	// FiledADay is how many versions a contract may have within a day, FiledVersions how many
	// there may be in all, and FiledTemplates how many templates a room may have.
	FiledADay      = 20
	FiledVersions  = 200
	FiledTemplates = 500
	// FiledBytes is how long all versions of a contract may be together, or all templates of a
	// room: whoever looks at them is shown all at once.
	FiledBytes = 8 << 20
)

// mayFile refuses a further version of a contract that has too many, or too long ones.
func mayFile(versions []*FiledContract, signed []byte, now time.Time) error {
	today, size := 0, len(signed)
	for _, v := range versions {
		size += len(v.Note)
		if now.Sub(v.AddedAt) < 24*time.Hour {
			today++
		}
	}
	switch {
	case len(versions) >= FiledVersions:
		return fault("/version", fmt.Sprintf("there are %d versions: the house enters a further one", FiledVersions))
	case today >= FiledADay:
		return fault("/version", fmt.Sprintf("there were %d versions within a day: file the next one tomorrow, or have the house enter it", FiledADay))
	case size > FiledBytes:
		return fault("/version", fmt.Sprintf("all versions together would be longer than %d bytes: say it with fewer words, or have the house enter it", FiledBytes))
	}
	return nil
}

// findContract finds these bytes among what was filed; nil if they are not there.
func findContract(versions []*FiledContract, signed []byte) *ContractFiling {
	for _, v := range versions {
		if bytes.Equal(v.Note, signed) {
			return &ContractFiling{Contract: v, Repeated: true}
		}
	}
	return nil
}

// FileTemplate files a template of the room, for a party that has signed it. Its errors are
// those of FileContract.
func (d *FilingDesk) FileTemplate(ctx context.Context, by privacy.Principal, id RoomID, signed []byte) (*TemplateFiling, error) {
	room, _, err := d.enter(ctx, by, id)
	if err != nil {
		return nil, err
	}
	filing, err := d.fileTemplate(ctx, by, room, signed)
	event := audit.Event{Principal: by, Purpose: room.Purpose, Recipient: by.Recipient}
	return filing, d.register.leave(ctx, event, templateDigest, signed, err)
}

func (d *FilingDesk) fileTemplate(ctx context.Context, by privacy.Principal, room *Room, signed []byte) (*TemplateFiling, error) {
	opened, _, err := d.register.openTemplate(ctx, room, signed)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(opened.Signers, by.Recipient) {
		return nil, d.deny(ctx, by, room, opened.Digest, CheckSigner)
	}
	list, err := d.register.registry.Templates(ctx, room.ID)
	if err != nil {
		return nil, fmt.Errorf("looking for the template: %w", err)
	}
	before := findTemplate(list, opened)
	if before == nil {
		if err := mayFileTemplate(list, signed); err != nil {
			return nil, err
		}
	}
	if before != nil && isSubset(opened.Signers, before.Signers) {
		return &TemplateFiling{Template: before, Repeated: true}, nil
	}
	added, receipt, err := d.register.addTemplate(ctx, by, room, signed)
	if err != nil {
		return nil, err
	}
	now, err := d.templateNow(ctx, opened)
	if now == nil && err == nil {
		now = added // all who had signed were removed just now
	}
	return &TemplateFiling{Template: now, Receipt: receipt}, err
}

// mayFileTemplate refuses a further template of a room that has too many, or too long ones.
func mayFileTemplate(list []*SignedTemplate, signed []byte) error {
	size := len(signed)
	for _, t := range list {
		size += len(t.Note)
	}
	switch {
	case len(list) >= FiledTemplates:
		return fault("/version", fmt.Sprintf("the room has %d templates: the house enters a further one", FiledTemplates))
	case size > FiledBytes:
		return fault("/version", fmt.Sprintf("all templates of the room together would be longer than %d bytes: say it with fewer words, or have the house enter it", FiledBytes))
	}
	return nil
}

// templateNow finds what is filed of the same text; nil if it is not there.
func (d *FilingDesk) templateNow(ctx context.Context, t *SignedTemplate) (*SignedTemplate, error) {
	list, err := d.register.registry.Templates(ctx, t.Template.Query.Room)
	if err != nil {
		return nil, fmt.Errorf("looking for the template: %w", err)
	}
	return findTemplate(list, t), nil
}

func findTemplate(list []*SignedTemplate, t *SignedTemplate) *SignedTemplate {
	if i := slices.IndexFunc(list, func(s *SignedTemplate) bool { return s.Digest == t.Digest }); i >= 0 {
		return list[i]
	}
	return nil
}

func isSubset(some, of []PartyID) bool {
	return !slices.ContainsFunc(some, func(p PartyID) bool { return !slices.Contains(of, p) })
}

// enter returns an open room that the party of a service is in.
func (d *FilingDesk) enter(ctx context.Context, by privacy.Principal, id RoomID) (*Room, Member, error) {
	room, err := d.register.registry.RoomOf(ctx, id)
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		return nil, Member{}, fmt.Errorf("reading room: %w", err)
	}
	if err == nil && by.Role == privacy.RoleService && by.Recipient != "" && room.ClosedAt.IsZero() {
		if member, ok := room.Member(by.Recipient); ok {
			return room, member, nil
		}
	}
	return nil, Member{}, d.deny(ctx, by, nil, audit.Digest{}, CheckMember)
}

// deny writes down a refusal and returns it.
func (d *FilingDesk) deny(ctx context.Context, by privacy.Principal, room *Room, list audit.Digest, check string) error {
	event := audit.Event{Kind: audit.RoomDenied, Outcome: audit.Denied, Principal: by, Checks: []string{check}, List: list}
	if room != nil {
		event.Purpose = room.Purpose
	}
	if _, err := d.log.Append(ctx, event); err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	return &Denied{Checks: []string{check}}
}
