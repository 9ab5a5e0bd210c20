package gate

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Event fields that derivations read. docs/gate.md names them for intake.
const (
	fieldGroup  privacy.AttributeName = "product_group"
	fieldAmount privacy.AttributeName = "amount"
)

// event is what derivations see of something that happened. Its values are in clear,
// because most of some hundred events are looked at and forgotten; it has no way out of
// this package but the values that a derivation makes of it.
type event struct {
	kind          string
	at            time.Time
	group, amount string
	// entry is what the catalogue says of the group, once the event was found harmless.
	entry *groupEntry
}

// derivation computes an attribute from a stream of events.
type derivation struct {
	// kind is the type of the events that count.
	kind string
	// window is how far back events count where the catalogue gives no greatest age.
	window time.Duration
	// pool returns the values, the newest first, from events of the window, newest
	// first. Events that reveal something by themselves are not among them.
	pool func(s *sheet, events []event) []item
}

const quarter = 90 * 24 * time.Hour

// derivations by the names under which the catalogue refers to them.
var derivations = map[string]*derivation{
	"purchases.product_groups": {"purchase", quarter, recentGroups},
	"purchases.last_product":   {"purchase", quarter, recentGroups},
	"purchases.frequency":      {"purchase", quarter, frequency},
	"purchases.last_at":        {"purchase", 4 * quarter, lastDay},
	"spend.total":              {"purchase", quarter, spendTotal},
	"spend.band":               {"purchase", quarter, spendBand},
	"views.product_groups":     {"view", quarter, recentGroups},
	"views.last_product":       {"view", quarter, recentGroups},
	"views.cart":               {"cart", 7 * 24 * time.Hour, recentGroups},
}

// derived computes the pool of a derived attribute.
func (l *ladder) derived(a *attribute) ([]item, error) {
	events, err := l.harmlessEvents(a.Category, a.derive.kind)
	if err != nil {
		return nil, err
	}
	window := a.derive.window
	if a.MaxAge.Duration > 0 {
		window = a.MaxAge.Duration
	}
	since := l.at.Add(-window)
	end := sort.Search(len(events), func(i int) bool { return events[i].at.Before(since) })
	return a.derive.pool(l.sheet, events[:end]), nil
}

// derivedFrom is a stream as far as derivations may see it.
type derivedFrom struct {
	stream privacy.DataCategory
	kind   string
	events []event
}

// harmlessEvents returns the events of one type up to now, newest first, without those
// that reveal a protected inference by themselves and those of groups that the catalogue
// does not know. Whatever is computed is computed from these: a person with a sensitive
// purchase and one without it have the same list, the same last purchase and the same
// spending.
func (l *ladder) harmlessEvents(stream privacy.DataCategory, kind string) ([]event, error) {
	for i := range l.derivedFrom {
		if d := &l.derivedFrom[i]; d.stream == stream && d.kind == kind {
			return d.events, nil
		}
	}
	events, err := l.opener.events(stream)
	if err != nil {
		return nil, err
	}
	kept := make([]event, 0, len(events))
	for i := range events {
		e := &events[i]
		if e.kind != kind || e.at.After(l.at) {
			continue
		}
		if entry := l.sheet.groups[policies.GroupID(e.group)]; entry != nil && !reveals(entry.points, l.limits) {
			kept = append(kept, *e)
			kept[len(kept)-1].entry = entry
		}
	}
	if !slices.IsSortedFunc(kept, newestFirst) {
		slices.SortStableFunc(kept, newestFirst)
	}
	l.derivedFrom = append(l.derivedFrom, derivedFrom{stream, kind, kept})
	return kept, nil
}

func newestFirst(a, b event) int { return b.at.Compare(a.at) }

// recentGroups returns the distinct product groups.
func recentGroups(_ *sheet, events []event) []item {
	pool := make([]item, 0, min(len(events), 16))
	for i := range events {
		entry := events[i].entry
		if !slices.ContainsFunc(pool, func(it item) bool { return it.key == entry.key }) {
			pool = append(pool, item{value: entry.value, key: entry.key, points: entry.points})
		}
	}
	return pool
}

// frequency returns how many days a month, over three months, saw an event.
func frequency(_ *sheet, events []event) []item {
	days, last := 0, ""
	for i := range events {
		if day := events[i].at.UTC().Format(time.DateOnly); day != last {
			days, last = days+1, day
		}
	}
	return number(days > 0, int64(days+1)/3)
}

// lastDay returns the day of the newest event.
func lastDay(_ *sheet, events []event) []item {
	if len(events) == 0 {
		return nil
	}
	return []item{{value: privacy.NewPlain(events[0].at.UTC().Format(time.DateOnly))}}
}

// spendTotal returns what was spent, in whole units of the currency. A person without
// purchases has no value, and an amount that cannot be read makes the sum unknown.
func spendTotal(_ *sheet, events []event) []item {
	cents, ok := sum(events)
	return number(ok, cents/100)
}

// spendEdges are the bands of spend.band.
var spendEdges = []int{0, 20, 50, 100, 200, 500}

// spendBand returns the band into which the total falls.
func spendBand(_ *sheet, events []event) []item {
	cents, ok := sum(events)
	text, inBand := band(int(cents/100), spendEdges)
	if !ok || !inBand {
		return nil
	}
	return []item{{value: privacy.NewPlain(text)}}
}

func sum(events []event) (cents int64, ok bool) {
	for i := range events {
		c, ok := parseCents(events[i].amount)
		if !ok {
			return 0, false
		}
		cents += c
	}
	return cents, len(events) > 0
}

func number(ok bool, n int64) []item {
	if !ok {
		return nil
	}
	return []item{{value: privacy.NewPlain(strconv.FormatInt(n, 10))}}
}

// parseCents reads an amount such as "12", "12.5" or "12.50"; further digits are cut.
func parseCents(s string) (int64, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if len(whole) == 0 || len(whole) > 12 || len(fraction) > 12 {
		return 0, false
	}
	for _, r := range whole + fraction {
		if r < '0' || r > '9' {
			return 0, false
		}
	}
	cents, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
	return cents, err == nil
}
