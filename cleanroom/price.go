package cleanroom

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/privacy"
)

// Price is what a question would cost and how exact its answer would be. No data is read for
// it.
type Price struct {
	Question audit.Digest
	Query    []byte // canonical JSON
	Cost     Rho
	// MinimumPeople is how many people a group must have, Threshold how many the noisy answer
	// must show.
	MinimumPeople int
	Threshold     int64
	Metrics       []MetricPrice
	// Left is what is left before the question is asked.
	Left []Left
	// Questions is how many such questions can still be asked; -1 if they cost nothing.
	Questions int64
	Receipt   audit.Receipt
}

// MetricPrice is how exact a number would be.
type MetricPrice struct {
	Name string
	// NoiseSD is the standard deviation of its noise, HalfWidth how far its interval reaches
	// to either side. That of an average depends on how many people a group has: it is for
	// AverageOf of them, in the middle of what a person can add.
	NoiseSD, HalfWidth int64
	AverageOf          int64
}

// averageOf is for how many people the interval of an average is told in advance.
const averageOf = 1000

// Price tells what a question would cost. It is refused where the question would be.
func (s *Service) Price(ctx context.Context, principal privacy.Principal, room RoomID, document []byte) (*Price, error) {
	j, err := s.Judge(ctx, principal, room, document, Asking())
	if err != nil {
		return nil, err
	}
	q := j.Question
	left, err := s.ledger.Left(ctx, principal.Recipient, q.Datasets())
	if err != nil {
		return nil, fmt.Errorf("reading what is left: %w", err)
	}
	p := &Price{
		Question: j.digest, Query: q.Canonical(), Cost: q.Cost(), MinimumPeople: q.Rule.MinimumPeople, Threshold: q.Threshold(),
		Left: left, Questions: Questions(left, q.Cost()),
	}
	if q.room.Mode != ThresholdOnly {
		for i := range q.metrics {
			p.Metrics = append(p.Metrics, q.price(&q.metrics[i]))
		}
	}
	if p.Receipt, err = s.log.Append(ctx, j.Event(audit.RoomPriced, audit.Done)); err != nil {
		return nil, fmt.Errorf("logging a price: %w", err)
	}
	if p.Receipt.IsZero() {
		return nil, errors.New("the log took a price without evidence")
	}
	return p, nil
}

func (q *Question) price(m *metric) MetricPrice {
	people := float64(q.query.Privacy.NoisePeople)
	price := MetricPrice{Name: m.name}
	sigma := people
	if m.measure >= 0 {
		sigma = q.sigma(m.measure)
	}
	if m.function == Average {
		column := q.measures[m.measure].column
		middle := noise.Noisy{Value: (column.Lo + column.Hi) / 2 * averageOf, Sigma: sigma}
		_, low, high := noise.Average(middle, noise.Noisy{Value: averageOf, Sigma: people}, column.Lo, column.Hi)
		price.HalfWidth, price.AverageOf = (high-low+1)/2, averageOf
		return price
	}
	low, high := noise.Interval(0, sigma)
	price.NoiseSD, price.HalfWidth = int64(math.Ceil(sigma)), (high-low)/2
	return price
}

// Questions returns how many questions at a cost fit into what is left of all of the datasets;
// -1 if they cost nothing.
func Questions(left []Left, cost Rho) int64 {
	if cost <= 0 {
		return -1
	}
	n := int64(math.MaxInt64)
	for _, l := range left {
		n = min(n, int64(l.Rho()/cost))
	}
	return n
}

// Budget is what is left to a party in a room.
type Budget struct {
	Room RoomID
	Left []Left // of each dataset that the room lets in
	// Example is what a count of people costs with noise of 20 people, Questions how many of
	// them can still be asked of each dataset.
	Example   Rho
	Questions []int64
}

// budgetExample is the noise for which a budget says how far it reaches, in people.
const budgetExample = 20

// Budget tells a member of a room what is left to it. No data is read for it.
func (s *Service) Budget(ctx context.Context, principal privacy.Principal, room RoomID) (*Budget, error) {
	j, err := s.enter(ctx, principal, room, "")
	if err != nil {
		return nil, err
	}
	contracts, err := s.rooms.ContractsOf(ctx, room)
	if err != nil {
		return nil, fmt.Errorf("reading contracts: %w", err)
	}
	refs := make([]DatasetRef, len(contracts))
	for i, c := range contracts {
		refs[i] = c.Ref()
	}
	b := &Budget{Room: room, Example: Rho(noise.Cost(1, 1, budgetExample))}
	if b.Left, err = s.ledger.Left(ctx, j.Principal.Recipient, refs); err != nil {
		return nil, fmt.Errorf("reading what is left: %w", err)
	}
	for i := range b.Left {
		b.Questions = append(b.Questions, Questions(b.Left[i:i+1], b.Example))
	}
	return b, nil
}
