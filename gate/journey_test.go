package gate

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// family is a household of the Complete Journey: a year of purchases, and what is known
// of some.
type family struct {
	id        string
	purchases []event
	known     map[privacy.AttributeName]string
	// expecting is whether it bought core baby goods or a pregnancy test, by the words of
	// the shop and not by those of the catalogue that is examined.
	expecting bool
}

var babyCategories = []string{"BABY FOODS", "BABY HBC", "DIAPERS & DISPOSABLES", "INFANT CARE PRODUCTS", "INFANT FORMULA", "NUTRITION/BABYFOOD"}

const pregnancyTest = "PREGNANCY TEST KITS"

// readFamilies reads the Complete Journey, in the order of household ids. Without the
// files the test is skipped.
func readFamilies(t *testing.T, c *policies.Catalogue) []*family {
	t.Helper()
	dir := os.Getenv("MAHREM_TEST_JOURNEY")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data", "complete-journey")
	}
	if _, err := os.Stat(filepath.Join(dir, "transactions_sample.csv.gz")); err != nil {
		t.Skip("the Complete Journey is not here; MAHREM_TEST_JOURNEY says where it is")
	}
	products := map[string][]string{}
	eachRow(t, filepath.Join(dir, "products.csv.gz"), func(row map[string]string) {
		products[row["product_id"]] = []string{row["department"], row["product_category"], row["product_type"]}
	})
	families := map[string]*family{}
	eachRow(t, filepath.Join(dir, "transactions_sample.csv.gz"), func(row map[string]string) {
		f := families[row["household_id"]]
		if f == nil {
			f = &family{id: row["household_id"], known: map[privacy.AttributeName]string{}}
			families[f.id] = f
		}
		at, err := time.Parse(time.RFC3339, row["transaction_timestamp"])
		if err != nil {
			t.Fatal("a time that cannot be read")
		}
		e := event{kind: "purchase", at: at, group: "unknown", amount: row["sales_value"]}
		if p := products[row["product_id"]]; p != nil {
			e.group = string(c.ProductGroup(p[0], p[1], p[2]))
			f.expecting = f.expecting || slices.Contains(babyCategories, p[1]) || p[2] == pregnancyTest
		}
		f.purchases = append(f.purchases, e)
	})
	eachRow(t, filepath.Join(dir, "demographics.csv.gz"), func(row map[string]string) {
		if f := families[row["household_id"]]; f != nil {
			for column, name := range familyColumns {
				if row[column] != "" {
					f.known[name] = row[column]
				}
			}
		}
	})
	var list []*family
	for _, f := range families {
		slices.SortStableFunc(f.purchases, newestFirst)
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *family) int { return strings.Compare(a.id, b.id) })
	return list
}

func eachRow(t *testing.T, name string, do func(row map[string]string)) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := csv.NewReader(unzipped)
	header, err := rows.Read()
	if err != nil {
		t.Fatal(err)
	}
	for {
		cells, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		row := make(map[string]string, len(cells))
		for i, cell := range cells {
			row[header[i]] = cell
		}
		do(row)
	}
}

// matched returns the families that are looked for, and as many others with as many
// lines in their baskets over the year, each the nearest that is left.
func matched(families []*family) (wanted, controls []*family) {
	var others []*family
	for _, f := range families {
		if f.expecting {
			wanted = append(wanted, f)
		} else {
			others = append(others, f)
		}
	}
	// The largest first: there are fewest others as large.
	order := slices.Clone(wanted)
	slices.SortStableFunc(order, func(a, b *family) int { return len(b.purchases) - len(a.purchases) })
	for _, f := range order {
		best := 0
		for i, other := range others {
			if distance(f, other) < distance(f, others[best]) {
				best = i
			}
		}
		controls = append(controls, others[best])
		others = slices.Delete(others, best, best+1)
	}
	return wanted, controls
}

func distance(a, b *family) int {
	return max(len(a.purchases)-len(b.purchases), len(b.purchases)-len(a.purchases))
}

// familyColumns are the attributes that the table of families has.
var familyColumns = map[string]privacy.AttributeName{
	"age": "age_band", "income": "finances.income_band", "home_ownership": "home_ownership", "marital_status": "marital_status",
	"household_size": "household_size", "household_comp": "household_composition", "kids_count": "children.count",
}

// isHeld reports whether there is anything of an attribute in this data.
func isHeld(a *attribute) bool {
	if a.ID == attributePersona || a.derive != nil && a.Category == "purchases" {
		return true
	}
	for _, name := range familyColumns {
		if name == a.ID {
			return true
		}
	}
	return false
}

// records returns what is known of a family as the vault would hold it at a time.
func (f *family) records(s *sheet, at time.Time) map[privacy.DataCategory]vault.Record {
	records := map[privacy.DataCategory]vault.Record{}
	put := func(name privacy.AttributeName, value string, source vault.Source) {
		category := s.attributes[name].Category
		if records[category] == nil {
			records[category] = vault.Record{}
		}
		records[category][name] = vault.Field{
			Values: []privacy.Plain{privacy.NewPlain(value)}, Source: source, Quality: vault.Verified, ObservedAt: at.Truncate(24 * time.Hour),
		}
	}
	put(attributeBirth, "1980-01-01", vault.Declared)
	put(attributeHouse, "single", vault.Declared)
	for name, value := range f.known {
		put(name, value, vault.Imported)
	}
	var history []policies.GroupID
	for _, e := range f.purchases {
		if !e.at.After(at) {
			history = append(history, policies.GroupID(e.group))
		}
	}
	if label, ok := s.catalogue.PersonaFor(history); ok {
		put(attributePersona, string(label), vault.Inferred)
	}
	return records
}
