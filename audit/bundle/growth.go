package bundle

import (
	"context"

	"github.com/mahrem/mahrem/audit"
)

// ProveGrowth proves to somebody who kept an old checkpoint that the log of the bundle
// begins with what it committed to. An error wraps [privacy.ErrDamaged] if it does not.
func (b *Bundle) ProveGrowth(ctx context.Context, old []byte) (audit.Growth, error) {
	return audit.ProveGrowth(old, b.note, b.verifier, b.hashes(ctx))
}
