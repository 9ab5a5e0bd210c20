package gate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// asking is how often a recipient asks during the year, leakLaw the law that the intake
// map of these families names.
const (
	asking  = 14 * 24 * time.Hour
	leakLaw = "US-CA"
)

var journeyBegins, journeyEnds = time.Date(2017, 1, 15, 12, 0, 0, 0, time.UTC), time.Date(2018, 1, 2, 12, 0, 0, 0, time.UTC)

// TestLeak measures from outside what the answers of a year give away. Families that
// bought baby goods or a pregnancy test stand against as many with as much in their
// baskets. A classifier learns from what a recipient without any explicit consent was
// told, and is judged by families that it has not seen. It must be good without the gate
// and all but useless with it, and the gate must not reach that by telling nothing.
func TestLeak(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("asks a few hundred thousand questions: neither short nor under the race detector")
	}
	s := newSheet(mustRevision(t))
	wanted, controls := matched(readFamilies(t, s.catalogue))
	both, list := slices.Concat(wanted, controls), surfaces(s)
	limits := s.limits(leakLaw, mustPurpose(t, s, "recommendations"), nil)
	open, blocked := make([]*tally, len(both)), make([]*tally, len(both))
	told := make([]map[privacy.RecipientID]*tally, len(both))
	each(len(both), func(i int) {
		open[i] = both[i].toldWithoutGate(s, func(*groupEntry) bool { return false })
		blocked[i] = both[i].toldWithoutGate(s, func(g *groupEntry) bool { return reveals(g.points, limits) })
		told[i] = both[i].told(t, s, list)
	})
	if t.Failed() {
		return
	}
	lines := func(families []*family) (n int) {
		for _, f := range families {
			n += len(f.purchases)
		}
		return n
	}
	t.Logf("%d families with %d lines, %d others with %d", len(wanted), lines(wanted), len(controls), lines(controls))

	samplesOf := func(tallies []*tally) []sample {
		out := make([]sample, len(both))
		for i, f := range both {
			out[i] = tallies[i].sample(f.expecting)
		}
		return out
	}
	recipients := sortedRecipients(told[0])
	measured := make([][]sample, 2, 3+len(recipients))
	measured[0], measured[1] = samplesOf(open), samplesOf(blocked)
	for _, id := range recipients {
		tallies := make([]*tally, len(both))
		for i := range both {
			tallies[i] = told[i][id]
		}
		measured = append(measured, samplesOf(tallies))
	}
	measured = append(measured, shuffled(measured[2+slices.Index(recipients, "recommender")]))
	areas := make([]float64, len(measured))
	each(len(measured), func(i int) { areas[i] = crossValidated(measured[i]) })

	t.Logf("without a gate                        %.3f", areas[0])
	t.Logf("without what reveals by itself        %.3f", areas[1])
	worst := 0
	for i, id := range recipients {
		t.Logf("through the gate, %-19s %.3f", id, areas[2+i])
		if areas[2+i] > areas[2+worst] {
			worst = i
		}
	}
	t.Logf("nothing to learn (labels drawn)       %.3f", areas[len(areas)-1])
	logAttributes(t, recipients[worst], measured[2+worst])
	if areas[0] < 0.85 {
		t.Errorf("without a gate the area under the curve is %.3f, want at least 0.85: the classifier proves little", areas[0])
	}
	for i, id := range recipients {
		if areas[2+i] > 0.60 {
			t.Errorf("what %s is told gives an area under the curve of %.3f, want at most 0.60", id, areas[2+i])
			logAttributes(t, id, measured[2+i])
		}
	}

	const groups = privacy.AttributeName("purchases.product_groups")
	var had, kept int
	for i := range both {
		had += open[i].values[groups]
		kept += told[i]["recommender"].values[groups]
	}
	t.Logf("the recommender is told %.1f of %.1f product groups an answer", float64(kept)/float64(open[0].answers*len(both)), float64(had)/float64(open[0].answers*len(both)))
	if kept*10 < had*6 {
		t.Errorf("the recommender is told %d of %d product groups: that is no answer any more", kept, had)
	}
}

// surface is a question that somebody without any explicit consent may ask.
type surface struct {
	recipient privacy.RecipientID
	purpose   *policies.Purpose
	channel   privacy.Channel
	wanted    []privacy.AttributeName
}

// surfaces lists every recipient with every purpose that it is contracted for, over the
// first channel that serves, asking for everything that the purpose admits and that there
// is of these families.
func surfaces(s *sheet) []surface {
	var list []surface
	for _, id := range s.catalogue.Recipients() {
		recipient, _ := s.catalogue.Recipient(id)
		for _, p := range recipient.Purposes {
			purpose, _ := s.catalogue.Purpose(p)
			if !slices.Contains(purpose.Actions, policies.Personalize) || len(purpose.Channels) == 0 {
				continue
			}
			one := surface{recipient: id, purpose: purpose, channel: purpose.Channels[0]}
			for _, name := range s.catalogue.Attributes() {
				_, admitted := purpose.Categories[s.attributes[name].Category]
				if admitted && isHeld(s.attributes[name]) {
					one.wanted = append(one.wanted, name)
				}
			}
			if len(one.wanted) > 0 {
				list = append(list, one)
			}
		}
	}
	return list
}

// told asks about a family all year long and returns what each recipient learned. Each
// has one ledger for all its purposes.
func (f *family) told(t *testing.T, s *sheet, list []surface) map[privacy.RecipientID]*tally {
	learned := map[privacy.RecipientID]*tally{}
	ledgers := map[privacy.RecipientID]ledger{}
	for at := journeyBegins; at.Before(journeyEnds); at = at.Add(asking) {
		records := f.records(s, at)
		for _, one := range list {
			d := f.decision(t, s, one, at)
			d.opener = &plainPerson{records: records, streams: map[privacy.DataCategory][]event{"purchases": f.purchases}}
			d.state.core = records[categoryCore]
			d.told = ledgers[one.recipient].since(d.horizon(s))
			v, err := d.decided(t.Context())
			if err != nil {
				t.Error(err)
				return nil
			}
			ledgers[one.recipient] = d.told.with(d.news(v.contributors), dayOf(at))
			if learned[one.recipient] == nil {
				learned[one.recipient] = newTally()
			}
			learned[one.recipient].answer(one.purpose.ID, &v.pending.answer, at)
		}
	}
	return learned
}

// decision is a question about a family who agreed to everything, and to nothing
// explicitly.
func (f *family) decision(t *testing.T, s *sheet, one surface, at time.Time) *decision {
	query := Query{DataSubject: Ref{Pseudonym: "p"}, Purpose: one.purpose.ID, Channel: one.channel, Attributes: one.wanted}
	if one.purpose.Trigger == policies.TriggerRequired {
		query.Trigger = &Trigger{OccurredAt: at.Add(-time.Minute)}
	}
	r, err := query.validate(s)
	if err != nil {
		t.Error(err)
	}
	return &decision{
		sheet: s, principal: privacy.Principal{ID: "s", Role: privacy.RoleService, Recipient: one.recipient}, request: r,
		state: state{known: true, jurisdiction: leakLaw, at: at, consents: []consent.Record{{
			Purpose: one.purpose.ID, Channel: "*", Action: consent.Granted, Basis: privacy.Consent, EffectiveAt: journeyBegins.AddDate(-1, 0, 0),
		}}},
		tie:    func(key string) uint64 { return testTie(f.id + key) },
		shared: shareAll,
	}
}

// toldWithoutGate asks the same of a house that tells everything exactly, but for the
// purchases of hidden groups.
func (f *family) toldWithoutGate(s *sheet, hidden func(*groupEntry) bool) *tally {
	learned := newTally()
	var events []event
	for _, e := range f.purchases {
		if e.entry = s.groups[policies.GroupID(e.group)]; e.entry != nil && !hidden(e.entry) {
			events = append(events, e)
		}
	}
	for at := journeyBegins; at.Before(journeyEnds); at = at.Add(asking) {
		learned.answers++
		for _, name := range s.catalogue.Attributes() {
			a := s.attributes[name]
			if a.derive == nil || !isHeld(a) {
				continue
			}
			window := cmp.Or(a.MaxAge.Duration, a.derive.window)
			seen := slices.DeleteFunc(slices.Clone(events), func(e event) bool { return e.at.After(at) || at.Sub(e.at) > window })
			pool, limit := a.derive.pool(s, seen), 1
			if a.List {
				limit = a.Length
			}
			values := make([]string, 0, limit)
			for _, it := range pool[:min(limit, len(pool))] {
				values = append(values, it.value.RevealPersonalData())
			}
			learned.attribute(string(name)+"|exact", values, at)
			learned.values[name] += len(values)
		}
	}
	for name, value := range f.known {
		learned.attribute(string(name)+"|exact", []string{value}, journeyEnds)
	}
	return learned
}

// tally counts what stands in answers: each value, each length, each number, each reason.
type tally struct {
	features map[string]float64
	answers  int
	values   map[privacy.AttributeName]int
}

func newTally() *tally {
	return &tally{features: map[string]float64{}, values: map[privacy.AttributeName]int{}}
}

func (c *tally) answer(purpose privacy.Purpose, a *Answer, at time.Time) {
	c.answers++
	c.features[fmt.Sprintf("decision|%s|%s", purpose, a.Decision)]++
	for _, reason := range a.Reasons {
		c.features[fmt.Sprintf("reasons|%s|%s", purpose, reason.Check)]++
	}
	for _, o := range a.Obligations {
		c.features[fmt.Sprintf("obligations|%s|%s", purpose, o.ID)]++
	}
	for name, released := range a.Attributes {
		values := make([]string, len(released.Values))
		for i, v := range released.Values {
			values[i] = v.RevealPersonalData()
		}
		c.attribute(fmt.Sprintf("%s|%s, %s", name, purpose, released.Level), values, at)
		c.values[name] += len(values)
	}
}

// attribute counts the values that were told at a time. Numbers and days are summed up:
// who looks at each amount on its own learns nothing.
func (c *tally) attribute(name string, values []string, at time.Time) {
	c.features[name+"|length "+strconv.Itoa(len(values))]++
	for _, value := range values {
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			c.features[name+"|sum"] += n
		} else if day, err := time.Parse(time.DateOnly, value); err == nil {
			c.features[name+"|days ago"] += at.Sub(day).Hours() / 24
		} else {
			c.features[name+"|"+value]++
		}
	}
}

// sample takes logarithms: seven times is not seven times as telling as once.
func (c *tally) sample(positive bool) sample {
	features := make(map[string]float64, len(c.features))
	for name, n := range c.features {
		features[name] = math.Log1p(n)
	}
	return sample{features, positive}
}

func sortedRecipients(told map[privacy.RecipientID]*tally) []privacy.RecipientID {
	var list []privacy.RecipientID
	for id := range told {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// logAttributes says through which attributes something still leaks: how far a classifier
// comes that sees this attribute alone, and the value to which it pays most heed.
func logAttributes(t *testing.T, recipient privacy.RecipientID, samples []sample) {
	t.Helper()
	attributeOf := func(feature string) string { name, _, _ := strings.Cut(feature, "|"); return name }
	var names []string
	for _, s := range samples {
		for feature := range s.features {
			if name := attributeOf(feature); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	texts := make([]string, len(names))
	each(len(names), func(i int) {
		alone := only(samples, func(feature string) bool { return attributeOf(feature) == names[i] })
		feature, weight := strongest(alone)
		texts[i] = fmt.Sprintf("%.3f %-26s most by %+.2f %s", crossValidated(alone), names[i], weight, feature)
	})
	slices.Sort(texts)
	slices.Reverse(texts)
	t.Logf("what %s is told, by attribute:\n\t%s", recipient, strings.Join(texts, "\n\t"))
}

// each runs do for every index on two processors.
func each(n int, do func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range 2 {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
