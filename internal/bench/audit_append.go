package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// auditCallers are the numbers of callers for which appending has limits, with the least
// rate; latencyCallers is the number for which the slowest hundredth has one.
var auditCallers = []struct {
	callers int
	rate    float64
	p99     float64 // milliseconds; zero: no limit
}{{8, 10_000, 0}, {128, 30_000, 10}}

// snapshotCallers append beside a session with an open snapshot, and changeWriters
// commit changes with their entries.
const (
	snapshotCallers = 32
	changeWriters   = 32
)

// denied is an entry as the gate writes most of: about a person, with a decision.
func denied() audit.Event {
	return audit.Event{
		Kind: audit.QueryDenied, Outcome: audit.Denied,
		Principal: privacy.Principal{ID: "bench", Role: privacy.RoleService, Recipient: Recipient},
		Subject:   audit.Subject{ID: privacy.DataSubjectID{1}, Blinding: audit.BlindingKey{2}},
		Purpose:   "recommendations", Channel: "web", Checks: []string{"consent.given"},
		Policy: audit.Digest{3}, Facts: audit.Digest{4},
	}
}

// round is what a number of callers got done in one round.
type round struct {
	rate float64 // calls a second
	p99  time.Duration
}

// callFor has that many callers call until the time is over, each at least once.
func callFor(callers int, length time.Duration, call func() error) (round, error) {
	times, errs := make([][]time.Duration, callers), make([]error, callers)
	began := time.Now()
	var running sync.WaitGroup
	for i := range callers {
		running.Go(func() {
			for start := began; start.Sub(began) < length; {
				start = time.Now()
				if errs[i] = call(); errs[i] != nil {
					return
				}
				times[i] = append(times[i], time.Since(start))
			}
		})
	}
	running.Wait()
	took := time.Since(began)
	all := slices.Concat(times...)
	slices.Sort(all)
	if err := errors.Join(errs...); err != nil || len(all) == 0 {
		return round{}, fmt.Errorf("calling: %w", err)
	}
	return round{float64(len(all)) / took.Seconds(), all[len(all)*99/100]}, nil
}

// usualRound is the median of the rounds, of the rate and of the slowest hundredth each for itself.
func usualRound(rounds []round) round {
	rates, p99s := make([]float64, len(rounds)), make([]time.Duration, len(rounds))
	for i, r := range rounds {
		rates[i], p99s[i] = r.rate, r.p99
	}
	slices.Sort(rates)
	slices.Sort(p99s)
	return round{rates[len(rates)/2], p99s[len(p99s)/2]}
}

// measureAppend measures single entries, each on the disk before its caller goes on.
func measureAppend(ctx context.Context, config AuditConfig) ([]Row, error) {
	event := denied()
	var rows []Row
	for _, c := range auditCallers {
		var rounds []round
		for i := range config.Rounds {
			config.Progress(fmt.Sprintf("appending, %d callers", c.callers), i, config.Rounds)
			r, err := callFor(c.callers, config.Round, func() error {
				_, err := config.Log.Append(ctx, event)
				return err
			})
			if err != nil {
				return nil, err
			}
			rounds = append(rounds, r)
		}
		usual := usualRound(rounds)
		note := fmt.Sprintf("median of %d rounds", config.Rounds)
		rows = append(rows, Row{
			What: fmt.Sprintf("durable entries, %d callers", c.callers), Figure: usual.rate, Unit: "entries/s", Note: note,
		}.atLeast(c.rate))
		slowest := Row{
			What: fmt.Sprintf("slowest hundredth of them, %d callers", c.callers), Figure: usual.p99.Seconds() * 1000, Unit: "ms", Note: note,
		}
		if c.p99 > 0 {
			slowest = slowest.atMost(c.p99)
		}
		rows = append(rows, slowest)
	}
	return rows, nil
}

// measureSnapshot measures appending while another session holds a snapshot open, as a
// dump or an analyst does, and without, in turn.
func measureSnapshot(ctx context.Context, config AuditConfig) ([]Row, error) {
	owner, err := pgx.Connect(ctx, config.OwnerURL)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = owner.Close(context.WithoutCancel(ctx)) }()
	event := denied()
	call := func() error {
		_, err := config.Log.Append(ctx, event)
		return err
	}
	var ratios []float64
	var beside []round
	for i := range config.Rounds {
		config.Progress("appending beside an open snapshot", i, config.Rounds)
		var pair [2]round // without, with
		for turn := range 2 {
			with := (turn + i) % 2 // whoever goes first has the emptier queue of checkpoints
			if with == 1 {
				if err := hold(ctx, owner); err != nil {
					return nil, err
				}
			}
			if pair[with], err = callFor(snapshotCallers, config.Round, call); err != nil {
				return nil, err
			}
			if with == 1 {
				if _, err := owner.Exec(ctx, "rollback"); err != nil {
					return nil, fmt.Errorf("letting the snapshot go: %w", err)
				}
			}
		}
		ratios, beside = append(ratios, pair[1].rate/pair[0].rate), append(beside, pair[1])
	}
	slices.Sort(ratios)
	note := fmt.Sprintf("%d callers, median of %d pairs in turn", snapshotCallers, config.Rounds)
	return []Row{
		{What: "durable entries beside an open snapshot", Figure: usualRound(beside).rate, Unit: "entries/s", Note: note},
		Row{What: "ratio to the rate without", Figure: ratios[len(ratios)/2], Note: note}.atLeast(0.9),
	}, nil
}

// hold opens a snapshot and uses it.
func hold(ctx context.Context, conn *pgx.Conn) error {
	for _, sql := range []string{"begin isolation level repeatable read", "select count(*) from audit.checkpoint"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("holding a snapshot: %w", err)
		}
	}
	return nil
}

// measureChange measures a change of one row that commits together with its entry.
func measureChange(ctx context.Context, config AuditConfig) ([]Row, error) {
	owner, err := pgx.Connect(ctx, config.OwnerURL)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = owner.Close(context.WithoutCancel(ctx)) }()
	if _, err := owner.Exec(ctx, `
		create table if not exists bench_change (n bigint generated always as identity primary key, what text not null);
		grant insert on bench_change to mahrem_app`); err != nil {
		return nil, fmt.Errorf("making a table to change: %w", err)
	}
	event := denied()
	event.Kind, event.Outcome = audit.ConsentWithdrawn, audit.Done
	var rounds []round
	for i := range config.Rounds {
		config.Progress("changes with their entries", i, config.Rounds)
		r, err := callFor(changeWriters, config.Round, func() error {
			_, err := config.Log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, `insert into bench_change (what) values ($1)`, "consent")
				return err
			})
			return err
		})
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, r)
	}
	usual := usualRound(rounds)
	note := fmt.Sprintf("median of %d rounds", config.Rounds)
	return []Row{
		Row{What: fmt.Sprintf("change and entry in one transaction, %d writers", changeWriters), Figure: usual.rate, Unit: "changes/s", Note: note}.atLeast(2500),
		{What: "slowest hundredth of them", Figure: usual.p99.Seconds() * 1000, Unit: "ms", Note: note},
	}, nil
}
