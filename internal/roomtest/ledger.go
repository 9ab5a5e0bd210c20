package roomtest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// Caps are the budgets of a dataset: of everybody together, and of each consumer.
type Caps struct{ All, Consumer cleanroom.Rho }

// Ledger keeps budgets and answers in memory.
type Ledger struct {
	Log *Log

	mu     sync.Mutex
	caps   map[cleanroom.DatasetRef]Caps
	spent  map[cleanroom.DatasetRef]cleanroom.Rho
	shares map[share]cleanroom.Rho
	runs   map[cleanroom.RunID]cleanroom.Charge
	states map[audit.Digest]*question
}

// share is one consumer's part of a dataset's budget.
type share struct {
	dataset  cleanroom.DatasetRef
	consumer cleanroom.PartyID
}

// question is a question that is being computed, or was answered.
type question struct {
	run    cleanroom.RunID
	done   chan struct{} // closed when it is answered or has failed
	answer *cleanroom.Release
}

var _ cleanroom.Ledger = (*Ledger)(nil)

// NewLedger returns a ledger with the budgets of datasets.
func NewLedger(log *Log, caps map[cleanroom.DatasetRef]Caps) *Ledger {
	return &Ledger{
		Log: log, caps: caps, spent: map[cleanroom.DatasetRef]cleanroom.Rho{}, shares: map[share]cleanroom.Rho{},
		runs: map[cleanroom.RunID]cleanroom.Charge{}, states: map[audit.Digest]*question{},
	}
}

// Begin charges a question that was never answered, and waits for one that somebody else is
// computing.
func (l *Ledger) Begin(ctx context.Context, charge cleanroom.Charge, event audit.Event) (cleanroom.Run, error) {
	for {
		run, wait, err := l.begin(ctx, charge, event)
		if wait == nil {
			return run, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return cleanroom.Run{}, fmt.Errorf("waiting for another's answer: %w", errors.Join(privacy.ErrUnavailable, ctx.Err()))
		}
	}
}

func (l *Ledger) begin(ctx context.Context, charge cleanroom.Charge, event audit.Event) (cleanroom.Run, <-chan struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.states[charge.Question]; ok {
		if known.answer != nil {
			return cleanroom.Run{Answer: known.answer}, nil, nil
		}
		return cleanroom.Run{}, known.done, nil
	}
	left := l.left(charge.Consumer, charge.Datasets)
	for i := range left {
		if left[i].Rho() < charge.Cost {
			event.Kind, event.Outcome = audit.RoomDenied, audit.Denied
			if _, err := l.Log.Append(ctx, event); err != nil {
				return cleanroom.Run{}, nil, err
			}
			return cleanroom.Run{}, nil, &cleanroom.Exhausted{Left: left}
		}
	}
	receipt, err := l.Log.Append(ctx, event)
	if err != nil {
		return cleanroom.Run{}, nil, err
	}
	for _, dataset := range charge.Datasets {
		l.spent[dataset] += charge.Cost
		l.shares[share{dataset, charge.Consumer}] += charge.Cost
	}
	id := cleanroom.RunID(len(l.runs) + 1)
	l.runs[id] = charge
	l.states[charge.Question] = &question{run: id, done: make(chan struct{})}
	return cleanroom.Run{ID: id, Receipt: receipt}, nil, nil
}

// Finish keeps the answer.
func (l *Ledger) Finish(ctx context.Context, run cleanroom.RunID, release *cleanroom.Release, event audit.Event) (audit.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	state, err := l.open(run)
	if err != nil {
		return audit.Receipt{}, err
	}
	receipt, err := l.Log.Append(ctx, event)
	if err != nil {
		return audit.Receipt{}, err
	}
	state.answer = release
	close(state.done)
	return receipt, nil
}

// Repeat notes that an answer that was there is handed out again.
func (l *Ledger) Repeat(ctx context.Context, _ cleanroom.Charge, event audit.Event) (audit.Receipt, error) {
	return l.Log.Append(ctx, event)
}

// Fail closes a run without an answer. What it was charged stays charged.
func (l *Ledger) Fail(ctx context.Context, run cleanroom.RunID, event audit.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	state, err := l.open(run)
	if err != nil {
		return err
	}
	if _, err := l.Log.Append(ctx, event); err != nil {
		return err
	}
	delete(l.states, l.runs[run].Question)
	close(state.done)
	return nil
}

// open returns the question of a run that is neither answered nor failed.
func (l *Ledger) open(run cleanroom.RunID) (*question, error) {
	state, ok := l.states[l.runs[run].Question]
	if !ok || state.run != run || state.answer != nil {
		return nil, fmt.Errorf("run %d: %w", run, privacy.ErrConflict)
	}
	return state, nil
}

// Left returns what is left for a consumer.
func (l *Ledger) Left(_ context.Context, consumer cleanroom.PartyID, datasets []cleanroom.DatasetRef) ([]cleanroom.Left, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left(consumer, datasets), nil
}

func (l *Ledger) left(consumer cleanroom.PartyID, datasets []cleanroom.DatasetRef) []cleanroom.Left {
	left := make([]cleanroom.Left, len(datasets))
	for i, dataset := range datasets {
		left[i] = cleanroom.Left{
			Dataset: dataset, Cap: l.caps[dataset].All, Spent: l.spent[dataset],
			ConsumerCap: l.caps[dataset].Consumer, Consumed: l.shares[share{dataset, consumer}],
		}
	}
	return left
}
