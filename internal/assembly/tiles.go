package assembly

import (
	"context"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// tiles hands out the published part of the log. Entries are for auditors and data
// protection officers, and that they read is in the log first.
type tiles struct {
	log   *postgres.LogTiles
	reads *audit.Reads
}

func (h *House) tiles() tiles {
	return tiles{postgres.NewLogTiles(h.Log), audit.NewReads(h.Log, 0, h.options.Now)}
}

func (t tiles) Tile(ctx context.Context, by privacy.Principal, name audit.TileName) ([]byte, error) {
	if name.Entries {
		if by.Role != privacy.RoleAuditor && by.Role != privacy.RoleDPO {
			return nil, fmt.Errorf("reading entries: %w", privacy.ErrForbidden)
		}
		if err := t.reads.Note(ctx, by); err != nil {
			return nil, err
		}
	}
	return t.log.Tile(ctx, name)
}
