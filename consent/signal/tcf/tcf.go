// Package tcf reads transparency and consent strings (TC strings) of IAB Europe's
// framework, version 2.3, and the Canadian ones that travel inside of GPP strings.
//
// It reads and never writes: only a registered consent management platform may make one.
// What the specification demands of a valid string is checked, and refused by name. The
// reader is our own because the libraries for Go that are kept read the core segment alone,
// and since version 2.3 a string without the list of disclosed vendors says nothing.
package tcf

import (
	"strings"
	"time"

	"github.com/mahrem/mahrem/consent/signal/bits"
)

// Limits of the framework.
const (
	// MaxPurpose is how many purposes a string has room for.
	MaxPurpose = 24
	// OldestPolicy is the oldest version of the framework's policies whose strings count.
	OldestPolicy = 4
	// MaxLength bounds a string.
	MaxLength = 16 << 10

	maxVendor = 1<<16 - 1
)

// The faults of strings that can be read and do not count.
const (
	// Version: not a string of version 2.
	Version bits.Fault = "version"
	// PolicyVersion: made under policies that have ended.
	PolicyVersion bits.Fault = "policy_version"
	// NotServiceSpecific: made for more than one service.
	NotServiceSpecific bits.Fault = "not_service_specific"
	// NoDisclosedVendors: the segment that version 2.3 made mandatory is missing.
	NoDisclosedVendors bits.Fault = "no_disclosed_vendors"
	// SegmentType: a segment of a kind that there is not.
	SegmentType bits.Fault = "segment_type"
	// SegmentTwice: two segments of one kind.
	SegmentTwice bits.Fault = "segment_twice"
	// Undated: no time at which the person chose.
	Undated bits.Fault = "undated"
)

// Restriction is what the publisher takes away from vendors for one purpose.
type Restriction struct {
	Purpose int
	// Kind is 0 not allowed, 1 consent required, 2 legitimate interest required.
	Kind    int
	Vendors bits.Set
}

// String is what a TC string says. In a Canadian one Consent is express consent and
// LegitimateInterest implied consent.
type String struct {
	Created, LastUpdated        time.Time
	CMP, CMPVersion, Screen     int
	Language                    string
	VendorList, Policy          int
	ServiceSpecific, OwnTexts   bool
	SpecialFeatures             bits.Set
	Consent, LegitimateInterest bits.Set
	PurposeOneUndisclosed       bool
	Country                     string
	VendorConsent, VendorLegit  bits.Set
	Restrictions                []Restriction
	Disclosed                   bits.Set
	HasPublisher                bool
	PublisherConsent            bits.Set
	PublisherLegit              bits.Set
	CustomConsent, CustomLegit  bits.Set
	hasDisclosed, european      bool
}

// Choice is what a string says about one purpose.
type Choice int

// The choices.
const (
	// No: no consent, and a legitimate interest either does not exist for this purpose or
	// says nothing here.
	No Choice = iota
	// Objected: no consent, and no legitimate interest either: it was never claimed, or the
	// person objected to it. A string does not say which.
	Objected
	// Yes: consent.
	Yes
)

// Purpose returns the choice for purpose n. Where the publisher's own segment is there, a
// yes needs both.
func (s *String) Purpose(n int) Choice {
	consented := s.Consent.Has(n) && (!s.HasPublisher || s.PublisherConsent.Has(n))
	legit := s.LegitimateInterest.Has(n) && (!s.HasPublisher || s.PublisherLegit.Has(n))
	switch {
	case consented && !(n == 1 && s.PurposeOneUndisclosed):
		return Yes
	case legit || s.consentOnly(n):
		return No
	}
	return Objected
}

// consentOnly reports whether purpose n can stand on nothing but consent: storing on a
// device, and since version 2.2 the making and using of profiles.
func (s *String) consentOnly(n int) bool { return n == 1 || s.european && 3 <= n && n <= 6 }

// Decode reads a string of version 2 that counts: [Parse] and [String.Check].
func Decode(text string) (*String, error) {
	s, err := Parse(text)
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Parse reads a string of version 2, whether or not it counts. The error is a [bits.Fault].
func Parse(text string) (*String, error) {
	parts, err := segments(text)
	if err != nil {
		return nil, err
	}
	s := &String{european: true}
	if err := s.core(parts[0]); err != nil {
		return nil, err
	}
	if err := s.rest(parts[1:]); err != nil {
		return nil, err
	}
	// Whatever the bits say: the policies allow none of these.
	s.LegitimateInterest = without(s.LegitimateInterest, 3, 6)
	return s, nil
}

// Check reports why the string does not count, although it can be read. The error is a
// [bits.Fault].
func (s *String) Check() error {
	switch {
	case s.LastUpdated.Unix() == 0:
		return Undated
	case !s.european:
		return nil
	case s.Policy < OldestPolicy:
		return PolicyVersion
	case !s.ServiceSpecific:
		return NotServiceSpecific
	case !s.hasDisclosed:
		return NoDisclosedVendors
	}
	return nil
}

func segments(text string) ([]string, error) {
	switch {
	case text == "":
		return nil, bits.Empty
	case len(text) > MaxLength:
		return nil, bits.TooLong
	}
	parts := strings.Split(text, ".")
	if len(parts) > 4 {
		return nil, SegmentTwice
	}
	return parts, nil
}

// head reads the fields that strings of both kinds begin with.
func (s *String) head(r *bits.Reader, version int64) {
	if r.Int(6) != version {
		r.Fail(Version)
	}
	s.Created, s.LastUpdated = instant(r.Int(36)), instant(r.Int(36))
	s.CMP, s.CMPVersion, s.Screen = int(r.Int(12)), int(r.Int(12)), int(r.Int(6))
	s.Language = r.Letters(2)
	s.VendorList, s.Policy = int(r.Int(12)), int(r.Int(6))
}

func (s *String) core(text string) error {
	r := bits.NewReader(text)
	s.head(r, 2)
	s.ServiceSpecific, s.OwnTexts = r.Bool(), r.Bool()
	s.SpecialFeatures, s.Consent, s.LegitimateInterest = r.Flags(12), r.Flags(MaxPurpose), r.Flags(MaxPurpose)
	s.PurposeOneUndisclosed = r.Bool()
	s.Country = r.Letters(2)
	s.VendorConsent, s.VendorLegit = vendors(r), vendors(r)
	s.restrictions(r)
	return r.End()
}

func (s *String) restrictions(r *bits.Reader) {
	for range r.Int(12) {
		restriction := Restriction{Purpose: int(r.Int(6)), Kind: int(r.Int(2)), Vendors: r.Range(maxVendor)}
		if r.Err() != nil {
			return
		}
		s.Restrictions = append(s.Restrictions, restriction)
	}
}

// vendors reads a list of vendors: the greatest number, then bits or ranges.
func vendors(r *bits.Reader) bits.Set {
	greatest := int(r.Int(16))
	if r.Bool() {
		return r.Range(greatest)
	}
	return r.Flags(greatest)
}

// rest reads the segments after the core, in any order. The list of allowed vendors
// (segment 2) belonged to strings for many services and is read over.
func (s *String) rest(parts []string) error {
	seen := map[int64]bool{}
	for _, part := range parts {
		r := bits.NewReader(part)
		kind := r.Int(3)
		if r.Err() == nil && seen[kind] {
			return SegmentTwice
		}
		seen[kind] = true
		switch kind {
		case 1:
			s.Disclosed, s.hasDisclosed = vendors(r), true
		case 2:
			vendors(r)
		case 3:
			s.HasPublisher = true
			s.PublisherConsent, s.PublisherLegit = r.Flags(MaxPurpose), r.Flags(MaxPurpose)
			custom := int(r.Int(6))
			s.CustomConsent, s.CustomLegit = r.Flags(custom), r.Flags(custom)
		default:
			r.Fail(SegmentType)
		}
		if err := r.End(); err != nil {
			return err
		}
	}
	return nil
}

// instant is a count of tenths of a second.
func instant(tenths int64) time.Time { return time.UnixMilli(tenths * 100).UTC() }

// without takes the numbers from first to last away.
func without(set bits.Set, first, last int) bits.Set {
	var rest bits.Set
	for _, span := range set {
		if below := (bits.Span{First: span.First, Last: min(span.Last, first-1)}); below.First <= below.Last {
			rest = append(rest, below)
		}
		if above := (bits.Span{First: max(span.First, last+1), Last: span.Last}); above.First <= above.Last {
			rest = append(rest, above)
		}
	}
	return rest
}
