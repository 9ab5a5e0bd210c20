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
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// RequestDesk takes requests in; [dsar.Service] does.
type RequestDesk interface {
	Open(ctx context.Context, by privacy.Principal, opening dsar.Opening) (dsar.Opened, error)
	Verify(ctx context.Context, by privacy.Principal, id dsar.RequestID, proof dsar.Proof, note privacy.Plain) (dsar.Request, audit.Receipt, error)
}

// Eraser erases people; [dsar.Eraser] does.
type Eraser interface {
	Approvers() int
	Plan(ctx context.Context, by privacy.Principal, request dsar.RequestID) (dsar.Planned, error)
	Approve(ctx context.Context, by privacy.Principal, request dsar.RequestID, hash audit.Digest) (dsar.Approval, error)
	Erase(ctx context.Context, by privacy.Principal, request dsar.RequestID) (dsar.ErasureRecord, error)
	EraseMany(ctx context.Context, by privacy.Principal, requests []dsar.RequestID, workers int, each func(dsar.Outcome))
	Sweep(ctx context.Context, only dsar.ErasureID, progress func(dsar.Swept)) (dsar.Swept, error)
}

const (
	// fewEvents and manyEvents are the two ends between which the cryptographic step must
	// take the same time, and eraseRounds how many people of each there are.
	fewEvents, manyEvents = 10, 100_000
	eraseRounds           = 21
	// averageEvents is how many events an average person has.
	averageEvents = 20
)

// measureErase measures the transaction that destroys a key, for people with few and with
// many records in turn, and how many people a second are erased side by side.
func measureErase(ctx context.Context, config DSARConfig) ([]Row, error) {
	if config.Eraser == nil || config.Desk == nil || config.Vault == nil {
		return nil, errors.New("nothing to erase with")
	}
	conn, err := pgx.Connect(ctx, config.OwnerURL)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := measureShred(ctx, config, conn)
	if err != nil {
		return nil, err
	}
	eraser, err := config.Eraser(nil)
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		crowd crowd
		what  string
		limit float64
	}{
		{crowd{name: "AVERAGE", people: config.Erasures, jurisdiction: "TR", stream: "views", kind: "view", events: averageEvents}, "erasing average people side by side", 500},
		{
			crowd{name: "BUYER", people: config.Erasures, jurisdiction: "TR", stream: "purchases", kind: "purchase", events: averageEvents},
			"the same, of people whose purchases and name a law orders to keep", 0,
		},
	} {
		row, err := measureMany(ctx, config, conn, eraser, &c.crowd)
		if err != nil {
			return nil, err
		}
		if row.What = c.what; c.limit > 0 {
			row = row.atLeast(c.limit)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// measureShred erases people with few and with many records in turn.
func measureShred(ctx context.Context, config DSARConfig, conn *pgx.Conn) ([]Row, error) {
	var took time.Duration
	eraser, err := config.Eraser(func(d time.Duration) { took = d })
	if err != nil {
		return nil, err
	}
	crowds := []*crowd{
		{name: "FEW", people: config.EraseRounds, jurisdiction: "TR", stream: "views", kind: "view", events: fewEvents},
		{name: "MANY", people: config.EraseRounds, jurisdiction: "TR", stream: "views", kind: "view", events: config.ManyEvents},
	}
	requests := make([][]dsar.RequestID, len(crowds))
	for i, c := range crowds {
		config.Progress("bringing people in", i, len(crowds))
		if requests[i], err = approve(ctx, config, conn, eraser, c); err != nil {
			return nil, err
		}
	}
	times := make([][]time.Duration, len(crowds))
	for round := range config.EraseRounds {
		config.Progress("erasing few and many records in turn", round, config.EraseRounds)
		for k := range crowds {
			i := (round + k) % len(crowds) // neither is always the first
			took = 0
			if _, err := eraser.Erase(ctx, officer, requests[i][round]); err != nil {
				return nil, err
			}
			if took == 0 {
				return nil, errors.New("an erasure had no transaction")
			}
			times[i] = append(times[i], took)
		}
	}
	rows := make([]Row, len(crowds), len(crowds)+1)
	for i, c := range crowds {
		slices.Sort(times[i])
		rows[i] = Row{
			What: fmt.Sprintf("the cryptographic step for a person with %d records", c.events), Figure: times[i][len(times[i])/2].Seconds() * 1000, Unit: "ms",
			Note: fmt.Sprintf("from the lock to the durable commit, ledger included; median of %d in turn, the slowest %s", len(times[i]), milliseconds(times[i][len(times[i])-1])),
		}
	}
	ratio := Row{What: "ratio of the two", Figure: rows[1].Figure / rows[0].Figure, Unit: "×", Limit: "0.8 to 1.2"}
	ratio.Met = ratio.Figure >= 0.8 && ratio.Figure <= 1.2
	return append(rows, ratio), sweep(ctx, eraser)
}

// measureMany erases a crowd at once.
func measureMany(ctx context.Context, config DSARConfig, conn *pgx.Conn, eraser Eraser, c *crowd) (Row, error) {
	config.Progress("planning and approving erasures", 0, 1)
	requests, err := approve(ctx, config, conn, eraser, c)
	if err != nil {
		return Row{}, err
	}
	config.Progress("erasing", 0, 1)
	var failed error
	var withheld int
	began := time.Now()
	eraser.EraseMany(ctx, officer, requests, 0, func(o dsar.Outcome) {
		failed = errors.Join(failed, o.Err)
		withheld += len(o.Record.Withheld)
	})
	took := time.Since(began)
	if failed != nil {
		return Row{}, failed
	}
	return Row{
		Figure: float64(len(requests)) / took.Seconds(), Unit: "people/s",
		Note: fmt.Sprintf("%d people, each with 3 identifiers, %d records, %d events, 2 consents; %.1f parts kept of each; each with its ledger line and log entry on disk",
			len(requests), len(personRecords), c.events, float64(withheld)/float64(len(requests))),
	}, sweep(ctx, eraser)
}

// sweep takes what is left away, so that it is not in what is measured next.
func sweep(ctx context.Context, eraser Eraser) error {
	_, err := eraser.Sweep(ctx, dsar.ErasureID{}, nil)
	return err
}

var (
	officer = privacy.Principal{ID: "bench", Role: privacy.RoleDPO}
	another = privacy.Principal{ID: "bench-2", Role: privacy.RoleDPO}
)

const tidyUp = `
vacuum analyze vault.data_subject, vault.identifier, vault.sealed_record, vault.event_chunk, vault.event_fingerprint,
	keyring.person_key, keyring.request_key, consent.record, gate.exposure, gate.case_file, gate.profile,
	dsar.request, dsar.request_step, dsar.request_pause, dsar.plan, dsar.approval, dsar.erasure, dsar.suppression, dsar.ledger`

// approve brings a crowd in and takes everybody's request to where nothing is left but to
// erase.
func approve(ctx context.Context, config DSARConfig, conn *pgx.Conn, eraser Eraser, c *crowd) ([]dsar.RequestID, error) {
	if err := c.bring(ctx, conn, config.Vault); err != nil {
		return nil, err
	}
	const sideBySide = 8
	requests := make([]dsar.RequestID, c.people)
	failures := make([]error, sideBySide)
	var group sync.WaitGroup
	for worker := range sideBySide {
		group.Go(func() {
			for n := worker; n < len(requests) && failures[worker] == nil; n += sideBySide {
				requests[n], failures[worker] = approveOne(ctx, config, eraser, c.identifiers(n)[0], c.jurisdiction)
			}
		})
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	// As a database that has been there for a while: what was written is tidied up.
	if _, err := conn.Exec(ctx, tidyUp); err != nil {
		return nil, fmt.Errorf("tidying up: %w", err)
	}
	return requests, nil
}

func approveOne(ctx context.Context, config DSARConfig, eraser Eraser, identifier privacy.Identifier, jurisdiction privacy.Jurisdiction) (dsar.RequestID, error) {
	opened, err := config.Desk.Open(ctx, officer, dsar.Opening{
		Kind: dsar.Erasure, Jurisdiction: jurisdiction, Language: "en", Identifiers: []privacy.Identifier{identifier}, Via: dsar.ViaCLI,
	})
	if err != nil {
		return dsar.RequestID{}, err
	}
	id := opened.Request.ID
	if _, _, err := config.Desk.Verify(ctx, officer, id, dsar.ProofJudgement, privacy.NewPlain("")); err != nil {
		return dsar.RequestID{}, err
	}
	planned, err := eraser.Plan(ctx, officer, id)
	if err != nil {
		return dsar.RequestID{}, err
	}
	for _, by := range []privacy.Principal{officer, another}[:eraser.Approvers()] {
		if _, err := eraser.Approve(ctx, by, id, planned.Hash); err != nil {
			return dsar.RequestID{}, err
		}
	}
	return id, nil
}
