package cleanroom

import (
	"context"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/policies"
)

// refusedPlace looks for what the policies refuse in a contract: a pointer to a column, or to a
// word of its domain, that is refused by itself for a reason for which all of it is. It is empty
// where no single one is. What is there, the owner knows; nothing else is told.
func refusedPlace(ctx context.Context, revision *policies.Revision, facts policies.RoomFacts, failed []string) (string, error) {
	refused := func(columns []policies.RoomColumn) (bool, error) {
		alone := facts
		alone.Columns = columns
		decision, err := revision.DecideRoom(ctx, alone)
		if err != nil || decision.Allow {
			return false, err
		}
		return slices.ContainsFunc(decision.Failed, func(check string) bool { return slices.Contains(failed, check) }), nil
	}
	if without, err := refused(nil); err != nil || without {
		return "", err // it is not for a column
	}
	for i, column := range facts.Columns {
		if bad, err := refused([]policies.RoomColumn{column}); err != nil {
			return "", err
		} else if !bad {
			continue
		}
		word, err := refusedWord(column, refused)
		if err != nil || word < 0 {
			return fmt.Sprintf("/columns/%d", i), err
		}
		return fmt.Sprintf("/columns/%d/domain/%d", i, word), nil
	}
	return "", nil
}

// refusedWord halves the words of a column until one is left that is refused, or returns -1 if
// it is not for a word.
func refusedWord(column policies.RoomColumn, refused func([]policies.RoomColumn) (bool, error)) (int, error) {
	with := func(from, to int) (bool, error) {
		some := column
		some.Values = column.Values[from:to]
		return refused([]policies.RoomColumn{some})
	}
	if none, err := with(0, 0); err != nil || none || len(column.Values) == 0 {
		return -1, err
	}
	from, to := 0, len(column.Values)
	for to-from > 1 {
		middle := (from + to) / 2
		bad, err := with(from, middle)
		if err != nil {
			return -1, err
		}
		if bad {
			to = middle
			continue
		}
		if bad, err = with(middle, to); err != nil || !bad {
			return -1, err // several of them together
		}
		from = middle
	}
	return from, nil
}
