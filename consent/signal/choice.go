package signal

import (
	"time"

	"github.com/mahrem/mahrem/consent/signal/bits"
	"github.com/mahrem/mahrem/consent/signal/tcf"
	"github.com/mahrem/mahrem/policies"
)

// Answer is what a signal says about a purpose.
type Answer int

// The answers, the more protective the greater.
const (
	// Silent: nothing. Not having opted out is no more than that.
	Silent Answer = iota
	// Yes is a consent.
	Yes
	// No: no consent.
	No
	// NoAndObjects: no consent, and perhaps an objection to legitimate interests.
	NoAndObjects
	// Objects is an opt-out.
	Objects
)

// isNo reports whether the answer takes away.
func (a Answer) isNo() bool { return a >= No }

// Choice is what one signal says about one purpose.
type Choice struct {
	Signal Name
	Answer Answer
	// At is when the person chose, if the signal knows.
	At time.Time
	// Fault is why the signal was not understood; the answer is then No.
	Fault bits.Fault
}

// Choices returns what the signals say about a purpose that is bound by those that the
// catalogue names for it.
func (r *Reading) Choices(binds policies.PurposeSignals) []Choice {
	var choices []Choice
	add := func(name Name, answer Answer, at time.Time, fault bits.Fault) {
		if answer != Silent {
			choices = append(choices, Choice{name, answer, at, fault})
		}
	}
	if binds.GPC && r.GPC {
		add(GPC, Objects, time.Time{}, "")
	}
	if fault := r.fault(TCF); fault != "" && len(binds.TCF) > 0 {
		add(TCF, No, time.Time{}, fault)
	} else if r.TCF != nil {
		add(TCF, framework(r.TCF, binds.TCF), r.TCF.LastUpdated, "")
	}
	if fault := r.fault(GPP); fault != "" && (binds.GPC || len(binds.TCF)+len(binds.GPP) > 0) {
		add(GPP, No, time.Time{}, fault)
	}
	if r.GPP != nil {
		for i := range r.GPP.Sections {
			answer, at, fault := section(r.GPP, i, binds)
			add(GPP, answer, at, fault)
		}
	}
	if fault := r.fault(ConsentMode); fault != "" && len(binds.ConsentMode) > 0 {
		add(ConsentMode, No, time.Time{}, fault)
	} else {
		add(ConsentMode, r.mode(binds.ConsentMode), time.Time{}, "")
	}
	return choices
}

// framework is a yes if all of the purposes have consent, and otherwise the strongest no.
func framework(s *tcf.String, purposes []int) Answer {
	answer := Silent
	for _, n := range purposes {
		said := map[tcf.Choice]Answer{tcf.Yes: Yes, tcf.No: No, tcf.Objected: NoAndObjects}[s.Purpose(n)]
		answer = max(answer, said)
	}
	return answer
}

// mode is a no if any of the keys was denied, and a yes if all were granted. A key that was
// not spoken of is neither.
func (r *Reading) mode(keys []string) Answer {
	answer, all := Silent, len(keys) > 0
	for _, key := range keys {
		granted, spoken := r.Mode.Choice(key)
		if spoken && !granted {
			answer = No
		}
		all = all && granted
	}
	if all {
		return Yes
	}
	return answer
}
