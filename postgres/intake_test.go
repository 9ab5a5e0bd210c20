package postgres

import (
	"errors"
	"fmt"
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
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

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
