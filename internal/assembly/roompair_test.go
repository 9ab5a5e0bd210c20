package assembly

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

// TestAPairIsDrawnInTwoSteps: what can go wrong between the two, and what is left of it.
func TestAPairIsDrawnInTwoSteps(t *testing.T) {
	t.Parallel()
	w := newWay(t, cleanroom.MatchPair)
	first, ours, err := w.draw()
	w.must(err)
	if entry, _ := last(t, w.house); entry.Kind != audit.SnapshotDrawn || entry.List != first.Manifest {
		t.Errorf("the entry: %s %x", entry.Kind, entry.List)
	}
	// What the other party gets: members in an order that says nothing, and no rows.
	if entries, err := os.ReadDir(ours); err != nil || len(entries) != 2 {
		t.Errorf("the list is %v, %v", entries, err)
	}
	if _, err := prepare.OpenDelivery(ours); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("the house sends its own list to itself: %v", err)
	}
	remasked := w.remask(ours, "retail_media", "brand_partner")
	gone := w.withdraw()
	if n := w.countOf(`select count(*) from cleanroom.staged_member`); n != wayPeople-1 {
		t.Errorf("%d wait after a withdrawal", n)
	}
	// Nobody may take the brand's part, and no other list is taken for it.
	stranger, err := w.house.Tokens.Mint(privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "retail_media"}, time.Hour)
	w.must(err)
	brands := w.token
	w.token = stranger.Token
	w.mustSend(remasked, http.StatusForbidden)
	w.token = brands
	// Drawn again, the list of before is none any more, and who has left is not in the new one.
	second, again, err := w.draw()
	w.must(err)
	w.ended(first.Manifest)
	if second.Members != wayPeople-1 {
		t.Errorf("%d were drawn again", second.Members)
	}
	if status, answer := w.send(remasked); status != http.StatusUnprocessableEntity || !strings.Contains(answer, "they were drawn again") {
		t.Errorf("the first list comes back late: %d %s", status, answer)
	}
	// A list with somebody twice is refused, and does not spoil what waits.
	again = w.remask(again, "retail_media", "brand_partner")
	if status, answer := w.send(w.twice(again)); status != http.StatusUnprocessableEntity {
		t.Errorf("somebody comes twice: %d %s", status, answer)
	}
	w.mustSend(again, http.StatusCreated)
	if n := w.countOf(`select count(*) from cleanroom.snapshot where state = 'staged'`); n != 1 {
		t.Errorf("%d datasets wait for the match", n)
	}
	if n := w.countOf(`select count(*) from cleanroom.presence where data_subject_id = $1`, [16]byte(w.people[gone])); n != 0 {
		t.Error("who has left is still there")
	}
	w.mustSend(again, http.StatusOK) // it is in already, which changes nothing
	// A draw that is never ended is swept, with everybody in it.
	third, _, err := w.draw()
	w.must(err)
	mustExec(t, w.pool, `update cleanroom.snapshot set begun_at = begun_at - interval '8 days' where state = 'loading'`)
	w.must(w.house.tidyRooms(t.Context()))
	w.ended(third.Manifest)
	if n := w.countOf(`select count(*) from cleanroom.presence where snapshot_id = $1`, int64(third.Snapshot)); n != 0 {
		t.Errorf("%d people are in a draw that was swept", n)
	}
	if n := w.countOf(`select count(*) from cleanroom.presence where snapshot_id = $1`, int64(second.Snapshot)); n != wayPeople-1 {
		t.Errorf("%d people are in the draw that is in", n)
	}
}

// ended sees that the log says once that a draw was handed over, and once that it came to nothing.
func (w *way) ended(manifest audit.Digest) {
	w.t.Helper()
	stored, err := w.house.Log.Tail(w.t.Context(), 1000)
	w.must(err)
	kinds := map[audit.Kind]int{}
	for i := range stored {
		entry, err := audit.ParseEntry(stored[i].Leaf)
		w.must(err)
		if entry.List == manifest {
			kinds[entry.Kind]++
		}
	}
	if kinds[audit.SnapshotAdmitted] != 0 || kinds[audit.SnapshotDrawn] != 1 || kinds[audit.SnapshotDropped] != 1 {
		w.t.Errorf("the log says of the draw: %v", kinds)
	}
	report, err := w.house.ReportRooms(w.t.Context(), Operator("tester"), "", nil)
	w.must(err)
	if len(report.Faults) > 0 {
		w.t.Errorf("the rooms do not agree with the log: %v", report.Faults)
	}
	if verified, err := w.house.VerifyLog(w.t.Context(), nil); err != nil {
		w.t.Errorf("the log: %+v, %v", verified, err)
	}
}

// twice has the brand sign a list in which the first member comes twice.
func (w *way) twice(dir string) string {
	w.t.Helper()
	delivery, err := prepare.OpenDelivery(dir)
	w.must(err)
	defer func() { _ = delivery.Close() }()
	stream := prepare.NewStream(delivery)
	head, err := stream.Head()
	w.must(err)
	text, err := os.ReadFile(filepath.Join(dir, prepare.MembersFile))
	w.must(err)
	tokens, err := prepare.ParseMembers(bytes.TrimSuffix(text, []byte("\n")), cleanroom.MatchPair)
	w.must(err)
	tokens[1] = tokens[0]
	line := prepare.AppendMembers(nil, cleanroom.MatchPair, tokens)
	statement := prepare.Remasked{By: "brand_partner", Manifest: prepare.Digest(head.Manifest), MemberChunks: []audit.Digest{prepare.Digest(line)}, RemaskedAt: time.Now()}
	signed, err := statement.Sign(w.signers["brand_partner"])
	w.must(err)
	out := w.t.TempDir()
	for name, content := range map[string][]byte{prepare.RemaskedFile: signed, "manifest.of": head.Manifest, prepare.MembersFile: append(slices.Clone(line), '\n')} {
		w.must(os.WriteFile(filepath.Join(out, name), content, 0o600))
	}
	return out
}
