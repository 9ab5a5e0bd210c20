package retention

import (
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Choice is one thing that a person said about the use of their data.
type Choice struct {
	Purpose privacy.Purpose
	Channel privacy.Channel
	// Granted is whether they agreed; otherwise they refused, withdrew or objected.
	Granted bool
	At      time.Time
}

// refusals are the purposes that a person has said no to on every channel that they spoke
// of, and nothing since. choices come in the order in which they were made. An objection to
// marketing as a whole refuses every purpose that is marketing (GDPR Article 21(2)).
func refusals(catalogue *policies.Catalogue, choices []Choice) func(privacy.Purpose) bool {
	state := map[privacy.Purpose]map[privacy.Channel]bool{}
	for _, c := range choices {
		if state[c.Purpose] == nil || c.Channel == privacy.AnyChannel {
			state[c.Purpose] = map[privacy.Channel]bool{}
		}
		state[c.Purpose][c.Channel] = c.Granted
	}
	refused := func(purpose privacy.Purpose) bool {
		for _, granted := range state[purpose] {
			if granted {
				return false
			}
		}
		return len(state[purpose]) > 0
	}
	noMarketing := refused(policies.GeneralMarketing)
	return func(purpose privacy.Purpose) bool {
		if refused(purpose) {
			return true
		}
		p, known := catalogue.Purpose(purpose)
		return noMarketing && known && p.Marketing
	}
}

// lookAgain is the longest time until somebody is looked at again: what they say, and what
// the catalogue says, may change meanwhile.
const lookAgain = 30 * 24 * time.Hour

// judge says of one person's data what has had its period.
type judge struct {
	catalogue   *policies.Catalogue
	refused     func(privacy.Purpose) bool
	lastContact time.Time
	at          time.Time
	holds       []dsar.HoldScope
	// due is when the first of what is kept has had its period.
	due time.Time
}

func newJudge(catalogue *policies.Catalogue, at time.Time, lastContact time.Time, choices []Choice, holds []dsar.HoldScope) *judge {
	for _, c := range choices {
		if c.At.After(lastContact) && !c.At.After(at) {
			lastContact = c.At
		}
	}
	return &judge{
		catalogue: catalogue, refused: refusals(catalogue, choices),
		lastContact: lastContact, at: at, holds: holds, due: at.Add(lookAgain),
	}
}

// verdict is what becomes of one value or event.
type verdict int

const (
	kept verdict = iota
	expired
	held // it has had its period, and a legal hold keeps it
)

// of judges something of a category that happened or was observed at a time. attribute is
// empty for an event.
func (j *judge) of(category privacy.DataCategory, attribute privacy.AttributeName, happened time.Time) verdict {
	period, ok := j.catalogue.RetentionPeriod(category)
	if !ok {
		return kept
	}
	from := happened
	if period.From == policies.FromLastContact {
		from = j.lastContact
	}
	ends := period.For(j.refused).After(from)
	if ends.After(j.at) {
		if ends.Before(j.due) {
			j.due = ends
		}
		return kept
	}
	for _, hold := range j.holds {
		if hold.Covers(category, attribute) {
			return held
		}
	}
	return expired
}

// sees notes that something was heard of the person. It must be called with every event
// before anything is judged.
func (j *judge) sees(at time.Time) {
	if at.After(j.lastContact) && !at.After(j.at) {
		j.lastContact = at
	}
}
