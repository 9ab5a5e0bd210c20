package policies_test

import (
	"testing"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// TestChildhoodEndsWhereAgeGroupsChange: both ends are where a walk, half a day at a time,
// finds that the age group changes.
func TestChildhoodEndsWhereAgeGroupsChange(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	from, to := time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	ends := 0
	for _, law := range []privacy.Jurisdiction{"CZ", "TR", "EU", "UK", "US-CA", "unknown"} {
		for _, born := range []string{"2003-11-30", "2004-02-29", "2008-06-15", "2020-01-01", "1970-01-01", "", "2008-13-01"} {
			var ended time.Time
			is := func(at time.Time) bool { return c.AgeGroup(law, born, at) == policies.Child }
			for at := from; at.Before(to); at = at.Add(12 * time.Hour) {
				if before := at.Add(-12 * time.Hour); is(before) && !is(at) {
					ended = at
					ends++
					if got := c.ChildUntil(law, born, before); !got.Equal(at) {
						t.Errorf("%s, born %s: a child until %v, want %v", law, born, got, at)
					}
				}
				want := ended
				if is(at) {
					want = time.Time{}
					if got := c.ChildUntil(law, born, at); !got.After(at) || is(got) {
						t.Errorf("%s, born %s: a child on %v until %v", law, born, at, got)
					}
				} else if !c.ChildUntil(law, born, at).IsZero() {
					t.Errorf("%s, born %s: no child on %v, but until %v", law, born, at, c.ChildUntil(law, born, at))
				}
				if at.Day() == 1 { // and on few days, because it walks a life
					if got := c.ChildhoodEnded(law, born, at); !got.Equal(want) && got.After(from) {
						t.Fatalf("%s, born %s: on %v a child until %v, want %v", law, born, at, got, want)
					}
				}
			}
		}
	}
	if ends < 10 {
		t.Errorf("only %d childhoods ended", ends)
	}
}
