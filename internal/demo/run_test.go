package demo_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/demo"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

// listener keeps what it is told.
type listener struct{ acts []demo.Act }

func (l *listener) Notice(string)                        {}
func (l *listener) Progress(string, int64, int64, int64) {}
func (l *listener) Act(act demo.Act)                     { l.acts = append(l.acts, act) }

// play runs the demo in a database of its own.
func play(t *testing.T, c demo.Config) (*demo.Story, *pgtest.Database) {
	t.Helper()
	database := pgtest.New(t)
	settings, err := config.Load(t.TempDir(), func(string) string { return "" }, config.Config{Patience: 30, DatabaseURL: database.URL()})
	if err != nil {
		t.Fatal(err)
	}
	house, err := assembly.Init(t.Context(), settings, assembly.Options{MaxConns: 8}, privacy.Principal{ID: "test", Role: privacy.RoleDPO})
	if err != nil {
		t.Fatal(err)
	}
	heard := &listener{}
	story, err := demo.Run(t.Context(), house, heard, c)
	if closed := house.Close(t.Context()); closed != nil {
		t.Errorf("closing: %v", closed)
	}
	if err != nil {
		t.Fatal(err)
	}
	if failed := story.Failed(); len(failed) > 0 || !story.Holds {
		t.Errorf("claims that do not hold:\n%s", strings.Join(failed, "\n"))
	}
	if len(heard.acts) != len(story.Acts) {
		t.Errorf("%d acts were told while they happened, %d are in the story", len(heard.acts), len(story.Acts))
	}
	return story, database
}

// journeyDir is where the Complete Journey lies for whoever has it; it is not part of
// the repository.
func journeyDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("MAHREM_TEST_JOURNEY")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data", "complete-journey")
	}
	if _, err := os.Stat(filepath.Join(dir, "transactions_sample.csv.gz")); err != nil {
		t.Skip("the Complete Journey is not here; MAHREM_TEST_JOURNEY says where it is")
	}
	return dir
}

func TestBundledShopLeavesNothingInClear(t *testing.T) {
	t.Parallel()
	today := time.Now() // also after midnight: the words are those that were loaded
	story, database := play(t, demo.Config{Now: func() time.Time { return today }})
	if story.Shop.People < 400 || story.Shop.Events < 5000 || story.Shop.Rejected != 0 {
		t.Errorf("loaded %+v", story.Shop)
	}
	claims := 0
	for _, act := range story.Acts {
		claims += len(act.Claims)
		if len(act.Claims) == 0 {
			t.Errorf("act %s claims nothing", act.ID)
		}
	}
	if claims < 30 {
		t.Errorf("only %d claims", claims)
	}
	words := demo.LoadedWords(demo.NewShop(demo.Seed, today))
	checkDump(t, database, words)
}

func TestCompleteJourneyLeavesNothingInClear(t *testing.T) {
	t.Parallel()
	dir, today := journeyDir(t), time.Now()
	story, database := play(t, demo.Config{Data: dir, Now: func() time.Time { return today }})
	if story.Shop.People != 2377 || story.Shop.Events != 75_000 || story.Shop.Rejected != 0 {
		t.Errorf("loaded %+v, want 2,377 households and 75,000 events", story.Shop)
	}
	words, err := demo.JourneyWords(dir, today)
	if err != nil {
		t.Fatal(err)
	}
	checkDump(t, database, words)
}

// checkDump looks for words in a dump of the whole database, after it has made sure that
// the search finds a word that is there.
func checkDump(t *testing.T, database *pgtest.Database, words []string) {
	t.Helper()
	if len(words) < 500 {
		t.Fatalf("only %d words to look for", len(words))
	}
	const canary = "Çınarlı_canary_4711"
	pool := database.OwnerPool(t)
	if _, err := pool.Exec(t.Context(), "create table public.canary (word text, bytes bytea)"); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "insert into public.canary (word, bytes) values ($1, convert_to($1, 'UTF8'))", canary); err != nil {
		t.Fatal(err)
	}
	// Words of the tables themselves, such as "EXTERNAL", say nothing about anybody.
	tables := demo.FindWords(pgtest.New(t).Dump(t), words)
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool { return slices.Contains(tables, word) })
	if len(tables) > 5 {
		t.Errorf("%d loaded words are words of the tables: %q", len(tables), tables)
	}
	// How a dump writes rows with numbers of their own is a word of the tables, too.
	dump := strings.ReplaceAll(database.Dump(t), " OVERRIDING SYSTEM VALUE VALUES (", " VALUES (")
	binary := demo.Unhex(dump)
	for where, text := range map[string]string{"text": dump, "binary values": binary} {
		if found := demo.FindWords(text, []string{canary, "nothing-like-this"}); len(found) != 1 || found[0] != canary {
			t.Fatalf("the search does not find what is there in %s: %q", where, found)
		}
	}
	if !strings.Contains(dump, "sealed_record") || len(dump) < 1<<20 {
		t.Fatalf("the dump of %d bytes does not hold the data", len(dump))
	}
	if found := demo.FindWords(dump, words); len(found) > 0 {
		t.Errorf("%d of %d loaded words stand in the dump in clear: %q", len(found), len(words), found[:min(20, len(found))])
	}
	long := slices.DeleteFunc(slices.Clone(words), func(word string) bool { return len(word) < 6 })
	times := func(word string) int { return strings.Count(binary, word) }
	if found := beyondChance(demo.FindWords(binary, long), times); len(found) > 0 {
		t.Errorf("%d of %d loaded words stand in binary values: %q", len(found), len(long), found[:min(20, len(found))])
	}
}
