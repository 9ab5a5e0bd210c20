package bench

import "testing"

// TestMeasureVerify makes a small bundle up and verifies it; the figures of the full one are
// for bench audit.
func TestMeasureVerify(t *testing.T) {
	// By itself: the heap that it measures is that of all tests.
	entries := uint64(1_000_000)
	if testing.Short() {
		entries = 70_000
	}
	rows, err := measureVerify(t.Context(), AuditConfig{Entries: entries, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Figure <= 0 || rows[1].Figure <= 0 || !rows[1].Met {
		t.Errorf("%+v", rows)
	}
	t.Logf("%+v", rows)
}
