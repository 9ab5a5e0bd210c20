// Package signal takes what people have said elsewhere, in a browser's setting or to a
// consent platform, as an input: Global Privacy Control, TC strings, GPP strings and the
// state of Google Consent Mode. It reads such signals and never makes one.
//
// Two rules carry it. A signal that comes with a query only ever takes away ([Apply]): to
// give, it has to be recorded, by somebody who may record a yes, with the notice that was
// shown ([Recorder]). And what cannot be understood is no consent, with a reason that has
// a name, and never an error to the visitor. The order between signals and stored choices is
// written down in docs/consent-signals.md.
package signal

import (
	"cmp"
	"errors"
	"slices"

	"github.com/mahrem/mahrem/consent/signal/bits"
	"github.com/mahrem/mahrem/consent/signal/consentmode"
	"github.com/mahrem/mahrem/consent/signal/gpc"
	"github.com/mahrem/mahrem/consent/signal/gpp"
	"github.com/mahrem/mahrem/consent/signal/tcf"
)

// Name is a kind of signal.
type Name string

// The signals.
const (
	GPC         Name = "gpc"
	TCF         Name = "tcf"
	GPP         Name = "gpp"
	ConsentMode Name = "consent_mode"
)

// Names are all of them, in the order in which they are read.
func Names() []Name { return []Name{GPC, TCF, GPP, ConsentMode} }

// Source is what a record that was made from the signal has as its source.
func (n Name) Source() string { return "signal." + string(n) }

// Given is what a visitor's browser and page sent, passed on as it came.
type Given struct {
	// SecGPC are the values of the header Sec-GPC, one for each time that it stood in the
	// visitor's request.
	SecGPC []string
	// TCF is a TC string, GPP a GPP string; empty when there was none.
	TCF, GPP string
	// ConsentMode is the state of Google Consent Mode, key by key.
	ConsentMode map[string]string
}

// IsZero reports whether nothing was sent.
func (g *Given) IsZero() bool {
	return len(g.SecGPC) == 0 && g.TCF == "" && g.GPP == "" && len(g.ConsentMode) == 0
}

// Rejection is a signal that was sent and not understood.
type Rejection struct {
	Signal Name
	// Section is the section of a GPP string, if only that was not understood: "usca".
	Section string
	Reason  bits.Fault
}

// Check is the rejection as a word: "tcf.policy_version", "gpp.usca.value".
func (r Rejection) Check() string {
	if r.Section != "" {
		return string(r.Signal) + "." + r.Section + "." + string(r.Reason)
	}
	return string(r.Signal) + "." + string(r.Reason)
}

// Reading is what was understood. The zero value says nothing about anything.
type Reading struct {
	// GPC is whether the browser asks for privacy.
	GPC  bool
	TCF  *tcf.String
	GPP  *gpp.String
	Mode consentmode.State
	// Rejections are the signals that were not understood.
	Rejections []Rejection
}

// Read reads what was sent. It never fails: what is not understood is a rejection.
func Read(given Given) *Reading {
	r := &Reading{GPC: gpc.Asked(given.SecGPC)}
	var err error
	if given.TCF != "" {
		if r.TCF, err = tcf.Decode(given.TCF); err != nil {
			r.reject(TCF, "", err)
		}
	}
	if given.GPP != "" {
		if r.GPP, err = gpp.Decode(given.GPP); err != nil {
			r.reject(GPP, "", err)
		} else {
			for i := range r.GPP.Sections {
				if section := &r.GPP.Sections[i]; section.Err != nil {
					r.reject(GPP, cmp.Or(section.Name, "other"), section.Err)
				}
			}
		}
	}
	if len(given.ConsentMode) > 0 {
		if r.Mode, err = consentmode.Decode(given.ConsentMode); err != nil {
			r.reject(ConsentMode, "", err)
		}
	}
	return r
}

func (r *Reading) reject(name Name, section string, err error) {
	reason := bits.Fault("unreadable")
	errors.As(err, &reason)
	r.Rejections = append(r.Rejections, Rejection{Signal: name, Section: section, Reason: reason})
}

// Checks are the rejections as words, sorted, each once.
func (r *Reading) Checks() []string {
	var checks []string
	for _, rejection := range r.Rejections {
		checks = append(checks, rejection.Check())
	}
	slices.Sort(checks)
	return slices.Compact(checks)
}

// fault returns why nothing of a signal was understood, or an empty word.
func (r *Reading) fault(name Name) bits.Fault {
	for _, rejection := range r.Rejections {
		if rejection.Signal == name && rejection.Section == "" {
			return rejection.Reason
		}
	}
	return ""
}
