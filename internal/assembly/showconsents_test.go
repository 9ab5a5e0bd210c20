package assembly

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

var recommender = privacy.Principal{ID: "reco", Role: privacy.RoleService, Recipient: "recommender"}

// TestWhatComesLateChangesNoDecision: a withdrawal that is dated before a decision and
// recorded after it changes what is known of that day, and neither what was known on it nor
// what the archive says of the decision.
func TestWhatComesLateChangesNoDecision(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	const line = `{"identifiers":[{"kind":"customer_number","value":"K-0"}],"jurisdiction":"CZ","attributes":{"birth_date":"1980-05-04","loyalty_tier":"gold"}}` + "\n"
	result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(line), intake.StreamOptions{Principal: Operator("tester")})
	if err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	id, err := house.People.ResolveIdentifier(t.Context(), customer(0))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	record := func(action consent.Action, at time.Time) time.Time {
		t.Helper()
		change := consent.Change{DataSubject: id, Purpose: "recommendations", Channel: "*", NoticeVersion: "n1", Source: "letter", EffectiveAt: at}
		receipt, err := house.Consent.Record(t.Context(), Operator("tester"), action, change)
		if err != nil {
			t.Fatal(err)
		}
		return receipt.Record.RecordedAt
	}
	ask := func() gate.Answer {
		t.Helper()
		query := gate.Query{Purpose: "recommendations", Channel: "web", Attributes: []privacy.AttributeName{"loyalty_tier"}}
		query.DataSubject.Identifier = customer(0)
		answer, err := house.Gate.Ask(t.Context(), recommender, query)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	then := record(consent.Granted, now.Add(-48*time.Hour))
	decided := ask()
	if decided.Decision != gate.Allow {
		t.Fatalf("before: %s %v", decided.Decision, decided.Reasons)
	}
	record(consent.Withdrawn, now.Add(-24*time.Hour))
	if answer := ask(); answer.Decision != gate.Deny {
		t.Errorf("after: %s %v", answer.Decision, answer.Reasons)
	}

	for _, test := range []struct {
		name    string
		moment  consent.Moment
		state   consent.State
		records int
	}{
		{"by all that is known", consent.Moment{At: then}, consent.StateWithdrawn, 2},
		{"by what was known", consent.Moment{At: then, Known: then}, consent.StateGranted, 1},
	} {
		statement, receipt, err := house.ShowConsents(t.Context(), Operator("tester"), id, test.moment)
		if err != nil || receipt.IsZero() || len(statement.Standings) != 1 || statement.Standings[0].Current.State != test.state || len(statement.Records) != test.records {
			t.Errorf("%s: %+v, %v, want %s", test.name, statement.Standings, err, test.state)
		}
	}

	decision, err := audit.ParseDecisionID(decided.DecisionID)
	if err != nil {
		t.Fatal(err)
	}
	auditor := privacy.Principal{ID: "auditor", Role: privacy.RoleAuditor}
	shown, err := house.Archive.Show(t.Context(), auditor, decision)
	if err != nil || !shown.Kept || shown.Entry.Outcome != audit.Allowed || shown.Facts.Consent.State != policies.ConsentState(consent.StateGranted) {
		t.Errorf("the archive says %+v of the consent, %v", shown.Facts.Consent, err)
	}
	again, err := house.Archive.ReplayOne(t.Context(), auditor, decision)
	if err != nil || again.Same != 1 || len(again.Findings) != 0 {
		t.Errorf("made again: %+v, %v", again, err)
	}
}

// TestAServiceSeesItsPurposes: of the rest it is told nothing, and nobody sees anything that
// is not in the log.
func TestAServiceSeesItsPurposes(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	id := loadPeople(t, house, 1)[0]
	for _, purpose := range []privacy.Purpose{"recommendations", "newsletter", policies.GeneralMarketing} {
		change := consent.Change{DataSubject: id, Purpose: purpose, Channel: "*", Basis: privacy.LegitimateInterests, Source: "letter"}
		if _, err := house.Consent.Object(t.Context(), Operator("tester"), change); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		by   privacy.Principal
		want string
	}{
		{Operator("tester"), "marketing newsletter recommendations"},
		{recommender, "marketing recommendations"},
		{privacy.Principal{ID: "x", Role: privacy.RoleService, Recipient: "nobody"}, ""},
	} {
		statement, receipt, err := house.ShowConsents(t.Context(), test.by, id, consent.Moment{})
		if err != nil {
			t.Fatal(err)
		}
		var purposes []string
		for _, line := range statement.Standings {
			purposes = append(purposes, string(line.Purpose))
		}
		if got := strings.Join(purposes, " "); got != test.want || len(statement.Records) != len(purposes) {
			t.Errorf("%s is shown %q and %d records, want %q", test.by.ID, got, len(statement.Records), test.want)
		}
		if entry, index := last(t, house); entry.Kind != audit.PersonShown || index != receipt.Index() {
			t.Errorf("the last entry is %s", entry.Kind)
		}
	}
	if _, _, err := house.ShowConsents(t.Context(), privacy.Principal{ID: "a", Role: privacy.RoleAuditor}, id, consent.Moment{}); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("an auditor: %v", err)
	}
}
