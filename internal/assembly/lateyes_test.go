package assembly

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// TestAYesThatComesLateWaitsForTheBirthDate: what somebody said as a child, and what became
// known only when they were one no longer, brings them into no audience. An adult whose yes
// came late is back as soon as their birth date was looked at.
func TestAYesThatComesLateWaitsForTheBirthDate(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	now := time.Now().UTC()
	line := func(key, birth, consents string) string {
		return fmt.Sprintf(`{"identifiers":[{"kind":"customer_number","value":"%s"}],"jurisdiction":"TR","attributes":{"birth_date":"%s"},"consents":[%s]}`+"\n", key, birth, consents)
	}
	const yes = `{"action":"granted","purpose":"recommendations","channel":"*","notice_version":"n1","source":"web_form"}`
	var lines strings.Builder
	lines.WriteString(line("kaan", now.AddDate(-18, 0, -10).Format(time.DateOnly), ""))
	const crowd = gate.DefaultAudienceMinimum + 1
	for i := range crowd {
		lines.WriteString(line(fmt.Sprintf("adult-%d", i), "1980-05-04", yes))
	}
	result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(lines.String()), intake.StreamOptions{Principal: Operator("tester")})
	if err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	find := func(key string) privacy.DataSubjectID {
		id, err := house.People.ResolveIdentifier(t.Context(), privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(key)})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	kaan, eva := find("kaan"), find("adult-7")
	names, err := house.Pseudonyms.Of("recommender")
	if err != nil {
		t.Fatal(err)
	}
	audience := func(when string, want int, in ...privacy.DataSubjectID) {
		t.Helper()
		answer, err := house.Gate.Audience(t.Context(), privacy.Principal{ID: "reco", Role: privacy.RoleService, Recipient: "recommender"},
			gate.AudienceQuery{Purpose: "recommendations", Channel: "web"})
		if err != nil || answer.Decision != gate.Allow || answer.Size != want {
			t.Fatalf("%s: %s with %d people, want %d: %v %v", when, answer.Decision, answer.Size, want, answer.Reasons, err)
		}
		found := map[pseudonym.Pseudonym]bool{}
		for name := range answer.Pseudonyms {
			found[name] = true
		}
		for _, id := range []privacy.DataSubjectID{kaan, eva} {
			name, err := names.Of(id)
			if err != nil {
				t.Fatal(err)
			}
			wanted := false
			for _, w := range in {
				wanted = wanted || w == id
			}
			if found[name] != wanted {
				t.Errorf("%s: of kaan %v, found %v, want %v", when, id == kaan, found[name], wanted)
			}
		}
	}
	refresh := func() {
		t.Helper()
		if _, err := house.Refresher.RefreshAll(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	grant := func(id privacy.DataSubjectID, at time.Time) {
		t.Helper()
		change := consent.Change{DataSubject: id, Purpose: "recommendations", Channel: "*", NoticeVersion: "n1", Source: "letter", EffectiveAt: at}
		if _, err := house.Consent.Grant(t.Context(), Operator("tester"), change); err != nil {
			t.Fatal(err)
		}
	}
	refresh()
	audience("at first", crowd, eva)

	grant(kaan, now.AddDate(0, 0, -20)) // when the law called him a child
	audience("a child's yes came late", crowd, eva)
	refresh()
	audience("the birthday was noted", crowd, eva)
	records, err := postgres.NewConsentStore(house.DB, house.Log).List(t.Context(), kaan)
	if err != nil || len(records) != 2 || records[1].Action != consent.Expired || records[1].Source != consent.SourceBirthday {
		t.Fatalf("the ledger holds %d records: %v", len(records), err)
	}

	grant(eva, now.AddDate(0, 0, -20))
	audience("an adult's yes came late", crowd-1)
	refresh()
	audience("it was an adult's", crowd, eva)

	grant(kaan, time.Time{})
	audience("he says it as an adult", crowd+1, kaan, eva)
	grant(eva, time.Now().Add(-time.Second))
	if !gate.AgesHold(time.Now().Add(-time.Minute), time.Now()) {
		return // noon or midnight came in between
	}
	audience("a moment ago is not late", crowd+1, kaan, eva)
}
