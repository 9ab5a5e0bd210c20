package notice

import (
	"context"
	"fmt"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Store keeps published notices.
type Store interface {
	// Publish keeps the notice, and what follows from it for older consents, in one
	// transaction with the event, and returns after all is durable. A version that is there
	// already stays as it is: the receipt is zero, and standing is what is there.
	//
	// [privacy.ErrUnavailable]: nothing was published, or the outcome is not known.
	Publish(ctx context.Context, n Notice, event audit.Event) (receipt audit.Receipt, standing Notice, err error)
	// Notice returns a version with its texts, or [privacy.ErrNotFound]; texts that do not
	// have their digest are [privacy.ErrDamaged].
	Notice(ctx context.Context, version string) (Notice, error)
	// Notices returns all versions without the bodies of their texts, by the moment from
	// which they hold and then by name.
	Notices(ctx context.Context) ([]Notice, error)
}

// Register publishes and shows notices.
type Register struct {
	store Store
	knows func(privacy.Purpose) bool
}

// New returns a register over a store. knows says which purposes the catalogue has; it is
// asked anew each time.
func New(store Store, knows func(privacy.Purpose) bool) *Register {
	return &Register{store: store, knows: knows}
}

// Published is what came of a publication.
type Published struct {
	Notice Notice
	// Receipt is the evidence; zero with Duplicate.
	Receipt audit.Receipt
	// Duplicate is whether exactly this was published before: nothing changed.
	Duplicate bool
}

// Publish registers a notice. Publishing the same again changes nothing; the same version
// with anything else is [privacy.ErrConflict]: what people have agreed to does not change
// under them. Only a data protection officer publishes.
func (r *Register) Publish(ctx context.Context, by privacy.Principal, n Notice) (Published, error) {
	if by.Role != privacy.RoleDPO {
		return Published{}, fmt.Errorf("publishing a notice: %w", privacy.ErrForbidden)
	}
	n, err := n.Normalize(r.knows)
	if err != nil {
		return Published{}, err
	}
	receipt, standing, err := r.store.Publish(ctx, n, audit.Event{
		Kind: audit.NoticePublished, Principal: by, Outcome: audit.Done,
		List: n.Digest(), Count: uint64(len(n.Texts)),
	})
	if err != nil {
		return Published{}, fmt.Errorf("publishing a notice: %w", err)
	}
	if !receipt.IsZero() {
		return Published{Notice: standing, Receipt: receipt}, nil
	}
	if parts := n.Differs(&standing); len(parts) > 0 {
		return Published{}, fmt.Errorf("publishing a notice: version %s is published with another %s, and stays as it is; a changed notice needs a version of its own: %w",
			n.Version, strings.Join(parts, ", "), privacy.ErrConflict)
	}
	return Published{Notice: standing, Duplicate: true}, nil
}

// Notice returns a version with its texts.
func (r *Register) Notice(ctx context.Context, version string) (Notice, error) {
	if !versionPattern.MatchString(version) {
		return Notice{}, fmt.Errorf("looking for a notice: %w", privacy.ErrNotFound)
	}
	n, err := r.store.Notice(ctx, version)
	if err != nil {
		return Notice{}, fmt.Errorf("looking for a notice: %w", err)
	}
	return n, nil
}

// Notices returns all versions, oldest first, without the bodies of their texts.
func (r *Register) Notices(ctx context.Context) ([]Notice, error) {
	all, err := r.store.Notices(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing notices: %w", err)
	}
	return all, nil
}
