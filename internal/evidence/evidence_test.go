package evidence

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
)

// TestTables: each line reads, no operation has two, and a reason says something.
func TestTables(t *testing.T) {
	t.Parallel()
	for _, table := range []string{routes, commands, chores, later} {
		operations, err := parse(table)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, o := range operations {
			if seen[o.Name] {
				t.Errorf("%s has two lines", o.Name)
			}
			seen[o.Name] = true
			if (len(o.Leaves) == 0) != (len(o.Reason) > 10) {
				t.Errorf("%s: leaves %v for the reason %q", o.Name, o.Leaves, o.Reason)
			}
		}
	}
	names := make([]string, 0, len(Commands()))
	for _, o := range Commands() {
		names = append(names, o.Name)
	}
	if !slices.IsSorted(names) {
		t.Error("the commands are not in the order of their names")
	}
}

// TestEveryKindIsLeftBySomething: a kind that nothing leaves says something that nobody
// will ever read, or is left by a way in that is not in the tables.
func TestEveryKindIsLeftBySomething(t *testing.T) {
	t.Parallel()
	left := map[audit.Kind]bool{}
	for _, o := range slices.Concat(Routes(), Commands(), Chores()) {
		for _, kind := range o.Kinds() {
			left[kind] = true
		}
	}
	waiting, err := parse(later)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range waiting {
		if kind := audit.Kind(o.Name); left[kind] || !kind.Valid() {
			t.Errorf("%s is not waited for any more", kind)
		}
		left[audit.Kind(o.Name)] = true
	}
	for _, kind := range audit.Kinds() {
		if !left[kind] {
			t.Errorf("nothing leaves %s", kind)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	each := Operation{Name: "x", Each: true, Leaves: [][]audit.Kind{{"log.started", "key.created"}, {"log.read"}}, May: []audit.Kind{"request.refused"}}
	some := each
	some.Each = false
	none := Operation{Name: "y", Reason: "because"}
	refusing := Operation{Name: "z", Reason: "because", May: []audit.Kind{"room.denied"}}
	for _, test := range []struct {
		o    Operation
		ok   bool
		left []audit.Kind
		want bool
	}{
		{each, true, []audit.Kind{"key.created", "log.started"}, true},
		{each, true, []audit.Kind{"log.read", "request.refused"}, true},
		{each, true, []audit.Kind{"log.started"}, false},
		{each, true, nil, false},
		{each, true, []audit.Kind{"log.read", "query.denied"}, false},
		{each, false, nil, true},
		{each, false, []audit.Kind{"request.refused"}, true},
		{each, false, []audit.Kind{"query.denied"}, false},
		{some, true, nil, true},
		{some, true, []audit.Kind{"query.denied"}, false},
		{none, true, nil, true},
		{none, true, []audit.Kind{"log.read"}, false},
		{refusing, true, nil, true},
		{refusing, false, []audit.Kind{"room.denied"}, true},
		{refusing, false, []audit.Kind{"log.read"}, false},
	} {
		if got := test.o.Check(test.ok, test.left); (got == "") != test.want {
			t.Errorf("%s %t %v: %q", test.o.Name, test.ok, test.left, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"mahrem x", "mahrem x = query.guessed", "mahrem x ~ log.read (nothing)", "mahrem x = ", "mahrem x =log.read", "mahrem x - reads a file (that is given)", "mahrem x - reads) a file (log.read"} {
		if _, err := parse(line); err == nil {
			t.Errorf("%q reads", line)
		}
	}
}

// TestDocsPrintTheTables: docs/audit-events.md has the tables as they are. After a change
// write what the test prints into it.
func TestDocsPrintTheTables(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/audit-events.md")
	if err != nil {
		t.Fatal(err)
	}
	const mark = "<!-- tables -->\n\n"
	_, printed, found := strings.Cut(string(text), mark)
	if !found {
		t.Fatal("docs/audit-events.md has no place for the tables")
	}
	if diff := cmp.Diff(printed, Markdown()); diff != "" {
		t.Errorf("docs/audit-events.md (-printed +table):\n%s", diff)
	}
}
