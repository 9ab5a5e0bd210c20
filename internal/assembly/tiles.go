package assembly

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/bundle"
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

// logFiles is the log of this house as the files of a mirror of it.
type logFiles struct{ log *postgres.LogTiles }

var _ bundle.Files = logFiles{}

// Read implements [bundle.Files].
func (f logFiles) Read(ctx context.Context, path string, _ int) (content []byte, err error) {
	if path == bundle.CheckpointPath {
		content, err = f.log.Checkpoint(ctx)
	} else {
		name, parseErr := audit.ParseTilePath(path)
		if parseErr != nil {
			return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
		}
		content, err = f.log.Tile(ctx, name)
	}
	if errors.Is(err, privacy.ErrNotFound) {
		err = fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	}
	return content, err
}

// CheckReceipts compares receipts that somebody kept with the log, as far as it is committed
// now: what is not signed yet is signed first.
func (h *House) CheckReceipts(ctx context.Context, receipts []bundle.Receipt) (bundle.ReceiptReport, error) {
	if size, err := h.Log.Size(ctx); err != nil {
		return bundle.ReceiptReport{}, err
	} else if size > 0 {
		if _, err := h.Log.Prove(ctx, size-1); err != nil {
			return bundle.ReceiptReport{}, err
		}
	}
	verifier, err := audit.NewVerifier(h.Settings.Origin, h.signing.current)
	if err != nil {
		return bundle.ReceiptReport{}, err
	}
	b, err := bundle.Open(ctx, logFiles{postgres.NewLogTiles(h.Log)}, verifier)
	if err != nil {
		return bundle.ReceiptReport{}, err
	}
	return b.CheckReceipts(ctx, receipts)
}
