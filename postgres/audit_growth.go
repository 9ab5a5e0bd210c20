package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
)

// ProveGrowth proves to somebody who kept an old checkpoint that the log of the newest one
// begins with what it committed to. An error wraps [privacy.ErrDamaged] if it does not, or
// if the old one was signed by another key.
func (l *AuditLog) ProveGrowth(ctx context.Context, old []byte) (audit.Growth, error) {
	newest, err := l.LatestCheckpoint(ctx)
	if err != nil {
		return audit.Growth{}, fmt.Errorf("proving growth: %w", err)
	}
	tx, err := l.db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return audit.Growth{}, fmt.Errorf("proving growth: %w", translate(err))
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	return audit.ProveGrowth(old, newest, l.verifier, proofHashes{ctx: ctx, q: tx})
}
