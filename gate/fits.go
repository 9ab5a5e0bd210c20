package gate

import (
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// fits refuses a question whose answer could not be logged, before anything about anybody
// is read, opened or decided: an entry that does not fit would be found out only when the
// answer is worked out already. The most that an entry can come to say is every check of
// the rules, and every attribute that was asked for.
func (s *sheet) fits(principal privacy.Principal, purpose privacy.Purpose, channel privacy.Channel, attributes []*attribute) error {
	event := audit.Event{
		Kind: audit.QueryDenied, Outcome: audit.Denied, Principal: principal, Purpose: purpose, Channel: channel, Checks: s.required,
	}
	if err := audit.Fits(&event); err != nil {
		return notLogged(err)
	}
	if len(attributes) > audit.MaxAttributes {
		return refuse("/attributes", fmt.Sprintf("are more than the %d that one entry of the log can name", audit.MaxAttributes))
	}
	return nil
}
