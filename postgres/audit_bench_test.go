package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/pgtest"
)

// benchmarkCallers runs b.N calls from that many goroutines and reports rate and p99.
func benchmarkCallers(b *testing.B, callers int, call func() error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	times := make([][]time.Duration, callers)
	b.ReportAllocs()
	ownBefore, databaseBefore := cpuTimes()
	b.ResetTimer()
	var running sync.WaitGroup
	for i := range callers {
		running.Go(func() {
			for left.Add(-1) >= 0 {
				start := time.Now()
				if err := call(); err != nil {
					b.Error(err)
					return
				}
				times[i] = append(times[i], time.Since(start))
			}
		})
	}
	running.Wait()
	b.StopTimer()
	own, database := cpuTimes()
	all := slices.Concat(times...)
	slices.Sort(all)
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64((own-ownBefore).Nanoseconds())/1000/float64(len(all)), "cpu-µs/entry")
	b.ReportMetric(float64((database-databaseBefore).Nanoseconds())/1000/float64(len(all)), "db-cpu-µs/entry")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}

func newBenchmarkLog(b *testing.B) (*AuditLog, *pgtest.Database) {
	b.Helper()
	db, database := newDB(b)
	config := auditConfig()
	config.Actor = nameless
	return newAuditLog(b, db, config), database
}

func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 8, 32, 128, 512} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l, _ := newBenchmarkLog(b)
			event := denied()
			benchmarkCallers(b, callers, func() error {
				_, err := l.Append(context.Background(), event)
				return err
			})
		})
	}
}

// BenchmarkAppendBesideReader has another session hold a snapshot open, as a dump does.
func BenchmarkAppendBesideReader(b *testing.B) {
	l, database := newBenchmarkLog(b)
	tx, err := database.OwnerPool(b).BeginTx(b.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := tx.Exec(b.Context(), `select count(*) from audit.batch`); err != nil {
		b.Fatal(err)
	}
	event := denied()
	benchmarkCallers(b, 32, func() error {
		_, err := l.Append(context.Background(), event)
		return err
	})
	_ = tx.Rollback(context.Background())
}

func BenchmarkAppendTx(b *testing.B) {
	for _, callers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l, database := newBenchmarkLog(b)
			if _, err := database.OwnerPool(b).Exec(b.Context(), `
				create table changed (n bigint generated always as identity primary key, what text);
				grant insert on changed to mahrem_app`); err != nil {
				b.Fatal(err)
			}
			event := denied()
			event.Kind, event.Outcome = audit.ConsentWithdrawn, audit.Done
			benchmarkCallers(b, callers, func() error {
				_, err := l.AppendTx(context.Background(), event, func(ctx context.Context, tx pgx.Tx) error {
					_, err := tx.Exec(ctx, `insert into changed (what) values ($1)`, "consent")
					return err
				})
				return err
			})
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	l, _ := newBenchmarkLog(b)
	event := denied()
	var callers sync.WaitGroup
	for range 256 {
		callers.Go(func() {
			for range 400 {
				if _, err := l.Append(context.Background(), event); err != nil {
					b.Error(err)
				}
			}
		})
	}
	callers.Wait()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if report, err := l.Verify(b.Context(), nil); err != nil || !report.Whole() {
			b.Fatal(report, err)
		}
	}
	b.ReportMetric(float64(256*400*b.N)/b.Elapsed().Seconds(), "entries/s")
}
