package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
)

// BenchmarkErase measures a whole erasure, from the look at what is held to the durable
// commit, of somebody with few and with many records. The sweep is not in it.
func BenchmarkErase(b *testing.B) {
	for _, events := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("records=%d", events), func(b *testing.B) {
			e := newErasing(b, dsar.EraseConfig{OneApprover: true})
			var requests []dsar.RequestID
			for i := range b.N {
				p := e.person(b, fmt.Sprintf("person-%d", i))
				slot := e.vault.Slot(p.id, "purchases")
				if _, err := e.db.pool.Exec(b.Context(), `
					insert into vault.event_chunk (data_subject_id, slot, chunk, record_version, event_count, sealed)
					select $1, $2, 10 + n, 1, least(64, $3 - 64 * n), decode(repeat('00', 4000), 'hex') from generate_series(0, ($3 - 1) / 64) n`,
					[16]byte(p.id), slot[:], events); err != nil {
					b.Fatal(err)
				}
				requests = append(requests, e.approved(b, p))
			}
			timed := &timedLog{transactor: e.log}
			e.store.log = timed
			b.ResetTimer()
			for i := range b.N {
				if _, err := e.Erase(b.Context(), dpo, requests[i]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(timed.took.Microseconds())/float64(b.N), "shred-µs/op")
		})
	}
}

// timedLog measures the transactions of erasures: from the lock to the durable commit.
type timedLog struct {
	transactor
	took time.Duration
}

func (l *timedLog) AppendTx(ctx context.Context, event audit.Event, change func(ctx context.Context, tx pgx.Tx) error) (audit.Receipt, error) {
	begin := time.Now()
	defer func() { l.took += time.Since(begin) }()
	return l.transactor.AppendTx(ctx, event, change)
}

func (l *timedLog) AppendAllTx(ctx context.Context, change func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error)) ([]audit.Receipt, error) {
	begin := time.Now()
	defer func() { l.took += time.Since(begin) }()
	return l.transactor.AppendAllTx(ctx, change)
}

// BenchmarkEraseMany measures how many people a second are erased side by side.
func BenchmarkEraseMany(b *testing.B) {
	e := newErasing(b, dsar.EraseConfig{OneApprover: true})
	var requests []dsar.RequestID
	for i := range b.N {
		requests = append(requests, e.approved(b, e.person(b, fmt.Sprintf("person-%d", i))))
	}
	b.ResetTimer()
	e.EraseMany(b.Context(), dpo, requests, 16, func(o dsar.Outcome) {
		if o.Err != nil {
			b.Error(o.Err)
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "people/s")
}
