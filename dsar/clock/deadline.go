package clock

import "time"

// Input is what happened to a request. Each time falls on a day in the place of the regime.
type Input struct {
	Regime Regime
	// Right is what is asked for; empty means access.
	Right Right
	// Received is when the request reached the controller, on a working day or not.
	Received time.Time
	// Pauses are what the controller had to ask for before it could go on.
	Pauses []Pause
	// Extension is the notice that it takes longer; nil means that none was given.
	Extension *Extension
	// Place is where days begin and end; nil means the place of the regime.
	Place *time.Location
}

// Ground is what a controller waits for.
type Ground string

// The grounds.
const (
	Identity      Ground = "identity"      // proof that the person is who they say
	Fee           Ground = "fee"           // a fee that may be charged for an excessive request
	Clarification Ground = "clarification" // which of much data is meant
)

// Grounds lists them.
func Grounds() []Ground { return []Ground{Identity, Fee, Clarification} }

// Pause is one time that the controller asked, and was answered.
type Pause struct {
	Ground Ground
	// From is when the person was asked, Until when they answered; zero: not yet.
	From, Until time.Time
}

// ExtensionReason is why an answer takes longer.
type ExtensionReason string

// The reasons that the laws accept.
const (
	Complexity       ExtensionReason = "complexity"
	NumberOfRequests ExtensionReason = "number_of_requests"
)

// Extension is the notice of an extension, with its reason.
type Extension struct {
	// Notified is when the person was told.
	Notified time.Time
	Reason   ExtensionReason
}

// Effect is what a law makes of a pause.
type Effect string

// The effects.
const (
	// Forbidden: the clock runs on.
	Forbidden Effect = "forbidden"
	// Suspends: the clock stands still from asking to answer.
	Suspends Effect = "suspends"
	// Starts: the clock starts when the answer comes.
	Starts Effect = "starts"
)

// Deadline is by when a request must be answered.
type Deadline struct {
	Regime   Regime `json:"regime"`
	Right    Right  `json:"right"`
	Received Date   `json:"received"`
	// Started is the day on which the clock started; zero while the law waits for
	// something before it starts.
	Started Date `json:"started,omitzero"`
	// AcknowledgeBy is the last day on which receipt can be confirmed; zero where the law
	// has no such duty.
	AcknowledgeBy   Date      `json:"acknowledge_by,omitzero"`
	AcknowledgeByAt time.Time `json:"acknowledge_by_at,omitzero"`
	// ExtendBy is the last day on which the person can be told of an extension; zero where
	// the law has none, and while the clock stands still.
	ExtendBy   Date      `json:"extend_by,omitzero"`
	ExtendByAt time.Time `json:"extend_by_at,omitzero"`
	// Due is the last day of the period and DueAt its last moment; zero while the clock
	// stands still.
	Due      Date      `json:"due,omitzero"`
	DueAt    time.Time `json:"due_at,omitzero"`
	Extended bool      `json:"extended"`
	// Waiting is what the clock stands still for; empty if it runs.
	Waiting Ground `json:"waiting,omitempty"`
	// Remaining is how many days of the period were left when the clock stopped.
	Remaining int    `json:"remaining,omitempty"`
	Steps     []Step `json:"steps"`
}

// Step is one step of the computation.
type Step struct {
	Name string `json:"name"`
	// Date is the day that the step comes to; zero if it comes to none.
	Date Date   `json:"date,omitzero"`
	Text string `json:"text"`
	// Source is the article or the guideline, and Note what a reader should know of it.
	Source string `json:"source"`
	Note   string `json:"note,omitempty"`
}
