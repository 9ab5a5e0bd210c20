package clock

import (
	"fmt"

	"github.com/mahrem/mahrem/privacy"
)

// Refusal says what the law does not allow, by the name of a check and the article. Its
// text is one that a person may read: it has days and no personal data. It wraps
// [privacy.ErrInvalid].
type Refusal struct {
	Check   Check
	Article string
	Reason  string
}

// Error joins the three.
func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s (%s)", r.Check, r.Reason, r.Article) }

// Unwrap returns [privacy.ErrInvalid].
func (*Refusal) Unwrap() error { return privacy.ErrInvalid }

// Check names a condition that must hold.
type Check string

// The checks.
const (
	// CheckExtensionExists: the law has an extension for this right.
	CheckExtensionExists Check = "extension.exists"
	// CheckExtensionInTime: the person was told of it within the first period.
	CheckExtensionInTime Check = "extension.in_time"
	// CheckExtensionReason: for a reason that the law accepts.
	CheckExtensionReason Check = "extension.reason"
	// CheckExtensionRunning: and while the clock ran.
	CheckExtensionRunning Check = "extension.running"
	// CheckPauseAllowed: the law lets the clock wait for this.
	CheckPauseAllowed Check = "pause.allowed"
	// CheckPausePrompt: the person was asked without undue delay.
	CheckPausePrompt Check = "pause.prompt"
	// CheckPauseInTime: and before the period was over.
	CheckPauseInTime Check = "pause.in_time"
	// CheckPauseOnce: one thing is waited for once.
	CheckPauseOnce Check = "pause.once"
	// CheckRuleInForce: the law was in force when the request came.
	CheckRuleInForce Check = "rule.in_force"
	// CheckCalendarYears: the calendar knows the holidays of that year.
	CheckCalendarYears Check = "calendar.years"
	// CheckOrder: what happened did so after what it answers.
	CheckOrder Check = "dates.order"
)
