package opendsr

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/mahrem/mahrem/dsar"
)

// Status is where a processor stands with a request (section 8).
type Status string

// The statuses. There is none for "failed" or "denied": see [Report.Outcome].
const (
	Pending    Status = "pending"
	InProgress Status = "in_progress"
	Completed  Status = "completed"
	Cancelled  Status = "cancelled"
)

// rank orders statuses: a processor's status never goes back, and the last two are final.
var rank = map[Status]int{Pending: 1, InProgress: 2, Completed: 3, Cancelled: 3}

// Final reports whether no other status may follow.
func (s Status) Final() bool { return rank[s] == 3 }

// Follows reports whether a processor that was at before may say s.
func (s Status) Follows(before Status) bool {
	return rank[s] > rank[before] || s == before && !s.Final()
}

// StatusOf is what the processor's side of the protocol calls a request of ours. It has
// no word for a request that was denied; such a one is cancelled, and in 3.0 the part of
// our domain says that it was skipped.
func StatusOf(state dsar.State) Status {
	switch state {
	case dsar.InProgress, dsar.Extended:
		return InProgress
	case dsar.Fulfilled:
		return Completed
	case dsar.Denied, dsar.Withdrawn:
		return Cancelled
	}
	return Pending
}

// Part is what became of a request at one place that the processor passed it on to (3.0).
type Part string

// The statuses of parts. Skipped and failed are not erased.
const (
	PartPending Part = "pending"
	PartSkipped Part = "skipped"
	PartSent    Part = "sent"
	PartFailed  Part = "failed"
)

// Report is what a processor says about a request: in the answer to a status request, or
// in a callback.
type Report struct {
	Version      Version
	ControllerID string
	ID           SubjectRequestID
	Status       Status
	// ExpectedAt is when the processor expects to be done.
	ExpectedAt time.Time
	// CallbackURL is where a callback was sent to; empty in the answer to a status request.
	CallbackURL string
	ResultsURL  string
	// ResultsCount is how many results there are; nil if the report does not say.
	ResultsCount *int64
	// Parts are the places that the processor passed the request on to, by domain (3.0).
	Parts map[string]Part
}

// Outcome is what a report means for whoever must show that data is gone.
type Outcome string

// The outcomes. Incomplete: the processor says completed, but a part failed, was skipped
// or has not answered.
const (
	OutcomeOpen       Outcome = "open"
	OutcomeCompleted  Outcome = "completed"
	OutcomeIncomplete Outcome = "incomplete"
	OutcomeCancelled  Outcome = "cancelled"
)

// Outcome reads the status together with the parts.
func (r Report) Outcome() Outcome {
	switch r.Status {
	case Completed:
		for _, part := range r.Parts {
			if part != PartSent {
				return OutcomeIncomplete
			}
		}
		return OutcomeCompleted
	case Cancelled:
		return OutcomeCancelled
	}
	return OutcomeOpen
}

// ParseReport reads the body of a status answer, or of a callback, which must say where
// it was sent to. The error is a [Refusal]. Whoever calls has checked the signature over
// exactly these bytes before.
func ParseReport(body []byte, callback bool) (Report, error) {
	o, err := parseObject(body)
	if err != nil {
		return Report{}, err
	}
	var r Report
	if r.ID, err = o.id("subject_request_id"); err != nil {
		return Report{}, err
	}
	if r.ControllerID, err = o.text("controller_id", 256, true); err != nil {
		return Report{}, err
	}
	status, err := o.text("request_status", 32, true)
	if err != nil {
		return Report{}, err
	}
	if r.Status = Status(status); rank[r.Status] == 0 {
		return Report{}, field("request_status", "must be pending, in_progress, completed or cancelled")
	}
	// Required by the text, and left out or null in practice once a request is over.
	if r.ExpectedAt, err = o.moment("expected_completion_time", !r.Status.Final()); err != nil {
		return Report{}, err
	}
	if r.CallbackURL, err = o.text("status_callback_url", maxURL, callback); err != nil {
		return Report{}, err
	}
	if r.ResultsURL, err = o.text("results_url", maxURL, false); err != nil {
		return Report{}, err
	}
	if said, err := o.text("api_version", 8, false); err != nil {
		return Report{}, err
	} else if said != "" {
		if r.Version, err = ParseVersion(said); err != nil {
			return Report{}, err
		}
	}
	if o.has("results_count") {
		var count int64
		if err := json.Unmarshal(o["results_count"], &count); err != nil || count < 0 {
			return Report{}, field("results_count", "must be a number from zero")
		}
		r.ResultsCount = &count
	}
	r.Parts, err = o.parts()
	return r, err
}

// maxParts bounds the places that a processor passed a request on to.
const maxParts = 256

// parts reads the extensions of a report that say how a place stands, and passes over
// others: an extension may hold anything.
func (o object) parts() (map[string]Part, error) {
	extensions, err := o.object("extensions")
	if err != nil || len(extensions) == 0 {
		return nil, err
	}
	if len(extensions) > maxParts {
		return nil, field("extensions", "has too many entries")
	}
	out := map[string]Part{}
	for domain, raw := range extensions {
		one, err := readObject(raw)
		if err != nil || !one.has("status") {
			continue
		}
		status, err := one.text("status", 32, true)
		if err != nil {
			return nil, err
		}
		part := Part(status)
		if !slices.Contains([]Part{PartPending, PartSkipped, PartSent, PartFailed}, part) {
			// An unknown word must not pass for done.
			part = PartPending
		}
		out[domain] = part
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

type wireReport struct {
	ControllerID string              `json:"controller_id"`
	ExpectedAt   string              `json:"expected_completion_time"`
	CallbackURL  string              `json:"status_callback_url,omitempty"`
	ID           string              `json:"subject_request_id"`
	Status       string              `json:"request_status"`
	Version      string              `json:"api_version,omitempty"`
	ResultsURL   string              `json:"results_url,omitempty"`
	ResultsCount *int64              `json:"results_count,omitempty"`
	Extensions   map[string]wirePart `json:"extensions,omitempty"`
}

type wirePart struct {
	Domain string `json:"domain"`
	Status string `json:"status"`
}

// Encode writes the report as its version has it.
func (r Report) Encode() []byte {
	w := wireReport{
		ControllerID: r.ControllerID, ExpectedAt: moment(r.ExpectedAt), CallbackURL: r.CallbackURL, ID: r.ID.String(),
		Status: string(r.Status), Version: string(r.Version), ResultsURL: r.ResultsURL, ResultsCount: r.ResultsCount,
	}
	if r.Version == V3 && len(r.Parts) > 0 {
		w.Extensions = map[string]wirePart{}
		for domain, part := range r.Parts {
			w.Extensions[domain] = wirePart{Domain: domain, Status: string(part)}
		}
	}
	return encode(w)
}
