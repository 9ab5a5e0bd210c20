package postgres

import (
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
)

// TestReportFindsWhatTheLogDoesNotSay: whoever can write tables can neither hide a charge or
// an answer, nor change one, without the report showing it.
func TestReportFindsWhatTheLogDoesNotSay(t *testing.T) {
	t.Parallel()
	r, refs := newLedgerTest(t, 100, 60)
	ledger := NewRoomLedger(r.db, r.log, RoomLedgerConfig{})
	for i := range 3 {
		c := charge("campaign", "agency", i, 10, refs...)
		event := roomEvent(audit.RoomCharged)
		event.List = c.Question
		run, err := ledger.Begin(t.Context(), c, event)
		if err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if err := ledger.Fail(t.Context(), run.ID, roomEvent(audit.RoomFailed)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		release := answerTo(c, `{"people":`+strings.Repeat("1", i+1)+`}`)
		if _, err := ledger.Finish(t.Context(), run.ID, release, released(release)); err != nil {
			t.Fatal(err)
		}
		c.Consumer = "brand"
		if _, err := ledger.Repeat(t.Context(), c, released(release)); err != nil {
			t.Fatal(err)
		}
	}
	faults := func() []string {
		t.Helper()
		told, err := r.rooms.RoomRuns(t.Context(), "campaign")
		if err != nil {
			t.Fatal(err)
		}
		accounts, err := r.rooms.Accounts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		entries, err := r.log.Entries(t.Context(), 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		logged := cleanroom.NewLogged()
		for _, e := range entries {
			entry, err := audit.ParseEntry(e.Leaf)
			if err != nil {
				t.Fatal(err)
			}
			logged.Add(entry.Kind, entry.List)
		}
		return cleanroom.CompareWithLog(told, accounts, &cleanroom.PersonaAccount{}, logged)
	}
	if found := faults(); len(found) != 0 {
		t.Fatalf("nothing was touched, and yet: %v", found)
	}
	owner := r.database.OwnerPool(t)
	for _, c := range []struct{ name, change, back, want string }{
		{"an answer", `update cleanroom.release set answer = answer || ' ' where run_id = 1`, `update cleanroom.release set answer = substring(answer from 1 for octet_length(answer) - 1) where run_id = 1`, "not the one that was given"},
		{"a cost", `update cleanroom.run set cost = 1 where run_id = 1`, `update cleanroom.run set cost = 10 where run_id = 1`, "its charges are 21"},
		{"a question", `update cleanroom.run set question = sha256('x') where run_id = 3 or state = 'failed'`, ``, "none in the ledger"},
	} {
		if _, err := owner.Exec(t.Context(), c.change); err != nil {
			t.Fatal(err)
		}
		if found := strings.Join(faults(), "\n"); !strings.Contains(found, c.want) {
			t.Errorf("%s was changed, and found is %q", c.name, found)
		}
		if c.back != "" {
			if _, err := owner.Exec(t.Context(), c.back); err != nil {
				t.Fatal(err)
			}
			if found := faults(); len(found) != 0 {
				t.Errorf("%s was put back, and yet: %v", c.name, found)
			}
		}
	}
}
