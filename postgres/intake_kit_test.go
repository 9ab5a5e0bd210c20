package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
