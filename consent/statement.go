package consent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Standing is the state for one purpose and channel.
type Standing struct {
	Purpose privacy.Purpose
	Channel privacy.Channel
	Current Current
}

// Statement is all that the ledger says about one person.
type Statement struct {
	// At is the moment of which the standings are.
	At time.Time
	// Records is the history, oldest first.
	Records []Record
	// Standings has one line for each purpose and channel that the history names,
	// sorted. The line of [privacy.AnyChannel] is what holds for channels not listed.
	Standings []Standing
}

// NewStatement folds the records of one person, of any purposes, at the moment at, like
// [Fold].
func NewStatement(records []Record, at time.Time) Statement {
	return NewStatementFor(records, at, nil)
}

// NewStatementFor folds the records of one person, of any purposes, at the moment at, like
// [FoldFor].
func NewStatementFor(records []Record, at time.Time, childhood Childhood) Statement {
	type line struct {
		purpose privacy.Purpose
		channel privacy.Channel
	}
	seen := map[line]bool{}
	statement := Statement{At: at, Records: records}
	for _, r := range records {
		key := line{r.Purpose, r.Channel}
		if seen[key] {
			continue
		}
		seen[key] = true
		statement.Standings = append(statement.Standings, Standing{
			Purpose: r.Purpose, Channel: r.Channel,
			Current: FoldFor(ForPurpose(records, r.Purpose), r.Channel, at, childhood),
		})
	}
	slices.SortFunc(statement.Standings, func(a, b Standing) int {
		return cmp.Or(cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Channel, b.Channel))
	})
	return statement
}

// Moment is what a statement is to be about. The zero value is now.
type Moment struct {
	// At is the moment whose state is asked for.
	At time.Time
	// Known leaves out what the ledger learned of after that moment; zero: nothing.
	Known time.Time
}

// ShowAt returns what had happened up to a moment, and what it amounted to then: by all
// that is known today, or by what was known at a moment.
func (s *Service) ShowAt(ctx context.Context, id privacy.DataSubjectID, moment Moment) (Statement, error) {
	records, err := s.store.List(ctx, id)
	if err != nil {
		return Statement{}, fmt.Errorf("listing consent: %w", err)
	}
	var childhood Childhood
	if s.config.Childhood != nil && len(records) > 0 {
		if childhood, err = s.config.Childhood(ctx, id); err != nil {
			return Statement{}, fmt.Errorf("finding the age of a person: %w", err)
		}
	}
	at := moment.At
	if at.IsZero() {
		// What has been recorded binds, although the clock that dated it may be ahead.
		at = s.config.Now()
		for i := range records {
			if recorded := records[i].RecordedAt; recorded.After(at) {
				at = recorded
			}
		}
	}
	if !moment.Known.IsZero() {
		records = KnownAt(records, moment.Known)
	}
	if !moment.At.IsZero() {
		records = slices.DeleteFunc(records, func(r Record) bool { return r.EffectiveAt.After(at) })
	}
	return NewStatementFor(records, at, childhood), nil
}

// Show returns the history and what it amounts to now.
func (s *Service) Show(ctx context.Context, id privacy.DataSubjectID) (Statement, error) {
	return s.ShowAt(ctx, id, Moment{})
}
