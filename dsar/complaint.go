package dsar

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Category is what a complaint is about. The list is closed, so that complaints can be
// counted, and names nothing that would say what is known of anybody.
type Category string

// The categories.
const (
	UnwantedMarketing  Category = "unwanted_marketing"
	IntrusiveProfile   Category = "intrusive_personalization" // what was shown or said told too much
	ConsentIgnored     Category = "consent_ignored"           // a choice was not heeded, or hard to take back
	RequestMishandled  Category = "request_mishandled"        // late, wrong or no answer to a request
	UnlawfulDisclosure Category = "unlawful_disclosure"
	WrongData          Category = "wrong_data"
	PoorSecurity       Category = "security"
	MachineDecision    Category = "automated_decision"
	ChildData          Category = "child_data"
	PoorTransparency   Category = "transparency" // what is done with data was not said, or not clearly
	KeptTooLong        Category = "kept_too_long"
	AnotherCategory    Category = "other"
)

const complaintDigestName = "mahrem/complaint-outcome/v1\x00"

// Categories lists them.
func Categories() []Category {
	return []Category{
		UnwantedMarketing, IntrusiveProfile, ConsentIgnored, RequestMishandled, UnlawfulDisclosure, WrongData, PoorSecurity,
		MachineDecision, ChildData, PoorTransparency, KeptTooLong, AnotherCategory,
	}
}

// IsKnown reports whether the category is on the list.
func (c Category) IsKnown() bool { return slices.Contains(Categories(), c) }

// ComplaintOutcome is what came of a complaint.
type ComplaintOutcome string

// The outcomes.
const (
	Upheld       ComplaintOutcome = "upheld"
	PartlyUpheld ComplaintOutcome = "partly_upheld"
	NotUpheld    ComplaintOutcome = "not_upheld"
)

// ComplaintOutcomes lists them.
func ComplaintOutcomes() []ComplaintOutcome {
	return []ComplaintOutcome{Upheld, PartlyUpheld, NotUpheld}
}

// IsKnown reports whether the outcome is on the list.
func (o ComplaintOutcome) IsKnown() bool { return slices.Contains(ComplaintOutcomes(), o) }

// ComplaintNumber is by what people quote a complaint: the year, and how many had been
// filed in it. It is no secret, and nobody learns anything by it.
type ComplaintNumber struct {
	Year  int
	Count int64
}

// IsZero reports whether there is no number.
func (n ComplaintNumber) IsZero() bool { return n == ComplaintNumber{} }

// String returns the number as people quote it, such as 2026-000123; the zero value is
// empty.
func (n ComplaintNumber) String() string {
	if n.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d-%06d", n.Year, n.Count)
}

// ParseComplaintNumber reads what [ComplaintNumber.String] writes and nothing else. The
// error wraps [privacy.ErrInvalid].
func ParseComplaintNumber(text string) (ComplaintNumber, error) {
	if len(text) >= len("2026-000001") && len(text) <= len("2026-999999999") && text[4] == '-' {
		year, yearErr := strconv.Atoi(text[:4])
		count, countErr := strconv.ParseInt(text[5:], 10, 64)
		n := ComplaintNumber{year, count}
		if yearErr == nil && countErr == nil && year > 0 && count > 0 && n.String() == text {
			return n, nil
		}
	}
	return ComplaintNumber{}, fmt.Errorf("parsing number of a complaint: %w", privacy.ErrInvalid)
}

// OutcomeDigest is the evidence of how a complaint was answered: SHA-256 over a domain, the
// outcome, a zero byte, and what the complainant is told.
func OutcomeDigest(outcome ComplaintOutcome, told privacy.Plain) audit.Digest {
	b := append([]byte(complaintDigestName), outcome...)
	b = append(b, 0)
	return sha256.Sum256(append(b, told.RevealPersonalData()...))
}
