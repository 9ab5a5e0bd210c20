package postgres

import (
	"testing"
	"time"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
)

// TestAudienceStatementIsTheOneThatIsPrepared: without conditions the statement that is run
// is one of the two that are prepared against the schema.
func TestAudienceStatementIsTheOneThatIsPrepared(t *testing.T) {
	t.Parallel()
	granted := policies.Condition{Op: policies.In, Field: policies.FieldState, Values: []string{"granted"}}
	for name, test := range map[string]struct {
		filter policies.Filter
		text   string
	}{
		"everybody":               {policies.Filter{Kind: policies.FilterAll}, sqlAudience},
		"with a record of theirs": {policies.Filter{Kind: policies.FilterWhere, Where: &granted}, sqlAudienceChosen},
	} {
		got, _, err := audienceStatement(&gate.AudienceSearch{Filter: test.filter}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) < len(test.text) || got[:len(test.text)] != test.text {
			t.Errorf("%s: the statement does not begin as the prepared one:\n%s", name, got)
		}
	}
}
