package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// shopWords is a small catalogue and classifier.
type shopWords struct{}

func (shopWords) KnowsPurpose(p privacy.Purpose) bool { return p == "newsletter" }
func (shopWords) KnowsChannel(c privacy.Channel) bool { return c == "email" }
func (shopWords) KnowsJurisdiction(j privacy.Jurisdiction) bool {
	return j == "CZ" || j == "TR" || j == "US"
}

func (shopWords) KnowsCategory(c privacy.DataCategory) bool {
	return slices.Contains([]privacy.DataCategory{"purchases", "views", "health"}, c)
}

func (shopWords) CategoryOf(a privacy.AttributeName) (privacy.DataCategory, bool) {
	if a == "first_name" || a == "city" || a == "interests" {
		return "contact", true
	}
	return "", false
}

func (shopWords) ProductGroup(department, _, _, _ string) string {
	return strings.ToLower(department)
}

var loading = privacy.Principal{ID: "loader", Role: privacy.RoleIngest}

// desk is a loader on a database of its own.
type desk struct {
	*intake.Loader
	db       *DB
	log      *AuditLog
	store    *IntakeStore
	vault    *vault.Vault
	database *pgtest.Database
}

func newDesk(t testing.TB, config intake.Config) *desk {
	t.Helper()
	return newDeskWith(t, shopWords{}, config)
}

func newDeskWith(t testing.TB, words interface {
	intake.Catalogue
	intake.Classifier
}, config intake.Config,
) *desk {
	t.Helper()
	db, database := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	store := NewIntakeStore(db, log)
	keys := newKeys(t).Vault()
	return &desk{intake.New(store, keys, words, words, config), db, log, store, keys, database}
}

// person returns the id and key behind a customer number.
func (d *desk) person(t testing.TB, number string) (privacy.DataSubjectID, *vault.PersonKey) {
	t.Helper()
	indexes, err := d.vault.BlindIndexes(privacy.Identifier{Kind: privacy.CustomerNumber, Value: privacy.NewPlain(number)})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := d.store.Resolve(t.Context(), []intake.Lookup{{Kind: privacy.CustomerNumber, BlindIndexes: indexes}})
	if err != nil || ids[0].Person.IsZero() {
		t.Fatalf("customer %s is not found: %v", number, err)
	}
	held, err := d.store.Held(t.Context(), []intake.Wanted{{ID: ids[0].Person}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := d.vault.OpenPersonKey(ids[0].Person, held[0].Wrapped, vault.UseIntake)
	if err != nil {
		t.Fatal(err)
	}
	return ids[0].Person, key
}

// events opens all chunks of a stream, oldest chunk first.
func (d *desk) events(t testing.TB, number string, stream privacy.DataCategory) (chunks [][]vault.Event) {
	t.Helper()
	id, key := d.person(t, number)
	slot := d.vault.Slot(id, stream)
	rows, err := d.db.pool.Query(t.Context(), `select chunk, record_version, sealed from vault.event_chunk
		where data_subject_id = $1 and slot = $2 order by chunk`, [16]byte(id), slot[:])
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var chunk, version int64
		var sealed []byte
		if err := rows.Scan(&chunk, &version, &sealed); err != nil {
			t.Fatal(err)
		}
		events, err := key.OpenChunk(stream, chunk, version, sealed)
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, events)
	}
	return chunks
}

// record opens a record; nil if there is none.
func (d *desk) record(t testing.TB, number string, category privacy.DataCategory) vault.Record {
	t.Helper()
	id, key := d.person(t, number)
	slot := d.vault.Slot(id, category)
	held, err := d.store.Held(t.Context(), []intake.Wanted{{ID: id, Records: [][16]byte{slot}}})
	if err != nil {
		t.Fatal(err)
	}
	sealed, ok := held[0].Records[slot]
	if !ok {
		return nil
	}
	record, err := key.OpenRecord(category, sealed.Version, sealed.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// dump is everything that is stored about people, and the size of the log.
func (d *desk) dump(t testing.TB) string {
	t.Helper()
	size, err := d.log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dump := fmt.Sprintln("log", size)
	for _, table := range []string{
		"vault.data_subject", "keyring.person_key", "vault.identifier", "vault.sealed_record",
		"vault.event_chunk", "vault.event_fingerprint", "consent.record",
	} {
		var text string
		if err := d.database.OwnerPool(t).QueryRow(t.Context(), `select coalesce(string_agg(r::text, e'\n' order by r::text), '') from `+table+` r`).Scan(&text); err != nil {
			t.Fatal(err)
		}
		dump += table + "\n" + text + "\n"
	}
	return dump
}

const salesMap = `
version: 1
source: shop
jurisdiction: CZ
identifiers:
  - {kind: customer_number, column: customer}
  - {kind: email, column: email, optional: true}
attributes:
  - {name: city, column: city, trim: true, source: declared}
events:
  - type: purchase
    stream: purchases
    at: {column: at}
    id: [order]
    fields: {product: {column: product}, amount: {column: amount}}
consents:
  - purpose: newsletter
    channel: email
    action: {column: newsletter, map: {"yes": granted, "no": refused}}
    notice_version: v1
    source: shop_form
    effective_at: {column: at}
`

func mapping(t testing.TB, text string) *intake.Mapping {
	t.Helper()
	m, err := intake.ParseMapping([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// write puts a file into a folder of the test's own.
func write(t testing.TB, name, text string) intake.Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, path)
}

func open(t testing.TB, path string) intake.Source {
	t.Helper()
	source, err := intake.FileSource(path)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

const header = "customer,email,city,at,order,product,amount,newsletter\n"

// sales makes n lines of 10 customers, in an order of time that is not that of the file.
func sales(n int) string {
	var b strings.Builder
	b.WriteString(header)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range n {
		at := start.Add(time.Duration(i*7919%n) * time.Minute)
		fmt.Fprintf(&b, "c-%d,c%d@example.com,Brno,%s,o-%d,milk,1.50,\n", i%10, i%10, at.Format(time.RFC3339), i)
	}
	return b.String()
}

func TestLoadSealsWhatTheMappingSays(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{BatchRows: 300})
	path := ""
	summary, err := d.Load(t.Context(), write(t, "sales.csv", sales(2000)), mapping(t, salesMap), intake.Options{Principal: loading, RejectPath: path})
	if err != nil {
		t.Fatal(err)
	}
	summary.Duration = 0
	want := intake.Summary{Rows: 2000, Accepted: 2000, Persons: 10, NewPersons: 10, Events: 2000, NewEvents: 2000}
	if diff := cmp.Diff(want, summary); diff != "" {
		t.Error(diff)
	}
	for n := range 10 {
		chunks := d.events(t, fmt.Sprintf("c-%d", n), "purchases")
		seen := 0
		for i, chunk := range chunks {
			seen += len(chunk)
			if i < len(chunks)-1 && len(chunk) != 64 {
				t.Errorf("customer %d: chunk %d of %d has %d events", n, i, len(chunks), len(chunk))
			}
			if !slices.IsSortedFunc(chunk, func(a, b vault.Event) int { return a.At.Compare(b.At) }) {
				t.Errorf("customer %d: chunk %d is not in the order of time", n, i)
			}
		}
		if seen != 200 {
			t.Errorf("customer %d has %d events, want 200", n, seen)
		}
		city := d.record(t, fmt.Sprintf("c-%d", n), "contact")["city"]
		if len(city.Values) != 1 || city.Values[0] != privacy.NewPlain("Brno") || city.Source != vault.Declared || city.Quality != vault.Unverified {
			t.Errorf("customer %d: city %+v", n, city)
		}
	}
	if text := d.database.Dump(t); strings.Contains(text, "Brno") || strings.Contains(text, "milk") || strings.Contains(text, "example.com") {
		t.Error("the database holds a value in clear")
	}
}

func TestSecondLoadChangesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{BatchRows: 300})
	m := mapping(t, salesMap)
	text := strings.ReplaceAll(sales(1000), ",\n", ",yes\n")
	source := write(t, "sales.csv", text)
	first, err := d.Load(t.Context(), source, m, intake.Options{Principal: loading})
	if err != nil {
		t.Fatal(err)
	}
	before := d.dump(t)
	if strings.Count(before, "shop_form") == 0 {
		t.Error("no consent was recorded")
	}
	again, err := d.Load(t.Context(), source, m, intake.Options{Principal: loading})
	if err != nil || !again.AlreadyLoaded {
		t.Errorf("%+v, %v", again, err)
	}
	again.AlreadyLoaded, again.Duration, first.Duration = false, 0, 0
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error(diff)
	}
	// The same rows in another file: read, recognised, and nothing written but progress.
	other, err := d.Load(t.Context(), write(t, "other.csv", text+"\n"), m, intake.Options{Principal: loading})
	if err != nil || other.NewEvents != 0 || other.NewPersons != 0 || other.Events != 1000 {
		t.Errorf("%+v, %v", other, err)
	}
	if diff := cmp.Diff(before, d.dump(t)); diff != "" {
		t.Error(diff)
	}
}

// breaking is a file that cannot be read beyond a point.
func breaking(source intake.Source, after int64) intake.Source {
	inner := source.Open
	opened := 0
	source.Open = func() (io.ReadCloser, error) {
		in, err := inner()
		if opened++; opened == 1 || err != nil { // the digest
			return in, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(in, after), failing{}), in}, nil
	}
	return source
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

func TestLoadGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{BatchRows: 100})
	m := mapping(t, salesMap)
	text := strings.Replace(sales(1000), "o-150,", "o-150,too,many,", 1)
	text = strings.Replace(text, "o-850,", "o-850,too,many,", 1)
	source := write(t, "sales.csv", text)
	rejects := filepath.Join(t.TempDir(), "sales.csv.rejected.ndjson")
	options := intake.Options{Principal: loading, RejectPath: rejects}
	broken, err := d.Load(t.Context(), breaking(source, 20_000), m, options)
	if !errors.Is(err, privacy.ErrInvalid) || broken.Rows == 0 || broken.Rows == 1000 {
		t.Fatalf("%+v, %v", broken, err)
	}
	// A crash between the list and the commit leaves a row of later work in the list.
	file, err := os.OpenFile(rejects, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = file.WriteString(`{"row":852,"reason":"ragged_row"}` + "\n" + `{"row":85`)
	_ = file.Close()
	whole, err := d.Load(t.Context(), source, m, options)
	if err != nil || whole.ResumedAt != broken.Rows {
		t.Fatalf("%+v, %v", whole, err)
	}
	if whole.Rows != 1000 || whole.Rejected != 2 || whole.NewEvents != 998 || whole.NewPersons != 10 {
		t.Errorf("%+v", whole)
	}
	want := `{"row":152,"reason":"ragged_row"}` + "\n" + `{"row":852,"reason":"ragged_row"}` + "\n"
	if got, err := os.ReadFile(rejects); err != nil || string(got) != want {
		t.Errorf("rejected rows: %v\n%s", err, got)
	}
	total := 0
	for n := range 10 {
		for _, chunk := range d.events(t, fmt.Sprintf("c-%d", n), "purchases") {
			total += len(chunk)
		}
	}
	if total != 998 {
		t.Errorf("%d events are stored, want 998", total)
	}
}

// canceller stops a load from within.
type canceller struct {
	cancel context.CancelFunc
	after  int
}

func (*canceller) Begin(int64) {}
func (*canceller) End()        {}
func (c *canceller) Step(int64, int64) {
	if c.after--; c.after == 0 {
		c.cancel()
	}
}

func TestInterruptedLoadsComeToTheSame(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{BatchRows: 70})
	m, source := mapping(t, salesMap), write(t, "sales.csv", sales(1000))
	tries := 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		summary, err := d.Load(ctx, source, m, intake.Options{Principal: loading, Progress: &canceller{cancel, 2}})
		cancel()
		if tries++; tries > 50 {
			t.Fatalf("no end: %+v, %v", summary, err)
		}
		if err == nil && summary.Rows == 1000 {
			if summary.NewEvents != 1000 || summary.NewPersons != 10 {
				t.Errorf("%+v", summary)
			}
			break
		}
	}
	if tries < 3 {
		t.Errorf("only %d attempts: nothing was interrupted", tries)
	}
}

func TestLoadRejectsAndGoesOn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{})
	at := "2026-01-01T00:00:00Z"
	rows := []string{
		"c-1,a@example.com,Brno," + at + ",o-1,milk,1,",           // 2: good
		"c-2,b@example.com,Brno," + at + ",o-2,mi\xfflk,1,",       // 3
		"c-2,b@example.com,Brno," + at + ",o-2,mi\x00lk,1,",       // 4
		"c-2,b@example.com,Brno," + at + ",o-2,milk",              // 5
		"c-2,b@example.com,Brno," + strings.Repeat("x", 10<<20),   // 6
		"c-2,b@example.com,Brno,yesterday,o-2,milk,1,",            // 7
		",b@example.com,Brno," + at + ",o-2,milk,1,",              // 8
		"c-2,not an address,Brno," + at + ",o-2,milk,1,",          // 9
		"c-3,b3@example.com,Brno," + at + ",o-3,milk,1,",          // 10: good
		"c-1,b3@example.com,Brno," + at + ",o-4,milk,1,",          // 11: two people
		`c-4,"b4@example.com,Brno,` + at + ",o-2,milk,1,",         // 12: a quote that never ends
		"c-5,,Brno," + at + ",o-5," + strings.Repeat("y", 70_000), // 13
		"c-6,,\"Brno\nnorth\"," + at + ",o-6,milk,1,",             // 14: good, two lines
		"c-7,,Brno," + at + ",o-7,milk,1,no",                      // 16: good
	}
	path := filepath.Join(t.TempDir(), "rejected.ndjson")
	summary, err := d.Load(t.Context(), write(t, "bad.csv", "\ufeff"+header+strings.Join(rows, "\r\n")), mapping(t, salesMap),
		intake.Options{Principal: loading, RejectPath: path})
	if err != nil {
		t.Fatal(err)
	}
	if summary.Rows != 14 || summary.Accepted != 4 || summary.Rejected != 10 || summary.NewPersons != 4 {
		t.Errorf("%+v", summary)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"row":3,"reason":"invalid_encoding"}
{"row":4,"reason":"nul_byte"}
{"row":5,"reason":"ragged_row"}
{"row":6,"reason":"cell_too_large"}
{"row":7,"reason":"bad_time","field":"/events/0/at"}
{"row":8,"reason":"missing_identifier","field":"/identifiers/0"}
{"row":12,"reason":"bad_quotes"}
{"row":13,"reason":"cell_too_large"}
{"row":9,"reason":"bad_identifier","field":"/identifiers"}
{"row":11,"reason":"identifier_conflict","field":"/identifiers"}
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if city := d.record(t, "c-6", "contact")["city"]; city.Values[0] != privacy.NewPlain("Brno\nnorth") {
		t.Error("a cell with a line end was not read")
	}
}

// TestConcurrentLoadersAgree: people and events shared by two loads at the same time are
// stored once.
func TestConcurrentLoadersAgree(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{BatchRows: 50})
	m := mapping(t, salesMap)
	text := sales(500)
	errs := make(chan error)
	for n := range 4 {
		source := write(t, "sales.csv", text+strings.Repeat("\n", n+1))
		go func() {
			_, err := d.Load(t.Context(), source, m, intake.Options{Principal: loading})
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	total := 0
	for n := range 10 {
		for _, chunk := range d.events(t, fmt.Sprintf("c-%d", n), "purchases") {
			total += len(chunk)
		}
	}
	if total != 500 {
		t.Errorf("%d events are stored, want 500", total)
	}
	var people, prints int
	if err := d.db.pool.QueryRow(t.Context(), `select (select count(*) from vault.data_subject), (select count(*) from vault.event_fingerprint)`).Scan(&people, &prints); err != nil || people != 10 || prints != 500 {
		t.Errorf("%d people, %d fingerprints, %v", people, prints, err)
	}
}

func TestStreamTakesRowsOfItsOwnShape(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{})
	body := `{"identifiers":[{"kind":"customer_number","value":"c-1"},{"kind":"email","value":"Ayşe@example.com"}],"jurisdiction":"TR","attributes":{"first_name":"Ayşe","interests":["sports","music"]},"events":[{"type":"purchase","at":"2026-03-01T12:00:00Z","id":"o-1","fields":{"product_group":"grocery.dairy","amount":"3.20"}}],"consents":[{"action":"granted","purpose":"newsletter","channel":"email","notice_version":"v3","source":"web_form"}]}
{"identifiers":[{"kind":"customer_number","value":"c-2"}],"nickname":"x"}
{"identifiers":[{"kind":"customer_number","value":"c-2"}],"attributes":{"shoe_size":"43"}}
{"identifiers":[],"attributes":{"city":"Izmir"}}
{"identifiers":[{"kind":"customer_number","value":"c-2"}],"events":[{"type":"thought","at":"2026-03-01T12:00:00Z"}]}
{"identifiers":[{"kind":"customer_number","value":"c-2"}],"consents":[{"action":"granted","purpose":"snooping","channel":"email","notice_version":"v3","source":"web_form"}]}
{"identifiers":[{"kind":"customer_number","value":"c-2"}],"jurisdiction":"XX"}
{"identifiers":[{"kind":"customer_number","value":"c-1"}],"attributes":{"city":"Izmir"}}
`
	options := intake.StreamOptions{Principal: loading, Jurisdiction: "TR"}
	result, err := d.LoadStream(t.Context(), strings.NewReader(body), options)
	if err != nil {
		t.Fatal(err)
	}
	want := []intake.Reject{
		{Row: 2, Reason: intake.BadJSON},
		{Row: 3, Reason: intake.UnknownAttribute, Field: "/attributes"},
		{Row: 4, Reason: intake.MissingIdentifier, Field: "/identifiers"},
		{Row: 5, Reason: intake.UnknownEvent, Field: "/events/0/type"},
		{Row: 6, Reason: intake.BadConsent, Field: "/consents/0"},
		{Row: 7, Reason: intake.BadJurisdiction, Field: "/jurisdiction"},
	}
	if diff := cmp.Diff(want, result.Rejects); diff != "" {
		t.Error(diff)
	}
	if result.Accepted != 2 || result.Persons != 1 || result.NewEvents != 1 || result.Unchanged != 0 || result.Receipt.IsZero() {
		t.Errorf("%+v", result)
	}
	record := d.record(t, "c-1", "contact")
	if len(record["interests"].Values) != 2 || record["city"].Values[0] != privacy.NewPlain("Izmir") {
		t.Errorf("record has %d attributes", len(record))
	}
	before := d.dump(t)
	again, err := d.LoadStream(t.Context(), strings.NewReader(body), options)
	if err != nil || again.Unchanged != 2 || again.NewEvents != 0 || !again.Receipt.IsZero() {
		t.Errorf("again: %+v, %v", again, err)
	}
	if diff := cmp.Diff(before, d.dump(t)); diff != "" {
		t.Error(diff)
	}
	if _, err := d.LoadStream(t.Context(), strings.NewReader(body), intake.StreamOptions{Principal: loading, MaxRows: 3}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("too many rows: %v", err)
	}
}

// TestUndatedChoicesAreDatedByDelivery: without a date the rows' order is the order of the
// choices, and a no that is delivered again binds again.
func TestUndatedChoicesAreDatedByDelivery(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{})
	choices := func(person int, actions ...consent.Action) string {
		var b strings.Builder
		for _, action := range actions {
			notice := ""
			if action == consent.Granted {
				notice = `"notice_version":"v3",`
			}
			fmt.Fprintf(&b, `{"identifiers":[{"kind":"customer_number","value":"c-%d"}],"consents":[{"action":"%s","purpose":"newsletter","channel":"email",%s"source":"web_form"}]}`+"\n", person, action, notice)
		}
		return b.String()
	}
	deliver := func(body string) {
		t.Helper()
		result, err := d.LoadStream(t.Context(), strings.NewReader(body), intake.StreamOptions{Principal: loading, Jurisdiction: "TR"})
		if err != nil || len(result.Rejects) > 0 {
			t.Fatal(result.Rejects, err)
		}
	}
	state := func(person int) consent.State {
		t.Helper()
		id, _ := d.person(t, fmt.Sprintf("c-%d", person))
		records, err := NewConsentStore(d.db, d.log).List(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return consent.Fold(records, "email", time.Now().Add(time.Minute)).State
	}
	for person := range 20 {
		deliver(choices(person, consent.Granted, consent.Withdrawn))
		if got := state(person); got != consent.StateWithdrawn {
			t.Fatalf("granted, withdrawn in one delivery: %s", got)
		}
	}
	id, _ := d.person(t, "c-0")
	record, event := granted(id, 1)
	if _, err := NewConsentStore(d.db, d.log).Add(t.Context(), record, event); err != nil {
		t.Fatal(err)
	}
	deliver(choices(0, consent.Withdrawn))
	if got := state(0); got != consent.StateWithdrawn {
		t.Errorf("withdrawn again after a new grant: %s", got)
	}
}

func TestStreamByMapping(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{})
	body := `{"customer":"c-1","city":" Praha ","at":"2026-03-01T12:00:00Z","order":7,"product":"milk","amount":1.5}
{"customer":{"id":"c-1"}}
`
	result, err := d.LoadStream(t.Context(), strings.NewReader(body), intake.StreamOptions{Principal: loading, Mapping: mapping(t, salesMap)})
	if err != nil || result.Accepted != 1 || len(result.Rejects) != 1 || result.Rejects[0].Reason != intake.BadJSON {
		t.Fatalf("%+v, %v", result, err)
	}
	events := d.events(t, "c-1", "purchases")
	if got := events[0][0].Fields["amount"]; got != privacy.NewPlain("1.5") {
		t.Error("amount is not what was sent")
	}
}

func TestErasedPersonIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	d := newDesk(t, intake.Config{})
	if _, err := d.Load(t.Context(), write(t, "sales.csv", sales(20)), mapping(t, salesMap), intake.Options{Principal: loading}); err != nil {
		t.Fatal(err)
	}
	id, _ := d.person(t, "c-1")
	if _, err := d.database.OwnerPool(t).Exec(t.Context(), `select vault.shred($1, gen_random_uuid(), null, sha256(''), '', 0, 0)`, [16]byte(id)); err != nil {
		t.Fatal(err)
	}
	_, err := d.store.Commit(t.Context(), intake.Changes{Touched: []privacy.DataSubjectID{id}},
		audit.Event{Kind: audit.BatchIngested, Principal: loading, Outcome: audit.Done})
	if !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

// dataFolder is where the retail data lies; tests of volume skip without it.
func dataFolder(t testing.TB) string {
	t.Helper()
	folder := os.Getenv("MAHREM_TEST_JOURNEY")
	if folder == "" {
		folder = filepath.Join("..", "..", "shared", "data", "complete-journey")
	}
	if _, err := os.Stat(filepath.Join(folder, "transactions_sample.csv.gz")); err != nil {
		t.Skip("the Complete Journey data is not here; MAHREM_TEST_JOURNEY may say where it is")
	}
	return folder
}

func bundled(t testing.TB, name string) *intake.Mapping {
	t.Helper()
	m, err := intake.BundledMapping(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// bundledWords is the catalogue that ships with the program.
func bundledWords(t testing.TB) intake.Words {
	t.Helper()
	catalogue, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	return intake.NewWords(func() *policies.Catalogue { return catalogue })
}

func TestCompleteJourney(t *testing.T) {
	t.Parallel()
	folder := dataFolder(t)
	d := newDeskWith(t, bundledWords(t), intake.Config{})
	for _, c := range []struct {
		mapping, file string
		want          intake.Summary
	}{
		{"complete-journey-transactions", "transactions_sample.csv.gz", intake.Summary{Rows: 75_000, Accepted: 75_000, Persons: 2377, NewPersons: 2377, Events: 75_000, NewEvents: 75_000}},
		{"complete-journey-demographics", "demographics.csv.gz", intake.Summary{Rows: 801, Accepted: 801, Persons: 801}},
		{"complete-journey-campaigns", "campaigns.csv.gz", intake.Summary{Rows: 6589, Accepted: 6589, Persons: 1559, NewPersons: 2, Events: 6589, NewEvents: 6589}},
		{"complete-journey-redemptions", "coupon_redemptions.csv.gz", intake.Summary{Rows: 2102, Accepted: 2102, Persons: 410, Events: 2102, NewEvents: 2102}},
	} {
		got, err := d.Load(t.Context(), open(t, filepath.Join(folder, c.file)), bundled(t, c.mapping), intake.Options{Principal: loading})
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		t.Logf("%s: %.0f rows/s", c.file, float64(got.Rows)/got.Duration.Seconds())
		got.Duration = 0
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.file, diff)
		}
	}
	// Household 2127 bought two pregnancy tests in one basket.
	tests, groups := 0, map[privacy.Plain]int{}
	for _, chunk := range d.events(t, "cj-2127", "purchases") {
		for _, event := range chunk {
			if event.Fields["product"] == privacy.NewPlain("PREGNANCY TEST KITS") {
				tests++
				groups[event.Fields["product_group"]]++
			}
		}
	}
	if tests != 2 || groups[privacy.NewPlain("health.pregnancy_test")] != 2 {
		t.Errorf("household 2127 has %d pregnancy tests, in %d groups; want 2 in one", tests, len(groups))
	}
	if record := d.record(t, "cj-110", "demographics"); record["age_band"].Values[0] != privacy.NewPlain("25-34") {
		t.Error("household 110 has another age")
	}
	if record := d.record(t, "cj-110", "core"); record["household"].Values[0] != privacy.NewPlain("single") {
		t.Error("household 110 is not single")
	}
}

// BenchmarkIntake loads the retail sample into an empty database.
func BenchmarkIntake(b *testing.B) {
	folder := dataFolder(b)
	for b.Loop() {
		b.StopTimer()
		d := newDeskWith(b, bundledWords(b), intake.Config{})
		b.StartTimer()
		summary, err := d.Load(b.Context(), open(b, filepath.Join(folder, "transactions_sample.csv.gz")), bundled(b, "complete-journey-transactions"), intake.Options{Principal: loading})
		if err != nil || summary.NewEvents != 75_000 {
			b.Fatalf("%+v, %v", summary, err)
		}
		b.ReportMetric(float64(summary.Rows)/summary.Duration.Seconds(), "rows/s")
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(peakMemory(b), "peak-MiB")
}

// peakMemory is the most that this process has held, where the system tells.
func peakMemory(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kib float64
			if _, err := fmt.Sscanf(text, "%f kB", &kib); err != nil {
				b.Fatal(err)
			}
			return kib / 1024
		}
	}
	return 0
}
