package postgres

import "testing"

// A span that gives with one hand and takes with the other would let young entries go.
func TestAuditPolicyKeepsForward(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	for span, want := range map[string]string{
		"-1000 mons 30090 days":     "23514",
		"10 years -3000 days":       "23514",
		"3 years -1 mons":           "23000", // two years and eleven months: only its entry is missing
		"1 year":                    "23000",
		"89 days":                   "23514",
		"-1 years 30000 days 1 sec": "23514",
	} {
		got := refusal(db.pool.Exec(t.Context(), `insert into audit.retention (digest, number, keep, cosignatures, policy)
			values (sha256('x'), 1, $1::text::interval, 0, 'x')`, span))
		if got != want {
			t.Errorf("%s: got %q, want %q", span, got, want)
		}
	}
}
