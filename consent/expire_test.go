package consent_test

import (
	"math/rand/v2"
	"testing"

	"github.com/mahrem/mahrem/consent"
)

// TestBirthdaysAreNoted: with what GrownUp notes in the ledger, a fold that knows nothing of
// the childhood says of a grown person what one says that does; and noting changes nothing
// for whoever knows.
func TestBirthdaysAreNoted(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(8, 1))
	noted, differed := 0, 0
	grown := func(records []consent.Record) []consent.Record {
		return append(append([]consent.Record(nil), records...), consent.GrownUp(records, grewUp(4), at(6))...)
	}
	for range 20_000 {
		records := history(random)
		with := grown(records)
		noted += len(with) - len(records)
		for minute := 6; minute < 10; minute++ {
			knows := consent.FoldFor(records, "email", at(minute), grewUp(4))
			blind := consent.FoldFor(with, "email", at(minute), grewUp(-9))
			if blind.State != knows.State || blind.Explicit != knows.Explicit {
				t.Fatalf("minute %d: %s without the age, %s with it\n%+v", minute, blind.State, knows.State, with)
			}
			if again := consent.FoldFor(with, "email", at(minute), grewUp(4)); again.State != knows.State {
				t.Fatalf("minute %d: %s, and %s once it was noted\n%+v", minute, knows.State, again.State, with)
			}
			if consent.FoldFor(records, "email", at(minute), grewUp(-9)).State != knows.State {
				differed++
			}
		}
		if more := consent.GrownUp(with, grewUp(4), at(6)); len(more) != 0 {
			t.Fatalf("noted twice: %+v", more)
		}
	}
	if noted < 1000 || differed < 1000 {
		t.Errorf("%d ends noted, %d states would have differed", noted, differed)
	}
}
