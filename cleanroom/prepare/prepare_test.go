package prepare_test

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

func TestPreparedSaysWhatTheFileSays(t *testing.T) {
	t.Parallel()
	c, verifier := config(t)
	c.ManyRows = true
	dir := filepath.Join(t.TempDir(), "out")
	text := "consent,amount,email,day,segment,unused\n" +
		"yes,1.50, Ada@Example.com ,2026-01-05,new,x\n" +
		"yes,2,ada@example.com,2026-01-06,regular,x\n" +
		"yes,-0.05,bo@example.com,2026-12-31,strange,x\n" +
		"yes,9,cy@example.com,2026-02-01,new,x\n" +
		"no,oops,cy@example.com,never,new,x\n" + // one no is enough, and what it says is not read
		",1,di@example.com,2026-02-01,new,x\n" +
		"yes,1,,2026-02-01,new,x\n" // nobody
	c.Declared = 2
	summary, err := prepare.Run(t.Context(), source("x.csv", text), dir, c)
	if err != nil {
		t.Fatal(err)
	}
	got := open(t, dir, verifier, 3)
	if got.manifest.Members != 2 || got.manifest.Rows != 3 || summary.LeftOut != 2 || summary.NoIdentifier != 1 {
		t.Errorf("%d members, %d rows, %d left out, %d without an identifier", got.manifest.Members, got.manifest.Rows, summary.LeftOut, summary.NoIdentifier)
	}
	who := map[match.Token]string{sha256.Sum256([]byte("ada@example.com")): "ada", sha256.Sum256([]byte("bo@example.com")): "bo"}
	var rows []string
	for _, row := range got.rows {
		rows = append(rows, fmt.Sprintf("%s %d", who[got.tokens[row.Member]], row.Values))
	}
	slices.Sort(rows)
	want := []string{"ada [0 20458 150]", "ada [1 20459 200]", "bo [2 20818 -5]"}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info := must(e.Info())(t)
		names = append(names, fmt.Sprintf("%s %o", e.Name(), info.Mode().Perm()))
	}
	if diff := cmp.Diff([]string{"manifest 600", "members.ndjson 600", "rows.ndjson 600"}, names); diff != "" {
		t.Errorf("the directory:\n%s", diff)
	}
	if info := must(os.Stat(dir))(t); info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %o", info.Mode().Perm())
	}
}

func TestNDJSONIsReadAlike(t *testing.T) {
	t.Parallel()
	c, verifier := config(t)
	c.Declared = 2
	dir := filepath.Join(t.TempDir(), "out")
	text := `{"email":"a@example.com","consent":"yes","segment":"new","day":"2026-01-05","amount":12.5}` + "\n" +
		`{"email":"b@example.com","consent":"yes","segment":"new","day":"2026-01-05","amount":"7"}` + "\n"
	if _, err := prepare.Run(t.Context(), source("x.ndjson", text), dir, c); err != nil {
		t.Fatal(err)
	}
	got := open(t, dir, verifier, 3)
	amounts := []int64{got.rows[0].Values[2], got.rows[1].Values[2]}
	slices.Sort(amounts)
	if diff := cmp.Diff([]int64{700, 1250}, amounts); diff != "" {
		t.Error(diff)
	}
}

// A line of NDJSON that lacks a column is told by its number, and leaves nothing.
func TestALaterLineWithoutAColumn(t *testing.T) {
	t.Parallel()
	c, _ := config(t)
	c.Declared = 2
	dir := filepath.Join(t.TempDir(), "out")
	text := `{"email":"a@example.com","consent":"yes","segment":"new","day":"2026-01-05","amount":12.5}` + "\n" +
		`{"email":"b@example.com","consent":"yes","segment":"new","dya":"2026-01-05","amount":"7"}` + "\n"
	if _, err := prepare.Run(t.Context(), source("x.ndjson", text), dir, c); !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), "line 2: not_provided day") {
		t.Errorf("a line without a column: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was left: %v", err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	const header = "email,consent,segment,day,amount\n"
	row := func(who string) string { return who + ",yes,new,2026-01-05,1\n" }
	for name, test := range map[string]struct {
		text   string
		change func(c *prepare.Config)
		want   string
	}{
		"twice, spelled otherwise": {header + row("a@example.com") + row("b@example.com") + row("A@EXAMPLE.com"), nil, "line 4: duplicate"},
		"twice, bad rows dropped": {
			header + row("a@example.com") + row("a@example.com") + row("b@example.com"),
			func(c *prepare.Config) { c.DropBad = true }, "line 3: duplicate",
		},
		"no address":          {header + row("a@example.com") + row("somebody"), nil, "line 3: bad_identifier"},
		"outside of the days": {header + row("a@example.com") + "b@example.com,yes,new,2025-12-31,1\n", nil, "line 3: not_provided day"},
		"half a cent":         {header + row("a@example.com") + "b@example.com,yes,new,2026-01-05,1.005\n", nil, "line 3: not_provided spend"},
		"a word for a number": {header + row("a@example.com") + "b@example.com,yes,new,2026-01-05,1e3\n", nil, "line 3: not_provided spend"},
		"ragged":              {header + row("a@example.com") + "b@example.com,yes\n", nil, "line 3: ragged_row"},
		"short":               {people(12), func(c *prepare.Config) { c.Minimum = 13; c.Declared = 13 }, "12 people agree and 0 do not: fewer than 13"},
		"more than declared":  {people(13), nil, "13 people, and 12"},
		"much fewer":          {people(9), nil, "9 people, and 12"},
		"a list of one":       {header + row("a@example.com"), func(c *prepare.Config) { c.Minimum = 1; c.Declared = 1 }, "lists of one"},
		"the house's contract": {people(12), func(c *prepare.Config) {
			c.Contract.Contract.Source = "house"
		}, "the house draws"},
		"another party's": {people(12), func(c *prepare.Config) { c.Contract.Contract.Owner = "retailer" }, "another party's"},
		"no consent":      {people(12), func(c *prepare.Config) { c.ConsentColumn = "" }, "consent"},
		"missing column":  {people(12), func(c *prepare.Config) { c.Columns = nil }, "spend"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := config(t)
			if test.change != nil {
				test.change(&c)
			}
			dir := filepath.Join(t.TempDir(), "out")
			_, err := prepare.Run(t.Context(), source("x.csv", test.text), dir, c)
			if !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("want a refusal that says %q, got: %v", test.want, err)
			}
			if strings.Contains(err.Error(), "example") || strings.Contains(err.Error(), "2025-") {
				t.Errorf("the error repeats a value: %v", err)
			}
			for _, left := range []string{"manifest", "members.ndjson", "rows.ndjson", ".rows"} {
				if _, err := os.Stat(filepath.Join(dir, left)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s was left behind: %v", left, err)
				}
			}
		})
	}
}

// TestMisspelledColumnBeginsNothing: a column that the file does not have is told before the
// directory is begun, which therefore is as good for the next attempt.
func TestMisspelledColumnBeginsNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	c, _ := config(t)
	wrong := c
	wrong.ConsentColumn = "consnet"
	objects := `{"email":"a@example.com","consent":"yes","segment":"new","day":"2026-01-05","amount":12.5}` + "\n"
	for name, text := range map[string]string{"x.csv": people(12), "x.ndjson": objects} {
		_, err := prepare.Run(t.Context(), source(name, text), dir, wrong)
		if !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), `"consnet" is not there`) || strings.Contains(err.Error(), "example") {
			t.Fatalf("a misspelled column: %v", err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the directory was made: %v", err)
		}
	}
	// Work that broke off in this directory stays as it was.
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".state"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := prepare.Run(t.Context(), source("x.ndjson", objects), dir, wrong); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a misspelled column beside what was begun: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, ".state")); err != nil || string(text) != "{}" {
		t.Errorf("what was begun is now %q, %v", text, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := prepare.Run(t.Context(), source("x.csv", people(12)), dir, c); err != nil {
		t.Errorf("spelled right: %v", err)
	}
}

func TestBadRowsAreDroppedIfWanted(t *testing.T) {
	t.Parallel()
	c, verifier := config(t)
	c.DropBad = true
	dir := filepath.Join(t.TempDir(), "out")
	text := people(12) + "somebody,yes,new,2026-01-05,1\nz@example.com,yes,new,2029-01-05,1\n"
	summary, err := prepare.Run(t.Context(), source("x.csv", text), dir, c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"bad_identifier": 1, "not_provided": 1}, summary.Bad); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"segment": 4}, summary.Others); diff != "" {
		t.Errorf("words that became the other one: %s", diff)
	}
	if got := open(t, dir, verifier, 3); got.manifest.Members != 12 {
		t.Errorf("%d members", got.manifest.Members)
	}
}

// TestNothingProtectedHides: a word that no contract may have is not among whatever is left of a
// column of the catalogue's words, and somebody with such rows alone is on no list.
func TestNothingProtectedHides(t *testing.T) {
	t.Parallel()
	c, verifier := config(t)
	c.ManyRows = true
	c.Protected = func(word string) bool { return word == "strange" }
	text := people(12) + "person0@example.com,yes,strange,2026-03-01,1\nperson2@example.com,no,strange,2026-03-01,1\n"
	for vocabulary, want := range map[string]int{"": 11, "product_groups": 8} {
		c.Contract.Contract.Columns[0].Vocabulary = vocabulary
		c.Declared = want
		dir := filepath.Join(t.TempDir(), "out")
		summary, err := prepare.Run(t.Context(), source("x.csv", text), dir, c)
		if err != nil {
			t.Fatal(err)
		}
		// Of the twelve, four are strange, of whom one says no besides.
		if got := open(t, dir, verifier, 3); got.manifest.Members != want || vocabulary != "" && (got.manifest.Rows != 8 || summary.Hidden["segment"] != 5 || summary.Others["segment"] != 0) {
			t.Errorf("%q: %d members with %d rows, %+v", vocabulary, got.manifest.Members, got.manifest.Rows, summary)
		}
	}
}

// Whatever the moment at which it breaks off, what comes out is the same, byte by byte, as if
// it had not.
func TestWhatBreaksOffComesOutTheSame(t *testing.T) {
	t.Parallel()
	c, verifier := config(t)
	const n = 3*prepare.ChunkSize + 17
	c.Declared = n
	file := source("x.csv", people(n))
	seed := make([]byte, 32)
	if _, err := rand.Read(seed); err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(t.TempDir(), "whole")
	c.Random = strings.NewReader(string(seed))
	if _, err := prepare.Run(t.Context(), file, whole, c); err != nil {
		t.Fatal(err)
	}
	for stop := range 4 {
		for _, torn := range []int64{0, 1, 100} {
			dir := filepath.Join(t.TempDir(), "out")
			broken := c
			broken.Random = strings.NewReader(string(seed))
			// The first batch is the secret's fingerprint.
			broken.Matcher = &stopping{c.Matcher, 1 + stop}
			if _, err := prepare.Run(t.Context(), file, dir, broken); !errors.Is(err, errStopped) {
				t.Fatalf("stopping after %d: %v", stop, err)
			}
			if info := must(os.Stat(filepath.Join(dir, ".state")))(t); info.Mode().Perm() != 0o600 {
				t.Errorf("the state has mode %o", info.Mode().Perm())
			}
			members := filepath.Join(dir, prepare.MembersFile)
			if info := must(os.Stat(members))(t); torn > 0 && info.Size() > torn {
				if err := os.Truncate(members, info.Size()-torn); err != nil {
					t.Fatal(err)
				}
			}
			again := c
			again.Random = rand.Reader // is not asked again
			summary, err := prepare.Run(t.Context(), file, dir, again)
			if err != nil || !summary.Resumed {
				t.Fatalf("going on after %d: %v", stop, err)
			}
			for _, name := range []string{prepare.ManifestFile, prepare.MembersFile, prepare.RowsFile} {
				a, b := must(os.ReadFile(filepath.Join(whole, name)))(t), must(os.ReadFile(filepath.Join(dir, name)))(t)
				if sha256.Sum256(a) != sha256.Sum256(b) {
					t.Errorf("%s came out otherwise after %d chunks", name, stop)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, ".state")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the state was not removed: %v", err)
			}
		}
	}
	open(t, whole, verifier, 3)
}

func TestOtherWorkIsNotTakenUp(t *testing.T) {
	t.Parallel()
	c, _ := config(t)
	dir := filepath.Join(t.TempDir(), "out")
	broken := c
	broken.Matcher = &stopping{c.Matcher, 1}
	if _, err := prepare.Run(t.Context(), source("x.csv", people(12)), dir, broken); !errors.Is(err, errStopped) {
		t.Fatal(err)
	}
	other := c
	other.Epoch = 2
	blind, err := match.NewBlind(make([]byte, 32), "spring", privacy.Email)
	if err != nil {
		t.Fatal(err)
	}
	keyed := c
	keyed.Matcher = blind
	for name, test := range map[string]struct {
		c    prepare.Config
		text string
	}{"another epoch": {other, people(12)}, "another file": {c, people(11)}, "another secret": {keyed, people(12)}} {
		if _, err := prepare.Run(t.Context(), source("x.csv", test.text), dir, test.c); !errors.Is(err, privacy.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := prepare.Run(t.Context(), source("x.csv", people(12)), dir, c); err != nil {
		t.Fatal(err)
	}
	if _, err := prepare.Run(t.Context(), source("x.csv", people(12)), dir, c); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("preparing over what is complete: %v", err)
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "letter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := prepare.Run(t.Context(), source("x.csv", people(12)), full, c); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("preparing among other files: %v", err)
	}
}

// Where somebody comes in the file says nothing about where they come in what leaves.
func TestOrderIsDrawn(t *testing.T) {
	t.Parallel()
	c, verifier := config(t)
	c.Declared = 4
	const trials = 200
	var members, rows [4]int // where the first person and their row end up
	first := match.Token(sha256.Sum256([]byte("person0@example.com")))
	for range trials {
		dir := filepath.Join(t.TempDir(), "out")
		if _, err := prepare.Run(t.Context(), source("x.csv", people(4)), dir, c); err != nil {
			t.Fatal(err)
		}
		got := open(t, dir, verifier, 3)
		at := slices.Index(got.tokens, first)
		members[at]++
		rows[slices.IndexFunc(got.rows, func(r prepare.Row) bool { return r.Member == at })]++
	}
	for what, places := range map[string][4]int{"member": members, "row": rows} {
		chi := 0.0
		for _, n := range places {
			d := float64(n) - trials/4
			chi += d * d / (trials / 4)
		}
		// 3 degrees of freedom: above 35 in one of 8,000,000 runs.
		if chi > 35 {
			t.Errorf("where the first %s ends up is not drawn evenly: %v", what, places)
		}
	}
}

func TestHowManyDisagreeIsNoisy(t *testing.T) {
	t.Parallel()
	for left, want := range map[int64]int{0: 0, 99: 0, 100: 100, 1234: 1000, -50: 0} {
		c, _ := config(t)
		c.Noise = shifted(left)
		summary, err := prepare.Run(t.Context(), source("x.csv", people(12)), filepath.Join(t.TempDir(), "out"), c)
		if err != nil {
			t.Fatal(err)
		}
		if summary.Manifest.WithoutConsent != want || summary.LeftOut != 0 {
			t.Errorf("noise of %d: %d", left, summary.Manifest.WithoutConsent)
		}
	}
}

// shifted adds always the same.
type shifted int64

func (s shifted) Gaussian(x int64, sigma float64) int64 {
	if sigma < 10 {
		return x // too little to hide anybody: a test that counts on noise fails
	}
	return x + int64(s)
}
