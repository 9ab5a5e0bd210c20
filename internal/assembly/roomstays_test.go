package assembly

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/notice"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// TestWhoLeavesARoomByThemselves: a wording that is out of date, or an age that is another one,
// takes people out of rooms although they have said nothing, each with an entry, and once.
func TestWhoLeavesARoomByThemselves(t *testing.T) {
	t.Parallel()
	house, database := newHouse(t)
	pool := database.OwnerPool(t)
	openHomes(t, house)
	ids := loadHomes(t, house, 5, -1)
	for i, id := range ids {
		version := "n1"
		if i >= 3 {
			version = "n2"
		}
		if _, err := house.Consent.Grant(t.Context(), Operator("tester"), consent.Change{
			DataSubject: id, Purpose: "campaign_measurement", Channel: "*", NoticeVersion: version, Source: "web_form",
		}); err != nil {
			t.Fatal(err)
		}
	}
	mapping, err := draw.ParseMapping([]byte(householdMapping))
	if err != nil {
		t.Fatal(err)
	}
	drawer, err := house.Drawer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := drawer.Draw(t.Context(), Operator("tester"), draw.Order{
		Room: "spring", Dataset: cleanroom.DatasetRef{Owner: "retail_media", Dataset: "homes"}, Mapping: mapping,
	})
	if err != nil || drawn.Members != 5 {
		t.Fatal(drawn.Members, err)
	}
	reviewer := house.roomReviewer()
	// The halves of a day are told by this clock: noon and midnight may come during the test.
	clock, since := time.Now(), reviewer.staleSince
	reviewer.staleSince = func(ctx context.Context) (time.Time, time.Time, error) {
		stale, _, err := since(ctx)
		return stale, clock, err
	}
	reviewed := func(when string, want ...int) {
		t.Helper()
		before, err := house.Log.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := reviewer.review(t.Context()); err != nil {
			t.Fatal(err)
		}
		var left []audit.Entry
		after, err := house.Log.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stored, err := house.Log.Tail(t.Context(), int(after-before))
		if err != nil && after > before {
			t.Fatal(err)
		}
		for _, s := range stored[:after-before] {
			e, err := audit.ParseEntry(s.Leaf)
			if err != nil {
				t.Fatal(err)
			}
			if e.Kind != audit.RoomLeft || e.Purpose != "campaign_measurement" || e.List == (audit.Digest{}) {
				t.Errorf("%s: entry %+v", when, e)
			}
			left = append(left, e)
		}
		for _, i := range want {
			subject, err := house.People.AuditSubject(t.Context(), ids[i])
			if err != nil || !slices.ContainsFunc(left, func(e audit.Entry) bool { return e.Person == subject.Blinding.Opening(e.ID).Tag(ids[i]) }) {
				t.Errorf("%s: person %d has not left, %v", when, i, err)
			}
			if n := countOf(t, pool, `select count(*) from cleanroom.presence where data_subject_id = $1`, [16]byte(ids[i])); n != 0 {
				t.Errorf("%s: person %d is there", when, i)
			}
		}
		if len(left) != len(want) {
			t.Errorf("%s: %d left, want %d", when, len(left), len(want))
		}
	}
	reviewed("when nothing has changed")
	if _, err := house.Notices.Publish(t.Context(), Operator("tester"), notice.Notice{
		Version: "n2", Material: true, Purposes: []privacy.Purpose{"campaign_measurement"}, EffectiveFrom: time.Now().Add(-time.Hour),
		Texts: []notice.Text{{Language: "en", Body: "We measure campaigns with others."}},
	}); err != nil {
		t.Fatal(err)
	}
	reviewed("after a material notice", 0, 1, 2)
	if n := countOf(t, pool, `select count(*) from cleanroom.staged_member`); n != 2 {
		t.Errorf("%d are staged, want 2", n)
	}
	if _, _, err := house.Rooms.Snapshots.Match(t.Context(), "spring", staged(t, house, "spring"), audit.Event{
		Kind: audit.RoomMatched, Outcome: audit.Done, Principal: Operator("tester"), Purpose: "campaign_measurement",
	}); err != nil {
		t.Fatal(err)
	}
	reviewed("after the match")

	// Two dates of birth are none, and whose age nobody knows is not taken for an adult.
	const line = `{"identifiers":[{"kind":"customer_number","value":"K-3"}],"jurisdiction":"CZ","attributes":{"birth_date":"2020-01-01"}}`
	result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(line), intake.StreamOptions{Principal: Operator("tester")})
	if err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	reviewed("in the same half of a day")
	clock = clock.Add(12 * time.Hour)
	reviewed("in the next half", 3)
	for table, want := range map[string]int{"fact": 1, "seat": 1, "presence": 1, "stay": 5} {
		if n := countOf(t, pool, `select count(*) from cleanroom.`+table); n != want {
			t.Errorf("%d rows in %s, want %d", n, table, want)
		}
	}

	// Somebody else does it at the same time.
	if n, err := reviewer.reviewer.Review(t.Context()); err != nil || n != 0 {
		t.Errorf("again: %d left, %v", n, err)
	}
	if report, err := house.VerifyLog(t.Context(), nil); err != nil {
		t.Errorf("the log: %+v, %v", report, err)
	}
}

// staged are the snapshots of a room that wait for its match.
func staged(t *testing.T, house *House, room cleanroom.RoomID) []cleanroom.SnapshotID {
	t.Helper()
	snapshots, err := house.Rooms.Snapshots.Snapshots(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	return cleanroom.Staged(snapshots)
}
