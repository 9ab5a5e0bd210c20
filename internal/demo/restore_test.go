package demo_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/certificate"
	"github.com/mahrem/mahrem/dsar/ledger"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/demo"
	"github.com/mahrem/mahrem/internal/localpg"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

var (
	officer = privacy.Principal{ID: "officer", Role: privacy.RoleDPO}
	second  = privacy.Principal{ID: "second-officer", Role: privacy.RoleDPO}
)

// TestErasureOutlivesARestore does what an operator does, with the commands of
// docs/operations.md: load, dump, erase 200 people, restore the dump, replay. With -short it
// is the bundled shop and 20 people; in full it is the Complete Journey.
func TestErasureOutlivesARestore(t *testing.T) {
	t.Parallel()
	today := time.Now() // also after midnight: the files that come again are the same
	c, erase := demo.Config{Now: func() time.Time { return today }}, 20
	if !testing.Short() {
		c.Data, erase = journeyDir(t), 200
	}
	r := newRestore(t)
	others, _ := r.load(c)
	r.forget, r.stay = others[:erase], others[erase:]
	r.canary()
	before := r.decrypt(r.house, r.forget)
	if before < erase {
		t.Fatalf("only %d records of %d people open before", before, erase)
	}
	r.shell("Backup")
	certificates := r.eraseAll()
	r.gone(r.house)
	key := r.close()

	r.shell("Restore")
	r.settings.DatabaseURL = r.environment["RESTORED_URL"]
	for options, want := range map[*assembly.Options]error{{}: privacy.ErrConflict, {Replay: true}: privacy.ErrDamaged} {
		_, err := assembly.Open(t.Context(), r.settings, *options)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "mahrem erasure replay") {
			t.Errorf("the restored database was opened with %+v: %v", *options, err)
		}
	}
	r.open(assembly.Options{Replay: true, AcceptOlderLog: officer})
	if again := r.decrypt(r.house, r.forget); again != before {
		t.Fatalf("the restore brought %d of %d records back: it proves nothing", again, before)
	}
	for _, want := range []ledger.Replayed{{Records: uint64(erase), Missing: uint64(erase), People: int64(erase)}, {Records: uint64(erase)}} {
		begin := time.Now()
		replayed, err := r.house.Replay(t.Context(), officer, nil)
		if err != nil || replayed != want {
			t.Fatalf("replay: %+v, %v, want %+v", replayed, err, want)
		}
		t.Logf("replayed %+v in %v", replayed, time.Since(begin))
	}
	r.close()

	r.open(assembly.Options{}) // as serve does
	r.gone(r.house)
	if n := r.decrypt(r.house, r.stay[:erase]); n < erase {
		t.Errorf("only %d records of %d people who were not erased open", n, erase)
	}
	r.comesBackNot(c)
	for _, signed := range certificates {
		if _, checks, err := certificate.Verify(signed, key); err != nil {
			t.Fatalf("a certificate: %v, %+v", err, checks)
		}
	}
	report, err := r.house.VerifyLog(t.Context(), nil)
	if err != nil || !report.Whole() || len(report.Restored) != 1 {
		t.Errorf("the log: %+v, %v", report, err)
	}
	r.nothingInClear()
	r.close()
}

// restore is one machine with a PostgreSQL of its own.
type restore struct {
	*testing.T
	server       *localpg.Server
	settings     config.Config
	house        *assembly.House
	environment  map[string]string
	dir          string
	forget, stay []demo.Person
	// ids are of those who are to be forgotten.
	ids []privacy.DataSubjectID
}

func newRestore(t *testing.T) *restore {
	t.Helper()
	server, err := localpg.Start(t.Context(), localpg.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	settings, err := config.Load(t.TempDir(), func(string) string { return "" }, config.Config{Patience: 30, DatabaseURL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	restored, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	restored.Path = "/restored"
	r := &restore{T: t, server: server, settings: settings, dir: t.TempDir(), environment: map[string]string{
		"DATABASE_URL": server.URL(), "ADMIN_URL": server.AdminURL("postgres"), "OWNER": localpg.OwnerRole,
		"RESTORED_NAME": "restored", "RESTORED_URL": restored.String(),
		"PATH": server.Programs().Dir + ":" + os.Getenv("PATH"),
	}}
	house, err := assembly.Init(t.Context(), settings, assembly.Options{MaxConns: 16, Logger: slog.New(slog.DiscardHandler)}, officer)
	if err != nil {
		t.Fatal(err)
	}
	r.house = house
	return r
}

func (r *restore) open(options assembly.Options) {
	r.Helper()
	options.MaxConns, options.Logger = 16, slog.New(slog.DiscardHandler)
	house, err := assembly.Open(r.Context(), r.settings, options)
	if err != nil {
		r.Fatal(err)
	}
	r.house = house
}

// close closes the house and returns the public key of its log.
func (r *restore) close() string {
	r.Helper()
	key, err := audit.FormatKey(r.settings.Origin, r.house.Keys.LogPublicKey())
	if err != nil {
		r.Fatal(err)
	}
	if err := r.house.Close(r.Context()); err != nil {
		r.Fatal(err)
	}
	return key
}

func (r *restore) load(c demo.Config) ([]demo.Person, demo.ShopFacts) {
	r.Helper()
	people, facts, err := demo.Load(r.Context(), r.house, &listener{}, c)
	if err != nil {
		r.Fatal(err)
	}
	r.Logf("loaded %+v", facts)
	return people, facts
}

// shell runs the commands of a section of docs/operations.md.
func (r *restore) shell(section string) {
	r.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		r.Fatal(err)
	}
	pattern := regexp.MustCompile("(?s)\n## " + section + "\n.*?```sh\n(.*?)```")
	match := pattern.FindSubmatch(text)
	if match == nil {
		r.Fatalf("docs/operations.md has no commands under %q", section)
	}
	cmd := exec.CommandContext(r.Context(), "sh", "-euc", string(match[1]))
	cmd.Dir = r.dir
	for name, value := range r.environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		r.Fatalf("%s: %v\n%s", section, err, out)
	}
}

func (r *restore) id(p *demo.Person) (privacy.DataSubjectID, error) {
	return r.house.People.ResolveIdentifier(r.Context(), numberOf(p))
}

func numberOf(p *demo.Person) privacy.Identifier {
	return privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(p.Customer)}
}

// decrypt counts the records and chunks of events of people that open.
func (r *restore) decrypt(house *assembly.House, people []demo.Person) (n int) {
	r.Helper()
	var ids []privacy.DataSubjectID
	for i := range people {
		id, err := r.id(&people[i])
		if err != nil {
			r.Fatal(err)
		}
		ids = append(ids, id)
		n += r.open1(house, id)
	}
	if len(people) == len(r.forget) && &people[0] == &r.forget[0] {
		r.ids = ids
	}
	return n
}

// open1 counts what opens of one person.
func (r *restore) open1(house *assembly.House, id privacy.DataSubjectID) (n int) {
	r.Helper()
	key, err := house.People.PersonKey(r.Context(), id, vault.UseShow)
	if errors.Is(err, privacy.ErrNotFound) {
		return 0
	}
	if err != nil {
		r.Fatal(err)
	}
	categories := house.Engine.Revision().Catalogue().Categories()
	records, err := house.People.Records(r.Context(), key, categories)
	if err != nil {
		r.Fatal(err)
	}
	n = len(records)
	for _, category := range categories {
		chunks, err := house.People.Chunks(r.Context(), key, category, 1000)
		if err != nil {
			r.Fatal(err)
		}
		n += len(chunks)
	}
	return n
}

// eraseAll takes everybody through a whole erasure and returns their certificates.
func (r *restore) eraseAll() [][]byte {
	r.Helper()
	certificates := make([][]byte, len(r.forget))
	var next atomic.Int64
	var work sync.WaitGroup
	begin := time.Now()
	for range 8 {
		work.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(r.forget) {
					return
				}
				record, err := r.house.EraseAtOnce(r.Context(), officer, second, numberOf(&r.forget[i]), "DE")
				if err != nil {
					r.Errorf("erasing: %v", err)
					return
				}
				if certificates[i], err = r.house.Certificates.Issue(r.Context(), certificate.ID(record.ID)); err != nil {
					r.Errorf("certifying: %v", err)
					return
				}
			}
		})
	}
	work.Wait()
	if r.Failed() {
		r.FailNow()
	}
	r.Logf("%d people erased and certified in %v", len(r.forget), time.Since(begin))
	return certificates
}

// gone makes sure that nobody who was forgotten is there.
func (r *restore) gone(house *assembly.House) {
	r.Helper()
	for i := range r.forget {
		if _, err := r.id(&r.forget[i]); !errors.Is(err, privacy.ErrNotFound) {
			r.Fatalf("somebody who was erased is found: %v", err)
		}
	}
	for _, id := range r.ids {
		if n := r.open1(house, id); n != 0 {
			r.Fatalf("%d records of somebody who was erased open", n)
		}
	}
	if _, err := house.Eraser.Sweep(r.Context(), dsar.ErasureID{}, nil); err != nil {
		r.Fatal(err)
	}
	conn := r.connect(r.settings.DatabaseURL)
	for _, table := range []string{"vault.data_subject", "vault.identifier", "vault.sealed_record", "vault.event_chunk", "keyring.person_key", "consent.record", "gate.profile"} {
		var rows int
		ids := make([][16]byte, len(r.ids))
		for i := range r.ids {
			ids[i] = r.ids[i]
		}
		if err := conn.QueryRow(r.Context(), "select count(*) from "+table+" where data_subject_id = any ($1)", ids).Scan(&rows); err != nil || rows > 0 {
			r.Errorf("%s has %d rows of people who were erased, %v", table, rows, err)
		}
	}
}

func (r *restore) connect(url string) *pgx.Conn {
	r.Helper()
	conn, err := pgx.Connect(r.Context(), url)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// comesBackNot loads the same files again, first as ones that were loaded already and then
// as ones that nobody remembers: those who were erased are refused, row by row, and for
// everybody else nothing is new.
func (r *restore) comesBackNot(c demo.Config) {
	r.Helper()
	r.load(c)
	if _, err := r.connect(r.settings.DatabaseURL).Exec(r.Context(), "delete from intake.load_progress"); err != nil {
		r.Fatal(err)
	}
	_, facts := r.load(c)
	if facts.People != 0 || facts.Events != 0 || facts.Rejected < len(r.forget) {
		r.Errorf("loading the same files again: %+v; %d people were erased", facts, len(r.forget))
	}
	for i := range r.forget {
		p := &r.forget[i]
		for _, identifier := range []privacy.Identifier{
			numberOf(p), {Kind: privacy.Email, Value: privacy.NewPlain(p.Email)}, {Kind: privacy.Phone, Value: privacy.NewPlain(p.Phone)},
		} {
			if identifier.Value.RevealPersonalData() == "" {
				continue
			}
			if _, err := r.house.People.ResolveIdentifier(r.Context(), identifier); !errors.Is(err, privacy.ErrNotFound) {
				r.Fatalf("somebody who was erased came back: %v", err)
			}
		}
	}
}

const canaryWord = "Çınarlı_canary_4711"

// canary writes a word in clear, by which the search shows that it finds what is there.
func (r *restore) canary() {
	r.Helper()
	conn := r.connect(r.settings.DatabaseURL)
	for _, statement := range []string{
		"create table public.canary (word text, bytes bytea)",
		"insert into public.canary (word, bytes) values ('" + canaryWord + "', convert_to('" + canaryWord + "', 'UTF8'))",
	} {
		if _, err := conn.Exec(r.Context(), statement); err != nil {
			r.Fatal(err)
		}
	}
}

// nothingInClear searches the dumps, the files of both databases and the write-ahead log,
// byte by byte, for everything that was loaded of those who were erased.
func (r *restore) nothingInClear() {
	r.Helper()
	words := demo.PersonWords(r.forget)
	search := newSearcher(append(words, canaryWord))
	long := 0
	for _, word := range words {
		if len(word) >= 6 {
			long++
		}
	}
	if long < 4*len(r.forget) {
		r.Fatalf("only %d words to look for", long)
	}
	// What stands in the tables of every PostgreSQL, such as the Marshall Islands among the
	// collations, says nothing about anybody.
	empty, err := localpg.Start(r.Context(), localpg.Config{})
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = empty.Close() }()
	known, _ := search.inFiles(r.T, empty.Dir())
	if len(known) > 5 {
		r.Errorf("%d of %d words are PostgreSQL's own: %s", len(known), long, list(slices.Sorted(maps.Keys(known))))
	}
	check := func(where string, text, found map[string]bool, size int64) {
		r.Helper()
		if !found[canaryWord] {
			r.Errorf("the search does not find what is there in %s", where)
		}
		harmless := func(word string, _ bool) bool { return word == canaryWord || known[word] }
		maps.DeleteFunc(text, harmless)
		maps.DeleteFunc(found, harmless)
		// In text nothing is random.
		if clear := append(slices.Sorted(maps.Keys(text)), beyondChance(slices.Sorted(maps.Keys(found)), nil)...); len(clear) > 0 {
			r.Errorf("%d of %d words stand in %s in clear: %s", len(clear), long, where, list(clear))
		}
		r.Logf("%d words looked for in %s, %d MB", long, where, size>>20)
	}
	for _, name := range []string{"data", "audit", "keyring"} {
		cmd := exec.CommandContext(r.Context(), r.server.Programs().Path("pg_restore"), "--file=-", filepath.Join(r.dir, name+".dump"))
		sql, err := cmd.Output()
		if err != nil {
			r.Fatal(err)
		}
		text, found := search.inDump(sql)
		if name != "data" {
			found[canaryWord] = true // it is in the data
		}
		check(name+".dump", text, found, int64(len(sql)))
	}
	if _, err := r.connect(r.server.AdminURL("postgres")).Exec(r.Context(), "checkpoint"); err != nil {
		r.Fatal(err)
	}
	wal, err := filepath.Glob(filepath.Join(r.server.Dir(), "*", "pg_wal"))
	if err != nil || len(wal) != 1 {
		r.Fatalf("where is the write-ahead log? %v, %v", wal, err)
	}
	found, size := search.inFiles(r.T, wal[0])
	check("the write-ahead log", nil, found, size)
	found, size = search.inFiles(r.T, r.server.Dir())
	check("the files of the databases", nil, found, size)
}
