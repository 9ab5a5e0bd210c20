package tcf

import "github.com/mahrem/mahrem/consent/signal/bits"

// DecodeCanada reads a string of the Canadian framework, version 1, which is section 5 of a
// GPP string. Its list of disclosed vendors is not mandatory. The specification
// has newer codes for lists of vendors; what is read here are those that strings in the wild
// and the published examples have. Anything else is refused. The error is a [bits.Fault].
func DecodeCanada(text string) (*String, error) {
	parts, err := segments(text)
	if err != nil {
		return nil, err
	}
	s := &String{}
	r := bits.NewReader(parts[0])
	s.head(r, 1)
	s.OwnTexts = r.Bool()
	s.SpecialFeatures, s.Consent, s.LegitimateInterest = r.Flags(12), r.Flags(MaxPurpose), r.Flags(MaxPurpose)
	s.VendorConsent, s.VendorLegit = vendors(r), vendors(r)
	s.restrictions(r)
	if err := r.End(); err != nil {
		return nil, err
	}
	if err := s.rest(parts[1:]); err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	return s, nil
}
