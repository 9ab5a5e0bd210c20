package tally

import (
	"cmp"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// maxRows bounds each table. The keys come from the catalogue, which has fewer; a log that
// was made up may have any.
const maxRows = 10_000

// maxNotables bounds the list of single entries.
const maxNotables = 1000

// tally counts entries.
type tally struct {
	report    Report
	asked     rows[askedKey, Asked]
	reasons   rows[reasonKey, Refused]
	released  rows[releasedKey, Released]
	sizes     rows[sizesKey, Sizes]
	callers   rows[callerKey, Caller]
	done      rows[doneKey, Done]
	revisions rows[audit.Digest, Revision]
	series    series
}

type (
	askedKey struct {
		role      privacy.Role
		recipient privacy.RecipientID
		what      What
		purpose   privacy.Purpose
		channel   privacy.Channel
	}
	reasonKey struct {
		check   string
		what    What
		purpose privacy.Purpose
	}
	releasedKey struct {
		attribute privacy.AttributeName
		recipient privacy.RecipientID
		purpose   privacy.Purpose
	}
	sizesKey struct {
		kind audit.Kind
		size audit.Bucket
	}
	callerKey struct {
		tag       [16]byte
		role      privacy.Role
		recipient privacy.RecipientID
	}
	doneKey struct {
		kind audit.Kind
		role privacy.Role
	}
)

// rows are the rows of one table, and how much did not fit.
type rows[K comparable, R any] struct {
	byKey map[K]*R
	more  uint64
}

// of returns the row of a key, or nil if there are too many.
func (r *rows[K, R]) of(key K) *R {
	if row := r.byKey[key]; row != nil {
		return row
	}
	if len(r.byKey) == maxRows {
		r.more++
		return nil
	}
	if r.byKey == nil {
		r.byKey = map[K]*R{}
	}
	row := new(R)
	r.byKey[key] = row
	return row
}

// sorted returns the rows in an order of their own.
func (r *rows[K, R]) sorted(compare func(a, b R) int) []R {
	list := make([]R, 0, len(r.byKey))
	for row := range maps.Values(r.byKey) {
		list = append(list, *row)
	}
	slices.SortFunc(list, compare)
	return list
}

// add counts an entry that is in the period.
func (t *tally) add(index uint64, e *audit.Entry) {
	r := &t.report
	if r.Entries == 0 {
		r.First, r.Last = new(uint64), new(uint64)
		*r.First = index
	}
	*r.Last = index
	r.Entries++
	what, answered, isAsked := asked(e.Kind)
	refused := isAsked && !answered
	answered = isAsked && answered
	switch {
	case answered:
		r.Answered++
	case refused:
		r.Refused++
	}
	t.series.add(e.Time, answered, refused)
	if row := t.done.of(doneKey{e.Kind, e.Role}); row != nil {
		row.Kind, row.Role = e.Kind, e.Role
		row.Entries++
	}
	if e.Count != "" {
		if row := t.sizes.of(sizesKey{e.Kind, e.Count}); row != nil {
			row.Kind, row.Size = e.Kind, e.Count
			row.Entries++
		}
	}
	if isNotable(e.Kind) {
		if len(r.Notables) < maxNotables {
			r.Notables = append(r.Notables, Notable{index, e.Time, e.Kind, e.Role})
		} else {
			t.more("notable", 1)
		}
	}
	if e.Role != "" {
		t.caller(e, answered, refused)
	}
	if isAsked {
		t.question(e, what, answered)
	}
}

func (t *tally) caller(e *audit.Entry, answered, refused bool) {
	row := t.callers.of(callerKey{e.Actor, e.Role, e.Recipient})
	if row == nil {
		return
	}
	if row.Tag == "" {
		row.Tag, row.Role, row.Recipient, row.First, row.Last = hex.EncodeToString(e.Actor[:]), e.Role, e.Recipient, e.Time, e.Time
	}
	row.First, row.Last = earlier(row.First, e.Time), later(row.Last, e.Time)
	switch {
	case answered:
		row.Answered++
	case refused:
		row.Refused++
	default:
		row.Other++
	}
}

func (t *tally) question(e *audit.Entry, what What, answered bool) {
	if row := t.asked.of(askedKey{e.Role, e.Recipient, what, e.Purpose, e.Channel}); row != nil {
		row.Role, row.Recipient, row.What, row.Purpose, row.Channel = e.Role, e.Recipient, what, e.Purpose, e.Channel
		count(answered, &row.Answered, &row.Refused)
	}
	if e.Policy != (audit.Digest{}) {
		if row := t.revisions.of(e.Policy); row != nil {
			if row.Policy == "" {
				row.Policy, row.First, row.Last = digestText(e.Policy), e.Time, e.Time
			}
			row.First, row.Last = earlier(row.First, e.Time), later(row.Last, e.Time)
			count(answered, &row.Answered, &row.Refused)
		}
	}
	if answered {
		for _, attribute := range e.Attributes {
			if row := t.released.of(releasedKey{attribute, e.Recipient, e.Purpose}); row != nil {
				row.Attribute, row.Recipient, row.Purpose = attribute, e.Recipient, e.Purpose
				row.Times++
			}
		}
		return
	}
	checks := e.Checks
	if len(checks) == 0 {
		checks = []string{""} // refused, and the entry does not say by which check
	}
	for _, check := range checks {
		if row := t.reasons.of(reasonKey{check, what, e.Purpose}); row != nil {
			row.Check, row.What, row.Purpose = check, what, e.Purpose
			row.Refused++
		}
	}
}

func count(answered bool, yes, no *uint64) {
	if answered {
		*yes++
	} else {
		*no++
	}
}

func (t *tally) more(table string, n uint64) {
	if n == 0 {
		return
	}
	if t.report.More == nil {
		t.report.More = map[string]uint64{}
	}
	t.report.More[table] += n
}

// result returns the report with its rows in order.
func (t *tally) result() Report {
	r := &t.report
	r.Asked = t.asked.sorted(func(a, b Asked) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Recipient, b.Recipient), cmp.Compare(a.What, b.What),
			cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Channel, b.Channel))
	})
	r.Reasons = t.reasons.sorted(func(a, b Refused) int {
		return cmp.Or(cmp.Compare(b.Refused, a.Refused), strings.Compare(a.Check, b.Check), cmp.Compare(a.What, b.What), cmp.Compare(a.Purpose, b.Purpose))
	})
	r.Released = t.released.sorted(func(a, b Released) int {
		return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Recipient, b.Recipient), cmp.Compare(a.Purpose, b.Purpose))
	})
	r.Sizes = t.sizes.sorted(func(a, b Sizes) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), audit.CompareBuckets(a.Size, b.Size))
	})
	r.Callers = t.callers.sorted(func(a, b Caller) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Recipient, b.Recipient), strings.Compare(a.Tag, b.Tag))
	})
	r.Done = t.done.sorted(func(a, b Done) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Role, b.Role))
	})
	r.Revisions = t.revisions.sorted(func(a, b Revision) int {
		return cmp.Or(a.First.Compare(b.First), strings.Compare(a.Policy, b.Policy))
	})
	if r.Notables == nil {
		r.Notables = []Notable{}
	}
	r.Unit, r.Moments = t.series.unit, t.series.moments()
	t.more("asked", t.asked.more)
	t.more("reasons", t.reasons.more)
	t.more("released", t.released.more)
	t.more("sizes", t.sizes.more)
	t.more("callers", t.callers.more)
	t.more("done", t.done.more)
	t.more("revisions", t.revisions.more)
	t.more("moments", t.series.more)
	return *r
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
