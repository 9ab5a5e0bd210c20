package consent_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// told replays a history from its first day to its last, as a clerk would who keeps one card
// for each person. It shares nothing with the fold, which never sorts and looks for maxima.
func told(records []consent.Record, channel privacy.Channel, moment time.Time, child func(time.Time) bool) consent.State {
	var heard []consent.Record
	for _, r := range records {
		if (r.Channel == channel || r.Channel == "*") && !r.EffectiveAt.After(moment) {
			heard = append(heard, r)
		}
	}
	rank := map[consent.Action]int{
		consent.Expired: 1, consent.Refused: 2, consent.Withdrawn: 3, consent.GuardianWithdrawn: 3, consent.Objected: 4,
	}
	ends := func(r consent.Record) int64 {
		if r.ValidUntil.IsZero() {
			return 1 << 62
		}
		return r.ValidUntil.UnixMicro()
	}
	number := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	// What binds more is written on the card later.
	slices.SortFunc(heard, func(a, b consent.Record) int {
		return cmp.Or(
			a.EffectiveAt.Compare(b.EffectiveAt), cmp.Compare(rank[a.Action], rank[b.Action]),
			cmp.Compare(number(b.Explicit), number(a.Explicit)), cmp.Compare(ends(b), ends(a)),
			cmp.Compare(len(b.Categories), len(a.Categories)), slices.Compare(a.ID[:], b.ID[:]),
		)
	})
	card := consent.StateNeverAsked
	var yes consent.Record
	var objectedAt time.Time
	for _, r := range heard {
		switch r.Action {
		case consent.Granted, consent.Renewed, consent.GuardianGranted:
			card, yes = consent.StateGranted, r
		case consent.Refused:
			card = consent.StateRefused
		case consent.Withdrawn, consent.GuardianWithdrawn:
			card = consent.StateWithdrawn
		case consent.Expired:
			if card == consent.StateGranted || card == consent.StateNeverAsked {
				card = consent.StateExpired
			}
		case consent.Objected:
			card, objectedAt = consent.StateObjected, r.EffectiveAt
		}
	}
	if card == consent.StateGranted {
		guardian := yes.Actor == consent.ByGuardian
		switch {
		case !yes.ValidUntil.IsZero() && !yes.ValidUntil.After(moment):
			card = consent.StateExpired
		case child(moment) && (!guardian || !yes.GuardianVerified):
			card = consent.StateGuardianMissing
		case !child(moment) && (guardian || child(yes.EffectiveAt)):
			card = consent.StateExpired
		case !yes.StaleAt.IsZero() && !yes.StaleAt.After(moment):
			card = consent.StateStaleNotice
		}
	}
	free := card == consent.StateGranted && yes.Explicit && yes.Basis == privacy.Consent && yes.EffectiveAt.After(objectedAt)
	if !objectedAt.IsZero() && !free {
		card = consent.StateObjected
	}
	return card
}

// TestFoldIsTheHistoryTold: at every moment of every random history, by all that is known
// and by what was known then, the fold says what a replay from the first day on says.
func TestFoldIsTheHistoryTold(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 9))
	seen := map[consent.State]int{}
	for range 20_000 {
		records, childhood := history(random), childhoods(random)
		child := func(moment time.Time) bool {
			if childhood == nil {
				return false
			}
			is, _ := childhood(moment)
			return is
		}
		for minute := range 10 {
			want := told(records, "email", at(minute), child)
			if got := consent.FoldFor(records, "email", at(minute), childhood); got.State != want {
				t.Fatalf("minute %d: %s, want %s\n%+v", minute, got.State, want, records)
			}
			seen[want]++
			known := at(random.IntN(10))
			var had []consent.Record
			for _, r := range records {
				if !r.RecordedAt.After(known) {
					had = append(had, r)
				}
			}
			want = told(had, "email", at(minute), child)
			if got := consent.FoldKnown(records, "email", at(minute), known, childhood); got.State != want {
				t.Fatalf("minute %d as known at %v: %s, want %s\n%+v", minute, known, got.State, want, records)
			}
		}
	}
	if len(seen) != 8 {
		t.Errorf("only these states were seen: %v", seen)
	}
	for state, n := range seen {
		if n < 500 {
			t.Errorf("%s was seen %d times only", state, n)
		}
	}
}

// TestChildhoodDecidesWhoseYesCounts: a child's own yes is none, a verified guardian's is
// one as long as there is a child, and the birthday opens the question again.
func TestChildhoodDecidesWhoseYesCounts(t *testing.T) {
	t.Parallel()
	guardian := grant(1, "email", says(consent.GuardianGranted), verified)
	unverified := grant(1, "email", says(consent.GuardianGranted), func(r *consent.Record) { r.Actor = consent.ByGuardian })
	own, asYouth := grant(1, "email"), grant(5, "email")
	for name, c := range map[string]struct {
		records   []consent.Record
		childhood consent.Childhood
		at        int
		want      consent.State
	}{
		"child, verified guardian":             {[]consent.Record{guardian}, grewUp(5), 4, consent.StateGranted},
		"the day of the birthday":              {[]consent.Record{guardian}, grewUp(5), 5, consent.StateExpired},
		"asked again at the birthday":          {[]consent.Record{guardian, asYouth}, grewUp(5), 5, consent.StateGranted},
		"child, guardian not verified":         {[]consent.Record{unverified}, grewUp(5), 4, consent.StateGuardianMissing},
		"youth, guardian not verified":         {[]consent.Record{unverified}, grewUp(5), 6, consent.StateExpired},
		"child's own":                          {[]consent.Record{own}, grewUp(5), 4, consent.StateGuardianMissing},
		"child's own, years later":             {[]consent.Record{own}, grewUp(5), 600, consent.StateExpired},
		"child's own after a guardian's":       {[]consent.Record{guardian, grant(2, "email")}, grewUp(5), 4, consent.StateGuardianMissing},
		"adult's own":                          {[]consent.Record{own}, grewUp(0), 4, consent.StateGranted},
		"adult's guardian":                     {[]consent.Record{guardian}, grewUp(0), 4, consent.StateExpired},
		"nobody knows the age":                 {[]consent.Record{own}, nil, 4, consent.StateGranted},
		"a child's no is a no":                 {[]consent.Record{guardian, grant(2, "*", says(consent.Withdrawn))}, grewUp(5), 4, consent.StateWithdrawn},
		"guardian renews":                      {[]consent.Record{guardian, grant(2, "email", says(consent.Renewed), verified)}, grewUp(5), 4, consent.StateGranted},
		"a child's explicit yes lifts nothing": {[]consent.Record{grant(0, "*", says(consent.Objected)), grant(1, "email", explicit)}, grewUp(5), 4, consent.StateObjected},
	} {
		if got := consent.FoldFor(c.records, "email", at(c.at), c.childhood); got.State != c.want {
			t.Errorf("%s: %s, want %s", name, got.State, c.want)
		}
	}
	if got := consent.FoldFor([]consent.Record{guardian}, "email", at(4), grewUp(5)); !got.Until.Equal(at(5)) {
		t.Errorf("a guardian's yes holds until %v, want the birthday", got.Until)
	}
}
