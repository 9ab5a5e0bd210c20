package signal

import (
	"errors"
	"time"

	"github.com/mahrem/mahrem/consent/signal/bits"
	"github.com/mahrem/mahrem/consent/signal/gpp"
	"github.com/mahrem/mahrem/policies"
)

// section is what one section of a GPP string says. One that was not understood says no to
// whatever it might have spoken about: one of a kind that this version does not know, to all.
func section(s *gpp.String, i int, binds policies.PurposeSignals) (Answer, time.Time, bits.Fault) {
	of := &s.Sections[i]
	if of.Err != nil {
		if of.IsTCF() && len(binds.TCF) > 0 || of.IsUS() && (binds.GPC || len(binds.GPP) > 0) ||
			!of.IsTCF() && !of.IsUS() && (binds.GPC || len(binds.TCF)+len(binds.GPP) > 0) {
			fault := bits.Fault("unreadable")
			errors.As(of.Err, &fault)
			return No, time.Time{}, fault
		}
		return Silent, time.Time{}, ""
	}
	if of.TCF != nil {
		return framework(of.TCF, binds.TCF), of.TCF.LastUpdated, ""
	}
	if binds.GPC && of.GPC {
		return Objects, time.Time{}, ""
	}
	for _, field := range binds.GPP {
		if of.OptedOut(field) {
			return Objects, time.Time{}, ""
		}
	}
	return Silent, time.Time{}, ""
}
