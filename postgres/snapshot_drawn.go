package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

var _ cleanroom.Drawing = (*SnapshotStore)(nil)

const (
	sqlDrawnPlace    = `select ordinal from cleanroom.place_members($1) as p (ordinal)`
	sqlDrawnHandOver = `select cleanroom.hand_over($1, $2)`
	sqlDrawnTokens   = `select cleanroom.set_tokens($1, $2, $3)`
)

// Place is [cleanroom.Drawing]'s.
func (s *SnapshotStore) Place(ctx context.Context, id cleanroom.SnapshotID) (ordinals []int64, err error) {
	err = s.db.inTx(ctx, func(tx pgx.Tx) error {
		if err := wholeTables(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, sqlDrawnPlace, id)
		if err != nil {
			return err
		}
		ordinals, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ordering who was drawn: %w", err)
	}
	return ordinals, nil
}

// HandOver is [cleanroom.Drawing]'s.
func (s *SnapshotStore) HandOver(ctx context.Context, id cleanroom.SnapshotID, manifest audit.Digest, event audit.Event) (audit.Receipt, error) {
	event.List = manifest
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlDrawnHandOver, id, manifest[:])
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("handing over who was drawn: %w", err)
	}
	return receipt, nil
}

// SetTokens is [cleanroom.Drawing]'s.
func (s *SnapshotStore) SetTokens(ctx context.Context, id cleanroom.SnapshotID, first int, tokens [][]byte) error {
	err := s.db.inTx(ctx, func(tx pgx.Tx) error { return setTokens(ctx, tx, id, first, tokens) })
	if err != nil {
		return fmt.Errorf("setting tokens: %w", err)
	}
	return nil
}

// setTokens sets tokens in the caller's transaction.
func setTokens(ctx context.Context, tx pgx.Tx, id cleanroom.SnapshotID, first int, tokens [][]byte) error {
	if len(tokens) > maxStaged {
		return fmt.Errorf("adding %d at once, of at most %d: %w", len(tokens), maxStaged, privacy.ErrInvalid)
	}
	places := make([]int32, len(tokens))
	for i := range places {
		places[i] = int32(first + i)
	}
	_, err := tx.Exec(ctx, sqlDrawnTokens, id, places, tokens)
	return err
}
