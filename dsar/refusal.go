package dsar

import "github.com/mahrem/mahrem/privacy"

// Refusal says which rule stands against a step of a request: the name of the check, and
// the article that it comes from. It wraps [privacy.ErrConflict], because the step would be
// right in another state of things.
type Refusal struct {
	// Check names the rule as noun.state, such as "extension.in_time".
	Check string
	// Article is where the rule is written.
	Article string
	// Reason is one sentence for the person who asked.
	Reason string
}

// Error names check and article, and nothing about anybody.
func (r *Refusal) Error() string {
	text := "refused by " + r.Check
	if r.Article != "" {
		text += " (" + r.Article + ")"
	}
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}

// Unwrap returns [privacy.ErrConflict].
func (*Refusal) Unwrap() error { return privacy.ErrConflict }
