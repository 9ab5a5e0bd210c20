package gate

import (
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// compare lists what differs.
func (e *caseExpect) compare(answer Answer, event audit.Event) ([]string, error) {
	var failures []string
	differ := func(what string, got, want any) {
		failures = append(failures, fmt.Sprintf("%s: got %v, want %v", what, got, want))
	}
	if answer.Decision != e.Decision {
		differ("decision", answer.Decision, e.Decision)
	}
	for name, want := range e.Attributes {
		got, ok := answer.Attributes[name]
		switch {
		case !ok:
			differ("attribute "+string(name), "nothing", want.Level)
		case got.Level != want.Level:
			differ("level of "+string(name), got.Level, want.Level)
		case fmt.Sprint(got.RevealPersonalData()) != fmt.Sprint(want.Value):
			differ("value of "+string(name), got.RevealPersonalData(), want.Value)
		case want.Quality != "" && got.Quality != want.Quality:
			differ("quality of "+string(name), got.Quality, want.Quality)
		}
	}
	for name := range answer.Attributes {
		if _, wanted := e.Attributes[name]; !wanted {
			differ("attribute "+string(name), answer.Attributes[name].RevealPersonalData(), "nothing")
		}
	}
	if got := answer.obligations(); !sameSet(got, e.Obligations) {
		differ("obligations", got, e.Obligations)
	}
	if got := answer.checks(); !sameSet(got, e.Reasons) {
		differ("reasons", got, e.Reasons)
	}
	if e.Checks != nil && !sameSet(event.Checks, e.Checks) {
		differ("checks in the log", event.Checks, e.Checks)
	}
	if e.UseBefore != "" {
		want, err := time.ParseDuration(e.UseBefore)
		if err != nil {
			return nil, fmt.Errorf("reading use_before: %w", privacy.ErrInvalid)
		}
		if got := answer.useBefore().Sub(caseClock); got != want {
			differ("use_before", got, want)
		}
	}
	slices.Sort(failures)
	return failures, nil
}

// obligations returns what the answer demands.
func (a *Answer) obligations() []policies.ObligationID {
	ids := make([]policies.ObligationID, len(a.Obligations))
	for i, o := range a.Obligations {
		ids[i] = o.ID
	}
	return ids
}

// useBefore returns the time that belongs to the obligation; zero without one.
func (a *Answer) useBefore() (until time.Time) {
	for _, o := range a.Obligations {
		if o.ID == policies.UseBefore {
			until = o.UseBefore
		}
	}
	return until
}

// checks returns the names of the answer's reasons.
func (a *Answer) checks() []string {
	names := make([]string, len(a.Reasons))
	for i, r := range a.Reasons {
		names[i] = r.Check
	}
	return names
}

func sameSet[T ~string](a, b []T) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
