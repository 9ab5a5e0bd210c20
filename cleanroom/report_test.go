package cleanroom_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
)

// TestEachAdmissionIsInTheLog: once for each time, and so is the end of what came in.
func TestEachAdmissionIsInTheLog(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	snapshots := []cleanroom.Snapshot{
		{ID: 1, Manifest: audit.Digest{1}, State: cleanroom.SnapshotDropped, AdmittedAt: at},
		{ID: 2, Manifest: audit.Digest{1}, State: cleanroom.SnapshotMatched, AdmittedAt: at},
		{ID: 3, Manifest: audit.Digest{3}, State: cleanroom.SnapshotDropped}, // never came in
		{ID: 4, Manifest: audit.Digest{4}, State: cleanroom.SnapshotLoading},
	}
	type said struct {
		kind audit.Kind
		list byte
	}
	whole := []said{{audit.SnapshotAdmitted, 1}, {audit.SnapshotDropped, 1}, {audit.SnapshotAdmitted, 1}, {audit.SnapshotDropped, 3}}
	for name, c := range map[string]struct {
		entries []said
		fault   string
	}{
		"all of it":               {whole, ""},
		"one admission less":      {whole[1:], "an admission of manifest 0100000000000000: 2 in the ledger, 1 in the log"},
		"without the end":         {slices.Concat(whole[:1], whole[2:]), "the end of manifest 0100000000000000: 1 in the rooms, 0 in the log"},
		"what is not there":       {slices.Concat(whole, []said{{audit.SnapshotAdmitted, 9}}), "an admission of manifest 0900000000000000: none in the ledger, 1 in the log"},
		"one that never came in":  {slices.Concat(whole, []said{{audit.SnapshotAdmitted, 4}}), "an admission of manifest 0400000000000000: none in the ledger, 1 in the log"},
		"a draw without its list": {whole[:3], ""},
	} {
		logged := cleanroom.NewLogged()
		for _, e := range c.entries {
			logged.Add(e.kind, audit.Digest{e.list})
		}
		if got := strings.Join(cleanroom.CompareSnapshots(snapshots, logged), "\n"); got != c.fault {
			t.Errorf("%s: %q, want %q", name, got, c.fault)
		}
	}
}
