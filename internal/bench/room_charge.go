package bench

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

const (
	// chargeCallers charge one budget at the same time, chargeRate is the least rate.
	chargeCallers = 64
	chargeRate    = 1000
)

// measureCharges measures charges of one budget, each on the disk with its entry before its
// caller goes on.
func measureCharges(ctx context.Context, config RoomConfig) ([]Row, error) {
	owner, err := pgx.Connect(ctx, config.OwnerURL)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	err = addBenchRoom(ctx, owner)
	_ = owner.Close(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	dataset := cleanroom.DatasetRef{Owner: "bench", Dataset: "purchases"}
	charge := func() error {
		c := cleanroom.Charge{Room: "bench", Consumer: "bench", Datasets: []cleanroom.DatasetRef{dataset}, Cost: 1}
		_, _ = rand.Read(c.Question[:]) // never fails
		run, err := config.Ledger.Begin(ctx, c, audit.Event{
			Kind: audit.RoomCharged, Outcome: audit.Done, Purpose: "analytics", List: c.Question,
			Principal: privacy.Principal{ID: "bench", Role: privacy.RoleService, Recipient: Recipient},
		})
		if err == nil && (run.ID == 0 || run.Receipt.IsZero()) {
			err = fmt.Errorf("a charge without evidence: %w", errAnswer)
		}
		return err
	}
	before, err := config.Ledger.Left(ctx, "bench", []cleanroom.DatasetRef{dataset})
	if err != nil {
		return nil, err
	}
	var rounds []round
	for i := range config.Rounds {
		config.Progress("charging", i, config.Rounds)
		r, err := callFor(chargeCallers, config.Round, charge)
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, r)
	}
	after, err := config.Ledger.Left(ctx, "bench", []cleanroom.DatasetRef{dataset})
	if err != nil {
		return nil, err
	}
	if after[0].Spent <= before[0].Spent || after[0].Spent > after[0].Cap {
		return nil, fmt.Errorf("charges that were not counted: %w", errAnswer)
	}
	usual := usualRound(rounds)
	note := fmt.Sprintf("one budget, %d callers, each charge with its entry; median of %d rounds", chargeCallers, config.Rounds)
	return []Row{
		Row{What: "charges of a budget", Figure: usual.rate, Unit: "charges/s", Note: note}.atLeast(chargeRate),
		{What: "slowest hundredth of them", Figure: usual.p99.Seconds() * 1000, Unit: "ms", Note: note},
	}, nil
}
