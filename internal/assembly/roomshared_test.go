package assembly

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// TestOnePersonChangesOnePersonOfADraw goes over everybody of a house in which several people
// share an address: when one withdraws, nobody else leaves or comes before the next draw, and in
// that at most one person is another one than before, the one who withdrew included.
func TestOnePersonChangesOnePersonOfADraw(t *testing.T) {
	t.Parallel()
	house, database := newHouse(t)
	pool := database.OwnerPool(t)
	openHomes(t, house)
	by := Operator("tester")
	homes := []int{0, 0, 1, 1, 1, 2, 2, 2, 2} // and, of four more, whatever comes
	for range 4 {
		homes = append(homes, rand.IntN(7))
	}
	homes = append(homes, 7, 8, 9, 10) // so that the room has its minimum
	var lines strings.Builder
	for i, home := range homes {
		fmt.Fprintf(&lines, `{"identifiers":[{"kind":"customer_number","value":"K-%d"}],"jurisdiction":"CZ","attributes":{"email":"%s%d@example.com","loyalty_tier":"gold","birth_date":"1980-05-01"}}`+"\n",
			i, []string{"home", "Home"}[i%2], home)
	}
	result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(lines.String()), intake.StreamOptions{Principal: by})
	if err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	var ids []privacy.DataSubjectID
	for i := range homes {
		id, err := house.People.ResolveIdentifier(t.Context(), customer(i))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	grant := func(i int) {
		t.Helper()
		if _, err := house.Consent.Grant(t.Context(), by, consent.Change{DataSubject: ids[i], Purpose: "campaign_measurement", Channel: "*", NoticeVersion: "n1", Source: "web_form"}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range ids {
		grant(i)
	}
	mapping, err := draw.ParseMapping([]byte(householdMapping))
	if err != nil {
		t.Fatal(err)
	}
	drawer, err := house.Drawer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var snapshot cleanroom.SnapshotID
	// present returns who is in the snapshot that waits.
	present := func() (found []int) {
		t.Helper()
		for i, id := range ids {
			if countOf(t, pool, `select count(*) from cleanroom.presence where data_subject_id = $1 and snapshot_id = $2`, [16]byte(id), int64(snapshot)) == 1 {
				found = append(found, i)
			}
		}
		if n := countOf(t, pool, `select count(*) from cleanroom.staged_member`); n != len(found) {
			t.Fatalf("%d are staged and %d present", n, len(found))
		}
		return found
	}
	drawn := func() []int {
		t.Helper()
		if snapshot != 0 { // the one before is matched, in an epoch that has been
			if _, _, err := house.MatchRoom(t.Context(), by, "spring"); err != nil {
				t.Fatal(err)
			}
			mustExec(t, pool, `update cleanroom.room set matched_at = matched_at - interval '60 days'`)
		}
		drawn, err := drawer.Draw(t.Context(), by, draw.Order{
			Room: "spring", Dataset: cleanroom.DatasetRef{Owner: "retail_media", Dataset: "homes"}, Mapping: mapping,
		})
		if err != nil {
			t.Fatal(err)
		}
		snapshot = drawn.Snapshot
		return present()
	}
	without := func(list []int, gone int) []int {
		return slices.DeleteFunc(slices.Clone(list), func(i int) bool { return i == gone })
	}
	// alone are those whose home nobody else has, but for one who is gone.
	alone := func(gone int) (list []int) {
		for i, home := range homes {
			others := 0
			for j := range homes {
				if j != i && j != gone && homes[j] == home {
					others++
				}
			}
			if i != gone && others == 0 {
				list = append(list, i)
			}
		}
		return list
	}
	all := drawn()
	if !slices.Equal(all, alone(-1)) {
		t.Fatalf("%v were drawn of %v", all, homes)
	}
	for gone := range ids {
		if _, err := house.Consent.Withdraw(t.Context(), by, consent.Change{DataSubject: ids[gone], Purpose: "campaign_measurement", Channel: "*", NoticeVersion: "n1", Source: "web_form"}); err != nil {
			t.Fatal(err)
		}
		if at := present(); !slices.Equal(at, without(all, gone)) {
			t.Errorf("%d withdraws, and at once %v are there of %v", gone, at, all)
		}
		next := drawn()
		if !slices.Equal(next, alone(gone)) {
			t.Errorf("without %d %v were drawn of %v", gone, next, homes)
		}
		changed := 0
		for i := range ids {
			if slices.Contains(next, i) != slices.Contains(all, i) {
				changed++
			}
		}
		if changed > 1 {
			t.Errorf("without %d, %d people are others: %v after %v", gone, changed, next, all)
		}
		grant(gone)
		if again := drawn(); !slices.Equal(again, all) {
			t.Errorf("%d agrees again, and %v are drawn after %v", gone, again, all)
		}
	}
}
