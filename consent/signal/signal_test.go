package signal_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/signal"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// TestNeverGives: whatever is stored and whatever is sent, folding with the signals is no
// more of a yes than folding without them, and an explicit one no less than explicit.
func TestNeverGives(t *testing.T) {
	t.Parallel()
	file := readPrecedence(t)
	var strings []string
	for _, text := range file.Strings {
		strings = append(strings, text)
	}
	slices.Sort(strings)
	strings = append(strings, "", "", "CO+++", "hello")
	gpps := []string{"", "", "DBABTA~1YNN", "DBABTA~1YYN", "DBABTA~2YNN", "DBABL~BVVVkkkkkpFY.YA", "DBABKY~x", "hello"}
	modes := []map[string]string{nil, {"ad_user_data": "granted", "ad_personalization": "granted"}, {"ad_user_data": "denied"}, {"x": "y"}}
	actions := []consent.Action{
		consent.Granted, consent.Granted, consent.Granted, consent.Renewed, consent.Refused, consent.Withdrawn, consent.Objected, consent.Expired,
		consent.GuardianGranted, consent.GuardianWithdrawn,
	}
	sources := []string{"web_form", "signal.gpc", "signal.tcf", "signal.gpp", "signal.consent_mode"}
	channels := []privacy.Channel{"email", "sms", privacy.AnyChannel}
	start := asked.AddDate(0, 0, -30)
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(n int) int { return random.IntN(n) }
	taken := 0
	for range 20_000 {
		var records []consent.Record
		for i := range pick(6) {
			r := consent.Record{
				ID: [16]byte{byte(i + 1)}, Purpose: ads, Channel: channels[pick(3)], Action: actions[pick(len(actions))], Basis: privacy.Consent,
				Source: sources[pick(len(sources))], EffectiveAt: start.Add(time.Duration(pick(31*24)) * time.Hour), Explicit: pick(2) == 0,
			}
			if pick(4) == 0 {
				r.Basis = privacy.LegitimateInterests
			}
			if pick(5) == 0 {
				r.ValidUntil = r.EffectiveAt.Add(time.Duration(1+pick(300)) * time.Hour)
			}
			records = append(records, r)
		}
		given := signal.Given{TCF: strings[pick(len(strings))], GPP: gpps[pick(len(gpps))], ConsentMode: modes[pick(len(modes))]}
		if pick(3) == 0 {
			given.SecGPC = []string{"1"}
		}
		binds := file.Binds[[]string{"ads", "statistics", "nothing"}[pick(3)]]
		applied := signal.Apply(records, signal.Read(given), ads, binds, asked)
		if !slices.EqualFunc(applied[:len(records)], records, func(a, b consent.Record) bool { return a.ID == b.ID }) {
			t.Fatal("stored records were lost or moved")
		}
		for _, channel := range channels[:2] {
			with, without := consent.Fold(applied, channel, asked), consent.Fold(records, channel, asked)
			if with.State.IsYes() && (with.State != without.State || with.Record != without.Record) {
				t.Fatalf("%v\n%v\ngave %v instead of %v", records, given, with, without)
			}
			if without.State == consent.StateObjected && with.State != consent.StateObjected {
				t.Fatalf("%v\n%v\nundid an objection: %v", records, given, with)
			}
			if without.State.IsYes() && !with.State.IsYes() {
				taken++
			}
		}
		// A later sending of the same says nothing new.
		if later := asked.Add(time.Hour); consent.Fold(applied, "email", later).State.IsYes() && !consent.Fold(records, "email", later).State.IsYes() {
			t.Fatal("gave an hour later")
		}
	}
	if taken < 1000 {
		t.Errorf("only %d of the histories lost a yes: this test proves little", taken)
	}
}

func TestReadNothing(t *testing.T) {
	t.Parallel()
	given := signal.Given{}
	reading := signal.Read(given)
	if !given.IsZero() || len(reading.Checks()) != 0 || len(reading.Choices(policies.PurposeSignals{GPC: true, TCF: []int{1}, GPP: policies.GPPOptOuts(), ConsentMode: policies.ConsentModeKeys()})) != 0 {
		t.Errorf("%+v", reading)
	}
	if got := signal.Apply(nil, nil, ads, policies.PurposeSignals{GPC: true}, asked); got != nil {
		t.Error(got)
	}
}

// TestCatalogue: every opt-out and key that a catalogue may name is one that is read.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	for _, key := range policies.ConsentModeKeys() {
		reading := signal.Read(signal.Given{ConsentMode: map[string]string{key: "denied"}})
		if choices := reading.Choices(policies.PurposeSignals{ConsentMode: []string{key}}); len(choices) != 1 || choices[0].Answer != signal.No || choices[0].Fault != "" {
			t.Errorf("%s: %v", key, choices)
		}
	}
	national := signal.Read(signal.Given{GPP: "DBABL~BVVVkkkkkpFY"})
	for _, field := range policies.GPPOptOuts() {
		if choices := national.Choices(policies.PurposeSignals{GPP: []string{field}}); len(choices) != 1 || choices[0].Answer != signal.Objects {
			t.Errorf("%s: %v", field, choices)
		}
	}
}

func ExampleApply() {
	stored := []consent.Record{{
		ID: [16]byte{1}, Purpose: "ads", Channel: "email", Action: consent.Granted, Basis: privacy.Consent,
		EffectiveAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
	}}
	at := time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)
	reading := signal.Read(signal.Given{SecGPC: []string{"1"}, TCF: "CO+++"})
	records := signal.Apply(stored, reading, "ads", policies.PurposeSignals{GPC: true}, at)
	fmt.Println(consent.Fold(records, "email", at).State, reading.Checks())
	// Output: objected [tcf.alphabet]
}

func FuzzRead(f *testing.F) {
	f.Add("1", "CQgdbxAQgdbxAAHABCTRCCFkAP_gAEPgAATIABqAAAAA.IABu", "DBABTA~1YYN", "denied")
	f.Add("", "x", "DBABL~BVVVkkkkkpFY.YA", "granted")
	f.Add("0", "", "DBACNY~CQgdbxAQgdbxAAHABCTRCCFkAP_gAEPgAATIABqAAAAA.IABu~1YNN", "")
	binds := policies.PurposeSignals{GPC: true, TCF: []int{3, 4, 8}, GPP: policies.GPPOptOuts(), ConsentMode: []string{"ad_user_data"}}
	f.Fuzz(func(t *testing.T, header, tc, gpp, mode string) {
		given := signal.Given{SecGPC: []string{header}, TCF: tc, GPP: gpp, ConsentMode: map[string]string{"ad_user_data": mode}}
		reading := signal.Read(given)
		for _, check := range reading.Checks() {
			if len(check) > 64 || strings.Trim(check, "abcdefghijklmnopqrstuvwxyz_.0123456789") != "" {
				t.Fatalf("%q is not a word", check)
			}
		}
		granted := []consent.Record{{ID: [16]byte{1}, Purpose: ads, Channel: "email", Action: consent.Granted, Basis: privacy.Consent, Explicit: true, EffectiveAt: asked}}
		with := consent.Fold(signal.Apply(granted, reading, ads, binds, asked), "email", asked)
		if with.State.IsYes() && len(reading.Rejections) > 0 {
			t.Fatal("a signal was not understood, and it is a yes")
		}
		if consent.Fold(signal.Apply(nil, reading, ads, binds, asked), "email", asked).State.IsYes() {
			t.Fatal("a signal gave")
		}
	})
}
