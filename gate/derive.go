package gate

import (
	"slices"
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

// event is what derivations see of something that happened.
type event struct {
	kind          string
	at            time.Time
	group, amount privacy.Plain
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
func (s *sheet) derived(a *attribute, events []event, limits []int, at time.Time) []item {
	window := a.derive.window
	if a.MaxAge.Duration > 0 {
		window = a.MaxAge.Duration
	}
	return a.derive.pool(s, s.harmless(events, a.derive.kind, limits, at.Add(-window), at))
}

// harmless returns the events of one type between two moments, newest first, without
// those that reveal a protected inference by themselves and those of groups that the
// catalogue does not know. Whatever is computed is computed from these: a person with a
// sensitive purchase and one without it have the same list, the same last purchase and
// the same spending.
func (s *sheet) harmless(events []event, kind string, limits []int, since, until time.Time) []event {
	kept := make([]event, 0, len(events))
	for i := range events {
		e := &events[i]
		if e.kind != kind || e.at.Before(since) || e.at.After(until) {
			continue
		}
		if group := s.groups[policies.GroupID(e.group.RevealPersonalData())]; group != nil && !reveals(group.points, limits) {
			kept = append(kept, *e)
		}
	}
	if !slices.IsSortedFunc(kept, newestFirst) {
		slices.SortStableFunc(kept, newestFirst)
	}
	return kept
}

func newestFirst(a, b event) int { return b.at.Compare(a.at) }

// recentGroups returns the distinct product groups.
func recentGroups(s *sheet, events []event) []item {
	var pool []item
	for i := range events {
		value := events[i].group
		if !slices.ContainsFunc(pool, func(it item) bool { return it.value == value }) {
			group := s.groups[policies.GroupID(value.RevealPersonalData())]
			pool = append(pool, item{value: value, key: group.key, points: group.points})
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
		c, ok := parseCents(events[i].amount.RevealPersonalData())
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
