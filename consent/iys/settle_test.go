package iys_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/privacy"
)

// move is a movement about an address of somebody, at a day of November 2026.
type move struct {
	person, address byte
	status          iys.Status
	day             int
}

func found(moves []move) []iys.Found {
	list := make([]iys.Found, len(moves))
	for i, m := range moves {
		movement := &iys.Movement{Consent: iys.Consent{
			Type: iys.Message, Recipient: privacy.NewPlain(fmt.Sprintf("+90532111000%d", m.address)), RecipientType: iys.Individual,
			Status: m.status, Source: iys.Web, At: time.Date(2026, 11, m.day, 10, 0, 0, 0, iys.Place),
		}, TransactionID: "t1"}
		list[i] = iys.Found{Movement: movement, People: []iys.Owner{{
			Person: privacy.DataSubjectID{m.person}, Address: [16]byte{m.address}, Record: [16]byte{m.person, m.address, byte(m.day), m.status[0]},
		}}}
	}
	return list
}

func stateOf(records []consent.Record, person byte) consent.State {
	var mine []consent.Record
	for _, r := range records {
		if r.DataSubject == (privacy.DataSubjectID{person}) {
			mine = append(mine, r)
		}
	}
	return consent.Fold(mine, "sms", now).State
}

func TestSettleProtectsThePerson(t *testing.T) {
	t.Parallel()
	const yes, no = iys.Approved, iys.Refused
	for name, c := range map[string]struct {
		moves []move
		want  consent.State
		fates []iys.Fate
	}{
		"an approval":               {[]move{{1, 1, yes, 2}}, consent.StateGranted, []iys.Fate{iys.Recorded}},
		"a refusal":                 {[]move{{1, 1, no, 2}}, consent.StateObjected, []iys.Fate{iys.Recorded}},
		"taken back":                {[]move{{1, 1, yes, 2}, {1, 1, no, 3}}, consent.StateObjected, []iys.Fate{iys.Recorded, iys.Recorded}},
		"given again":               {[]move{{1, 1, no, 2}, {1, 1, yes, 3}}, consent.StateGranted, []iys.Fate{iys.Recorded, iys.Recorded}},
		"told late":                 {[]move{{1, 1, yes, 3}, {1, 1, no, 2}}, consent.StateGranted, []iys.Fate{iys.Recorded, iys.Recorded}},
		"another address approves":  {[]move{{1, 1, no, 2}, {1, 2, yes, 3}}, consent.StateObjected, []iys.Fate{iys.Recorded, iys.HeldBack}},
		"another approved, later":   {[]move{{1, 2, yes, 3}, {1, 1, no, 2}}, consent.StateObjected, []iys.Fate{iys.Recorded, iys.Recorded}},
		"both approve":              {[]move{{1, 1, no, 2}, {1, 2, yes, 3}, {1, 1, yes, 4}}, consent.StateGranted, []iys.Fate{iys.Recorded, iys.HeldBack, iys.Recorded}},
		"an old refusal":            {[]move{{1, 2, yes, 6}, {1, 1, yes, 5}, {1, 1, no, 2}}, consent.StateGranted, []iys.Fate{iys.Recorded, iys.Recorded, iys.Recorded}},
		"somebody else approves":    {[]move{{1, 1, no, 2}, {2, 1, yes, 3}}, consent.StateObjected, []iys.Fate{iys.Recorded, iys.Recorded}},
		"the same moment":           {[]move{{1, 1, yes, 2}, {1, 1, no, 2}}, consent.StateObjected, []iys.Fate{iys.Recorded, iys.Recorded}},
		"the same moment, reversed": {[]move{{1, 1, no, 2}, {1, 1, yes, 2}}, consent.StateObjected, []iys.Fate{iys.Recorded, iys.Recorded}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settled := iys.Settle(found(c.moves), nil, "iys")
			if got := stateOf(settled.Records, 1); got != c.want {
				t.Errorf("state %s, want %s", got, c.want)
			}
			if diff := cmp.Diff(c.fates, settled.Fates); diff != "" {
				t.Errorf("fates (-want +got):\n%s", diff)
			}
			// One by one it comes to the same as at once.
			var records []consent.Record
			var standings []iys.Standing
			for _, m := range c.moves {
				step := iys.Settle(found([]move{m}), standings, "iys")
				records = append(records, step.Records...)
				standings = merge(standings, step.Standings)
			}
			if diff := cmp.Diff(reveal(settled.Records), reveal(records)); diff != "" {
				t.Errorf("one by one (-at once +one by one):\n%s", diff)
			}
		})
	}
}

func reveal(records []consent.Record) (list []string) {
	for _, r := range records {
		list = append(list, fmt.Sprint(r.DataSubject[0], r.Channel, r.Action, r.Basis, r.Explicit, r.Actor, r.Source, r.EffectiveAt.Format(time.DateTime)))
	}
	return list
}

func merge(standings, changed []iys.Standing) []iys.Standing {
	for _, c := range changed {
		replaced := false
		for i, s := range standings {
			if s.Person == c.Person && s.Address == c.Address {
				standings[i], replaced = c, true
			}
		}
		if !replaced {
			standings = append(standings, c)
		}
	}
	return standings
}

// TestSettleNeverOpensWhatWasRefused: over random movements in any order, a person whose
// registry holds a refusal for any address is never granted.
func TestSettleNeverOpensWhatWasRefused(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	granted := 0
	for range 20_000 {
		var moves []move
		latest := map[byte]move{}
		for range 1 + random.IntN(8) {
			m := move{1, byte(1 + random.IntN(3)), []iys.Status{iys.Approved, iys.Refused}[random.IntN(2)], 1 + random.IntN(15)}
			moves = append(moves, m)
			before, known := latest[m.address]
			if !known || m.day > before.day || m.day == before.day && m.status == iys.Refused {
				latest[m.address] = m
			}
		}
		settled := iys.Settle(found(moves), nil, "iys")
		state := stateOf(settled.Records, 1)
		for _, m := range latest {
			if m.status == iys.Refused && state == consent.StateGranted {
				t.Fatalf("%v: granted although address %d refused", moves, m.address)
			}
		}
		if state == consent.StateGranted {
			granted++
		}
	}
	if granted < 1000 {
		t.Errorf("only %d histories end with a yes; the test is too dull", granted)
	}
}

func TestSettleAnAddressOfSeveralPeople(t *testing.T) {
	t.Parallel()
	for _, status := range []iys.Status{iys.Approved, iys.Refused} {
		list := found([]move{{1, 1, status, 2}})
		list[0].People = append(list[0].People, iys.Owner{Person: privacy.DataSubjectID{2}, Address: [16]byte{9}, Record: [16]byte{9}})
		settled := iys.Settle(list, nil, "iys")
		want, fate := 0, iys.HeldBack
		if status == iys.Refused {
			want, fate = 2, iys.Recorded
		}
		if len(settled.Records) != want || settled.Fates[0] != fate || len(settled.Standings) != 2 {
			t.Errorf("%s: %d rows, %v, %d standings", status, len(settled.Records), settled.Fates, len(settled.Standings))
		}
	}
	if settled := iys.Settle([]iys.Found{{Movement: found([]move{{1, 1, iys.Refused, 1}})[0].Movement}}, nil, "iys"); settled.Fates[0] != iys.ToNobody {
		t.Errorf("nobody's address: %v", settled.Fates)
	}
}
