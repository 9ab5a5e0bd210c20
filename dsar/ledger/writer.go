package ledger

import (
	"context"

	"github.com/mahrem/mahrem/dsar"
)

var _ dsar.LedgerWriter = (*Ledger)(nil)

// Record is [dsar.LedgerWriter]'s.
func (l *Ledger) Record(ctx context.Context, record dsar.LedgerRecord) (dsar.LedgerPosition, error) {
	r := Record{
		Time: record.At, Kind: Kind(record.Kind), Erasure: record.Erasure, Request: record.Request,
		Person: record.Person, Plan: Hash(record.Plan), Suppressed: make([]Tag, len(record.Suppressed)),
	}
	for i, tag := range record.Suppressed {
		r.Suppressed[i] = tag
	}
	written, err := l.Append(ctx, r)
	if err != nil {
		return dsar.LedgerPosition{}, err
	}
	return dsar.LedgerPosition{Sequence: written.Sequence, LineHash: written.Hash}, nil
}
