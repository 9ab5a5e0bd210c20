package gate

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// shopper is a person of the property tests: what they bought and looked at.
type shopper struct{ purchases, views []event }

var testTime = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

func randomEvents(r *rand.Rand, kind string, groups []policies.GroupID, n int) []event {
	events := make([]event, n)
	for i := range events {
		events[i] = event{
			kind: kind, at: testTime.Add(-time.Duration(r.IntN(150*24*60)) * time.Minute),
			group:  string(groups[r.IntN(len(groups))]),
			amount: strconv.Itoa(r.IntN(40)) + ".50",
		}
	}
	return events
}

// groupsOf splits the catalogue's groups: those that reach a threshold alone under a
// law, those that point somewhere, and the others.
func groupsOf(s *sheet, law privacy.Jurisdiction) (revealing, pointing, other []policies.GroupID) {
	purpose, _ := s.catalogue.Purpose("recommendations")
	limits := s.limits(law, purpose, nil)
	for _, g := range s.catalogue.Groups() {
		switch points := s.groups[g.ID].points; {
		case reveals(points, limits):
			revealing = append(revealing, g.ID)
		case len(points) > 0:
			pointing = append(pointing, g.ID)
		default:
			other = append(other, g.ID)
		}
	}
	return revealing, pointing, other
}

// asks are the questions that can be asked about behaviour, at each level of the ladder.
var asks = []struct {
	recipient privacy.RecipientID
	purpose   privacy.Purpose
	channel   privacy.Channel
}{
	{"recommender", "recommendations", "web"},
	{"content_engine", "content", "web"},
	{"web_shop", "loyalty", "web"},
	{"mail_house", "postal_offers", "postal"},
	{"analyst", "analytics", "web"},
	{"web_shop", "store_coupons", "app"},
}

var behaviour = []privacy.AttributeName{
	"purchases.product_groups", "purchases.last_product", "purchases.frequency", "purchases.last_at",
	"spend.total", "spend.band", "views.product_groups", "views.last_product", "preferences.interests", "persona",
}

// answer asks about a shopper with the ledger of one recipient.
func (p shopper) answer(t *testing.T, s *sheet, n int, law privacy.Jurisdiction, told ledger, persona string) verdict {
	t.Helper()
	ask := asks[n]
	query := Query{
		DataSubject: Ref{Pseudonym: "p"}, Purpose: ask.purpose, Channel: ask.channel, Attributes: behaviour,
	}
	if ask.purpose == "store_coupons" {
		query.Trigger = &Trigger{OccurredAt: testTime.Add(-time.Minute)}
	}
	r, err := query.validate(s)
	if err != nil {
		t.Fatal(err)
	}
	field := func(value string) vault.Field {
		return vault.Field{Values: []privacy.Plain{privacy.NewPlain(value)}, Source: vault.Declared, Quality: vault.Verified, ObservedAt: testTime}
	}
	core := vault.Record{attributeBirth: field("1990-01-01"), attributeHouse: field("single")}
	d := decision{
		sheet: s, principal: privacy.Principal{ID: "s", Role: privacy.RoleService, Recipient: ask.recipient}, request: r,
		state: state{
			known: true, jurisdiction: law, core: core, at: testTime,
			consents: []consent.Record{{Purpose: ask.purpose, Channel: "*", Action: consent.Granted, Basis: privacy.Consent, Explicit: true, EffectiveAt: testTime.AddDate(0, -1, 0)}},
		},
		opener: &plainPerson{
			records: map[privacy.DataCategory]vault.Record{"core": core, "profile": {"persona": field(persona)}},
			streams: map[privacy.DataCategory][]event{"purchases": p.purchases, "views": p.views},
		},
		told: told, tie: testTie, shared: shareAll,
	}
	v, err := d.decided(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Two people who differ only in purchases that reveal something get answers between
// which nothing differs: not a value, not a length, not a level, a reason, an
// obligation, an entry in the log or in the ledger.
func TestSensitivePurchasesLeaveNoTrace(t *testing.T) {
	t.Parallel()
	s := newSheet(mustRevision(t))
	compared, released := 0, 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		law := s.catalogue.Jurisdictions()[r.IntN(len(s.catalogue.Jurisdictions()))]
		revealing, pointing, other := groupsOf(s, law)
		harmless := slices.Concat(other, pointing)
		without := shopper{randomEvents(r, "purchase", harmless, r.IntN(25)), randomEvents(r, "view", harmless, r.IntN(10))}
		with := shopper{
			slices.Concat(without.purchases, randomEvents(r, "purchase", revealing, 1+r.IntN(8))),
			slices.Concat(without.views, randomEvents(r, "view", revealing, r.IntN(4))),
		}
		r.Shuffle(len(with.purchases), func(i, j int) {
			with.purchases[i], with.purchases[j] = with.purchases[j], with.purchases[i]
		})
		n := r.IntN(len(asks))
		a, b := without.answer(t, s, n, law, nil, "fresh_cook"), with.answer(t, s, n, law, nil, "fresh_cook")
		if a.pending.answer.Decision != Allow {
			t.Fatalf("seed %d: %s in %s: denied, %v", seed, asks[n].purpose, law, a.event.Checks)
		}
		compared, released = compared+1, released+len(a.pending.answer.Attributes)
		if !reflect.DeepEqual(a.pending.answer, b.pending.answer) || !reflect.DeepEqual(a.contributors, b.contributors) || !reflect.DeepEqual(a.event, b.event) {
			t.Fatalf("seed %d: %s in %s:\nwithout %v\nwith    %v", seed, asks[n].purpose, law, shown(a), shown(b))
		}
	}
	if released < 2*compared {
		t.Errorf("only %d attributes in %d answers: the property proves little", released, compared)
	}
}

// A recipient that asks one thing after another for a year, of a person who keeps
// buying, never knows enough.
func TestPatientRecipientNeverLearnsEnough(t *testing.T) {
	t.Parallel()
	s := newSheet(mustRevision(t))
	suppressed := 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 2))
		law := s.catalogue.Jurisdictions()[r.IntN(len(s.catalogue.Jurisdictions()))]
		_, pointing, other := groupsOf(s, law)
		limits := s.limits(law, mustPurpose(t, s, "recommendations"), nil)
		var told ledger
		known := map[string]bool{}
		for range 40 {
			p := shopper{
				randomEvents(r, "purchase", slices.Concat(pointing, pointing, other), 1+r.IntN(12)),
				randomEvents(r, "view", slices.Concat(pointing, other), r.IntN(6)),
			}
			v := p.answer(t, s, 0, law, told, "fresh_cook")
			told = told.with(v.contributors, dayOf(testTime))
			for _, key := range v.contributors {
				known[key] = true
			}
			if v.suppressed {
				suppressed++
			}
		}
		sums := make([]int, len(limits))
		for key := range known {
			for _, p := range s.pointsOf(key) {
				sums[p.inference] += p.weight
			}
		}
		for i, sum := range sums {
			if sum >= limits[i] {
				t.Errorf("seed %d, %s: the recipient knows %d of %d about %s", seed, law, sum, limits[i], s.inferences[i].ID)
			}
		}
	}
	if suppressed < 100 {
		t.Errorf("only %d answers were held back: the property proves little", suppressed)
	}
}

// Lists have one of few lengths, whatever was taken out of them.
func TestListsHaveFixedShapes(t *testing.T) {
	t.Parallel()
	s := newSheet(mustRevision(t))
	_, pointing, other := groupsOf(s, "EU")
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		p := shopper{purchases: randomEvents(r, "purchase", slices.Concat(pointing, other), r.IntN(60))}
		for name, released := range p.answer(t, s, 0, "EU", nil, "fresh_cook").pending.answer.Attributes {
			if released.List && !slices.Contains(shapes[:], len(released.Values)) {
				t.Fatalf("seed %d: %s has %d values", seed, name, len(released.Values))
			}
		}
	}
}

// outline is everything about an answer but the values.
func outline(v verdict) string {
	text := fmt.Sprint(v.pending.answer.Decision, v.pending.answer.Reasons, v.pending.answer.Obligations, v.event.Checks, v.event.Attributes)
	for _, name := range behaviour {
		released := v.pending.answer.Attributes[name]
		text += fmt.Sprintf("\n\t%s %v %v %d", name, released.Level, released.List, len(released.Values))
	}
	return text
}

// Who has other things instead of what is taken away from an answer gets an answer of
// the same shape; and who has other things that are taken away gets the very same answer.
func TestReplacingWhatIsTakenAwayKeepsTheShape(t *testing.T) {
	t.Parallel()
	s := newSheet(mustRevision(t))
	banned := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 5))
		law := s.catalogue.Jurisdictions()[r.IntN(len(s.catalogue.Jurisdictions()))]
		revealing, pointing, other := groupsOf(s, law)
		r.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		own := other[:15] // more than an answer has room for
		events := func(kind string) []event {
			list := slices.Concat(randomEvents(r, kind, pointing, r.IntN(20)), randomEvents(r, kind, revealing, 1+r.IntN(6)))
			for _, group := range own {
				list = append(list, randomEvents(r, kind, []policies.GroupID{group}, 1+r.IntN(2))...)
			}
			for i := range list { // inside every window
				list[i].at = testTime.Add(-time.Duration(r.IntN(60*24*60)) * time.Minute)
			}
			slices.SortFunc(list, newestFirst)
			return list
		}
		p := shopper{events("purchase"), events("view")}
		n := r.IntN(len(asks)) * r.IntN(2) // every other time recommendations
		before := p.answer(t, s, n, law, nil, "fresh_cook")

		gone := slices.Clone(revealing)
		if before.suppressed && asks[n].purpose == "recommendations" {
			given := fmt.Sprint(before.pending.answer.Attributes["purchases.product_groups"].RevealPersonalData(), before.pending.answer.Attributes["views.product_groups"].RevealPersonalData())
			for _, group := range pointing {
				if !strings.Contains(given, string(group)) {
					gone = append(gone, group)
				}
			}
			banned++
		}
		replace := func(events []event, what, by []policies.GroupID) []event {
			events = slices.Clone(events)
			for i := range events {
				if slices.Contains(what, policies.GroupID(events[i].group)) {
					events[i].group = string(by[r.IntN(len(by))])
				}
			}
			return events
		}
		harmless := shopper{replace(p.purchases, gone, own), replace(p.views, gone, own)}
		if got, want := outline(harmless.answer(t, s, n, law, nil, "fresh_cook")), outline(before); got != want {
			t.Fatalf("seed %d: %s in %s: taken away %v\nreplaced %v", seed, asks[n].purpose, law, want, got)
		}
		sensitive := shopper{replace(p.purchases, revealing, revealing), replace(p.views, revealing, revealing)}
		if got := sensitive.answer(t, s, n, law, nil, "fresh_cook"); !reflect.DeepEqual(got, before) {
			t.Fatalf("seed %d: %s in %s:\none    %v\nanother %v", seed, asks[n].purpose, law, shown(before), shown(got))
		}
	}
	if banned < 50 {
		t.Errorf("composition took something away in %d answers: the property proves little", banned)
	}
}

func mustPurpose(t *testing.T, s *sheet, id privacy.Purpose) *policies.Purpose {
	t.Helper()
	purpose, ok := s.catalogue.Purpose(id)
	if !ok {
		t.Fatalf("no purpose %s", id)
	}
	return purpose
}

func shown(v verdict) string {
	text := ""
	for _, name := range behaviour {
		if released, ok := v.pending.answer.Attributes[name]; ok {
			text += fmt.Sprintf("\n\t%s %s %v", name, released.Level, released.RevealPersonalData())
		}
	}
	return text
}
