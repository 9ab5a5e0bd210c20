package assembly

import (
	"testing"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// TestEndsAreNotedOnce: a grant that ended, and what somebody said as a child, get a row and
// an entry each, once, and the states stay what they were.
func TestEndsAreNotedOnce(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	id := loadPeople(t, house, 1)[0]
	now := time.Now().UTC().Truncate(time.Second)
	day := func(n int) time.Time { return now.AddDate(0, 0, n) }
	for _, change := range []consent.Change{
		{Purpose: "newsletter", Channel: "email", EffectiveAt: day(-90), ValidUntil: day(-30)},
		{Purpose: "newsletter", Channel: "sms", EffectiveAt: day(-90), ValidUntil: day(-2)},
		{Purpose: "recommendations", Channel: "*", EffectiveAt: day(-80)},
	} {
		change.DataSubject, change.NoticeVersion, change.Source = id, "n1", "web_form"
		if _, err := house.Consent.Grant(t.Context(), Operator("test"), change); err != nil {
			t.Fatal(err)
		}
	}
	e := expirer{postgres.NewConsentStore(house.DB, house.Log), subjects{house.People}}
	birthday := day(-10)
	childhood := func(at time.Time) (bool, time.Time) {
		if at.Before(birthday) {
			return true, birthday
		}
		return false, time.Time{}
	}
	before, err := house.Log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ended, err := e.store.Ended(t.Context(), endGrace, endBatch)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.note(t.Context(), ended); err != nil {
			t.Fatal(err)
		}
		if err := e.grownUp(t.Context(), []gate.GrownUp{{DataSubject: id, At: birthday, Childhood: childhood}}, now); err != nil {
			t.Fatal(err)
		}
	}
	records, err := e.store.List(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var notes []consent.Record
	for _, r := range records {
		if r.Action == consent.Expired {
			notes = append(notes, r)
		}
	}
	after, err := house.Log.Size(t.Context())
	if err != nil || after != before+3 || len(notes) != 3 {
		t.Fatalf("%d notes and %d entries, %v, want three: the e-mail's end, and the birthday for sms and for recommendations", len(notes), after-before, err)
	}
	for _, purpose := range []privacy.Purpose{"newsletter", "recommendations"} {
		for _, channel := range []privacy.Channel{"email", "sms"} {
			// By the notes alone: of somebody who was never a child.
			adult := func(time.Time) (bool, time.Time) { return false, time.Time{} }
			current := consent.FoldFor(consent.ForPurpose(records, purpose), channel, now, adult)
			if current.State != consent.StateExpired {
				t.Errorf("%s by %s: %s", purpose, channel, current.State)
			}
		}
	}
	if report, err := house.VerifyLog(t.Context(), nil); err != nil || report.Size != after {
		t.Errorf("the log: %+v, %v", report, err)
	}
}
