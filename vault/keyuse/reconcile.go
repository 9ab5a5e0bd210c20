package keyuse

import (
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/vault"
)

// Tally counts the entries of the log that matter. Give it each entry once.
type Tally struct {
	// From and To are the span of time. Entries up to a margin outside of it count too: a
	// gap that is named is one, and no accident of the clock.
	From, To time.Time
	// Begins is when the first entry was written that is still there, if older ones were
	// archived: reports that began before it are not compared. Zero: none were.
	Begins time.Time

	counts map[audit.Kind]uint64
	covers map[audit.Digest]bool
	first  time.Time // of the log, which may have been pruned
}

// margin is how far an entry may be from the use that it stands for: the key is opened
// before the entry is written, and a report ends after the use that it counts.
const margin = 10 * time.Second

// Add counts an entry.
func (t *Tally) Add(entry *audit.Entry) {
	if t.counts == nil {
		t.counts, t.covers = map[audit.Kind]uint64{}, map[audit.Digest]bool{}
	}
	if t.first.IsZero() {
		t.first = entry.Time
	}
	if entry.Kind == audit.KeysCounted {
		t.covers[entry.List] = true
	}
	if !entry.Time.Before(t.From.Add(-margin)) && entry.Time.Before(t.To.Add(margin)) {
		t.counts[entry.Kind]++
	}
}

// Line is one use compared with its entries.
type Line struct {
	Rule
	Opened, Abandoned uint64
	// Entries are those that may stand for the uses.
	Entries uint64
	// Missing is how many uses no entry stands for.
	Missing uint64
}

// Faults of the reports themselves.
const (
	// NotCovered: no entry of the log stands for a report yet.
	NotCovered = "report that no entry of the log covers"
	// ReportAltered: the reports that an entry covers are not what it has the digest of.
	ReportAltered = "reports that are not what the log has the digest of"
	// ReportGone: an entry covers reports that are not there.
	ReportGone = "reports that the log covers are not there"
)

// Result is what [Reconcile] found.
type Result struct {
	Lines []Line
	// Opened is how many keys were opened together.
	Opened uint64
	// Faults count what is wrong with the reports, by kind.
	Faults map[string]uint64
}

// Missing is how many uses left no entry.
func (r *Result) Missing() (n uint64) {
	for _, line := range r.Lines {
		n += line.Missing
	}
	return n
}

// Whole reports whether every use is accounted for, and every report is in the log.
func (r *Result) Whole() bool { return r.Missing() == 0 && len(r.Faults) == 0 }

// Reconcile compares all reports with what was tallied of the whole log. The span of the
// tally is best that of [Span]: uses of a report that reaches out of it would be compared
// with too few entries.
func Reconcile(reports []Covered, tally *Tally) Result {
	result := Result{Faults: map[string]uint64{}}
	uses := map[vault.Use]vault.UseCount{}
	groups := map[audit.Digest][]Report{}
	for _, r := range reports {
		groups[r.Digest] = append(groups[r.Digest], r.Report)
		if !r.overlaps(tally.From, tally.To) || r.Since.Before(tally.Begins) {
			continue
		}
		for _, use := range r.Uses {
			sum := uses[use.Use]
			sum.Opened, sum.Abandoned = sum.Opened+use.Opened, sum.Abandoned+use.Abandoned
			uses[use.Use] = sum
			result.Opened += use.Opened
		}
	}
	for digest, group := range groups {
		_, last := spanOf(group)
		switch {
		case last.Before(tally.first): // the entry was archived, with all of that time
		case digest == audit.Digest{}, !tally.covers[digest]:
			result.Faults[NotCovered] += uint64(len(group))
		case Digest(group) != digest:
			result.Faults[ReportAltered]++
		}
	}
	for digest := range tally.covers {
		if _, there := groups[digest]; !there {
			result.Faults[ReportGone]++
		}
	}
	for _, rule := range Rules() {
		line := Line{Rule: rule, Opened: uses[rule.Use].Opened, Abandoned: uses[rule.Use].Abandoned}
		for _, kind := range rule.Kinds {
			line.Entries += tally.counts[kind]
		}
		owed := line.Opened - min(line.Abandoned, line.Opened)
		switch {
		case rule.Relation == Each && owed > line.Entries:
			line.Missing = owed - line.Entries
		case rule.Relation == Many && owed > 0 && line.Entries == 0:
			line.Missing = owed
		}
		result.Lines = append(result.Lines, line)
	}
	return result
}

// overlaps reports whether the report is about any moment between from and to.
func (r *Report) overlaps(from, to time.Time) bool {
	return !r.Until.Before(from) && r.Since.Before(to)
}

// Span widens a span of time to whole reports. Of a log that begins at some time, because
// older entries were archived, it begins with the first report after that; zero: with any.
func Span(reports []Covered, begins, from, to time.Time) (time.Time, time.Time) {
	if from.Before(begins) {
		from = begins
	}
	within := []Report{{Since: from, Until: to}}
	for i := range reports {
		if reports[i].overlaps(from, to) && !reports[i].Since.Before(begins) {
			within = append(within, reports[i].Report)
		}
	}
	return spanOf(within)
}

func spanOf(reports []Report) (from, to time.Time) {
	for i := range reports {
		if r := &reports[i]; i == 0 || r.Since.Before(from) {
			from = r.Since
		}
		if r := &reports[i]; r.Until.After(to) {
			to = r.Until
		}
	}
	return from, to
}

// Outside compares how many keys a service outside the house says that it opened with the
// reports. It returns in words what that means, or nothing if they agree.
func (r *Result) Outside(counted uint64) string {
	switch {
	case counted > r.Opened:
		return fmt.Sprintf("%d uses that no process of this house has reported: somebody else used the key, or a process ended before it could report", counted-r.Opened)
	case counted < r.Opened:
		return fmt.Sprintf("%d uses that the key service does not know: it counts other keys, or another time", r.Opened-counted)
	}
	return ""
}

// FaultNames are the kinds of faults that were found, sorted.
func (r *Result) FaultNames() []string {
	names := make([]string, 0, len(r.Faults))
	for name := range r.Faults {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
