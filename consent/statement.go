package consent

import (
	"cmp"
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// NewStatement folds the records of one person, of any purposes, at the moment at.
func NewStatement(records []Record, at time.Time) Statement {
	type line struct {
		purpose privacy.Purpose
		channel privacy.Channel
	}
	seen := map[line]bool{}
	statement := Statement{Records: records}
	for _, r := range records {
		key := line{r.Purpose, r.Channel}
		if seen[key] {
			continue
		}
		seen[key] = true
		statement.Standings = append(statement.Standings, Standing{
			Purpose: r.Purpose, Channel: r.Channel,
			Current: Fold(ForPurpose(records, r.Purpose), r.Channel, at),
		})
	}
	slices.SortFunc(statement.Standings, func(a, b Standing) int {
		return cmp.Or(cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Channel, b.Channel))
	})
	return statement
}
