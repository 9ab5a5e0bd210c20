package bench

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// consentCallers are the numbers of callers, with the least rate; zero: no limit.
var consentCallers = []struct {
	callers int
	rate    float64
}{{8, 0}, {32, 3000}, {128, 3000}}

const (
	// subscribedCallers change consents while somebody is told of each.
	subscribedCallers = 128
	// consentBatchRows are added at once, under one entry.
	consentBatchRows = 20_000
	// consentHeap is the largest heap, in MiB, with which a ledger of any length is verified.
	consentHeap = 128
)

// sqlConsentPeople adds people by number, once.
const sqlConsentPeople = `
insert into vault.data_subject (data_subject_id, jurisdiction)
select lpad(to_hex(n), 32, '0')::uuid, 'CZ' from generate_series(1, $1::integer) n
on conflict do nothing`

func addConsentPeople(ctx context.Context, config ConsentConfig) error {
	owner, err := pgx.Connect(ctx, config.OwnerURL)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = owner.Close(context.WithoutCancel(ctx)) }()
	_, err = owner.Exec(ctx, sqlConsentPeople, config.People)
	return err
}

// choice is the nth choice that is recorded: alternately a yes and its withdrawal.
func choice(n uint32, people int) (consent.Record, audit.Event) {
	r := consent.Record{
		Purpose: "recommendations", Channel: "email", Action: consent.Granted, Basis: privacy.Consent,
		NoticeVersion: "bench-1", Source: "bench", Actor: consent.ByDataSubject,
	}
	_, _ = rand.Read(r.ID[:]) // never fails
	binary.BigEndian.PutUint32(r.DataSubject[12:], n%uint32(people)+1)
	if n%2 == 0 {
		r.Action = consent.Withdrawn
	}
	return r, audit.Event{
		Kind: r.Action.Kind(), Outcome: audit.Done, Purpose: r.Purpose, Channel: r.Channel,
		Principal: privacy.Principal{ID: "bench", Role: privacy.RoleService, Recipient: Recipient},
		Subject:   audit.Subject{ID: r.DataSubject, Blinding: audit.BlindingKey{1}},
	}
}

// choose has callers record choices in rounds, and returns the usual one.
func choose(ctx context.Context, config ConsentConfig, callers int, step string) (round, error) {
	var n atomic.Uint32
	var rounds []round
	for i := range config.Rounds {
		config.Progress(step, i, config.Rounds)
		r, err := callFor(callers, config.Round, func() error {
			record, event := choice(n.Add(1), config.People)
			_, err := config.Ledger.Add(ctx, record, event)
			return err
		})
		if err != nil {
			return round{}, err
		}
		rounds = append(rounds, r)
	}
	return usualRound(rounds), nil
}

// measureConsentAdd measures changes of consent, each on the disk with its entry before its
// caller goes on.
func measureConsentAdd(ctx context.Context, config ConsentConfig) ([]Row, error) {
	var rows []Row
	note := fmt.Sprintf("median of %d rounds", config.Rounds)
	for _, c := range consentCallers {
		usual, err := choose(ctx, config, c.callers, fmt.Sprintf("recording choices, %d callers", c.callers))
		if err != nil {
			return nil, err
		}
		row := Row{What: fmt.Sprintf("choices with their entries, %d callers", c.callers), Figure: usual.rate, Unit: "choices/s", Note: note}
		if c.rate > 0 {
			row = row.atLeast(c.rate)
		}
		rows = append(rows, row, Row{
			What: fmt.Sprintf("slowest hundredth of them, %d callers", c.callers), Figure: usual.p99.Seconds() * 1000, Unit: "ms", Note: note,
		})
	}
	return rows, nil
}

// measureConsentSubscriber measures the same while one subscriber is told of each.
func measureConsentSubscriber(ctx context.Context, config ConsentConfig) ([]Row, error) {
	if err := config.Subscribe(ctx); err != nil {
		return nil, err
	}
	usual, err := choose(ctx, config, subscribedCallers, "recording choices with a subscriber")
	if err != nil {
		return nil, err
	}
	note := fmt.Sprintf("each with its delivery in the same transaction; median of %d rounds", config.Rounds)
	return []Row{{What: fmt.Sprintf("choices with their entries, %d callers, one subscriber", subscribedCallers), Figure: usual.rate, Unit: "choices/s", Note: note}}, nil
}

// measureConsentBatch fills the ledger up to its rows, in batches with one entry each.
func measureConsentBatch(ctx context.Context, config ConsentConfig) ([]Row, error) {
	began := time.Now()
	for done := 0; done < config.Rows; done += consentBatchRows {
		config.Progress("adding batches", done, config.Rows)
		records := make([]consent.Record, min(consentBatchRows, config.Rows-done))
		for i := range records {
			records[i], _ = choice(uint32(done+i), config.People)
		}
		_, event := choice(0, config.People)
		result, err := config.Ledger.AddBatch(ctx, records, audit.Event{Principal: event.Principal})
		if err != nil {
			return nil, err
		}
		if result.Added != len(records) {
			return nil, fmt.Errorf("adding %d rows, of which %d were added: %w", len(records), result.Added, errAnswer)
		}
	}
	return []Row{{
		What: "rows of an import", Figure: float64(config.Rows) / time.Since(began).Seconds(), Unit: "rows/s",
		Note: fmt.Sprintf("%d rows, %d under one entry", config.Rows, consentBatchRows),
	}}, nil
}

// measureConsentVerify measures the comparison of ledger and log, with what it takes of memory.
func measureConsentVerify(ctx context.Context, config ConsentConfig) ([]Row, error) {
	config.Progress("comparing ledger and log", 0, 1)
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // as audit verify runs
	runtime.GC()
	heap := watchHeap()
	began := time.Now()
	report, err := config.Verify(ctx, nil)
	took := time.Since(began)
	most := heap()
	if err != nil {
		return nil, err
	}
	if !report.Whole() || report.Rows == 0 {
		return nil, fmt.Errorf("comparing ledger and log: %d rows, %d damages: %w", report.Rows, len(report.Damages), privacy.ErrDamaged)
	}
	note := fmt.Sprintf("%d rows, %d of batches and the rest with an entry each", report.Rows, min(uint64(config.Rows), report.Rows))
	return []Row{
		{What: "comparing the ledger with the log", Figure: took.Seconds(), Unit: "s", Note: note},
		{What: "rows compared", Figure: float64(report.Rows) / took.Seconds(), Unit: "rows/s", Note: note},
		Row{What: "largest heap meanwhile", Figure: float64(most) / (1 << 20), Unit: "MiB", Note: note}.atMost(consentHeap),
	}, nil
}

// watchHeap looks at the heap every few milliseconds until it is asked how large it was.
func watchHeap() func() uint64 {
	var most uint64
	stop := make(chan struct{})
	var watching sync.WaitGroup
	look := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapAlloc)
	}
	watching.Go(func() {
		for {
			look()
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return func() uint64 {
		close(stop)
		watching.Wait()
		return most
	}
}
