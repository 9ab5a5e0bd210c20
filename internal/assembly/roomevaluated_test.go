package assembly

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

// TestAnEvaluatedListIsHeldToItsSize: in oprf mode a list has no more people than were declared
// and evaluated; the house's own are counted too; and beside one kind of identifier there
// is no other.
func TestAnEvaluatedListIsHeldToItsSize(t *testing.T) {
	t.Parallel()
	w := newWay(t, cleanroom.MatchOPRF)
	_, _, err := w.draw()
	w.must(err)
	declared := func(of string) int {
		return w.countOf(`select members from cleanroom.evaluation where dataset = $1`, of)
	}
	evaluated := func(of string) int {
		return w.countOf(`select elements from cleanroom.evaluation where dataset = $1`, of)
	}
	if declared("homes") != 2*wayPeople || evaluated("homes") != wayPeople {
		t.Errorf("of %d people of the house %d were counted", declared("homes"), evaluated("homes"))
	}
	kinds := kindsAfter(t, w.house, 0)
	if n := len(kinds); kinds[n-1] != audit.SnapshotAdmitted || kinds[n-2] != audit.RoomEvaluated {
		t.Errorf("a draw leaves %v", kinds[n-2:])
	}
	good := w.prepare(nil)
	size := declared("audience")
	if evaluated("audience") != size {
		t.Errorf("%d of %d were evaluated", evaluated("audience"), size)
	}
	refused := func(name, pointer, dir string) {
		t.Helper()
		if status, answer := w.send(dir); status != http.StatusUnprocessableEntity || !strings.Contains(answer, `"pointer":"`+pointer+`"`) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	// More than were declared, made up by whoever knows how tokens look.
	invented := func(c *prepare.Config) { c.Matcher = unasked{match.NewOperator()} }
	for i := range wayPeople {
		w.common[i] = true
	}
	refused("more than declared", "/manifest/members", w.prepare(invented))
	for i := range 20 {
		delete(w.common, i)
	}
	mustExec(t, w.pool, `update cleanroom.evaluation set members = 300, elements = 200 where dataset = 'audience'`)
	refused("more than evaluated", "/manifest/members", w.prepare(func(c *prepare.Config) { invented(c); c.Declared = 300 }))
	mustExec(t, w.pool, `update cleanroom.evaluation set elements = 300 where dataset = 'audience'`)
	refused("another size", "/manifest/declared", w.prepare(func(c *prepare.Config) { invented(c); c.Declared = 281 }))
	mustExec(t, w.pool, fmt.Sprintf(`update cleanroom.evaluation set members = %d, elements = %d where dataset = 'audience'`, size, size))
	for i := range wayPeople {
		w.common[i] = i < size-60
	}
	refused("numbers beside addresses", "/manifest/identifier", w.prepare(func(c *prepare.Config) { invented(c); c.Identifier = privacy.CustomerNumber }))
	w.mustSend(good, http.StatusCreated)
	// Drawn once more, as many again fit; a third time, nobody does.
	if _, _, err := w.draw(); err != nil {
		t.Errorf("drawn again: %v", err)
	}
	if _, _, err := w.draw(); !errors.Is(err, match.ErrQuota) {
		t.Errorf("drawn a third time: %v", err)
	}
	if evaluated("homes") != 2*wayPeople {
		t.Errorf("%d people of the house were counted", evaluated("homes"))
	}
}

// unasked makes tokens without asking the house.
type unasked struct{ match.Matcher }

func (unasked) Mode() cleanroom.Matching { return cleanroom.MatchOPRF }
